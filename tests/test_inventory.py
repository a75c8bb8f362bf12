"""What a folder of classified patches holds: tables, dictionaries by name, sizes, what a kept patch remembers."""

from types import SimpleNamespace

import pytest

from made_collection import add_dataset, image_names, volume_names
from utils.cli import UsageError
from utils.collection.inventory import Part, by_dataset, dictionaries, list_parts

NAMES = image_names(["a"])


@pytest.fixture
def root(tmp_path):
    """Dictionaries fly-ROI-... and tem, classified."""
    add_dataset(tmp_path, "fly-ROI-x0-96_y0-96_z0-8", volume_names("fly-ROI-x0-96_y0-96_z0-8", 1), voxel_size=(9, 4, 4))
    add_dataset(tmp_path, "tem", NAMES, voxel_size=None)
    return tmp_path


def test_tables_and_their_patches(root):
    (root / "filtered/other.csv").write_text("a,b\n")
    fly, tem = list_parts(root / "filtered")
    assert (fly.name, fly.dataset, fly.table) == ("fly-ROI-x0-96_y0-96_z0-8", "fly", root / f"filtered/{fly.name}.csv")
    assert fly.folder == root / "filtered/fly" and tem.path("p") == root / "filtered/tem/p.tiff"
    assert [row.name for row in tem.decisions()] == NAMES
    assert fly.dictionary is None and fly.meta["source"] == f"{fly.name}.nrrd" and "patches" not in fly.meta
    assert fly.voxel_size == (9.0, 4.0, 4.0) and tem.voxel_size is None
    assert by_dataset([fly, tem, fly]) == {"fly": [fly, fly], "tem": [tem]}


def test_dictionaries_know_more(root):
    _, tem = list_parts(root / "filtered", [root / "patches"])
    assert tem.dictionary == root / "patches/tem.pkl" and tem.meta["patches"] == 16


def test_without_kept_patches_nothing_is_remembered(root):
    for path in (root / "filtered/tem").iterdir():
        path.write_bytes(b"damaged")
    assert list_parts(root / "filtered")[1].meta == {}


def test_names_that_two_dictionaries_share(root):
    for kind in ("2d", "3d"):
        (root / kind).mkdir()
        (root / kind / "tem.pkl").write_bytes((root / "patches/tem.pkl").read_bytes())
    found = dictionaries([root / "2d", root / "3d", root / "2d"])
    assert found == {"tem": [root / "2d/tem.pkl", root / "3d/tem.pkl"]}
    with pytest.raises(UsageError, match=r"tem\.csv: several dictionaries are called tem\.pkl; rename all but one"):
        list_parts(root / "filtered", [root / "2d", root / "3d"])
    (root / "filtered").rename(root / "3d-tables")
    (root / "tables").mkdir()
    (root / "3d-tables").rename(root / "tables/3d")
    parts = list_parts(root / "tables", [root / "2d", root / "3d"])
    assert [part.dictionary for part in parts] == [None, root / "3d/tem.pkl"]


def test_nothing_there(tmp_path):
    with pytest.raises(UsageError, match=r"no tables of classify_patches\.py"):
        list_parts(tmp_path)


def test_folders_of_patches_are_not_looked_through_nor_links_that_go_round(root):
    (root / "filtered/tem/nested.csv").write_text((root / "filtered/tem.csv").read_text())
    (root / "filtered/deep").mkdir()
    (root / "filtered/deep/more.csv").write_text((root / "filtered/tem.csv").read_text())
    assert [part.name for part in list_parts(root / "filtered")][1:] == ["tem", "more"]


@pytest.mark.parametrize(
    ("size", "found"),
    [
        ([9, 0.5, 4.5], (9.0, 0.5, 4.5)),
        (None, None),
        ([9, 4], None),
        ([9, 4, 0], None),
        ([9, 4, float("inf")], None),
        (["x", 4, 4], None),
        (7, None),
    ],
)
def test_voxel_sizes_that_can_be(tmp_path, size, found):
    part = Part("a", tmp_path / "a.csv")
    part.__dict__["meta"] = SimpleNamespace(get={"voxel_size": size}.get)
    assert part.voxel_size == found
