"""utils/stated.py: a stated voxel size fills in what a header lacks, and wins over what it says, aloud."""

import warnings

import numpy as np
import pytest

from utils.formats.nrrd import write_nrrd
from utils.stated import NOT_GIVEN, Stated
from utils.volumes import open_volume


def opened(folder, size):
    write_nrrd(folder / "a.nrrd", np.zeros((2, 3, 4), np.uint8), size)
    return open_volume(folder / "a.nrrd")


@pytest.mark.parametrize(
    ("header", "given", "taken"),
    [
        (None, (50.0, 4.0, 4.0), (50, 4, 4)),
        ((50, 4, 4), (50.2, 4.0, 4.0), (50.2, 4, 4)),
        ((50, 4, 4), (None, 4.0, None), (50, 4, 4)),
        ((50, 4, 4), NOT_GIVEN, (50, 4, 4)),
    ],
)
def test_what_the_header_lacks_is_filled_in(tmp_path, header, given, taken):
    with opened(tmp_path, header) as volume, warnings.catch_warnings(action="error"):
        assert Stated(given, where="a table").applied(volume) is volume
        assert volume.voxel_size == taken


def test_where_nothing_is_stated_the_header_is_left_alone(tmp_path):
    with opened(tmp_path, None) as volume:
        before = volume.header_size
        assert Stated().applied(volume) is volume and volume.header_size is before


def test_a_contradiction_is_said_and_the_table_wins(tmp_path):
    with opened(tmp_path, (50, 4, 4)) as volume:
        with pytest.warns(UserWarning) as said:
            Stated((None, 5.0, 5.0), where="datasets.csv:2").applied(volume)
        assert volume.voxel_size == (50, 5, 5)
    assert str(said[0].message) == (
        "voxel size: the header says 50 x 4 x 4 nm, datasets.csv:2 50 x 5 x 5 nm (z, y, x): the latter is taken"
    )


def test_a_size_that_is_given_in_part(tmp_path):
    with opened(tmp_path, None) as volume:
        Stated((None, 5.0, 5.0), where="datasets.csv:2").applied(volume)
        with pytest.warns(UserWarning, match="missing: the header has none, and datasets.csv:2 has no voxel_z"):
            assert volume.voxel_size is None


def test_a_statement_that_cannot_be_used_closes_the_volume(tmp_path):
    volume = opened(tmp_path, (50, 4, 4))
    with pytest.raises(ValueError, match=r"^no good$"):
        Stated(problem="no good").applied(volume)
    with pytest.raises(ValueError, match="closed"):
        volume[:]


def test_what_else_is_stated():
    assert Stated((50.0, None, 4.0)).options() == {"voxel-size": [50.0, None, 4.0]}


def test_copies_of_larger_voxels():
    stated = Stated((50.0, None, 4.1), (("license", "CC0"),), "a table")
    assert stated.scaled((1, 2, 3)) == Stated((50.0, None, 12.3), (("license", "CC0"),), "a table")
    assert stated.scaled(None) == Stated(NOT_GIVEN, (("license", "CC0"),), "a table")


def test_a_size_for_a_file_without_header():
    assert Stated((50.0, 4.0, 4.0)).whole_size() == (50, 4, 4)
    assert Stated((None, 4.0, 4.0)).whole_size() is None
    with pytest.raises(ValueError, match="no good"):
        Stated(problem="no good").whole_size()
