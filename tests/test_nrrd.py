"""NRRD: written as SimpleITK reads it, slab by slab; read in every encoding and layout."""

import bz2
import gzip

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st

from utils.formats.nrrd import NrrdWriter, write_nrrd
from utils.volumes import open_volume

SIZE = (45.0, 4.6, 4.5)
VOXELS = np.arange(24, dtype=np.int16).reshape(2, 3, 4) - 5


@given(
    shape=st.tuples(st.integers(1, 4), st.integers(1, 5), st.integers(1, 6)),
    dtype=st.sampled_from(["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8", ">u2"]),
    size=st.one_of(st.none(), st.tuples(*[st.floats(0.1, 1e5)] * 3)),
)
def test_simpleitk_reads_what_is_written(tmp_path_factory, shape, dtype, size):
    path = tmp_path_factory.mktemp("nrrd") / "a.nrrd"
    voxels = np.random.default_rng(0).integers(0, 100, shape).astype(dtype)
    write_nrrd(path, voxels, size)
    image = sitk.ReadImage(str(path))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), voxels)
    assert image.GetSpacing() == (size or (1.0, 1.0, 1.0))[::-1]
    with open_volume(path) as volume:
        np.testing.assert_array_equal(volume[:], voxels)
        assert size is None or volume.voxel_size == pytest.approx(size, rel=1e-11)


def test_slabs_with_an_unknown_end(tmp_path):
    path = tmp_path / "a.nrrd"
    with NrrdWriter(path, (None, 3, 4), np.int16, SIZE) as out:
        out.write(VOXELS[0])
        out.write(VOXELS[1:])
    image = sitk.ReadImage(str(path))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), VOXELS)
    assert image.GetSpacing() == SIZE[::-1]
    with open_volume(path) as volume:
        np.testing.assert_array_equal(volume[:], VOXELS)


@pytest.mark.parametrize(
    ("shape", "slabs", "reason"),
    [
        ((None, 3, 4), [], "0 slices"),
        ((3, 3, 4), [VOXELS], "2 slices were written, expected 3"),
        ((None, 3, 5), [VOXELS], "do not fit"),
        ((None, 3, 4), [VOXELS.astype(np.float32)], "float32 voxels do not fit a volume of int16"),
    ],
)
def test_wrong_slabs_are_refused(tmp_path, shape, slabs, reason):
    with pytest.raises(ValueError, match=reason), NrrdWriter(tmp_path / "a.nrrd", shape, np.int16) as out:
        for slab in slabs:
            out.write(slab)


def test_types_that_nrrd_lacks(tmp_path):
    with pytest.raises(ValueError, match="NRRD has no type for float16"):
        write_nrrd(tmp_path / "a.nrrd", VOXELS.astype(np.float16))
    with pytest.raises(ValueError, match="3D"):
        write_nrrd(tmp_path / "a.nrrd", VOXELS[0])


def header(**fields):
    fields = {"type": "short", "dimension": 3, "sizes": "4 3 2", "encoding": "raw", "endian": "little"} | fields
    return (
        "NRRD0005\n# a remark: none\n" + "".join(f"{k.replace('_', ' ')}: {v}\n" for k, v in fields.items())
    ).encode()


@pytest.mark.parametrize(
    ("fields", "data"),
    [
        ({"endian": "big"}, VOXELS.astype(">i2").tobytes()),
        ({"encoding": "gzip"}, gzip.compress(VOXELS.tobytes(), mtime=0)),  # its id is the same in every worker
        ({"encoding": "bz2"}, bz2.compress(VOXELS.tobytes())),
        ({"encoding": "ascii"}, " ".join(str(v) for v in VOXELS.ravel()).encode()),
        ({"byte_skip": 5}, b"12345" + VOXELS.tobytes()),
        ({"byte_skip": -1}, b"any length" + VOXELS.tobytes()),
        ({"line_skip": 2}, b"one\ntwo\n" + VOXELS.tobytes()),
        ({"type": "signed short int"}, VOXELS.tobytes()),
    ],
)
@pytest.mark.parametrize("detached", [False, True])
def test_layouts(tmp_path, fields, data, detached):
    path = tmp_path / ("a.nhdr" if detached else "a.nrrd")
    if detached:
        (tmp_path / "elsewhere.bin").write_bytes(data)
        path.write_bytes(header(**fields, data_file="elsewhere.bin"))
    else:
        path.write_bytes(header(**fields) + b"\n" + data)
    with open_volume(path) as volume:
        np.testing.assert_array_equal(volume[:], VOXELS)
        assert volume.dtype == np.int16 and volume.dtype.isnative


@pytest.mark.parametrize(
    ("fields", "size"),
    [
        ({"spacings": "4 5 6"}, (6, 5, 4)),
        ({"spacings": "0.004 0.005 0.05", "units": '"um" "um" "um"'}, (50, 5, 4)),
        ({"space": "RAS", "space_directions": "(-4,0,0) (0,3,4) (0,0,6)"}, (6, 5, 4)),
        (
            {
                "space": "RAS",
                "space_directions": "(1,0,0) (0,1,0) (0,0,1)",
                "space_units": '"microns" "microns" "microns"',
            },
            (1000, 1000, 1000),
        ),
        ({"spacings": "1 1 1", "units": '"nm" "nm" "nm"'}, (1, 1, 1)),
        ({"spacings": "4e-6 4e-6 5e-5"}, (50, 4, 4)),  # only as ITK's mm does this make sense
    ],
)
def test_voxel_sizes(tmp_path, fields, size):
    (tmp_path / "a.nrrd").write_bytes(header(**fields) + b"\n" + VOXELS.tobytes())
    with open_volume(tmp_path / "a.nrrd") as volume:
        assert volume.voxel_size == size


def test_colours_become_luminance(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (2, 3, 4, 3)).astype(np.uint8)
    sitk.WriteImage(sitk.GetImageFromArray(pixels, isVector=True), str(tmp_path / "a.nrrd"))
    with open_volume(tmp_path / "a.nrrd") as volume:
        expected = np.rint(pixels @ [0.2125, 0.7154, 0.0721]).astype(np.uint8)
        np.testing.assert_array_equal(volume[:], expected)


def test_cut_short_when_packed(tmp_path):
    (tmp_path / "a.nrrd").write_bytes(header(encoding="gzip") + b"\n" + gzip.compress(VOXELS.tobytes())[:-12])
    with open_volume(tmp_path / "a.nrrd") as volume, pytest.raises(ValueError, match="NRRD"):
        volume[:]
