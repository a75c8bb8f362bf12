"""NRRD, read in every encoding and layout; headers that contradict themselves are refused."""

import bz2
import gzip

import numpy as np
import pytest
import SimpleITK as sitk

from utils.formats.nrrd_reader import open_nrrd, read_header
from utils.volumes import open_volume

VOXELS = np.arange(24, dtype=np.int16).reshape(2, 3, 4) - 5


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
        ({"spacings": "4 5 0.05", "units": '"nm" "nm" "um"'}, None),
        ({"spacings": "4e-6 4e-6 5e-5"}, (50, 4, 4)),  # only as ITK's mm does this make sense
    ],
)
def test_voxel_sizes(tmp_path, fields, size):
    (tmp_path / "a.nrrd").write_bytes(header(**fields) + b"\n" + VOXELS.tobytes())
    with open_volume(tmp_path / "a.nrrd") as volume:
        assert volume.header_size.nm == size


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


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"dimension": 2}, "the header says dimension 2 and sizes 4 3 2"),
        ({"sizes": "4 0 2"}, "the header says dimension 3 and sizes 4 0 2"),
        ({"spacings": "1 1"}, "spacings '1 1' for 3 axes"),
        ({"kinds": "domain domain"}, "kinds 'domain domain' for 3 axes"),
        ({"thicknesses": "1"}, "thicknesses '1' for 3 axes"),
        ({"axis_mins": "1"}, "axis mins '1' for 3 axes"),
        ({"block_size": 2}, "a block size, which values of the type short have not"),
        ({"endian": "middle"}, "endian is middle: expected little or big"),
        ({"kinds": "2-vector domain domain", "sizes": "2 3 4"}, r"2 values a voxel are no intensity"),
        ({"line_skip": -1}, "skips -1 lines and 0 bytes of raw data"),
        ({"byte_skip": -1, "encoding": "gzip"}, "skips 0 lines and -1 bytes of gzip data"),
        ({"sizes": "4 3 x"}, "invalid literal for int.*'x'"),
        ({"Sizes": "3 4 2"}, "has the field sizes twice"),
    ],
)
def test_headers_that_are_refused(tmp_path, fields, reason):
    (tmp_path / "a.nrrd").write_bytes(header(**fields) + b"\n" + VOXELS.tobytes())
    with pytest.raises(ValueError, match=reason):
        open_nrrd(tmp_path / "a.nrrd")


def test_what_is_missing(tmp_path):
    path = tmp_path / "a.nrrd"
    for gone, said in ((b"type: short\n", "'type'"), (b"endian: little\n", "endian is missing")):
        path.write_bytes(header().replace(gone, b"") + b"\n" + VOXELS.tobytes())
        with pytest.raises(ValueError, match=said):
            open_nrrd(path)
    path.write_bytes(header(type="uchar").replace(b"endian: little\n", b"") + b"\n" + bytes(range(24)))
    with open_nrrd(path) as volume:
        assert volume[:].ravel().tolist() == list(range(24))


@pytest.mark.parametrize("magic", [b"NRRD0001\n", b"NRRD0006\r\n"])
def test_versions(tmp_path, magic):
    path = tmp_path / "a.nrrd"
    path.write_bytes(header().replace(b"NRRD0005\n", magic) + b"\n" + VOXELS.tobytes())
    found = read_header(path)
    assert found.fields["sizes"] == "4 3 2" and found.data_start == len(path.read_bytes()) - 48
    assert found.data_file is None
    path.write_bytes(magic.replace(b"NRRD000", b"NRRD100") + b"\n")
    with pytest.raises(ValueError, match="is not a NRRD file"):
        read_header(path)


def test_lines_of_a_header(tmp_path):
    path = tmp_path / "a.nhdr"
    path.write_bytes(b"NRRD0004\nType:  float \n# x: y\nkey:=value\nno colon\nDataFile: b.raw\n\nrest")
    found = read_header(path)
    assert found.fields == {"type": "float", "datafile": "b.raw"}
    assert found.data_file == "b.raw" and found.data_start == 0


def test_flat_images_are_one_slice(tmp_path):
    (tmp_path / "a.nrrd").write_bytes(header(dimension=2, sizes="4 6") + b"\n" + VOXELS.tobytes())
    with open_nrrd(tmp_path / "a.nrrd") as volume:
        assert volume.shape == (1, 6, 4)
        np.testing.assert_array_equal(volume[0], VOXELS.reshape(6, 4))


def test_raw_streams_and_packed_does_not(tmp_path):
    (tmp_path / "a.nrrd").write_bytes(header() + b"\n" + VOXELS.tobytes())
    (tmp_path / "b.nrrd").write_bytes(header(encoding="gz") + b"\n" + gzip.compress(VOXELS.tobytes(), mtime=0))
    with open_nrrd(tmp_path / "a.nrrd") as raw, open_nrrd(tmp_path / "b.nrrd") as packed:
        assert raw.streams and not packed.streams and raw.name == "a"
    with pytest.raises(FileNotFoundError, match=r"gone\.raw"):
        (tmp_path / "c.nhdr").write_bytes(header(data_file="gone.raw"))
        open_nrrd(tmp_path / "c.nhdr")


@pytest.mark.parametrize(
    ("fields", "shape", "size"),
    [
        ({"sizes": "4 6 1"}, (1, 6, 4), None),
        ({"dimension": 2, "sizes": "4 6", "spacings": "4 5"}, (1, 6, 4), None),
        ({"dimension": 4, "sizes": "4 3 2 1", "spacings": "4 5 6 1"}, (2, 3, 4), (6, 5, 4)),
        ({"dimension": 4, "sizes": "3 4 1 2", "spacings": "NaN 4 5 6", "kinds": "RGB-color space space space"},
         (2, 1, 4), (6, 5, 4)),
        ({"dimension": 4, "sizes": "4 3 1 2", "kinds": "RGBA-color domain domain domain"}, (2, 1, 3), None),
    ],
)  # fmt: skip
def test_axes_of_other_kinds(tmp_path, fields, shape, size):
    (tmp_path / "a.nrrd").write_bytes(header(type="uchar", **fields) + b"\n" + bytes(range(24)))
    with open_nrrd(tmp_path / "a.nrrd") as volume:
        assert volume.shape == volume[:].shape == shape and volume.header_size.nm == size
