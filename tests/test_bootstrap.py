"""The first functions that a cluster gets: they load the keeper by its path, once, and need nothing else."""

import sys

import pytest

from utils.cluster.bootstrap import ask_keeper, end_run

KEEPER = """
class Keeper:
    ended = []
    def end_run(self, run):
        self.ended.append(run)
        return 3
keeper = Keeper()
loads = []
def answer_in_dask(order, items):
    loads.append(1)
    return order, items, len(loads)
"""


@pytest.fixture
def path(tmp_path):
    """A keeper of another version, where no package is."""
    path = tmp_path / "keeper.py"
    path.write_text(KEEPER)
    yield str(path)
    for name in [name for name in sys.modules if name.startswith("em_keeper_") and str(path) in name]:
        del sys.modules[name]


def test_the_keeper_is_loaded_once(path):
    assert end_run(path, "run") == 0  # none has been asked here
    assert ask_keeper(path, ("order",), [b"item"]) == (("order",), [b"item"], 1)
    assert ask_keeper(path, ("order",), [])[2] == 2
    assert end_run(path, "run") == 3
    (module,) = (module for name, module in sys.modules.items() if name.startswith("em_keeper_") and path in name)
    assert module.keeper.ended == ["run"]


def test_they_are_pickled_by_value():
    assert ask_keeper.__module__ == end_run.__module__ == "__main__"
