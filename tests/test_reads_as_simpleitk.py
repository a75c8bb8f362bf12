"""NRRD, MetaImage and NIfTI in every variant: the same voxels and spacing as SimpleITK reads, or a refusal."""

import bz2
import gzip
import warnings
import zlib

import numpy as np
import pytest
import SimpleITK as sitk

from utils.volumes import open_volume

VOXELS = np.random.default_rng(0).integers(-90, 90, (3, 4, 5)).astype(np.int16)
SPACING = (4.0, 5.0, 6.0)
HEX = VOXELS.astype("<i2").tobytes().hex().encode()


def ours(path):
    """Voxels and voxel size, or the reason."""
    with warnings.catch_warnings(action="ignore"):
        try:
            with open_volume(path) as volume:
                return volume[:], volume.voxel_size
        except (ValueError, OSError) as error:
            assert "\n" not in str(error)
            return str(error), None


def theirs(path):
    """The same by SimpleITK."""
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        return str(error), None
    voxels = sitk.GetArrayFromImage(image)
    return voxels.reshape(
        voxels.shape[-3:] if voxels.ndim > 3 else (1,) * (3 - voxels.ndim) + voxels.shape
    ), image.GetSpacing()[::-1]


def check(path, *, may_refuse=False):
    """Ours against SimpleITK's; what it refuses, we refuse."""
    found, size = ours(path)
    wanted, spacing = theirs(path)
    if isinstance(wanted, str):
        assert isinstance(found, str), f"read, but SimpleITK says {wanted[-200:]}"
        return
    if isinstance(found, str):
        assert may_refuse, found
        return
    np.testing.assert_array_equal(found, wanted)
    assert found.dtype == wanted.dtype
    assert size is None or size == pytest.approx(spacing[-3:])


NRRD_DATA = {
    "raw": lambda data: data,
    "gzip": gzip.compress,
    "gz": gzip.compress,
    "bzip2": bz2.compress,
    "bz2": bz2.compress,
    "ascii": lambda data: b"",
    "text": lambda data: b"",
    "hex": lambda data: HEX,
}
FRAMES = {
    "plain": ({}, b"", b""),
    "spare": ({}, b"", b"spare bytes"),
    "lines": ({"line skip": 2}, b"one\ntwo\n", b""),
    "bytes": ({"byte skip": 5}, b"12345", b""),
    "both": ({"line skip": 1, "byte skip": 3}, b"one\nabc", b"xy"),
    "end": ({"byte skip": -1}, b"whatever", b""),
    "before the end": ({"byte skip": -4}, b"whatever", b"xyz"),
    "negative lines": ({"line skip": -1}, b"", b""),
    "too many lines": ({"line skip": 5000}, b"", b""),
    "too many bytes": ({"byte skip": 5000}, b"", b""),
}


def nrrd(fields, magic="NRRD0004"):
    """A NRRD header without its end."""
    lines = {"type": "short", "dimension": 3, "sizes": "5 4 3", "spacings": "4 5 6", "endian": "little"} | fields
    return "\n".join([magic, *(f"{key}: {value}" for key, value in lines.items() if value is not None), ""]).encode()


PLACES = [(True, True), (True, False), (False, True)]


# SimpleITK reads all of ascii, text and hex for us, wherever their data lie: one of the three stands for that.
@pytest.mark.parametrize(
    ("encoding", "detached", "blank"),
    [(kind, *place) for kind in NRRD_DATA for place in (PLACES[:1] if kind in ("text", "hex") else PLACES)],
)
def test_nrrd_encodings_and_skips(tmp_path, encoding, detached, blank):
    through_itk = encoding in ("ascii", "text", "hex")
    # What SimpleITK reads for us takes two processes each.
    few = ("plain", "lines", "bytes") if encoding == "ascii" and detached and blank else ("plain",)
    for name in few if through_itk else FRAMES:
        fields, before, behind = FRAMES[name]
        data = VOXELS.astype("<i2").tobytes()
        if encoding in ("ascii", "text"):
            data = before + " ".join(map(str, VOXELS.ravel())).encode() + b"\n" + behind
        elif "line skip" in fields or through_itk:
            data = before + NRRD_DATA[encoding](data) + behind
        else:
            data = NRRD_DATA[encoding](before + data + behind)
        path = tmp_path / ("a.nhdr" if detached else "a.nrrd")
        place = {"data file": "d.bin"} if detached else {}
        (tmp_path / "d.bin").write_bytes(data)
        path.write_bytes(nrrd({"encoding": encoding, **fields, **place}) + b"\n" * blank + data * (not detached))
        if encoding.startswith("bz"):  # SimpleITK is built without it
            found, _ = ours(path)
            assert isinstance(found, str) or np.array_equal(found, VOXELS)
            assert isinstance(found, str) == (name not in ("plain", "spare", "lines", "bytes"))
        else:
            check(path, may_refuse=encoding.startswith("gz") and name in ("both", "end", "before the end"))


