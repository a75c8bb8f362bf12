"""The other formats' rooms: NIfTI, MetaImage, TIFF stacks, folders of slices, voxel sizes, the page cache."""

import gzip
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import SimpleITK as sitk
import tifffile
from PIL import Image

from utils.formats.nrrd import write_nrrd
from utils.formats.paged_volume import PagedVolume
from utils.formats.voxel_size import VoxelSize, checked, checked_unitless, nm_per
from utils.volumes import open_volume

VOXELS = np.random.default_rng(0).integers(0, 200, (6, 4, 5)).astype(np.int16)


def nifti(order="<", version=1, units=2, pixdim=(4.0, 5.0, 6.0), slope=(0.0, 0.0), dim=(3, 5, 4, 6), voxels=VOXELS):
    """The bytes of a single-file NIfTI, made by hand because SimpleITK writes neither big-endian nor version 2."""
    first = version == 1
    head = bytearray(348 if first else 540)
    code = {"int16": 4, "uint8": 2, "float32": 16}[voxels.dtype.name]

    def put(place, kind, *numbers):
        head[place : place + np.dtype(kind).itemsize * len(numbers)] = np.array(numbers, order + kind).tobytes()

    put(0, "i4", len(head))
    put(40 if first else 16, "i2" if first else "i8", *dim)
    put(70 if first else 12, "i2", code)
    put(76 if first else 104, "f4" if first else "f8", 1.0, *pixdim)
    put(108 if first else 168, "f4" if first else "i8", len(head) + 4)
    put(112 if first else 176, "f4" if first else "f8", *slope)
    put(123 if first else 500, "u1" if first else "i4", units)
    head[344 if first else 4 : 348 if first else 8] = b"n+1\0" if first else b"n+2\0"
    return bytes(head) + b"\0" * 4 + voxels.astype(voxels.dtype.newbyteorder(order)).tobytes()


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_nifti_versions(tmp_path, order, version, name):
    content = nifti(order, version)
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    with open_volume(tmp_path / name) as volume:
        np.testing.assert_array_equal(volume[:], VOXELS)
        assert volume.dtype.isnative and volume.voxel_size == (6.0, 5.0, 4.0)


@pytest.mark.parametrize(
    ("units", "pixdim", "size"),
    [
        (2, (4, 5, 6), (6, 5, 4)),  # what ITK writes for 4 x 5 x 6 nm
        (0, (4, 5, 6), (6, 5, 4)),
        (3, (0.004, 0.005, 0.05), (50, 5, 4)),
        (3 + 8, (0.004, 0.005, 0.05), (50, 5, 4)),
        (2, (4e-6, 4e-6, 5e-5), (50, 4, 4)),
        (2, (-4, 5, 6), (6, 5, 4)),
        (2, (1, 1, 1), None),
        (2, (57594928, 4, 4), None),
        (2, (0, 4, 4), None),
    ],
)
def test_nifti_voxel_sizes(tmp_path, units, pixdim, size):
    (tmp_path / "a.nii").write_bytes(nifti(units=units, pixdim=pixdim))
    with open_volume(tmp_path / "a.nii") as volume, warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        assert volume.voxel_size == size
    assert (size is None) == bool(said)


def test_nifti_scaling_is_applied(tmp_path):
    (tmp_path / "a.nii").write_bytes(nifti(slope=(0.5, -10)))
    with open_volume(tmp_path / "a.nii") as volume:
        np.testing.assert_array_equal(volume[1:, :2], VOXELS[1:, :2] * 0.5 - 10)
        expected = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "a.nii")))
        np.testing.assert_allclose(volume[:], expected)
        assert volume.dtype == np.float32 and volume.streams


def test_nifti_with_several_volumes(tmp_path):
    (tmp_path / "a.nii").write_bytes(nifti(dim=(4, 5, 4, 6, 2), voxels=np.concatenate([VOXELS, VOXELS + 1])))
    with pytest.warns(UserWarning, match="2 volumes: the first"):
        volume = open_volume(tmp_path / "a.nii")
    np.testing.assert_array_equal(volume[:], VOXELS)


