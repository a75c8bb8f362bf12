"""utils/records/aside.py: fingerprints taken beside the work."""

import threading

import pytest

from utils.records import aside
from utils.records.fingerprints import fingerprint
from utils.records.recipes import (
    Recipe,
    fingerprints,
    record_of,
    refuse_changed,
    save_record,
)


@pytest.fixture
def made(tmp_path):
    """A result of two inputs, and its recipe."""
    for name in ("a.tif", "b.tif"):
        (tmp_path / name).write_text(name)
    inputs = {name: (tmp_path / name,) for name in ("a.tif", "b.tif")}
    recipe = Recipe("test", inputs, {"crop-size": 224, "dedupe": True, "limit": None, "axes": (0, 1)}, tmp_path)
    return remember(recipe, tmp_path / "out" / "x.pkl")


def remember(recipe, result, content="made"):
    result.parent.mkdir(exist_ok=True)
    result.write_text(content)
    save_record(result, record_of(recipe, result, fingerprints(recipe), fingerprint([result])))
    return recipe, result


def changed(recipe, **options):
    return Recipe(recipe.stage, recipe.inputs, {**recipe.options, **options}, recipe.root)


def test_fingerprints_beside_the_work_are_those_of_its_begin(made, tmp_path, monkeypatch):
    recipe, _ = made
    known = fingerprints(recipe)
    for large in (1 << 20, 0):
        monkeypatch.setattr(aside, "LARGE_BYTES", large)
        assert aside.fingerprints_aside(recipe)() == known
    begun = threading.Event()
    monkeypatch.setattr(aside, "fingerprints", lambda asked: begun.wait() and fingerprints(asked))
    taken = aside.fingerprints_aside(recipe)
    (tmp_path / "b.tif").write_text("another")
    begun.set()
    with pytest.raises(ValueError, match=r"b\.tif changed while it was read"):
        refuse_changed(recipe, taken())


def test_memory_that_lacks_beside_the_work_is_told(made, monkeypatch):
    def lacking(_recipe):
        raise MemoryError("no more")

    monkeypatch.setattr(aside, "LARGE_BYTES", 0)
    monkeypatch.setattr(aside, "fingerprints", lacking)
    with pytest.raises(MemoryError, match="no more"):
        aside.fingerprints_aside(made[0])()
