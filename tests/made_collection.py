"""A small collection as the stages write it, for the tests of what reads collections."""

import csv
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import tifffile

from utils.dictionaries import save_patches
from utils.names import dataset_of, format_name_2d, format_name_3d
from utils.patches import Box

SIDE = 32


def pixels(name: str, side: int = SIDE) -> np.ndarray:
    """A patch of its own for every name."""
    seed = int.from_bytes(name.encode("utf-8", "surrogatepass")[-24:], "big") % 2**63
    return np.random.default_rng(seed).integers(0, 255, (side, side)).astype(np.uint8)


def volume_names(volume: str, slices: int = 8, grid: int = 3, axes: Iterable[int] = (0,)) -> list[str]:
    """Names of patches on a grid of boxes in every slice."""
    boxes = [Box(y * SIDE, (y + 1) * SIDE, x * SIDE, (x + 1) * SIDE) for y in range(grid) for x in range(grid)]
    return [format_name_3d(volume, axis, z, slices, box) for axis in axes for z in range(slices) for box in boxes]


def image_names(images: Iterable[str], grid: int = 2) -> list[str]:
    """Names of patches of 2D images."""
    boxes = [Box(y * SIDE, (y + 1) * SIDE, x * SIDE, (x + 1) * SIDE) for y in range(grid) for x in range(grid)]
    return [format_name_2d(image, box) for image in images for box in boxes]


def add_dataset(
    root: Path,
    dictionary: str,
    names: list[str],
    *,
    kept: float = 0.5,
    voxel_size: tuple[float, float, float] | None = (10.0, 10.0, 10.0),
    shape: tuple[int, int, int] = (8, 96, 96),
    **meta: object,
) -> None:
    """Write a dictionary into root/patches, and its table and kept patches into root/filtered.

    Scores go evenly from 0 to 1; those above 1 - `kept` are kept.
    """
    scores = [(i * 7 % len(names) + 0.5) / len(names) for i in range(len(names))]
    described = {"voxel_size": voxel_size, "source": f"{dictionary}.nrrd", "contrast": None, **meta}
    known = {**described, "shape": shape, "patches": 4 * len(names)}
    save_patches(root / "patches" / f"{dictionary}.pkl", names, [pixels(n) for n in names], meta=known)
    table = root / "filtered" / f"{dictionary}.csv"
    table.parent.mkdir(exist_ok=True)
    with table.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("name", "score", "kept"))
        for name, score in zip(names, scores, strict=True):
            writer.writerow((name, f"{score:.4f}", score > 1 - kept))
            if score > 1 - kept:
                path = root / "filtered" / dataset_of(dictionary) / f"{name}.tiff"
                path.parent.mkdir(exist_ok=True)
                said = json.dumps({**described, "score": score, "dictionary": dictionary})
                tifffile.imwrite(path, pixels(name), photometric="minisblack", description=said, metadata=None)


def small_collection(root: Path, slices: int = 8, grid: int = 3) -> Path:
    """Two volumes, one of them in two regions, and a group of images; returns root/filtered."""
    add_dataset(root, "fly", volume_names("fly", slices, grid))
    for x in (0, 96):
        region = f"mouse.v1-ROI-x{x}-{x + 96}_y0-96_z0-8"
        add_dataset(root, region, volume_names(region, slices, grid))
    add_dataset(root, "tem", image_names(["a", "b ü"]), voxel_size=None)
    return root / "filtered"


def files(folder: Path) -> dict[str, bytes]:
    """Visible files below a folder with their content."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {
        name: path.read_bytes() for path in found if not (name := path.relative_to(folder).as_posix()).startswith(".")
    }
