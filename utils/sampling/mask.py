"""A mask (a segmentation, an OME-Zarr label) that says where cubes may be taken: where it is not 0."""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from utils.ngff.label_images import allowing_labels
from utils.ngff.metadata import Lengths, Level, Triple, downsampling, triple
from utils.ngff.multiscale import Multiscale
from utils.ngff.opening import open_multiscale
from utils.sampling.blocks import npy_planes
from utils.sampling.overview import fetch_overview, overview_path
from utils.sampling.plan import SamplingPlan
from utils.sampling.rois import Boxes
from utils.sampling.survey import Survey

LARGEST = 1 << 30
# Physical sides of image and mask that differ by less are the same side.
SAME_SIDE = 0.05


def masked(boxes: Boxes, plan: SamplingPlan, folder: Path) -> Boxes:
    """Those boxes of which at least ``min_frac`` lies where the mask is not 0.

    Raises
    ------
    ValueError, OSError
        If the mask cannot be read, is too large, or leaves no box.
    """
    options = plan.options
    with allowing_labels():
        mask = open_multiscale(str(options.mask), options.access)
        index = _level(mask)
        path = overview_path(mask, index, folder, f"{plan.dataset.name}-mask")
        fetch_overview(mask, index, path)
    level = mask.levels[index]
    scale = ratio(plan, level)
    shape, shift = _alignment(plan.level, level, scale)
    seen = Survey(plan.spans, scale, shape, 0)
    for z, plane in enumerate(_aligned(path, shape, shift)):
        seen.add(z, plane)
    inside = seen.candidates(options.min_frac)
    both = Boxes(plan.spans, np.intersect1d(boxes.places, inside.places))
    if not both:
        raise ValueError(
            f"no box is at least {options.min_frac:.0%} mask and specimen; lower --min-frac or --crop-size"
        )
    return both


def _level(mask: Multiscale) -> int:
    """The finest level that is small enough to be brought whole."""
    small = [i for i, level in enumerate(mask.levels) if not level.problem and level.nbytes <= LARGEST]
    if not small:
        raise ValueError(f"the mask has no level of at most {LARGEST >> 20} MB")
    return small[0]


def _alignment(image: Level, mask: Level, scale: Lengths) -> tuple[Triple, Triple]:
    """Mask voxels that cover the image, and where in the mask they begin: each may have an offset of its own."""
    shape = triple(max(1, math.ceil(length / r)) for length, r in zip(image.shape, scale, strict=True))
    offsets = zip(image.offset, scale, mask.offset, strict=True)
    return shape, triple(round(own / r - theirs) for own, r, theirs in offsets)


def _aligned(path: Path, shape: Triple, shift: Triple) -> Iterator[np.ndarray]:
    """The planes of a mask as they lie on the image; outside of the mask is 0."""
    planes = enumerate(npy_planes(path), -shift[0])
    at, plane = next(planes, (shape[0], np.empty((0, 0))))
    for z in range(shape[0]):
        while at < z:
            at, plane = next(planes, (shape[0], plane))
        yield _moved(plane if at == z else plane[:0], shape[1:], shift[1:])


def _moved(plane: np.ndarray, shape: tuple[int, int], shift: tuple[int, int]) -> np.ndarray:
    moved = np.zeros(shape, bool)
    y, x = (max(0, first) for first in shift)
    part = plane[y : max(y, shift[0] + shape[0]), x : max(x, shift[1] + shape[1])]
    moved[y - shift[0] : y - shift[0] + part.shape[0], x - shift[1] : x - shift[1] + part.shape[1]] = part != 0
    return moved


def ratio(plan: SamplingPlan, mask: Level) -> Lengths:
    """Image voxels per mask voxel, z, y, x: by the voxel sizes where they say that the mask covers another extent."""
    by_shape = [downsampling(a, b) for a, b in zip(plan.level.shape, mask.shape, strict=True)]
    size = mask.voxel_size
    if size is None:
        return triple(by_shape)
    by_size = [theirs / ours for theirs, ours in zip(size, plan.voxel_size, strict=True)]
    return triple(a if abs(a - b) <= SAME_SIDE * b else b for a, b in zip(by_shape, by_size, strict=True))
