"""A small sound file of every format that the suite reads, and how each is read."""

import hashlib
import json
import pickle
import shutil
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

SHAPE = (5, 24, 28)
Make = Callable[[Path], Path]
Read = Callable[[Path], object]


@dataclass(frozen=True)
class Sample:
    """How a sound file (or folder) is made, how it is read, and what damage must not pass.

    Attributes
    ----------
    make, read : callable
    whole : bool
        Whether a file that is cut short must be refused, or read as it was.
    parts : str
        Pattern of the files that are damaged, where it is not the one that is read.
    checked : bool
        Whether the format has checksums over everything: no damage may change what is read.
    """

    make: Make
    read: Read
    whole: bool = True
    parts: str = ""
    checked: bool = False


def voxels(dtype: str = "uint8") -> np.ndarray:
    """Texture of every value."""
    noise = np.random.default_rng(5).integers(1, 250, SHAPE)
    return (noise * (1 if dtype == "uint8" else 100)).astype(dtype)


def digest(*arrays: np.ndarray) -> str:
    """Of the values, shapes and types of arrays."""
    said = [(array.shape, array.dtype.newbyteorder("=").str, np.ascontiguousarray(array).tobytes()) for array in arrays]
    return hashlib.blake2b(repr([s[:2] for s in said]).encode() + b"".join(s[2] for s in said)).hexdigest()


def read_volume(path: Path) -> str:
    """All voxels, or of a volume that claims to be vast some."""
    from utils.volumes import is_isotropic, open_volume

    with open_volume(path) as volume:
        is_isotropic(volume)
        return digest(volume[: min(volume.shape[0], 40), : min(volume.shape[1], 200), : min(volume.shape[2], 200)])


def read_image(path: Path) -> str:
    """The pixels."""
    from utils.images import read_gray

    return digest(read_gray(path))


def read_dictionary(path: Path) -> str:
    """Names, patches and the rest, streamed and whole; the copy of meta alone."""
    from utils.dictionaries import load_meta, load_patches
    from utils.patch_file import PatchFile

    load_meta(path)
    with PatchFile(path) as file:
        streamed = [patch for batch in file.batches(count=3) for patch in batch.patches]
    whole = load_patches(path)
    return digest(*streamed) + digest(*whole["patches"]) + repr(whole["names"])


def read_video(path: Path) -> str:
    """Every frame, as vid2stack would; a shortfall is a refusal."""
    from utils.formats.video import Video

    with Video(path) as video:
        frames = list(video)
        if video.shortfall():
            raise ValueError(video.shortfall())
    if not frames:
        raise ValueError("holds no frames")
    return digest(np.stack(frames))


def read_weights(path: Path) -> str:
    """The tensors."""
    from utils.classification.state_files import load_weights

    state = load_weights(path)
    return digest(*(state[name].numpy() for name in sorted(state)))


def read_address(path: Path) -> object:
    """What an XML of BigDataViewer leads to."""
    from utils.ngff.access import Access
    from utils.ngff.multiscale import open_multiscale

    return str(open_multiscale(str(path), Access()).levels)


def call(module: str, name: str) -> Read:
    """A reader of tables or records: what it returns, as text."""

    def read(path: Path) -> object:
        import importlib

        found = getattr(importlib.import_module(module), name)(path)
        return str(list(found) if isinstance(found, Iterator) else found)

    return read


def read_record(path: Path) -> object:
    """A recipe's record, by the result that it lies beside."""
    from utils.records.recipes import load_record

    return str(load_record(path.parent.parent / "result.csv"))


def read_decision(path: Path) -> object:
    """The decision beside weights."""
    from utils.classification.decision import read_decision as read

    return str(read(path.with_name("weights.pth")))


def read_labelled(path: Path) -> object:
    """Labels in two arrays."""
    from utils.training.labels import read_labelled as read

    return digest(*read(path, path.with_name("labels.npy")).patches)


def tiff(name: str = "a.tif", dtype: str = "uint8", **options: Any) -> Make:
    def make(folder: Path) -> Path:
        import tifffile

        tifffile.imwrite(folder / name, voxels(dtype), photometric="minisblack", **options)
        return folder / name

    return make


def flat_tiff(**options: Any) -> Make:
    def make(folder: Path) -> Path:
        import tifffile

        colours = np.stack([voxels()[i] for i in range(3)], -1)
        rgb = options.get("photometric") == "rgb"
        tifffile.imwrite(folder / "a.tif", colours if rgb else voxels()[0], **options)
        return folder / "a.tif"

    return make


def picture(name: str, mode: str = "L", **options: Any) -> Make:
    def make(folder: Path) -> Path:
        from PIL import Image

        pixels = voxels("uint16")[0] if mode == "I;16" else voxels()[0]
        image = Image.fromarray(pixels)
        (image if mode == "I;16" else image.convert(mode)).save(folder / name, **options)
        return folder / name

    return make


