"""Which patches are shown for labelling, and in what order."""

import shutil
from pathlib import Path

import pytest

from made_collection import add_dataset, image_names
from utils.cli import UsageError
from utils.collection.label_queue import Item, list_items, ordered


def test_uncertain_patches_come_first_and_datasets_take_turns():
    scores = {"a": [0.51, 0.52, 0.53, 0.95], "b": [0.56, 0.1], "c": [0.99]}
    items = [Item(f"{d}{i}", d, Path("x"), score) for d, own in scores.items() for i, score in enumerate(own)]
    found = [item.name for item in ordered(items, "uncertain", threshold=0.5, seed=0)]
    assert found == ["a0", "b0", "a1", "a2", "b1", "a3", "c0"]
    assert [i.name for i in ordered(items, "borderline", threshold=0.5, seed=0)][:4] == ["a0", "a1", "a2", "b0"]
    assert sorted(i.name for i in ordered(items, "random", threshold=0.5, seed=1)) == sorted(found)


def test_random_is_the_same_whatever_else_is_there():
    items = [Item(f"p{i}", "d", Path("x")) for i in range(30)]
    found = ordered(items, "random", threshold=0.5, seed=3)
    assert (
        found
        == ordered(items[::-1], "random", threshold=0.5, seed=3)
        != ordered(items, "random", threshold=0.5, seed=4)
    )
    assert [i for i in found if i in items[:9]] == ordered(items[:9], "random", threshold=0.5, seed=3)
    for order in ("uncertain", "borderline"):
        with pytest.raises(UsageError, match=f"--order {order} goes by scores"):
            ordered(items, order, threshold=0.5, seed=3)


def test_bands_are_a_tenth():
    items = [Item("a", "d", Path("x"), 0.501), Item("b", "d", Path("x"), 0.59), Item("c", "e", Path("x"), 0.599),
             Item("d", "f", Path("x"), 0.601), Item("e", "f", Path("x"), 0.398)]  # fmt: skip
    assert [i.name for i in ordered(items, "uncertain", threshold=0.5, seed=0)] == ["a", "c", "b", "d", "e"]


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    """A dictionary of four patches, of which two are kept."""
    root = tmp_path_factory.mktemp("collection")
    add_dataset(root, "tem", image_names(["a"]))
    return root


def test_what_a_folder_holds(collection):
    names, kept = image_names(["a"]), {path.stem for path in (collection / "filtered").rglob("*.tiff")}
    dictionary = collection / "patches/tem.pkl"
    found, failures = list_items(collection / "patches", None)
    assert [(i.name, i.dataset, i.where, i.score) for i in found] == [(n, "tem", dictionary, None) for n in names]
    assert failures == {}
    scored, _ = list_items(collection / "patches", collection / "filtered")
    assert [(i.name, i.where) for i in scored] == [(n, dictionary) for n in names]
    assert [i.score for i in scored] == [0.125, 0.875, 0.625, 0.375]
    tiffs, _ = list_items(collection / "filtered", None)
    assert {i.name for i in tiffs} == kept == {names[1], names[2]}
    assert all(i.where == collection / f"filtered/tem/{i.name}.tiff" and i.score > 0.5 for i in tiffs)


def test_what_cannot_be_read_costs_its_own_patches(collection, tmp_path):
    shutil.copytree(collection, tmp_path / "c")
    (tmp_path / "c/patches/damaged.pkl").write_bytes(b"\xae" * 100)
    items, failures = list_items(tmp_path / "c/patches", None)
    assert len(items) == 4 and list(failures) == [str(tmp_path / "c/patches/damaged.pkl")]
    gone = next((tmp_path / "c/filtered").rglob("*.tiff"))
    gone.unlink()
    assert len(list_items(tmp_path / "c/filtered", None)[0]) == 1
