"""Cubes of a local volume: which paths are volumes, what boxes hold, what makes cubes outdated."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import crop_rois_from_volume
from conftest import smooth_volume
from ngff_images import pyramid, write_ome_zarr
from utils.formats.writers import write_nrrd
from utils.jobs import SKIPPED, Outdated, PassedOver
from utils.names import parse_roi
from utils.sampling.volume_crops import (
    CropOptions,
    _candidates,
    crop_volume,
    find_volumes,
    input_of,
    survey_volume,
    volume_bytes,
    volume_target,
)
from utils.volumes import open_volume

OPTIONS = CropOptions(crop_size=16)


@pytest.fixture
def volume(tmp_path):
    """32 x 32 x 48 voxels of specimen, but for x < 16."""
    voxels = np.maximum(smooth_volume((32, 32, 48)), 1)
    voxels[..., :16] = 0
    write_nrrd(tmp_path / "fly.nrrd", voxels, (9.0, 4.0, 4.0))
    return tmp_path / "fly.nrrd"


def test_what_is_left_out_means_what_it_means_to_the_command_line(volume, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        crop_rois_from_volume, "run_jobs", lambda work, *_, **__: asked.append(work.keywords["options"])
    )
    crop_rois_from_volume.main([str(volume), str(tmp_path / "out"), "-p", "1"])
    assert asked == [CropOptions()]


def crop(path, options=OPTIONS):
    return crop_volume(path, options, volume_target(path, path.parent / "out"))


def test_what_a_path_stands_for(tmp_path, volume):
    (tmp_path / "notes.txt").touch()
    assert find_volumes(volume, tmp_path / "out") == ([volume], [], False)
    assert find_volumes(tmp_path, tmp_path / "out") == ([volume], [tmp_path / "notes.txt"], True)
    slices = tmp_path / "slices"
    slices.mkdir()
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(slices / "0.png")
    assert find_volumes(slices, tmp_path / "out") == ([], [slices / "0.png"], True)  # one image is no stack
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(slices / "1.PNG")
    assert find_volumes(slices, tmp_path / "out") == ([slices], [], False)
    zarr = write_ome_zarr(tmp_path / "em.zarr", pyramid())
    assert find_volumes(zarr, tmp_path / "out") == ([zarr], [], False)


def test_bytes_in_memory(tmp_path, volume):
    assert volume_bytes(volume) == 32 * 32 * 48
    write_nrrd(tmp_path / "wide.nrrd", np.zeros((3, 4, 5), np.uint16), None)
    assert volume_bytes(tmp_path / "wide.nrrd") == 120


def test_boxes_of_specimen_are_cropped(volume):
    assert crop(volume) == "8 cubes made, 8 there (3.28e-05 GB)"
    with open_volume(volume) as source:
        voxels = source[:]
    places = set()
    for path in (volume.parent / "out").glob("fly-ROI-*.nrrd"):
        z, y, x = parse_roi(path.stem)[1]
        with open_volume(path) as cube:
            np.testing.assert_array_equal(cube[:], voxels[slice(*z), slice(*y), slice(*x)])
            assert cube.voxel_size == (9.0, 4.0, 4.0)
        places.add((z[0], y[0], x[0]))
    assert places == {(z, y, x) for z in (0, 16) for y in (0, 16) for x in (16, 32)}
    said = json.loads((volume.parent / "out/fly.json").read_text())
    assert said["source"] == str(volume) and said["shape"] == [32, 32, 48] and said["dtype"] == "uint8"
    assert (said["seed"], said["crop_size"], said["min_frac"], said["level"]) == (0, 16, 0.7, None)
    assert crop(volume) == SKIPPED


def test_every_box_is_looked_at_by_few_slices(volume):
    with open_volume(volume) as source:
        seen = survey_volume(source, replace(OPTIONS, crop_size=32))  # every other slice, every row
        assert [round(seen.share(box), 4) for box in ((((0, 32), (0, 32), (0, 32))), ((0, 32), (0, 32), (32, 48)))] == [
            0.5, 1.0,
        ]  # fmt: skip
        assert [box.x for box in _candidates(seen, replace(OPTIONS, min_frac=0.51))] == [(32, 48)]
        assert len(_candidates(seen, replace(OPTIONS, min_frac=0.5))) == 2


def test_steps_between_slices_and_rows():
    class Counting:
        shape = (70, 70, 70)

        def __init__(self):
            self.reads = []

        def __getitem__(self, key):
            self.reads.append(key)
            return np.ones((70, 70), np.uint8)

    volume = Counting()
    seen = survey_volume(volume, replace(OPTIONS, crop_size=64))
    assert volume.reads == list(range(0, 70, 4))
    assert seen.shape == (18, 35, 35)
    volume = Counting()
    assert survey_volume(volume, replace(OPTIONS, crop_size=15)).shape == (70, 70, 70) and len(volume.reads) == 70


def test_nothing_but_padding(volume):
    with pytest.raises(
        ValueError, match="no box is at least 70% specimen: the volume holds mostly the padding value 0"
    ):
        crop(volume, replace(OPTIONS, crop_size=64))


def test_masks_are_passed_over(tmp_path):
    write_nrrd(tmp_path / "mask.nrrd", np.random.default_rng(0).integers(0, 2, (16, 16, 16)).astype(np.uint8), None)
    with pytest.raises(PassedOver, match=r"--keep-labels takes it all the same"):
        crop(tmp_path / "mask.nrrd")
    with pytest.warns(UserWarning, match="voxel size missing"):
        assert crop(tmp_path / "mask.nrrd", replace(OPTIONS, keep_labels=True, min_frac=0)).startswith("1 cubes")


def test_a_changed_volume_makes_its_cubes_outdated(volume):
    crop(volume)
    stat = volume.stat()
    os.utime(volume, ns=(stat.st_atime_ns, stat.st_mtime_ns + 10**9))
    assert crop(volume) == SKIPPED  # the content is the same
    write_nrrd(volume, np.maximum(smooth_volume((32, 32, 48), 1), 1), (9.0, 4.0, 4.0))
    found = crop(volume)
    assert isinstance(found, Outdated) and str(found) == "its input has changed"
    said = crop(volume, replace(OPTIONS, update=True))
    assert said == "12 cubes made, 12 there (4.92e-05 GB), in place of the earlier ones"


def test_the_same_content_is_the_same_input(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    size, stamp, digest = before = input_of(path, None)
    assert size == 3 and input_of(path, before) is before
    assert input_of(path, [size, stamp, "unread"]) == [size, stamp, "unread"]  # same size and time: not read
    assert input_of(path, [size, 0, digest]) == [size, 0, digest]
    assert input_of(path, [4, stamp, digest]) == before
    path.write_bytes(b"abd")
    os.utime(path, ns=(0, 0))
    after = input_of(path, before)
    assert after[0] == 3 and after[2] != digest and after[1] != stamp


def test_voxels_beside_their_header_are_input_too(tmp_path):
    header, voxels = tmp_path / "a.nhdr", tmp_path / "a.raw"
    header.write_text("NRRD0004\ntype: uint8\ndimension: 3\nsizes: 2 2 2\nencoding: raw\ndata file: a.raw\n\n")
    voxels.write_bytes(b"01234567")
    before = input_of(header, None)
    assert input_of(header, before) is before
    voxels.write_bytes(b"76543210")
    assert input_of(header, before)[2] != before[2]


def test_chunks_of_an_image_are_read_together(tmp_path):
    zarr = write_ome_zarr(tmp_path / "em.zarr", [np.maximum(smooth_volume((32, 32, 32)), 1)], sizes=[(8.0, 8.0, 8.0)])
    assert crop_volume(zarr, OPTIONS, tmp_path / "out/em_s0.json") == "8 cubes made, 8 there (3.28e-05 GB)"
    assert volume_target(zarr, tmp_path).name == "em_s0.json"
