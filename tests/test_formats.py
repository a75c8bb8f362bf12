"""The other formats' rooms: NIfTI, MetaImage, TIFF stacks, folders of slices, voxel sizes, the page cache."""

import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tifffile

from utils.formats.writers import write_nrrd
from utils.volumes import open_volume

VOXELS = np.random.default_rng(0).integers(0, 200, (6, 4, 5)).astype(np.int16)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"compression": "lzw"}, {"bigtiff": True}])
def test_tiff_layouts(tmp_path, order, options):
    voxels = VOXELS.astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", voxels, byteorder=order, photometric="minisblack", **options)
    with open_volume(tmp_path / "a.tif") as volume:
        np.testing.assert_array_equal(volume[:], voxels)
        assert volume.dtype.isnative and volume.streams


def test_tiff_tiles_and_scattered_pages(tmp_path):
    pages = np.random.default_rng(0).integers(0, 255, (4, 40, 50)).astype(np.uint8)
    with tifffile.TiffWriter(tmp_path / "a.tif") as out:
        for page in pages:
            out.write(page, tile=(16, 16), contiguous=False, photometric="minisblack", metadata=None)
    with open_volume(tmp_path / "a.tif") as volume:
        np.testing.assert_array_equal(volume[1:3, 10:30, 5:45], pages[1:3, 10:30, 5:45])


@pytest.mark.parametrize(
    ("spacing", "unit", "size"),
    [
        (0.05, "um", (50, 4, 4)),
        (0.05, "micron", (50, 4, 4)),
        (0.05, "\\u00B5m", (50, 4, 4)),
        (0.05, "nm", None),
        (500.0, "Angstrom", None),
        (0.05, "inch", None),
        (0.05, "pixel", None),
        (-0.05, "um", None),
        (None, "um", None),
    ],
)
def test_imagej_voxel_sizes(tmp_path, spacing, unit, size):
    metadata = {"unit": unit, "axes": "ZYX"} | ({} if spacing is None else {"spacing": spacing})
    tifffile.imwrite(tmp_path / "a.tif", VOXELS, imagej=True, resolution=(250, 250), metadata=metadata)
    with open_volume(tmp_path / "a.tif") as volume, warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = volume.voxel_size
    if unit in {"nm", "Angstrom"}:  # 1/250 nm and 0.4 pm: below what an atom could show
        assert found is None and "0.004" in str(said[0].message)
    assert found == size


def test_dots_per_inch_are_no_voxel_size(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", VOXELS, resolution=(300, 300), resolutionunit="INCH")
    with open_volume(tmp_path / "a.tif") as volume, pytest.warns(UserWarning, match="voxel size missing"):
        assert volume.voxel_size is None


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_ome_tiff(tmp_path, compression):
    sizes = {"PhysicalSizeX": 4.0, "PhysicalSizeY": 4.0, "PhysicalSizeZ": 0.05}
    units = {"PhysicalSizeXUnit": "nm", "PhysicalSizeYUnit": "nm", "PhysicalSizeZUnit": "µm"}
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, VOXELS, compression=compression, metadata={"axes": "ZYX", **sizes, **units})
    with open_volume(path) as volume:
        assert (volume.name, volume.voxel_size) == ("a", (50.0, 4.0, 4.0))
        np.testing.assert_array_equal(volume[:], VOXELS)


def test_tiff_colours_and_channels(tmp_path):
    colours = np.random.default_rng(0).integers(0, 255, (4, 6, 7, 3)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "rgb.tif", colours, photometric="rgb")
    with open_volume(tmp_path / "rgb.tif") as volume:
        np.testing.assert_array_equal(volume[:], np.rint(colours @ [0.2125, 0.7154, 0.0721]))
    channels = np.random.default_rng(0).integers(0, 255, (4, 2, 6, 7)).astype(np.uint8)
    for name, options in {"a.tif": {"imagej": True}, "b.ome.tif": {}, "c.ome.tif": {"compression": "zlib"}}.items():
        tifffile.imwrite(tmp_path / name, channels, metadata={"axes": "ZCYX"}, photometric="minisblack", **options)
        with pytest.warns(UserWarning, match="the first of C was taken"), open_volume(tmp_path / name) as volume:
            np.testing.assert_array_equal(volume[:], channels[:, 0])


def test_tiff_white_is_zero_and_one_bit(tmp_path):
    pages = np.random.default_rng(0).integers(0, 255, (3, 6, 8)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "white.tif", pages, photometric="miniswhite")
    with open_volume(tmp_path / "white.tif") as volume:
        np.testing.assert_array_equal(volume[:], 255 - pages)
    tifffile.imwrite(tmp_path / "bits.tif", pages > 100, photometric="minisblack")
    with open_volume(tmp_path / "bits.tif") as volume:
        np.testing.assert_array_equal(volume[:], pages > 100)


def test_one_tiff_image_is_one_slice(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", VOXELS[0])
    with open_volume(tmp_path / "a.tif") as volume:
        assert volume.shape == (1, 4, 5)


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_tiff_cut_short(tmp_path, compression):
    noise = np.random.default_rng(0).integers(0, 255, (4, 64, 64)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", noise, compression=compression, photometric="minisblack")
    content = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"TIFF|cut short"), open_volume(tmp_path / "a.tif") as volume:
        volume[:]


def test_threads_read_one_packed_tiff(tmp_path):
    pages = np.random.default_rng(0).integers(0, 255, (40, 64, 64)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", pages, compression="zlib", photometric="minisblack")
    with open_volume(tmp_path / "a.tif") as volume, ThreadPoolExecutor(8) as pool:
        for z, region in enumerate(pool.map(lambda z: volume[z : z + 3, 5:60], range(37))):
            np.testing.assert_array_equal(region, pages[z : z + 3, 5:60])


@pytest.mark.parametrize("name", ["a.nrrd", "a.tif"])
def test_a_closed_volume_lets_its_file_go(tmp_path, name):
    path = tmp_path / name
    if name == "a.nrrd":
        write_nrrd(path, VOXELS)
    else:
        tifffile.imwrite(path, VOXELS)
    volume = open_volume(path)
    region = volume[1:3]
    volume.close()
    np.testing.assert_array_equal(region, VOXELS[1:3])
    with pytest.raises(ValueError, match="closed"):
        volume[:]


def test_rows_are_read_in_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr("utils.formats.raw_data.BLOCK_BYTES", 100)
    write_nrrd(tmp_path / "a.nrrd", VOXELS)
    with open_volume(tmp_path / "a.nrrd") as volume:
        for z in range(6):
            np.testing.assert_array_equal(volume[z], VOXELS[z])