def coded(name: str, pixels: Callable[[], np.ndarray], **options: Any) -> Make:
    def make(folder: Path) -> Path:
        import imagecodecs

        imagecodecs.imwrite(folder / name, pixels(), **options)
        return folder / name

    return make


def itk(name: str, dtype: str = "uint8", compress: bool = False) -> Make:
    def make(folder: Path) -> Path:
        import SimpleITK as sitk

        image = sitk.GetImageFromArray(voxels(dtype))
        image.SetSpacing((8, 8, 8))
        sitk.WriteImage(image, str(folder / name), compress)
        return folder / name

    return make


def packed(inner: Make, ending: str) -> Make:
    def make(folder: Path) -> Path:
        import bz2
        import gzip

        path = inner(folder)
        target = path.with_name(path.name + ending)
        target.write_bytes((gzip.compress if ending == ".gz" else bz2.compress)(path.read_bytes()))
        path.unlink()
        return target

    return make


def mrc(dtype: str) -> Make:
    def make(folder: Path) -> Path:
        import mrcfile

        with mrcfile.new(folder / "a.mrc") as file:
            file.set_data(voxels(dtype))
            file.voxel_size = 80.0
        return folder / "a.mrc"

    return make


def hdf5(**options: Any) -> Make:
    def make(folder: Path) -> Path:
        import h5py

        with h5py.File(folder / "a.h5", "w") as file:
            file.create_dataset("raw", data=voxels("uint16"), **options)
        return folder / "a.h5"

    return make


ENDINGS = {"zarr": "zarr", "zarr3": "zarr", "n5": "n5", "neuroglancer_precomputed": "precomputed"}


def stored(driver: str, metadata: dict[str, Any]) -> Make:
    """A single array or level by tensorstore, with the metadata around it that make it an image."""

    def make(folder: Path) -> Path:
        import tensorstore as ts

        root = folder / f"a.{ENDINGS[driver]}"
        inner = root if driver.endswith("precomputed") else root / ("s0" if driver == "n5" else "0")
        spec = {"driver": driver, "kvstore": {"driver": "file", "path": str(inner)}, **metadata}
        array = ts.open(spec, create=True).result()
        block = voxels() if driver.startswith("zarr") else voxels().T
        array[...] = block[..., None] if driver.endswith("precomputed") else block
        describe(driver, root)
        return root

    return make


def describe(driver: str, root: Path) -> None:
    """The metadata of the group."""
    from ngff_images import ome_attributes, write_json

    attributes = ome_attributes([(8.0, 8.0, 8.0)])
    if driver == "zarr":
        write_json(root / ".zgroup", {"zarr_format": 2})
        write_json(root / ".zattrs", attributes)
    if driver == "zarr3":
        said = {"ome": {"version": "0.5", **attributes}}
        write_json(root / "zarr.json", {"zarr_format": 3, "node_type": "group", "attributes": said})
    if driver == "n5":
        write_json(root / "attributes.json", {"n5": "2.0.0", "scales": [[1, 1, 1]], "resolution": [8, 8, 8]})


def zarr2(compressor: dict | None) -> Make:
    shape = {"shape": list(SHAPE), "chunks": [3, 16, 16], "dtype": "|u1", "dimension_separator": "/"}
    return stored("zarr", {"metadata": {**shape, "compressor": compressor}})


ZARR3 = {
    "shape": list(SHAPE), "data_type": "uint8",
    "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [3, 16, 16]}},
    "codecs": [{"name": "bytes"}, {"name": "gzip"}, {"name": "crc32c"}],
}  # fmt: skip
N5 = {"dimensions": list(SHAPE[::-1]), "blockSize": [16, 16, 3], "dataType": "uint8", "compression": {"type": "gzip"}}
PRECOMPUTED = {
    "multiscale_metadata": {"type": "image", "data_type": "uint8", "num_channels": 1},
    "scale_metadata": {
        "size": list(SHAPE[::-1]), "encoding": "raw", "chunk_size": [16, 16, 3], "resolution": [8, 8, 8], "key": "8"
    },
}  # fmt: skip


def dictionary(whole_array: bool) -> Make:
    def make(folder: Path) -> Path:
        from utils.dictionaries import save_patches

        names, path = [f"a-LOC-0_{i}_0-24_0-28" for i in range(SHAPE[0])], folder / "a.pkl"
        if whole_array:
            path.write_bytes(pickle.dumps({"names": np.array(names), "patches": voxels()}, protocol=4))
        else:
            save_patches(path, names, list(voxels()), hashes=np.arange(9, dtype=np.uint64), meta={"shape": SHAPE})
        return path

    return make


