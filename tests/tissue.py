"""Textures that have what tissue has for comparisons: edges, blobs and fine grain, different everywhere."""

from functools import cache
from pathlib import Path

import cv2
import numpy as np

from utils.dictionaries import save_patches


@cache
def texture(seed: int, shape: tuple[int, int] = (512, 512)) -> np.ndarray:
    """A uint8 image of shape (h, w): dark membranes between pale areas, with grain."""
    noise = np.random.default_rng(seed).standard_normal((3, *shape)).astype(np.float32)
    wide, middle, fine = (
        cv2.GaussianBlur(part, (0, 0), sigma) * sigma for part, sigma in zip(noise, (9, 4, 1.2), strict=True)
    )
    image = 150 - 90 * np.exp(-8 * (wide + 0.3 * middle) ** 2) + 25 * middle + 12 * fine
    return np.clip(image, 0, 255).astype(np.uint8)


def cut(image: np.ndarray, y: int, x: int, side: int = 224) -> np.ndarray:
    """A patch of an image."""
    return np.ascontiguousarray(image[y : y + side, x : x + side])


def dictionary(path: Path, patches: dict[str, np.ndarray], **meta) -> Path:
    """A patch dictionary of named patches."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_patches(path, list(patches), list(patches.values()), meta=meta)
    return path


def excluded_deeply(folder: Path, images: dict[str, np.ndarray]):
    """Images that are excluded, indexed deeply."""
    from PIL import Image

    from utils.duplicates.excluded import Excluded, excluded_path, index_excluded, list_excluded
    from utils.duplicates.index_file import read_index
    from utils.duplicates.leaks import ExcludedWindows
    from utils.jobs import SKIPPED, Job

    for name, pixels in images.items():
        Image.fromarray(pixels).save(folder / f"{name}.png")
    sources = []
    for name, path in list_excluded([folder]):
        job = Job(path, excluded_path(folder / ".cache", path, deep=True))
        index_excluded(job, deep=True)
        assert index_excluded(job, deep=True) == SKIPPED
        index = read_index(job.target)
        assert index is not None
        sources.append(Excluded(name, index))
    return ExcludedWindows(sources, deep=True)


def view_inverse(view: int) -> int:
    """The view that undoes another."""
    from utils.duplicates.keypoints import view_matrix

    return next(other for other in range(8) if np.allclose(view_matrix(other) @ view_matrix(view), np.eye(2)))
