"""utils/ngff/dataset.py: what a row opens; what metadata and rows say of a level's voxel size, and which counts."""

import warnings
from dataclasses import replace

import numpy as np
import pytest

from ngff_images import SIZES, pyramid, write_ome_zarr
from utils.ngff.access import Access
from utils.ngff.address import Address
from utils.ngff.dataset import Dataset, dataset_of_url, factors, level_voxel_size
from utils.ngff.metadata import Level
from utils.ngff.multiscale import Multiscale
from utils.ngff.store import Store


def image(*levels: tuple, kind: str = "zarr", unit: str | None = "nm") -> Multiscale:
    """An image of levels given as shape and scale."""
    made = [
        Level(f"s{i}", shape, (8, 8, 8), np.dtype(np.uint8), scale, unit) for i, (shape, scale) in enumerate(levels)
    ]
    return Multiscale("a", kind, Store(Address.parse("/a"), Access()), tuple(made))


TWO = image(((100, 100, 100), (10.0, 5.0, 5.0)), ((50, 50, 50), (20.0, 10.0, 10.0)))


def test_without_a_table_the_metadata_counts():
    assert level_voxel_size(TWO, 1) == (20.0, 10.0, 10.0)


def test_a_table_gives_level_0_and_the_factors_follow():
    bare = image(((100, 100, 100), None), ((100, 50, 50), None))
    assert level_voxel_size(bare, 1, (30, 4.0, 4.0)) == (30.0, 8.0, 8.0)


def test_sizes_of_levels_have_twelve_digits():
    bare = image(((90, 90, 90), None), ((30, 45, 90), None))
    assert level_voxel_size(bare, 1, (0.1, 1.23456789012, 4.0)) == (0.3, 2.46913578024, 4.0)


def test_where_level_0_has_no_size_another_s_shape_contradicts_nothing():
    half = image(((100, 100, 100), None), ((50, 25, 25), (20.0, 10.0, 10.0)))
    with warnings.catch_warnings(action="error"):
        assert level_voxel_size(half, 1) == (20.0, 10.0, 10.0)


def test_a_table_may_leave_axes_to_the_metadata():
    with pytest.warns(UserWarning, match="contradict"):
        assert level_voxel_size(TWO, 1, (12, None, None)) == (24.0, 10.0, 10.0)
    with pytest.raises(ValueError, match="some of voxel_x, voxel_y, voxel_z"):
        level_voxel_size(image(((9, 9, 9), None)), 0, (12, None, None))


def test_nothing_known_is_an_error_that_says_why():
    with pytest.raises(ValueError, match=r"voxel size missing: .*without a unit; give voxel_x"):
        level_voxel_size(image(((9, 9, 9), (1.0, 1.0, 1.0)), unit=None), 0)


def test_roundings_do_not_contradict():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert level_voxel_size(TWO, 0, (10.1, 5, 5)) == (10.1, 5.0, 5.0)


def test_a_contradiction_is_said_and_the_table_counts():
    with pytest.warns(UserWarning, match=r"the table says 10\.2 x 5 x 5 nm .*the table's is used"):
        assert level_voxel_size(TWO, 0, (10.2, 5, 5)) == (10.2, 5.0, 5.0)


def test_precomputed_rows_of_older_lists_leave_it_to_the_metadata():
    other = image(((9, 9, 9), (10.0, 5.0, 5.0)), kind="precomputed")
    with pytest.warns(UserWarning, match="the metadata's is used"):
        assert level_voxel_size(other, 0, (20, 5, 5), metadata_first=True) == (10.0, 5.0, 5.0)
    with pytest.warns(UserWarning, match="the table's is used"):
        assert level_voxel_size(TWO, 0, (20, 5, 5), metadata_first=True) == (20.0, 5.0, 5.0)


def test_of_precomputed_data_the_table_counts_where_nothing_else_is_asked_for():
    other = image(((9, 9, 9), (10.0, 5.0, 5.0)), kind="precomputed")
    with pytest.warns(UserWarning, match="the table's is used"):
        assert level_voxel_size(other, 0, (20, 5, 5)) == (20.0, 5.0, 5.0)