@pytest.mark.parametrize("code", ["<i2", ">i2", "<f4", "u1"])
@pytest.mark.parametrize("local", [True, False])
def test_metaimage_by_hand(tmp_path, code, local):
    kind = {"i2": "MET_SHORT", "f4": "MET_FLOAT", "u1": "MET_UCHAR"}[code[-2:]]
    header = (
        f"ObjectType = Image\nNDims = 3\nBinaryData = True\nElementByteOrderMSB = {code[0] == '>'}\nDimSize = 5 4 6\n"
        f"ElementSize = 4 5 6\nHeaderSize = -1\nElementType = {kind}\n"
        f"ElementDataFile = {'LOCAL' if local else 'd.raw'}\n"
    )
    data = b"junk before" * (not local) + VOXELS.astype(code).tobytes()
    path = tmp_path / ("a.mha" if local else "a.mhd")
    path.write_bytes(header.encode() + data * local)
    (tmp_path / "d.raw").write_bytes(data)
    with open_volume(path) as volume:
        np.testing.assert_array_equal(volume[:], VOXELS)
        assert volume.voxel_size == (6.0, 5.0, 4.0)


def test_metaimage_compressed(tmp_path):
    image = sitk.GetImageFromArray(VOXELS)
    image.SetSpacing((4, 5, 6))
    sitk.WriteImage(image, str(tmp_path / "a.mha"), True)
    with open_volume(tmp_path / "a.mha") as volume:
        np.testing.assert_array_equal(volume[:], VOXELS)
        assert not volume.streams and volume.voxel_size == (6.0, 5.0, 4.0)


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


def test_slices_must_be_alike(tmp_path):
    for z, shape in enumerate([(6, 7), (6, 7), (6, 8)]):
        Image.fromarray(np.zeros(shape, np.uint8)).save(tmp_path / f"{z}.png")
    with pytest.raises(ValueError, match=r"2\.png is 6 x 8, the first one 6 x 7 uint8"):
        open_volume(tmp_path)
    tifffile.imwrite(tmp_path / "2.png", np.zeros((6, 7), np.uint16))
    with open_volume(tmp_path) as volume, pytest.raises(ValueError, match=r"2\.png"):
        volume[:]


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


def test_a_single_slice_is_no_volume(tmp_path):
    Image.fromarray(np.zeros((6, 7), np.uint8)).save(tmp_path / "0.png")
    with pytest.raises(ValueError, match="at least 2"):
        open_volume(tmp_path)


class Counted(PagedVolume):
    """Pages that count how often they are decoded."""

    def __init__(self, pages):
        super().__init__("a", pages.shape, pages.dtype, VoxelSize(None))
        self.pages, self.decoded = pages, []

    def _decode_page(self, z):
        self.decoded.append(z)
        return self.pages[z]


def test_threads_share_what_is_decoded(tmp_path):
    volume = Counted(np.random.default_rng(0).integers(0, 255, (20, 8, 8)).astype(np.uint8))
    results = []
    threads = [threading.Thread(target=lambda: results.append(volume[:, 2:5])) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(volume.decoded) == list(range(20))
    assert all(np.array_equal(r, volume.pages[:, 2:5]) for r in results) and len(results) == 8


def test_the_cache_is_bounded(monkeypatch):
    monkeypatch.setattr("utils.formats.paged_volume.cache_bytes", lambda: 3 * 64)
    volume = Counted(np.zeros((10, 8, 8), np.uint8))
    volume[:]
    assert len(volume._cache) == 3
    volume[7:]
    assert len(volume.decoded) == 10


@pytest.mark.parametrize(
    ("zyx", "unit", "nm"),
    [
        ((5, 4, 4), "nm", (5, 4, 4)),
        ((50, 40, 40), "Å", (5, 4, 4)),
        ((0.05, 0.004, 0.004), "microns", (50, 4, 4)),
        ((5e-8, 4e-9, 4e-9), "m", (50, 4, 4)),
        ((float("inf"), 4, 4), "nm", None),
        ((1e7, 4, 4), "nm", None),
        ((1e-4, 4, 4), "nm", None),
        ((5, 4, 4), "furlong", None),
        (None, "nm", None),
    ],
)
def test_units(zyx, unit, nm):
    found = checked(zyx, unit)
    assert found.nm == nm
    assert bool(found.why_missing) == (nm is None)


def test_units_without_a_name():
    assert nm_per("pixel") is None
    assert checked_unitless((30, 8, 8)).nm == (30, 8, 8)
    assert checked_unitless((3e-5, 8e-6, 8e-6)).nm == (30, 8, 8)
    assert checked_unitless((1, 1, 1)).nm is None


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
