"""Volumes: every format gives the same voxels, by region as whole; what is listed; contrast; isotropy."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ngff_images import write_ome_zarr
from utils.formats.writers import write_nrrd
from utils.records.fingerprints import fingerprint
from utils.records.recipes import Recipe, record_of, save_record
from utils.volumes import data_files, is_isotropic, list_volumes, open_volume, own_data, volume_inputs, volume_name

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
SHAPE = (7, 9, 11)
VOXEL_SIZE = (30.0, 8.0, 6.0)
ITK_FILES = ["a.nrrd", "a.nhdr", "a.mha", "a.mhd", "a.nii", "a.nii.gz", "a.hdr", "a.img.gz", "a.gipl", "a.NRRD"]


def voxels_of(dtype="int16"):
    return np.random.default_rng(1).integers(0, 200, SHAPE).astype(dtype)


def write_itk(path, voxels, voxel_size=VOXEL_SIZE, compress=False):
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing(voxel_size[::-1])
    scratch = path.with_name(path.name.lower())
    sitk.WriteImage(image, str(scratch), compress)
    if scratch != path:
        scratch.rename(path)


@pytest.fixture(scope="module")
def one_of_each(tmp_path_factory):
    """The same voxels in many formats: {name: path}."""
    folder, voxels = tmp_path_factory.mktemp("formats"), voxels_of()
    for name in ["raw.nrrd", "pair.mhd", "plain.nii", "single.mha"]:
        write_itk(folder / name, voxels)
    write_itk(folder / "packed.nrrd", voxels, compress=True)
    tifffile.imwrite(folder / "mapped.tif", voxels)
    tifffile.imwrite(folder / "paged.tif", voxels, compression="zlib", photometric="minisblack")
    (folder / "slices").mkdir()
    for z, page in enumerate(voxels):
        tifffile.imwrite(folder / "slices" / f"{z}.tif", page)
    return sorted(p for p in folder.iterdir() if p.suffix != ".raw")


@pytest.mark.parametrize("name", ITK_FILES)
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_what_itk_writes_reads_back(tmp_path, name, dtype):
    voxels = voxels_of(dtype)
    write_itk(tmp_path / name, voxels)
    with open_volume(tmp_path / name) as volume:
        assert (volume.shape, volume.dtype, volume.name) == (SHAPE, voxels.dtype, "a")
        assert volume.voxel_size == VOXEL_SIZE
        np.testing.assert_array_equal(volume[:], voxels)
        assert volume.streams == (name[-3:].lower() not in {".gz", "ipl", "vtk"})


def test_a_multiscale_image_is_read_as_any_volume(tmp_path):
    source = write_ome_zarr(tmp_path / "em.zarr", [voxels_of()], sizes=[VOXEL_SIZE])
    with open_volume(source) as volume:
        assert (volume.shape, volume.name, volume.voxel_size) == (SHAPE, "em_s0", VOXEL_SIZE)
        np.testing.assert_array_equal(volume[2:5, 1:, :9], voxels_of()[2:5, 1:, :9])


@given(data=st.data())
def test_regions_equal_the_whole(one_of_each, data):
    path = data.draw(st.sampled_from(one_of_each))
    box = tuple(slice(*sorted(data.draw(st.lists(st.integers(0, n), min_size=2, max_size=2)))) for n in SHAPE)
    with open_volume(path) as volume:
        region = volume[box]
        np.testing.assert_array_equal(region, voxels_of()[box])
        assert region.flags.c_contiguous and region.flags.writeable and region.dtype.isnative


def test_indexing_is_numpys(one_of_each):
    voxels = voxels_of()
    with open_volume(one_of_each[0]) as volume:
        np.testing.assert_array_equal(volume[2], voxels[2])
        np.testing.assert_array_equal(volume[-1, 3:5, 100:], voxels[-1, 3:5, 100:])
        np.testing.assert_array_equal(volume[5:99, :, 4], voxels[5:99, :, 4])
        for bad in (7, (0, 0, 0, 0)):
            with pytest.raises(IndexError):
                volume[bad]
        with pytest.raises(ValueError, match="step of 2"):
            volume[::2]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("empty.nrrd", b"", "empty"),
        ("text.nrrd", b"hello", "NRRD"),
        ("text.mrc", b"hello", "MRC"),
        ("text.nii", b"hello", "NIfTI"),
        ("text.nii.gz", b"hello" * 9, "gzip"),
        ("short.nii.gz", b"hello", "ended before"),
        ("text.mrc.bz2", b"hello", "data stream"),
        ("text.mha", b"hello", "MetaImage"),
        ("text.tif", b"hello", "TIFF"),
        ("text.gipl", b"hello", "SimpleITK"),
        ("text.h5", b"hello", "HDF5"),
        ("text.xyz", b"hello", "suffix"),
        ("lone.hdr", b"x" * 400, "missing"),
        ("half.nrrd", b"NRRD0004\ntype: uint8\ndimension: 3\nsizes: 2 2 2\nencoding: raw\n\n1234", "cut short"),
        ("none.nrrd", b"NRRD0004\ntype: uint8\nencoding: raw\n\n", "sizes"),
        (
            "gone.nhdr",
            b"NRRD0004\ntype: uint8\ndimension: 3\nsizes: 2 2 2\nencoding: raw\ndata file: gone.raw\n",
            "gone.raw",
        ),
    ],
)
def test_what_cannot_be_read_is_one_sentence(tmp_path, name, content, reason):
    (tmp_path / name).write_bytes(content)
    with pytest.raises((ValueError, OSError), match=reason) as caught, open_volume(tmp_path / name) as volume:
        volume[:]
    assert "\n" not in str(caught.value)


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such volume"):
        open_volume(tmp_path / "a.nrrd")


def test_listing(tmp_path, one_of_each):
    for path in one_of_each[0].parent.iterdir():
        (shutil.copytree if path.is_dir() else shutil.copy)(path, tmp_path / path.name)
    for name in (
        "video.mp4",
        "notes.txt",
        "other.raw",
        "patches.pkl",
        ".DS_Store",
        "Thumbs.db",
        "._raw.nrrd",
        "z.png",
        "a.csv",
    ):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "datasets.csv").touch()
    for name in ("empty", "brain.zarr", "plain_zarr3", "precomputed", "noted"):
        (tmp_path / name).mkdir()
    (tmp_path / "plain_zarr3" / "zarr.json").write_text("{}")
    (tmp_path / "precomputed" / "info").write_text('{"scales": []}')
    (tmp_path / "noted" / "info").write_text("Cut on a Tuesday.")
    volumes, passed = list_volumes(tmp_path)
    expected = [*(p.name for p in one_of_each), "brain.zarr", "plain_zarr3", "precomputed"]
    assert sorted(p.name for p in volumes) == sorted(expected)
    others = ["a.csv", "empty", "noted", "notes.txt", "other.raw", "patches.pkl", "video.mp4", "z.png"]
    assert sorted(p.name for p in passed) == others


def test_a_folder_of_kept_patches_beside_its_volume_is_no_slices(tmp_path):
    """As `classify_patches.py` and `reconstruct3d.py` leave it where their output folder is that of the volumes."""
    (tmp_path / "vol.mrc").write_bytes(b"x")
    tifffile.imwrite(tmp_path / "s0.tif", np.zeros((9, 9), np.uint8))
    for folder, names in {
        "vol": ["vol-LOC-0_00_0-9_0-9.tiff", "vol-LOC-2_12_0-9_0-9.tiff"],
        "stacks": ["vol-LOC-0_-1-4_0-9_0-9.tif", "vol-LOC-0_02-07_0-9_0-9.tif"],
        "slices": ["vol-LOC-0_00_0-9_0-9.tif", "vol_2.tif"],
        "mixed": ["a.tif", "vol-LOC-0_00_0-9_0-9.tif", "vol-LOC-0_01_0-9_0-9.tif"],
    }.items():
        (tmp_path / folder).mkdir()
        for name in names:
            shutil.copy(tmp_path / "s0.tif", tmp_path / folder / name)
    volumes, passed = list_volumes(tmp_path)
    assert {"vol.mrc", "slices", "mixed"} <= {path.name for path in volumes} and {path.name for path in passed} == {
        "vol",
        "stacks",
    }


@pytest.mark.parametrize(("stage", "picture"), [("reconstruct3d montages", True), ("cleanup2d", False)])
def test_a_folder_of_montages_or_contact_sheets_beside_its_volumes_is_no_slices(tmp_path, stage, picture):
    """As they lie beside the folders of stacks and of kept patches; of what gave none there is only the record."""
    (tmp_path / "vol.mrc").write_bytes(b"x")
    for name in ("fly", "bee"):
        (tmp_path / "fb" / name).mkdir(parents=True)
        (tmp_path / "recorded").mkdir(exist_ok=True)
        for target in (tmp_path / "fb" / f"{name}.png", tmp_path / "recorded" / f"{name}.png"):
            Image.fromarray(np.zeros((9, 9), np.uint8)).save(target)
        recipe = Recipe(stage, {"vol.mrc": (tmp_path / "vol.mrc",)}, {}, tmp_path)
        save_record(target, record_of(recipe, target, {}, fingerprint([target])))
    volumes, passed = list_volumes(tmp_path)
    assert [path.name for path in volumes] == ["vol.mrc", *([] if picture else ["recorded"])]
    assert [path.name for path in passed] == ["fb", *(["recorded"] if picture else [])]


def test_a_folder_that_may_not_be_looked_into_fails_by_its_own_name(tmp_path, lock_folder):
    (tmp_path / "locked").mkdir()
    (tmp_path / "vol.mrc").write_bytes(b"x")
    lock_folder(tmp_path / "locked")
    assert [path.name for path in list_volumes(tmp_path)[0]] == ["vol.mrc", "locked"]
    with pytest.raises(PermissionError):
        open_volume(tmp_path / "locked")


def test_listing_is_in_natural_order(tmp_path):
    for number in (10, 9, 1):
        (tmp_path / f"v{number}.mrc").write_bytes(b"x")
    assert [p.name for p in list_volumes(tmp_path)[0]] == ["v1.mrc", "v9.mrc", "v10.mrc"]


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("a.b.nii.gz", "a.b"),
        ("x.mrc_y.mrc", "x.mrc_y"),
        ("m.map.bz2", "m"),
        ("s3://bucket/dir/brain.ome.zarr/", "brain_s0"),
        ("s3://bucket/brain.n5#s2", "brain_s2"),
    ],
)
def test_names(source, name):
    assert volume_name(source if "://" in source else Path(source)) == name


@pytest.mark.parametrize(("folder", "name"), [("brain.ome.zarr", "brain_s0"), ("fly.v2", "fly.v2")])
def test_names_of_folders(tmp_path, folder, name):
    (tmp_path / folder).mkdir()
    assert volume_name(tmp_path / folder) == name


@pytest.mark.parametrize(
    ("size", "name", "answer"),
    [
        ((10, 8, 8), "a.nrrd", True),
        ((10.1, 8, 8), "a.nrrd", False),
        ((6, 8, 8), "a.nrrd", True),
        ((5.9, 8, 8), "a.nrrd", False),
        ((0.05, 0.04, 0.04), "a.nrrd", True),
        ((8, 8, 8), "a_video.nrrd", False),
        ((8, 8, 8), "Video_1.nrrd", False),
    ],
)
def test_isotropy(tmp_path, size, name, answer):
    write_nrrd(tmp_path / name, voxels_of("uint8"), size)
    with open_volume(tmp_path / name) as volume:
        assert is_isotropic(volume) is answer


def test_a_missing_voxel_size_is_said_once(tmp_path):
    write_nrrd(tmp_path / "a.nrrd", voxels_of("uint8"))
    with open_volume(tmp_path / "a.nrrd") as volume:
        with pytest.warns(UserWarning, match="voxel size missing"):
            assert is_isotropic(volume)
        assert volume.voxel_size is None and is_isotropic(volume)


@pytest.mark.parametrize("size", [(0, 4, 4), (50, -4, 4), (57594928, 4, 4), (1, 1, 1), (float("nan"), 4, 4)])
def test_sizes_that_cannot_be_true_are_missing(tmp_path, size):
    header = (
        f"NRRD0004\ntype: uint8\ndimension: 3\nsizes: 1 1 2\nspacings: {size[2]} {size[1]} {size[0]}\nencoding: raw\n\n"
    )
    (tmp_path / "a.nrrd").write_bytes(header.encode() + b"12")
    with open_volume(tmp_path / "a.nrrd") as volume, pytest.warns(UserWarning, match="voxel size missing: .* says"):
        assert volume.voxel_size is None


@pytest.mark.skipif(not SHARED.exists(), reason="the real files are not here")
@pytest.mark.filterwarnings("ignore:voxel size missing")
def test_real_files():
    volumes, passed = list_volumes(SHARED / "3d")
    assert passed == []
    sizes = {}
    for path in volumes:
        with open_volume(path) as volume:
            sizes[path.name] = (volume.shape, str(volume.dtype), volume.voxel_size)
            assert volume[-1:].shape == (1, *volume.shape[1:])
    assert sizes["EMD-3197.map"] == sizes["EMD-3197.map.bz2"] == ((20, 20, 20), "float32", (1.14, 1.14, 1.14))
    assert sizes["cryodrgn_50S-vol.mrc"] == ((128, 32, 32), "float32", (0.4, 0.4, 0.4))
    assert sizes["de_ROI_Random_Scan_movie.mrc"] == ((348, 16, 16), "uint16", None)
    assert sizes["cylindra_13pf_MT.tif"] == ((36, 206, 94), "uint8", (1.052, 1.052, 1.052))
    assert sizes["imagej_float32_stack.tif"][1:] == ("float32", (2500.0, 168.674711, 168.674711))
    assert sizes["isbi2012_train_slices"] == ((30, 512, 512), "uint8", None)


@pytest.mark.skipif(not SHARED.exists(), reason="the real files are not here")
def test_pyramids_made_by_others():
    truth = np.load(SHARED / "ngff_made" / "truth.npz")["s0"]
    volumes = [
        p for p in list_volumes(SHARED / "ngff_made")[0] if p.name in {"raw.pc", "omezarr04.zarr", "omezarr05.zarr"}
    ]
    assert len(volumes) == 3
    for path in volumes:
        with open_volume(path) as volume:
            assert (volume.name, volume.voxel_size) == (f"{path.stem}_s0", (30.0, 8.0, 6.0))
            np.testing.assert_array_equal(volume[10:20, 5:50, 7:9], truth[10:20, 5:50, 7:9])


def test_the_files_that_a_volume_is_made_of(tmp_path):
    voxels = voxels_of()
    for name in ("a.nrrd", "b.mhd", "c.hdr"):
        write_itk(tmp_path / name, voxels)
    assert volume_inputs(tmp_path / "a.tif") == {"a.tif": (tmp_path / "a.tif",)}
    assert volume_inputs(tmp_path / "a.nrrd") == {"a.nrrd": (tmp_path / "a.nrrd",)}
    assert volume_inputs(tmp_path / "b.mhd") == {"b.mhd": (tmp_path / "b.mhd", tmp_path / "b.raw")}
    assert volume_inputs(tmp_path / "c.hdr") == {"c.hdr": (tmp_path / "c.hdr", tmp_path / "c.img")}
    assert volume_inputs("https://h/a.zarr") == {"https://h/a.zarr": ()}
    (tmp_path / "d.mhd").write_bytes(b"damaged")
    assert volume_inputs(tmp_path / "d.mhd") == {"d.mhd": (tmp_path / "d.mhd",)}


@pytest.mark.parametrize(
    ("names", "found"),
    [
        ("s%d.raw 1 3 1", "123"),
        ("s%01d.raw 3 1 -2 2", "31"),
        ("LIST\ns2.raw\ns1.raw\n", "21"),
        ("LIST 2\ns3.raw", "3"),
        ("s%d.raw 1 3", ""),
        ("s%0999d.raw 1 3 1", ""),
        ("LIST", ""),
    ],
)
def test_slices_that_a_header_names_are_input(tmp_path, names, found):
    for i in (1, 2, 3):
        (tmp_path / f"s{i}.raw").write_bytes(bytes(4))
    (tmp_path / "a.nrrd").write_text(f"NRRD0004\ntype: uint8\ndata file: {names}")
    (tmp_path / "b.mhd").write_text(f"ObjectType = Image\nElementDataFile = {names}")
    for header in ("a.nrrd", "b.mhd"):
        assert [path.name for path in volume_inputs(tmp_path / header)[header][1:]] == [f"s{i}.raw" for i in found]


def test_a_header_takes_no_other_volume_away(tmp_path):
    """Nor does it vanish by naming itself, and a name that no file can have costs nobody else a thing."""
    write_nrrd(tmp_path / "a.nrrd", voxels_of("uint8"))
    for name, data in (("b.nhdr", "a.nrrd"), ("c.nhdr", "c.nhdr"), ("d.nhdr", "x" * 5000)):
        fields = "type: uint8\ndimension: 3\nsizes: 11 9 7\nencoding: raw\n"
        (tmp_path / name).write_text(f"NRRD0004\n{fields}data file: {data}\n")
    assert [path.name for path in list_volumes(tmp_path)[0]] == ["a.nrrd", "b.nhdr", "c.nhdr", "d.nhdr"]
    assert own_data(tmp_path / "b.nhdr") == [] != volume_inputs(tmp_path / "b.nhdr")
    assert volume_inputs(tmp_path / "d.nhdr") == {"d.nhdr": (tmp_path / "d.nhdr",)}
    with pytest.raises(FileNotFoundError, match=r"the data file x{220} that the header names is missing"):
        open_volume(tmp_path / "d.nhdr")


@pytest.mark.parametrize(("data_file", "names"), [
    ("50%.raw", ["50%.raw"]), ("s%d.raw 1 2", ["s%d.raw 1 2"]), ("s%d.raw 1 2 1", ["s1.raw", "s2.raw"]), ("", []),
])  # fmt: skip
def test_what_a_header_names_is_known_as_its_data(tmp_path, data_file, names):
    header = tmp_path / "a.nhdr"
    header.write_text(f"NRRD0004\ndata file: {data_file}\n")
    assert [path.relative_to(tmp_path).as_posix() for path in data_files(header)] == names
