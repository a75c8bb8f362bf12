"""A mask (a segmentation, an OME-Zarr label) that says where cubes may be taken: where it is not 0."""

from pathlib import Path

import numpy as np

from utils.ngff.metadata import Lengths, Level, allowing_labels, downsampling
from utils.ngff.multiscale import Multiscale, open_multiscale
from utils.sampling.overview import fetch_overview, npy_planes, overview_path
from utils.sampling.plan import SamplingOptions, SamplingPlan
from utils.sampling.rois import Boxes
from utils.sampling.survey import Survey

LARGEST = 1 << 30
# Physical sides of image and mask that differ by less are the same side.
SAME_SIDE = 0.05


def masked(boxes: Boxes, plan: SamplingPlan, options: SamplingOptions, folder: Path) -> Boxes:
    """Those boxes of which at least ``min_frac`` lies where the mask is not 0.

    Raises
    ------
    ValueError, OSError
        If the mask cannot be read, is too large, or leaves no box.
    """
    with allowing_labels():
        mask = open_multiscale(str(options.mask), options.access)
        index = _level(mask)
        path = overview_path(mask, index, folder, f"{plan.dataset.name}-mask")
        fetch_overview(mask, index, path)
    level = mask.levels[index]
    seen = Survey(plan.spans, ratio(plan, level), level.shape, 0)
    for z, plane in enumerate(npy_planes(path)):
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


def ratio(plan: SamplingPlan, mask: Level) -> Lengths:
    """Image voxels per mask voxel, z, y, x: by the voxel sizes where they say that the mask covers another extent."""
    by_shape = [downsampling(a, b) for a, b in zip(plan.level.shape, mask.shape, strict=True)]
    size = mask.voxel_size
    if size is None:
        z, y, x = by_shape
        return z, y, x
    by_size = [theirs / ours for theirs, ours in zip(size, plan.voxel_size, strict=True)]
    z, y, x = (a if abs(a - b) <= SAME_SIDE * b else b for a, b in zip(by_shape, by_size, strict=True))
    return z, y, x