def video(name: str, code: str) -> Make:
    def make(folder: Path) -> Path:
        import cv2

        out = cv2.VideoWriter(str(folder / name), cv2.VideoWriter.fourcc(*code), 10, (64, 48))
        for i in range(6):
            out.write(np.full((48, 64, 3), 30 * i + 20, np.uint8))
        out.release()
        return folder / name

    return make


def weights(folder: Path) -> Path:
    from utils.classification.weights import LITE

    shutil.copy(LITE, folder / "weights.pth")
    return folder / "weights.pth"


def decision(folder: Path) -> Path:
    from utils.classification.decision import decision_path
    from utils.classification.weights import LITE

    weights(folder)
    shutil.copy(decision_path(LITE), folder / "weights.decision.json")
    return folder / "weights.decision.json"


def text(name: str, content: str) -> Make:
    def make(folder: Path) -> Path:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(content)
        return folder / name

    return make


def arrays(folder: Path) -> Path:
    from PIL import Image

    names = [f"{i}.png" for i in range(72)]
    for i, name in enumerate(names):
        Image.fromarray(np.full((40, 40), i + 50, np.uint8)).save(folder / name)
    np.save(folder / "labels.npy", np.array(["good", "bad"] * 36))
    np.save(folder / "paths.npy", np.array(names))
    return folder / "paths.npy"


def recipe(folder: Path) -> Path:
    from utils.records.recipes import Recipe, fingerprints, record_of, record_path, save_record

    (folder / "a.txt").write_text("a")
    (folder / "result.csv").write_text("b")
    made = Recipe("stage", {"a.txt": (folder / "a.txt",)}, {"crop_size": 224}, folder)
    seen = fingerprints(made)
    save_record(folder / "result.csv", record_of(made, folder / "result.csv", seen, seen["a.txt"]))
    return record_path(folder / "result.csv")


def kept(folder: Path) -> Path:
    import tifffile

    said = {"contrast": {"low": 0, "high": 255}, "voxel_size": [8, 8, 8], "score": 0.9, "dictionary": "a"}
    options: dict[str, Any] = {"photometric": "minisblack", "metadata": None, "description": json.dumps(said)}
    tifffile.imwrite(folder / "a.tiff", voxels()[0], **options)
    return folder / "a.tiff"


BDV = """<?xml version="1.0"?><SpimData version="0.2"><SequenceDescription><ImageLoader format="bdv.n5">
<n5 type="relative">a.n5</n5></ImageLoader><ViewSetups><ViewSetup><id>0</id><size>28 24 5</size>
<voxelSize><unit>nm</unit><size>8 8 8</size></voxelSize></ViewSetup></ViewSetups></SequenceDescription></SpimData>"""


def bdv(folder: Path) -> Path:
    root = stored("n5", {"metadata": N5})(folder)
    (root / "setup0" / "timepoint0").mkdir(parents=True)
    (root / "s0").rename(root / "setup0" / "timepoint0" / "s0")
    (folder / "a.xml").write_text(BDV)
    return folder / "a.xml"


DUPLICATES = ("name", "dictionary", "duplicate_of", "its_dictionary", "similarity", "correlation", "orientation")