@pytest.mark.parametrize("detached", [True, False])
def test_nrrd_byte_orders(tmp_path, detached):
    for order, name in (("<i2", "little"), (">i2", "big")):
        path = tmp_path / ("a.nhdr" if detached else "a.nrrd")
        (tmp_path / "d.bin").write_bytes(VOXELS.astype(order).tobytes())
        fields = {"encoding": "raw", "endian": name, **({"data file": "d.bin"} if detached else {})}
        path.write_bytes(nrrd(fields) + b"\n" + VOXELS.astype(order).tobytes() * (not detached))
        check(path)
        np.testing.assert_array_equal(ours(path)[0], VOXELS)


@pytest.mark.parametrize(
    "fields",
    [
        {"endian": None},
        {"endian": "middle"},
        {"type": "int16_t"},
        {"type": "signed short int"},
        {"type": "nonsense"},
        {"type": "uint8", "sizes": "10 4 3"},
        {"type": "uint8", "sizes": "10 4 3", "endian": None},
        {"dimension": None},
        {"dimension": 2},
        {"sizes": "5 4"},
        {"sizes": "5 4 0"},
        {"sizes": "5 4 -3"},
        {"sizes": "5 4 x"},
        {"sizes": None},
        {"dimension": 2, "sizes": "5 12", "spacings": "4 5"},
        {"dimension": 4, "sizes": "5 4 3 1", "spacings": None},
        {"spacings": None},
        {"spacings": "4 5"},
        {"spacings": "nan nan nan"},
        {"spacings": "4 5 x"},
        {"encoding": None},
        {"spacings": None, "space": "left-posterior-superior", "space directions": "(4,0,0) (0,5,0) (0,0,6)"},
        {"spacings": None, "space": "RAS", "space directions": "(0,4,0) (5,0,0) (0,0,6)", "space origin": "(1,2,3)"},
        {"kinds": "domain domain domain"},
        {"kinds": "space space space"},
        {"kinds": "vector domain domain"},
        {"content": "a remark"},
        {"block size": 4},
        {"encoding": "nonsense"},
        {"centers": "cell cell cell"},
        {"sizes": "5 4 2147483648"},
        {"sizes": "4294967296 4294967296 4294967296"},
        {"SIZES": "5 4 3", "sizes": None},
    ],
    ids=str,
)
def test_nrrd_headers(tmp_path, fields):
    path = tmp_path / "a.nrrd"
    path.write_bytes(nrrd({"encoding": "raw", **fields}) + b"\n" + VOXELS.tobytes())
    check(path, may_refuse=True)


def test_nrrd_versions(tmp_path):
    for magic in ("NRRD0001", "NRRD0002", "NRRD0005", "NRRD0009", "NRRD", "NRRD0004\r"):
        (tmp_path / "a.nrrd").write_bytes(nrrd({"encoding": "raw"}, magic) + b"\n" + VOXELS.tobytes())
        check(tmp_path / "a.nrrd", may_refuse=magic.endswith("\r"))


@pytest.mark.parametrize(
    "names",
    ["LIST", "LIST 2", "d%03d.raw 1 3 1", "d%03d.raw 1 3 1 2", "d%03d.raw 3 1 -1", "d%03d.raw 1 4 1", "gone.raw"],
)
def test_nrrd_spread_over_files(tmp_path, names):
    for z, plane in enumerate(VOXELS, 1):
        (tmp_path / f"d{z:03d}.raw").write_bytes(plane.tobytes())
    listed = "".join(f"d{z:03d}.raw\n" for z in (1, 2, 3)) if names.startswith("LIST") else ""
    (tmp_path / "a.nhdr").write_bytes(nrrd({"encoding": "raw", "data file": names}) + listed.encode())
    check(tmp_path / "a.nhdr")


def meta(fields, data_file):
    """A MetaImage header."""
    lines = {"ObjectType": "Image", "NDims": 3, "BinaryData": "True", "BinaryDataByteOrderMSB": "False",
             "ElementSpacing": "4 5 6", "DimSize": "5 4 3", "ElementType": "MET_SHORT"} | fields  # fmt: skip
    lines["ElementDataFile"] = data_file
    return "".join(f"{key} = {value}\n" for key, value in lines.items() if value is not None).encode()


