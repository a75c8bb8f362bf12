"""Subvolumes written and checked against their patches: contrast, sizes, differences, films, what fails alone."""

import warnings
from dataclasses import replace

import cv2
import numpy as np
import pytest
from PIL import Image, ImageSequence

from conftest import smooth_volume, visible
from kept_patches import keep
from stacks import SIZE, expected, read, voxels_of
from utils.formats.writers import write_nrrd
from utils.jobs import SKIPPED, Job, SomeFailed
from utils.names import parse_name
from utils.reconstruction.subvolumes import StackOptions, Subvolume, VolumeGroup, stands
from utils.reconstruction.write import FLIPBOOKS, difference, reconstruct_volume
from utils.records.kept_patch import KeptPatch, KeptRecord, read_kept
from utils.results import Scope
from utils.sources import volume_sources
from utils.volumes import open_volume

OPTIONS = StackOptions(slices=5)


@pytest.fixture
def group(tmp_path):
    """A uint8 volume, and two subvolumes to be cut from it."""
    write_nrrd(tmp_path / "fly.nrrd", voxels_of(), SIZE)
    paths = keep(tmp_path / "kept", tmp_path / "fly.nrrd", [(0, 7, (3, 15, 5, 19)), (2, 9, (3, 15, 5, 19))])
    return group_of(tmp_path, paths)


def group_of(folder, paths):
    (source,), _ = volume_sources(str(folder / "fly.nrrd"))
    wanted = []
    for i, path in enumerate(paths):
        where = parse_name(path.stem)
        wanted.append(Subvolume(KeptPatch(path, where), where.first - 2, where.first + 3, folder / f"out/fly/{i}.tif"))
    (folder / "out/fly").mkdir(parents=True, exist_ok=True)
    return VolumeGroup(source, tuple(wanted), {})


def write(group, folder, options=OPTIONS, **more):
    scope = Scope("reconstruct3d", folder, folder / "out")
    return reconstruct_volume(Job(group, folder / "out/fly/fly"), options, scope, **more)


def promised(subvolume, voxels):
    where = replace(subvolume.patch.where, first=subvolume.first, stop=subvolume.stop)
    return expected(voxels, where)


def test_stacks_are_cut_once(group, tmp_path):
    assert write(group, tmp_path) == "2 subvolumes" and write(group, tmp_path) == SKIPPED
    for subvolume, size in zip(group.wanted, (SIZE, (SIZE[2], *SIZE[:2])), strict=True):
        np.testing.assert_array_equal(read(subvolume.target), promised(subvolume, voxels_of()))
        with open_volume(subvolume.target) as stack:
            assert stack.voxel_size == pytest.approx(size)


def test_flipbooks_beside(group, tmp_path):
    write(group, tmp_path, replace(OPTIONS, flipbook="gif"))
    assert visible(tmp_path / "out/fly") == ["0.gif", "0.tif", "1.gif", "1.tif"]


def test_a_changed_volume_is_told_by_the_patch(group, tmp_path):
    voxels = voxels_of()
    voxels[7, 4, 6] += 9
    write_nrrd(tmp_path / "fly.nrrd", voxels, SIZE)
    with pytest.raises(SomeFailed) as caught:
        write(group, tmp_path)
    ((path, reason),) = caught.value.failures.items()
    assert path == str(group.wanted[0].patch.path) and reason.startswith("1 of 168 pixels of the middle slice differ")
    assert group.wanted[1].target.exists() and not group.wanted[0].target.exists()
    with pytest.warns(
        UserWarning, match=r"the middle slice differs from the patch; written all the same \(stacks: 1\)"
    ):
        write(group, tmp_path, replace(OPTIONS, verify=False), update=True)
    np.testing.assert_array_equal(read(group.wanted[0].target), promised(group.wanted[0], voxels))


def test_outdated_stacks_stay_until_update(group, tmp_path):
    write(group, tmp_path)
    with pytest.warns(UserWarning, match=r"^outdated: 2 subvolumes \(made without --raw, now with --raw\); --update"):
        assert write(group, tmp_path, replace(OPTIONS, raw=True)) == SKIPPED
    assert write(group, tmp_path, replace(OPTIONS, raw=True), update=True) == "2 subvolumes"


@pytest.mark.parametrize("recorded", [True, False])
def test_wide_volumes_have_their_patches_window(tmp_path, recorded):
    write_nrrd(tmp_path / "fly.nrrd", voxels_of("uint16"), SIZE)
    paths = keep(tmp_path / "kept", tmp_path / "fly.nrrd", [(0, 7, (3, 15, 5, 19))], recorded=recorded)
    group = group_of(tmp_path, paths)
    if recorded:
        with warnings.catch_warnings(action="error"):
            write(group, tmp_path)
    else:
        with pytest.warns(UserWarning, match="no contrast recorded in the patch: --contrast percentile of the volume"):
            write(group, tmp_path)
    stack = read(group.wanted[0].target)
    assert stack.dtype == np.uint8 and stack.shape == (5, 12, 14)
    write(group, tmp_path, replace(OPTIONS, raw=True), update=True)
    np.testing.assert_array_equal(read(group.wanted[0].target), promised(group.wanted[0], voxels_of("uint16")))