SAMPLES = {
    "tiff": Sample(tiff(), read_volume),
    "tiff imagej": Sample(tiff(imagej=True, metadata={"axes": "ZYX", "spacing": 2.0, "unit": "nm"}), read_volume),
    "tiff ome": Sample(tiff("a.ome.tif", ome=True, metadata={"axes": "ZYX", "PhysicalSizeX": 8}), read_volume),
    "tiff big": Sample(tiff(bigtiff=True, dtype="uint16", metadata=None), read_volume),
    "tiff deflate": Sample(tiff(compression="zlib", predictor=True, metadata=None), read_volume),
    "tiff lzw big-endian": Sample(tiff(compression="lzw", byteorder=">", metadata=None), read_volume),
    "tiff tiles": Sample(tiff(tile=(16, 16), compression="zstd", metadata=None), read_volume),
    "image tiff": Sample(flat_tiff(), read_image),
    "image tiff rgb": Sample(flat_tiff(photometric="rgb", compression="packbits"), read_image),
    "image tiff white": Sample(flat_tiff(photometric="miniswhite", rowsperstrip=5), read_image),
    "image tiff jpeg": Sample(flat_tiff(compression="jpeg"), read_image, whole=False),
    "png": Sample(picture("a.png"), read_image, checked=True),
    "png 16": Sample(picture("a.png", "I;16"), read_image, checked=True),
    "png palette": Sample(picture("a.png", "P"), read_image, checked=True),
    "png rgba": Sample(picture("a.png", "RGBA"), read_image, checked=True),
    "jpeg": Sample(picture("a.jpg"), read_image),
    "jpeg progressive": Sample(picture("a.jpg", "RGB", progressive=True), read_image, whole=False),
    "bmp": Sample(picture("a.bmp"), read_image),
    "gif": Sample(picture("a.gif"), read_image, whole=False),
    "pgm": Sample(picture("a.pgm"), read_image, whole=False),
    "webp": Sample(picture("a.webp", "RGB", lossless=True), read_image),
    "jpeg 2000": Sample(picture("a.jp2"), read_image, whole=False),
    "png 16 rgb": Sample(coded("a.png", lambda: np.stack([voxels("uint16")[i] for i in range(3)], -1)), read_image),
    "jpeg xl": Sample(coded("a.jxl", lambda: voxels()[0], lossless=True), read_image, whole=False),
    "nrrd": Sample(itk("a.nrrd", "int16"), read_volume),
    "nrrd gzip": Sample(itk("a.nrrd", "uint16", True), read_volume),
    "nhdr": Sample(itk("a.nhdr"), read_volume, parts="*"),
    "mha": Sample(itk("a.mha", "uint16"), read_volume),
    "mha packed": Sample(itk("a.mha", "int16", True), read_volume),
    "mhd": Sample(itk("a.mhd"), read_volume, parts="*"),
    "nifti": Sample(itk("a.nii", "int16"), read_volume),
    "nifti gzip": Sample(itk("a.nii.gz"), read_volume, checked=True),
    "analyze": Sample(itk("a.hdr", "int16"), read_volume, parts="*"),
    "vtk": Sample(itk("a.vtk", "int16"), read_volume),
    "gipl": Sample(itk("a.gipl", "int16"), read_volume),
    "dicom": Sample(itk("a.dcm", "uint16"), read_volume),
    "mrc": Sample(mrc("int16"), read_volume),
    "mrc bytes": Sample(mrc("int8"), read_volume),
    "mrc gzip": Sample(packed(mrc("float32"), ".gz"), read_volume, checked=True),
    "mrc bzip2": Sample(packed(mrc("uint16"), ".bz2"), read_volume, checked=True),
    "hdf5": Sample(hdf5(), read_volume),
    "hdf5 chunks": Sample(hdf5(chunks=(2, 12, 14), compression="gzip", fletcher32=True), read_volume),
    "zarr": Sample(zarr2({"id": "zlib"}), read_volume, parts="*"),
    "zarr blosc": Sample(zarr2({"id": "blosc"}), read_volume, parts="*"),
    "zarr raw": Sample(zarr2(None), read_volume, parts="*"),
    "zarr 3": Sample(stored("zarr3", {"metadata": ZARR3}), read_volume, parts="*"),
    "n5": Sample(stored("n5", {"metadata": N5}), read_volume, parts="*"),
    "precomputed": Sample(stored("neuroglancer_precomputed", PRECOMPUTED), read_volume, parts="*"),
    "dictionary": Sample(dictionary(False), read_dictionary),
    "dictionary of one array": Sample(dictionary(True), read_dictionary),
    "avi": Sample(video("a.avi", "MJPG"), read_video),
    "mp4": Sample(video("a.mp4", "mp4v"), read_video, whole=False),
    "weights": Sample(weights, read_weights),
    "decision": Sample(decision, read_decision),
    "kept patch": Sample(kept, call("utils.records.kept_patch", "read_kept_record"), whole=False),
    "recipe": Sample(recipe, read_record, whole=False),
    "labels": Sample(arrays, read_labelled, parts="*.npy"),
    "scores": Sample(
        text("a.csv", "name,score,kept\n" + "".join(f"a-LOC-0_{i}_0-9_0-9,0.5{i},True\n" for i in range(9))),
        call("utils.records.scores", "read_scores"), whole=False,
    ),
    "duplicates": Sample(
        text("a.csv", f"{','.join(DUPLICATES)}\na,b,c,d,0.9,0.9,0\n"),
        call("utils.records.duplicates", "read_duplicates"), whole=False,
    ),
    "datasets": Sample(
        text("a.csv", "name,voxel_z,voxel_y,voxel_x,license\na,50,4.6,4.6,CC0\nb.mp4,,2,2,\n"),
        call("utils.dataset_table", "read_dataset_table"), whole=False,
    ),
    "addresses": Sample(
        text("a.csv", "download_url,volume_name,mip,crop_size,padding_value\nhttp://h/a.zarr,a,0,256,0\nb.n5,b,,,\n"),
        call("utils.ngff.table", "read_table"), whole=False,
    ),
    "bdv": Sample(bdv, read_address, whole=False),
}  # fmt: skip


def read(name: str, path: Path) -> str:
    """What a sample's reader makes of a file, warnings aside."""
    warnings.simplefilter("ignore")
    return str(SAMPLES[name].read(path))
