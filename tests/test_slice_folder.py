"""utils/formats/slice_folder.py: a folder of slices as a volume."""

import re

import numpy as np
import pytest
import tifffile
from PIL import Image

from utils.formats.slice_folder import missing_slices
from utils.volumes import open_volume

VOXELS = np.random.default_rng(0).integers(0, 200, (6, 4, 5)).astype(np.int16)


@pytest.mark.parametrize("end", ["png", "tif", "jpg", "bmp", "pgm"])
def test_slices_in_natural_order(tmp_path, end):
    for z in range(12):
        Image.fromarray(np.full((6, 7), z * 20, np.uint8)).save(tmp_path / f"s{z}.{end}")
    (tmp_path / "notes.txt").write_text("x")
    with open_volume(tmp_path) as volume:
        assert volume.shape == (12, 6, 7) and volume.name == tmp_path.name
        np.testing.assert_array_equal(volume[:, 0, 0], np.arange(12) * 20)
        with pytest.warns(UserWarning, match="folder of slices"):
            assert volume.voxel_size is None


def test_names_that_differ_in_a_letter_are_no_sequence():
    assert missing_slices(["a1b", "a1d"]) == missing_slices(["b1", "d1"]) == (0, [])


def test_slices_that_are_there_in_two_formats_are_said(tmp_path):
    for z in range(3):
        for end in ("png", "tif"):
            Image.fromarray(np.full((6, 7), z, np.uint8)).save(tmp_path / f"{z}.{end}")
    with pytest.warns(UserWarning, match=r"of one name in several formats \(3, such as 0\.tif\) each count"):
        volume = open_volume(tmp_path)
    assert volume.shape == (6, 6, 7)


def test_slices_must_be_alike(tmp_path):
    for z, shape in enumerate([(6, 7), (6, 7), (6, 8)]):
        Image.fromarray(np.zeros(shape, np.uint8)).save(tmp_path / f"{z}.png")
    with pytest.raises(ValueError, match=r"2\.png is 6 x 8, the first one 6 x 7 uint8"):
        open_volume(tmp_path)
    tifffile.imwrite(tmp_path / "2.png", np.zeros((6, 7), np.uint16))
    with open_volume(tmp_path) as volume, pytest.raises(ValueError, match=r"2\.png"):
        volume[:]


def test_slices_of_other_sizes_are_told_by_their_headers(tmp_path):
    for z, shape in enumerate([(6, 7), (6, 7), (7, 6)]):
        tifffile.imwrite(tmp_path / f"{z}.tif", np.zeros(shape, np.uint8))
    with pytest.raises(ValueError, match=r"2\.tif is 7 x 6, the first one 6 x 7 uint8"):
        open_volume(tmp_path)


def test_a_damaged_slice_is_named(tmp_path):
    for z in range(3):
        Image.fromarray(np.zeros((6, 7), np.uint8)).save(tmp_path / f"{z}.png")
    (tmp_path / "1.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    with pytest.raises(ValueError, match=r"slice 1\.png"), open_volume(tmp_path) as volume:
        volume[:]


def test_a_folder_of_stacks_is_no_folder_of_slices(tmp_path):
    for name in "ab":
        tifffile.imwrite(tmp_path / f"{name}.tif", VOXELS)
    with pytest.warns(UserWarning), pytest.raises(ValueError, match="6 pages"):
        open_volume(tmp_path)


def test_a_slice_may_have_a_thumbnail(tmp_path):
    for name in "ab":
        tifffile.imwrite(tmp_path / f"{name}.tif", VOXELS[:2])
    with pytest.warns(UserWarning, match="holds 2 pages: the first was taken"), open_volume(tmp_path) as volume:
        np.testing.assert_array_equal(volume[:], VOXELS[[0, 0]])


def test_a_single_slice_is_no_volume(tmp_path):
    Image.fromarray(np.zeros((6, 7), np.uint8)).save(tmp_path / "0.png")
    with pytest.raises(ValueError, match="at least 2"):
        open_volume(tmp_path)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["z_000", "z_001", "z_003", "z_004"], r"missing in the sequence \(1\): z_002;"),
        (["s8", "s9", "s10", "s12"], r"\(1\): s11;"),
        (["a2_00", "a2_10", "a2_30", "a2_90"], None),  # no step that most keep
        (["a2_00", "a2_10", "a2_20", "a2_50", "a2_60"], r"\(2\): a2_30, a2_40;"),
        (["0b", "1b", "99b"], r"\(97\): 2b, 3b, 4b, 5b, 6b and 92 more;"),
        (["0", "1", "9" * 30], rf"\({'9' * 29}7\): 2, 3"),
        (["z0", "z2", "z4"], None),
        (["z0", "z7"], None),
        (["z1", "z01", "z3"], None),  # twice the same number
        (["z1_t1", "z2_t2", "z4_t4"], None),
        (["a", "b", "d"], None),
        (["z1", "z2", "y4"], None),
        (["20240105", "20240109", "20240311"], None),
    ],
)
def test_a_number_missing_in_the_sequence_is_said(tmp_path, recwarn, names, said):
    """Sections across a gap are torn; names that are no sequence, and even steps, raise no alarm."""
    for number, name in enumerate(names):
        Image.fromarray(np.full((3, 4), number, np.uint8)).save(tmp_path / f"{name}.{'png' if number else 'bmp'}")
    with open_volume(tmp_path) as volume:
        assert volume.shape == (len(names), 3, 4)
    found = [str(warning.message) for warning in recwarn]
    assert len(found) == (said is not None)
    assert said is None or re.search(said, found[0])