def test_what_cannot_be_made_is_named_with_the_rest_done(group, tmp_path):
    group.wanted[0].patch.path.write_bytes(b"damaged")
    with pytest.raises(SomeFailed) as caught:
        write(replace(group, refused={"other.tiff": "outside"}), tmp_path)
    assert set(caught.value.failures) == {"other.tiff", str(group.wanted[0].patch.path)}
    assert group.wanted[1].target.exists()


def test_how_a_slice_differs():
    gray = np.arange(6, dtype=np.uint8).reshape(2, 3)
    assert difference(gray, gray.copy(), KeptRecord()) == ""
    other = gray.copy()
    other[0, 0], other[1, 2] = 200, 0
    said = difference(gray, other, KeptRecord())
    assert said.startswith(
        "2 of 6 pixels of the middle slice differ from the patch, by up to 200: the volume has changed"
    )
    assert "or the patch was made with another --contrast" in said
    wrong = "the patch's file holds 3 x 2 uint8 pixels, its name says 2 x 3 of uint8"
    assert difference(gray, gray.T, KeptRecord()) == wrong
    assert difference(gray, gray.astype(np.uint16), KeptRecord()).startswith("the patch's file holds 2 x 3 uint16")


@pytest.mark.parametrize("shape", [(5, 32, 48), (4, 33, 47), (1, 16, 16)])
def test_mp4_shows_the_stack(tmp_path, shape):
    stack = smooth_volume(shape)
    FLIPBOOKS["mp4"](tmp_path / "a.mp4", stack)
    movie, frames = cv2.VideoCapture(str(tmp_path / "a.mp4")), []
    while (frame := movie.read())[0]:
        frames.append(frame[1][: shape[1], : shape[2], 0])
    assert len(frames) == shape[0]
    assert np.abs(np.stack(frames).astype(int) - stack).mean() < 6
    FLIPBOOKS["mp4"](tmp_path / "b.mp4", stack)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_a_gif_repeats_the_exact_pixels_eight_times_a_second(tmp_path):
    stack = smooth_volume((5, 33, 47))
    FLIPBOOKS["gif"](tmp_path / "a.gif", stack)
    with Image.open(tmp_path / "a.gif") as gif:
        assert (gif.n_frames, gif.info["duration"], gif.info["loop"]) == (5, 120, 0)
        for i, frame in enumerate(ImageSequence.Iterator(gif)):
            np.testing.assert_array_equal(np.asarray(frame.convert("L")), stack[i])


def test_a_movie_has_eight_frames_a_second_and_even_sides(tmp_path):
    FLIPBOOKS["mp4"](tmp_path / "a.mp4", smooth_volume((3, 33, 47)))
    movie = cv2.VideoCapture(str(tmp_path / "a.mp4"))
    found = [movie.get(key) for key in (cv2.CAP_PROP_FPS, cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FRAME_WIDTH)]
    assert found == [8, 34, 48]


def test_a_patch_that_changes_while_it_is_read_gives_no_stack(group, tmp_path, monkeypatch):
    def read_late(path):
        found = read_kept(path)
        if path == group.wanted[0].patch.path:
            path.write_bytes(path.read_bytes() + b"more")
        return found

    monkeypatch.setattr("utils.reconstruction.write.read_kept", read_late)
    with pytest.raises(SomeFailed, match="changed while it was read"):
        write(group, tmp_path)
    assert [subvolume.target.exists() for subvolume in group.wanted] == [False, True]


def test_stacks_of_a_volume_that_is_replaced_once_it_is_open_are_outdated(group, tmp_path, monkeypatch):
    def open_early(source):
        volume = open_volume(tmp_path / "fly.nrrd")
        write_nrrd(tmp_path / "new.nrrd", voxels_of() // 2, SIZE)
        (tmp_path / "new.nrrd").replace(tmp_path / "fly.nrrd")
        return volume

    monkeypatch.setattr(type(group.source), "open", open_early)
    write(group, tmp_path)
    reasons = stands(group, OPTIONS, Scope("reconstruct3d", tmp_path, tmp_path / "out"))
    assert all("fly" in (reason or "") for reason in reasons)


def test_a_voxel_size_that_nobody_knows_is_said(tmp_path):
    write_nrrd(tmp_path / "fly.nrrd", voxels_of(), None)
    paths = keep(tmp_path / "kept", tmp_path / "fly.nrrd", [(2, 9, (3, 15, 5, 19))])
    with pytest.warns(UserWarning, match=r"^voxel size missing in the volume and in the patch: .* \(stacks: 1\)$"):
        write(group_of(tmp_path, paths), tmp_path)


def test_a_film_that_cannot_be_written_is_an_error(tmp_path):
    with pytest.raises(OSError, match="choose --flipbook gif"):
        FLIPBOOKS["mp4"](tmp_path / "absent/a.mp4", smooth_volume((3, 32, 32)))
