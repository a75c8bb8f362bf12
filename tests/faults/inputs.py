"""Small inputs of every kind, for scripts that are to be disturbed a thousand times."""

import csv
from pathlib import Path

import cv2
import mrcfile
import numpy as np
import SimpleITK as sitk
import tifffile
from PIL import Image

from made_collection import small_collection
from ngff_images import ome_attributes, write_json

SIDE = 32


def texture(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """A uint8 array of blobs, none like another seed's."""
    noise = np.random.default_rng(seed).normal(128, 400, shape)
    planes = noise.reshape(-1, *shape[-2:])
    return np.clip([cv2.GaussianBlur(p, (0, 0), 2) for p in planes], 0, 255).astype(np.uint8).reshape(shape)


def make_inputs(folder: Path) -> None:
    """Write 2d, video, 3d, a zarr, labels and a small collection."""
    images(folder / "2d")
    video(folder / "video")
    volumes(folder / "3d")
    zarr(folder / "remote" / "sample.zarr")
    labels(folder)
    small_collection(folder / "collection")


def images(folder: Path) -> None:
    """Two groups: gray, deep and coloured ones."""
    pixels = texture((70, 66), 99)
    for group in ("tem", "sem"):
        (folder / group).mkdir(parents=True)
        for i in range(3):
            pixels = texture((70, 66), i + 9 * (group == "sem"))
            Image.fromarray(pixels).save(folder / group / f"gray{i}.png")
        tifffile.imwrite(folder / group / "deep.tif", pixels.astype(np.uint16) * 200)
    Image.fromarray(np.stack([pixels, pixels // 2, pixels], -1)).save(folder / "sem" / "colour.jpg")


def video(folder: Path) -> None:
    """Two films of six frames."""
    folder.mkdir()
    for i in range(2):
        frames = texture((6, 48, 64), 20 + i)
        out = cv2.VideoWriter(str(folder / f"film{i}.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
        for frame in frames:
            out.write(cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR))
        out.release()


def volumes(folder: Path) -> None:
    """NRRD, MRC, a TIFF stack and packed NRRD, 8 to 16 bits."""
    folder.mkdir()
    for name, compress in (("fib.nrrd", False), ("packed.nrrd", True)):
        image = sitk.GetImageFromArray(texture((40, 44, 48), 30 + compress))
        image.SetSpacing((8, 8, 8))
        sitk.WriteImage(image, str(folder / name), compress)
    for i in range(2):
        with mrcfile.new(folder / f"tomo{i}.mrc") as mrc:
            mrc.set_data(texture((12, 40, 44), 40 + i).astype(np.int16) * 90 - 9000)
            mrc.voxel_size = 90.0
    tifffile.imwrite(folder / "stack.tif", texture((8, 40, 40), 50), imagej=True, metadata={"axes": "ZYX"})


def zarr(folder: Path) -> None:
    """An OME-Zarr of three levels."""
    import tensorstore as ts

    level = texture((64, 64, 64), 60)
    scales = [(8.0 * 2**i,) * 3 for i in range(3)]
    write_json(folder / ".zgroup", {"zarr_format": 2})
    write_json(folder / ".zattrs", ome_attributes(scales))
    for i in range(3):
        spec = {"driver": "zarr", "kvstore": {"driver": "file", "path": str(folder / str(i))}}
        metadata = {"chunks": [32, 32, 32], "dtype": "|u1", "compressor": {"id": "zlib"}, "dimension_separator": "/"}
        store = ts.open({**spec, "metadata": {**metadata, "shape": level.shape}}, create=True).result()
        store[...] = level
        level = level[::2, ::2, ::2]


def labels(folder: Path) -> None:
    """72 patches, every other one blank, in a table."""
    rng = np.random.default_rng(0)
    (folder / "patches").mkdir()
    with (folder / "labels.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("path", "label", "source"))
        for i in range(72):
            pixels = rng.integers(0, 255, (SIDE, SIDE)) if i % 2 else np.full((SIDE, SIDE), 99)
            Image.fromarray(pixels.astype(np.uint8)).save(folder / "patches" / f"{i}.png")
            rows.writerow((f"patches/{i}.png", "good" if i % 2 else "bad", f"s{i % 6}"))
