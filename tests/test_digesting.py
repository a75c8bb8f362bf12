"""utils/records/digesting.py: fingerprints taken beside the work."""

import threading

import pytest

from remembered import remembered
from utils.records import digesting
from utils.records.recipes import fingerprints, glances, refuse_changed


@pytest.fixture
def made(tmp_path):
    return remembered(tmp_path)


def test_fingerprints_beside_the_work_are_those_of_its_begin(made, tmp_path, monkeypatch):
    recipe, _ = made
    known = fingerprints(recipe)
    for large in (1 << 20, 0):
        monkeypatch.setattr(digesting, "LARGE_BYTES", large)
        assert digesting.fingerprints_in_background(recipe)() == known
    begun = threading.Event()
    monkeypatch.setattr(digesting, "fingerprints", lambda asked: begun.wait() and fingerprints(asked))
    taken = digesting.fingerprints_in_background(recipe)
    (tmp_path / "b.tif").write_text("another")
    begun.set()
    with pytest.raises(ValueError, match=r"b\.tif changed while it was read"):
        refuse_changed(recipe, taken())


def test_memory_that_lacks_beside_the_work_is_told(made, monkeypatch):
    def lacking(_recipe):
        raise MemoryError("no more")

    monkeypatch.setattr(digesting, "LARGE_BYTES", 0)
    monkeypatch.setattr(digesting, "fingerprints", lacking)
    with pytest.raises(MemoryError, match="no more"):
        digesting.fingerprints_in_background(made[0])()


@pytest.mark.parametrize(("more", "threads"), [(0, [True]), (1, [])])
def test_large_inputs_have_a_thread_that_keeps_no_process_alive(made, monkeypatch, more, threads):
    recipe, look, found = made[0], digesting._look, []
    size = sum(entry.size for entry in glances(recipe).values())
    monkeypatch.setattr(digesting, "LARGE_BYTES", size + more)
    monkeypatch.setattr(
        digesting, "_look", lambda *given: found.append(threading.current_thread().daemon) or look(*given)
    )
    assert digesting.fingerprints_in_background(recipe)() == fingerprints(recipe)
    assert found == threads