@pytest.mark.parametrize("local", [True, False])
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"HeaderSize": -1},
        {"HeaderSize": 7},
        {"HeaderSize": 5000},
        {"BinaryDataByteOrderMSB": "True"},
        {"BinaryDataByteOrderMSB": None, "ElementByteOrderMSB": "True"},
        {"BinaryData": "False"},
        {"CompressedData": "True"},
        {"CompressedData": "True", "CompressedDataSize": 60},
        {"CompressedData": "True", "HeaderSize": -1},
        {"NDims": 2, "DimSize": "5 12", "ElementSpacing": "4 5"},
        {"NDims": -1, "CompressedData": "True"},
        {"NDims": 2},
        {"NDims": 4, "DimSize": "5 4 3 1", "ElementSpacing": "4 5 6 1"},
        {"DimSize": "5 4 0"},
        {"DimSize": "5 4 -3"},
        {"DimSize": "5 4"},
        {"DimSize": None},
        {"NDims": None},
        {"ElementSpacing": None, "ElementSize": "4 5 6"},
        {"ElementSpacing": None},
        {"ElementType": "MET_USHORT"},
        {"ElementType": "MET_NONSENSE"},
        {"ElementType": "MET_UCHAR", "DimSize": "10 4 3"},
        {"HeaderSize": -5},
        {"ElementType": "MET_LONG", "DimSize": "5 2 3"},
        {"ElementType": "MET_UCHAR", "ElementNumberOfChannels": 2},
        {"ElementNumberOfChannels": 0},
        {"DimSize": "5 4 2147483648"},
        {"ElementToIntensityFunctionSlope": 2},
    ],
    ids=str,
)
def test_metaimages(tmp_path, fields, local):
    order = ">i2" if "True" in (fields.get("BinaryDataByteOrderMSB"), fields.get("ElementByteOrderMSB")) else "<i2"
    data = VOXELS.astype(order).tobytes()
    data = " ".join(map(str, VOXELS.ravel())).encode() if fields.get("BinaryData") == "False" else data
    data = zlib.compress(data) if fields.get("CompressedData") == "True" else data
    data = b"1234567" * (fields.get("HeaderSize") == 7) + data
    path = tmp_path / ("a.mha" if local else "a.mhd")
    (tmp_path / "d.raw").write_bytes(data)
    path.write_bytes(meta(fields, "LOCAL" if local else "d.raw") + data * local)
    if fields.get("NDims") == -1:
        assert isinstance(ours(path)[0], str)
    elif fields.get("CompressedData"):  # without the true CompressedDataSize SimpleITK shows memory that nobody wrote
        found, _ = ours(path)
        assert isinstance(found, str) or np.array_equal(found, VOXELS)
    elif fields.get("ElementNumberOfChannels") == 2:
        np.testing.assert_array_equal(ours(path)[0], VOXELS.view(np.uint8).reshape(3, 4, 5, 2)[..., 0])
    else:
        check(path, may_refuse=True)


@pytest.mark.parametrize(
    "names", ["LIST\nd001.raw\nd002.raw\nd003.raw", "d%03d.raw 1 3 1", "d%03d.raw 1 4 1", "gone.raw", "LIST"]
)
def test_metaimages_spread_over_files(tmp_path, names):
    for z, plane in enumerate(VOXELS, 1):
        (tmp_path / f"d{z:03d}.raw").write_bytes(plane.tobytes())
    (tmp_path / "a.mhd").write_bytes(meta({}, names))
    if names in ("LIST", "d%03d.raw 1 4 1"):  # SimpleITK shows memory that nobody wrote
        assert isinstance(ours(tmp_path / "a.mhd")[0], str)
    else:
        check(tmp_path / "a.mhd")


NIFTI_CHANGES = {
    "plain": (0, b""),
    "offset 400": (108, np.float32(400).tobytes()),
    "offset 0": (108, np.float32(0).tobytes()),
    "offset -8": (108, np.float32(-8).tobytes()),
    "offset nan": (108, np.float32(np.nan).tobytes()),
    "huge offset": (108, np.float32(1e30).tobytes()),
    "slope": (112, np.array([2, 1], "<f4").tobytes()),
    "slope nan": (112, np.array([np.nan, 0], "<f4").tobytes()),
    "negative pixels": (80, np.array([-4, 5, 6], "<f4").tobytes()),
    "no dimensions": (40, np.array([0], "<i2").tobytes()),
    "8 dimensions": (40, np.array([8], "<i2").tobytes()),
    "a side of 0": (40, np.array([3, 5, 0, 3], "<i2").tobytes()),
    "a negative side": (40, np.array([3, 5, -4, 3], "<i2").tobytes()),
    "a long side": (40, np.array([3, 5, 4, 32767], "<i2").tobytes()),
    "another type": (70, np.array([512], "<i2").tobytes()),
    "no type": (70, np.array([0], "<i2").tobytes()),
    "no magic": (344, b"abcd"),
    "a pair's magic": (344, b"ni1\0"),
    "another length": (0, np.array([349], "<i4").tobytes()),
}


@pytest.mark.parametrize("change", NIFTI_CHANGES)
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.img"])
def test_niftis(tmp_path, name, change):
    image = sitk.GetImageFromArray(VOXELS)
    image.SetSpacing(SPACING)
    sitk.WriteImage(image, str(tmp_path / name))
    place, content = NIFTI_CHANGES[change]
    header = tmp_path / ("a.hdr" if name == "a.img" else name)
    whole = bytearray(gzip.decompress(header.read_bytes()) if name.endswith("gz") else header.read_bytes())
    whole[place : place + len(content)] = content
    whole += bytes(100)
    header.write_bytes(gzip.compress(whole) if name.endswith("gz") else whole)
    check(tmp_path / name, may_refuse=name == "a.img" or change not in ("plain", "offset 400", "slope"))