def test_a_table_that_gives_the_level_s_own_size_is_understood():
    with pytest.warns(UserWarning, match="is the metadata's of level 1, not of level 0; taken for level 1"):
        assert level_voxel_size(TWO, 1, (20, 10, 10)) == (20.0, 10.0, 10.0)


def test_metadata_that_the_shape_contradicts_is_said():
    slip = image(((100, 100, 100), (10.0, 5.0, 5.0)), ((50, 50, 50), (10.0, 5.0, 5.0)))
    with pytest.warns(UserWarning, match=r"level 1 has the shape of 20 x 10 x 10 nm .*but its metadata say 10 x 5 x 5"):
        assert level_voxel_size(slip, 1) == (10.0, 5.0, 5.0)
    near = image(((100, 100, 100), (10.0, 5.0, 5.0)), ((45, 50, 50), (10.0, 10.0, 10.0)))
    with pytest.warns(UserWarning, match=r"has the shape of 22\.22 x 10 x 10 nm"):
        level_voxel_size(near, 1)
    slight = image(((100, 100, 100), (10.0, 5.0, 5.0)), ((45, 50, 50), (20.0, 10.0, 10.0)))
    with warnings.catch_warnings(action="error"):
        assert level_voxel_size(slight, 1) == (20.0, 10.0, 10.0)  # its shape says 22.2


def test_factors_are_the_scales_unless_the_shapes_contradict():
    assert factors(TWO, 1) == (2.0, 2.0, 2.0)
    odd = image(((100, 101, 99), (10.0, 5.0, 5.0)), ((48, 50, 50), (20.0, 10.0, 10.0)))
    assert factors(odd, 1) == (2.0, 2.0, 2.0)
    fine = image(((100, 101, 99), (0.4, 0.2, 0.2)), ((48, 50, 50), (0.8, 0.4, 0.4)))
    assert factors(fine, 1) == (2.0, 2.0, 2.0)
    slip = image(((100, 100, 100), (10.0, 5.0, 5.0)), ((50, 25, 100), (10.0, 5.0, 5.0)))
    assert factors(slip, 1) == (2.0, 4.0, 1.0)
    flat = image(((100, 100, 100), (10.0, 5.0, 5.0)), ((99, 50, 50), (10.0, 10.0, 10.0)))
    assert factors(flat, 1) == (1.0, 2.0, 2.0)
    nothing = image(((100, 100, 100), (0.0, 5.0, 5.0)), ((50, 50, 50), (0.0, 10.0, 10.0)))
    assert factors(nothing, 1) == (2.0, 2.0, 2.0)


def test_a_level_is_the_run_s_the_row_s_or_the_finest():
    found = Dataset("s3://b/cell.zarr", "cell", 2)
    assert (found.chosen_level(), found.chosen_level(0), replace(found, level=None).chosen_level()) == (2, 0, 0)


def test_addresses_keep_their_secrets():
    found = dataset_of_url("https://user:secret@server/a.zarr::2")
    assert "secret" in found.url and "secret" not in f"{found}{found.address}"


def test_a_row_opens_as_it_says(tmp_path):
    root = write_ome_zarr(tmp_path / "cell.zarr", pyramid()[:1])
    found = Dataset(str(root), "mine", given_size=(3.0, 2.0, 1.0), invert=True, padding_value=9.0)
    with pytest.warns(UserWarning, match="contradict each other"):
        volume = found.open()
    with volume:
        assert (volume.name, volume.voxel_size, volume.padding) == ("mine_s0", (3.0, 2.0, 1.0), 255 - 9)
        assert (volume[:] == 255 - pyramid()[0]).all()
    with Dataset(str(root), "cell").open(0) as volume:
        assert volume.voxel_size == SIZES[0] and volume.padding == 0


def test_what_a_bare_address_is_called():
    assert dataset_of_url("s3://b/cell.zarr").name == "cell"
    assert dataset_of_url("s3://b/cell.zarr", image="em/raw").name == dataset_of_url("s3://b/cell.zarr/em/raw").name
    assert dataset_of_url("s3://b/cell.zarr#s2").level == 2
    assert dataset_of_url("s3://b/cell.zarr").address == "s3://b/cell.zarr"
    assert dataset_of_url("ftp://b/cell.zarr").address == "ftp://b/cell.zarr"
