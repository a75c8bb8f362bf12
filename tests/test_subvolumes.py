"""utils/reconstruction/subvolumes.py: what is cut around a patch, how it is written, and how it stands."""

import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from kept_patches import save_kept
from utils.formats.volume_base import DecodedVolume
from utils.formats.voxel_size import VoxelSize
from utils.formats.writers import write_nrrd
from utils.names import PatchName, parse_name
from utils.patches import Box
from utils.reconstruction.subvolumes import (
    IMAGEJ_DTYPES,
    StackOptions,
    Subvolume,
    VolumeGroup,
    _reflected,
    cut_stack,
    stack_recipe,
    stack_voxel_size,
    stands,
    why_outside,
    window,
    write_stack,
)
from utils.records.fingerprints import fingerprint
from utils.records.kept_patch import KeptPatch
from utils.records.recipes import fingerprints, record_of, save_record
from utils.results import Scope
from utils.sources import volume_sources
from utils.volumes import open_volume


@given(st.integers(1, 9), st.integers(0, 8), st.integers(1, 9))
def test_mirrored_slices_are_numpys(count, index, slices):
    first, stop = window(min(index, count - 1), slices)
    padded = np.pad(np.arange(count), 10, "reflect" if count > 1 else "edge")
    np.testing.assert_array_equal(_reflected(first, stop, count), padded[first + 10 : stop + 10])
    assert _reflected(first, stop, count)[slices // 2] == min(index, count - 1)


def patch(axis: int | None, first: int = 2, box: Box = Box(1, 3, 2, 6)) -> PatchName:  # noqa: B008 (never changed)
    return PatchName("v", box, axis, first)


VOLUME = np.arange(5 * 6 * 7, dtype=np.uint8).reshape(5, 6, 7)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_stack_is_cut_along_its_patch_s_axis_and_mirrored(axis):
    box = Box(1, 3, 2, 5)
    volume = DecodedVolume("v", lambda: VOLUME, VoxelSize(None), VOLUME.shape, VOLUME.dtype)
    stack = cut_stack(volume, patch(axis, box=box), -2, 3)
    planes = [np.take(VOLUME, index, axis)[1:3, 2:5] for index in range(5)]
    np.testing.assert_array_equal(stack, [planes[index] for index in (2, 1, 0, 1, 2)])
    np.testing.assert_array_equal(cut_stack(volume, patch(axis, box=box), 2, 5), planes[2:])
    assert stack.flags.c_contiguous


@pytest.mark.parametrize(
    ("axis", "first", "box", "inside"),
    [
        (0, 4, Box(0, 6, 0, 7), True),
        (0, 5, Box(0, 6, 0, 7), False),
        (0, 0, Box(0, 6, 0, 7), True),
        (0, 0, Box(0, 7, 0, 7), False),
        (0, 0, Box(0, 6, 0, 8), False),
        (1, 5, Box(0, 5, 0, 7), True),
        (1, 6, Box(0, 5, 0, 7), False),
        (2, 6, Box(0, 5, 0, 6), True),
        (2, 6, Box(0, 5, 0, 7), False),
        (0, 0, Box(2, 2, 0, 7), False),
        (0, 0, Box(0, 6, 3, 3), False),
    ],
)
def test_a_patch_lies_in_its_volume_or_is_another_one_s(axis, first, box, inside):
    said = why_outside(patch(axis, first, box), (5, 6, 7))
    assert (said == "") == inside and (inside or "outside its volume, which is 5 x 6 x 7 (z, y, x)" in said)


def test_sizes_and_files():
    wanted = Subvolume(KeptPatch(Path("a.tif"), patch(1)), 3, 8, Path("out/a.tif"))
    assert wanted.box == ((1, 3), (3, 8), (2, 6)) and str(wanted) == "a.tif"
    assert wanted.files() == [Path("out/a.tif")] and wanted.files("gif") == [Path("out/a.tif"), Path("out/a.gif")]


@pytest.mark.parametrize(("axis", "expected"), [(0, (30.0, 4.0, 8.0)), (1, (4.0, 30.0, 8.0)), (2, (8.0, 30.0, 4.0))])
def test_the_slicing_axis_s_size_comes_first(axis, expected):
    assert stack_voxel_size((30.0, 4.0, 8.0), axis) == expected
    assert stack_voxel_size(None, axis) is None


@pytest.mark.parametrize(
    ("kind", "written"), [("?", np.uint8), ("f2", np.float32), ("u1", np.uint8), ("f4", np.float32)]
)
def test_types_that_few_know_are_written_as_others(tmp_path, kind, written):
    stack = (VOLUME[:2] % 2).astype(kind)
    for name in ("a.nrrd", "a.tif"):
        write_stack(tmp_path / name, stack, (30.0, 4.0, 8.0))
        volume = open_volume(tmp_path / name)
        assert (volume.dtype, volume.voxel_size) == (written, (30.0, 4.0, 8.0))
        np.testing.assert_array_equal(volume[:, :, :], stack.astype(written))


STACK = np.arange(24).reshape(2, 3, 4)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32", "int32", "float64"])
def test_stacks_are_read_back(tmp_path, dtype):
    path = tmp_path / "a.tif"
    write_stack(path, STACK.astype(dtype), (30.0, 5.0, 4.0))
    with tifffile.TiffFile(path) as tif:
        assert tif.is_imagej is (dtype in IMAGEJ_DTYPES) and tif.series[0].axes == "ZYX"
        np.testing.assert_array_equal(tif.asarray(), STACK)
        x, y = (tif.pages.first.tags[name].value for name in ("XResolution", "YResolution"))
        assert (x[1] / x[0], y[1] / y[0]) == pytest.approx((4, 5)) and "Software" not in tif.pages.first.tags
        if tif.imagej_metadata:
            assert (tif.imagej_metadata["spacing"], tif.imagej_metadata["unit"]) == (30.0, "nm")
    with open_volume(path) as volume:
        assert volume.voxel_size == pytest.approx((30, 5, 4))


def test_without_a_voxel_size_none_is_written(tmp_path):
    write_stack(tmp_path / "a.tif", STACK.astype(np.uint8), None)
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        assert "spacing" not in (tif.imagej_metadata or {}) and tif.series[0].axes == "ZYX"
    with open_volume(tmp_path / "a.tif") as volume, pytest.warns(UserWarning, match="voxel size missing"):
        assert volume.voxel_size is None


NAME = "fly-ROI-x0-8_y0-8_z0-6-LOC-0_3_0-4_0-4"


@pytest.fixture
def group(tmp_path):
    """A volume, and one subvolume to be cut from it."""
    volume = tmp_path / "fly-ROI-x0-8_y0-8_z0-6.nrrd"
    write_nrrd(volume, np.zeros((6, 8, 8), np.uint8), (1.0, 1.0, 1.0))
    patch = KeptPatch(save_kept(tmp_path / "kept", NAME, np.zeros((4, 4), np.uint8), None), parse_name(NAME))
    (source,), _ = volume_sources(str(volume))
    wanted = Subvolume(patch, 1, 6, tmp_path / "out/fly/a.tif")
    wanted.target.parent.mkdir(parents=True)
    return VolumeGroup(source, (wanted,), {})


def scope_of(group):
    root = group.wanted[0].target.parents[1]
    return Scope("reconstruct3d", root, root)


def make(group, options=None, flipbook=None):
    (wanted,) = group.wanted
    scope, volume = scope_of(group), fingerprint(group.volume_paths())
    recipe = stack_recipe(wanted, volume, group.source, options or StackOptions(), scope)
    for path in wanted.files(flipbook):
        path.touch()
        save_record(path, record_of(recipe, path, fingerprints(recipe), fingerprint([path])))


def test_what_decides_a_stack(group):
    assert StackOptions().as_options() == {
        "slices": 5,
        "contrast": "percentile",
        "raw": False,
        "accept-differences": False,
    }
    assert StackOptions(7, "minmax", True, False, "gif").as_options() == {
        "slices": 7, "contrast": "minmax", "raw": True, "accept-differences": True,
    }  # fmt: skip
    recipe = stack_recipe(
        group.wanted[0], fingerprint(group.volume_paths()), group.source, StackOptions(), scope_of(group)
    )
    assert set(recipe.inputs) == {f"{NAME}.tiff", "fly-ROI-x0-8_y0-8_z0-6"} and recipe.options["slices"] == 5


def test_where_runs_take_turns(group, tmp_path):
    assert not group.spread  # unless it is said
    assert group.lock_path(tmp_path) == tmp_path / "fly/fly-ROI-x0-8_y0-8_z0-6"
    assert [path.name for path in group.volume_paths()] == ["fly-ROI-x0-8_y0-8_z0-6.nrrd"] and str(group).endswith(
        ".nrrd"
    )


def test_how_they_stand(group):
    def standing(**options):
        return stands(group, StackOptions(**options), scope_of(group))

    assert standing() == [None]
    make(group)
    assert standing() == [""] and standing(flipbook="gif") == [None]
    make(group, flipbook="gif")
    assert standing(flipbook="gif") == [""]
    assert standing(slices=7) == ["made with --slices 5, now 7"]
    volume = group.volume_paths()[0]
    os.utime(volume, ns=(0, 0))
    assert standing() == [""]  # the content is the same
    write_nrrd(volume, np.ones((6, 8, 8), np.uint8), (1.0, 1.0, 1.0))
    (reason,) = standing()
    assert reason is not None and "has changed" in reason
