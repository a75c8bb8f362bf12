"""Free columns of datasets: of their row, of their image's, or as a dictionary remembers them."""

from types import SimpleNamespace

import pytest

from utils.collection.provenance import Provenance, csv_text, find_tables


def table(path, text):
    path.write_text(text)
    return path


def test_rows_of_datasets_and_of_their_images(tmp_path):
    text = "Name, License ,note,voxel_z,\nfly,CC0,  a\tb s3://k@b,9,\nmouse_s1,MIT,,,\nmouse,BSD,,,\n,lost,,,\n"
    found = Provenance(
        [table(tmp_path / "a.csv", text), table(tmp_path / "b.csv", "dataset,license\nfly,other\nbee,X\n")]
    )
    assert found.of("fly") == {"license": "CC0", "note": "a b s3://***@b"}  # the first that knows it
    assert found.of("mouse_s1") == {"license": "MIT", "note": ""}
    assert found.of("mouse_s2") == {"license": "BSD", "note": ""}  # a level of the image
    assert found.of("yeast") == {} and found.unused() == ["bee"] and found.failures == {}


def test_rows_are_called_as_in_every_other_table(tmp_path):
    found = Provenance([table(tmp_path / "a.csv", "name,license\nfilm.mp4,CC0\nz.ome.zarr,MIT\nvol.nii.gz,BSD\n")])
    assert [found.of(name) for name in ("film_video", "z_s1", "vol_bin2")] == [
        {"license": "CC0"}, {"license": "MIT"}, {"license": "BSD"},
    ]  # fmt: skip
    assert found.unused() == []


def test_what_a_dictionary_remembers():
    part = SimpleNamespace(
        meta={"dataset": {"license": "CC0", "name": "x", "dataset": "y", "voxel_x": 3, "n": 4, "no": None}}
    )
    empty = SimpleNamespace(meta={"dataset": "text"})
    assert Provenance().of("fly", [empty, part]) == {"license": "CC0", "n": "4", "no": ""}
    assert Provenance().of("fly", [empty]) == {} == Provenance().of("fly")


def test_damaged_rows_cost_themselves(tmp_path):
    path = table(tmp_path / "a.csv", "name,license\nfly,CC0\nbad,1,2\nbee,MIT\n")
    found = Provenance([path])
    assert found.failures == {f"{path}:3": "3 cells, but 2 columns"} and found.of("bee") == {"license": "MIT"}
    with pytest.raises(ValueError, match="columns are title; expected one called name"):
        Provenance([table(path, "title\nfly\n")])
    with pytest.raises(ValueError, match="columns are none"):
        Provenance([table(path, "")])


def test_which_tables(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        folder.mkdir()
    table(one / "datasets.csv", "")
    assert find_tables([], one, other) == [one / "datasets.csv"]
    assert find_tables([other], one) == [other]


@pytest.mark.parametrize(
    ("value", "text"),
    [("=1", "'=1"), ("+1", "'+1"), ("-1", "'-1"), ("@x", "'@x"), ("\t", "'\t"), ("\r", "'\r"), ("a=1", "a=1"), ("", ""),
     (-1, -1), (None, None)],
)  # fmt: skip
def test_cells_that_would_be_formulas(value, text):
    assert csv_text(value) == text
