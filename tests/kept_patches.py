"""Kept patches as classify_patches writes them, for the tests of what reads them."""

import json
import warnings
from pathlib import Path

import numpy as np
import tifffile

from utils.contrast import to_uint8
from utils.dictionaries import load_patches
from utils.names import dataset_of, format_name_3d
from utils.patches import Box
from utils.volume_samples import volume_contrast
from utils.volumes import open_volume


def save_kept(folder: Path, name: str, patch: np.ndarray, description: dict | None) -> Path:
    """Write one kept patch into the folder of its dataset; `description` None: as scripts do that record nothing."""
    path = folder / dataset_of(name) / f"{name}.tiff"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = None if description is None else json.dumps(description)
    tifffile.imwrite(path, patch, photometric="minisblack", description=text, metadata=None, software=False)
    return path


def keep(folder: Path, source: Path, where: list[tuple], *, method: str = "percentile", recorded: bool = True):
    """Cut patches (axis, index, box) from a volume and write them as kept; their paths."""
    with warnings.catch_warnings(), open_volume(source) as volume:
        warnings.simplefilter("ignore")
        contrast = volume_contrast(volume, method)
        description = {"contrast": contrast.as_dict(), "voxel_size": volume.voxel_size, "score": 0.9}
        paths = []
        for axis, index, box in where:
            gray = to_uint8(np.moveaxis(volume[:], axis, 0)[index], contrast)
            patch = gray[box[0] : box[1], box[2] : box[3]]
            name = format_name_3d(volume.name, axis, index, volume.shape[axis], Box(*box))
            paths.append(save_kept(folder, name, patch, description if recorded else None))
    return paths


def keep_dictionaries(folder: Path, dictionaries: Path) -> dict[str, np.ndarray]:
    """Keep every patch of every dictionary of a folder; {name: patch}."""
    kept = {}
    for path in sorted(dictionaries.glob("*.pkl")):
        content = load_patches(path)
        described = {key: content["meta"][key] for key in ("contrast", "voxel_size")}
        for name, patch in zip(content["names"], content["patches"], strict=True):
            save_kept(folder, name, patch, {**described, "score": 0.9, "dictionary": path.stem})
            kept[name] = patch
    return kept
