"""Where the specimen of a dataset lies and which intensities it has: by an overview, a mask, or by reading cubes."""

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from utils.axes import Lengths, Triple, triple
from utils.contrast import NO_CONTRAST, Contrast, measure_contrast
from utils.ngff.metadata import Level, allowing_labels, downsampling
from utils.ngff.multiscale import Multiscale, open_multiscale
from utils.ngff.read import LevelReader
from utils.parallel import ordered_map
from utils.sampling.overview import LARGEST, fetch_overview, npy_planes, overview_path, survey
from utils.sampling.plan import SamplingPlan
from utils.sampling.rois import Boxes, Roi
from utils.sampling.survey import SAMPLE, Survey, not_padding, specimen_share

# Cubes of specimen that give the contrast of a dataset without an overview.
SAMPLED_CUBES = 4
LARGEST_MASK = 1 << 30
# Physical sides of image and mask that differ by less are the same side.
SAME_SIDE = 0.05


@dataclass
class Specimen:
    """What can be taken of a dataset."""

    boxes: Boxes  # worth taking, as far as is known before they are read
    contrast: Contrast  # the dataset's one window
    reader: LevelReader
    # Cubes that were read for the window, with the number of voxels that were refused.
    voxels: dict[Roi, tuple[np.ndarray, int]] = field(default_factory=dict)
    padding: dict[Roi, str] = field(default_factory=dict)  # boxes that were read and are padding, with the reason

    def read(self, roi: Roi) -> tuple[np.ndarray, int]:
        """Read a cube; what was read before is given away.

        Returns
        -------
        voxels, refused : ndarray, shape of the box, and int
        """
        return self.voxels.pop(roi, None) or self.reader.read_counted(roi.slices)


def survey_dataset(plan: SamplingPlan, folder: Path) -> Survey | None:
    """A dataset's boxes on the first overview that can be read and shows specimen; each that does not is said.

    None where there is no overview: boxes of padding are told when they are read.

    Raises
    ------
    ValueError
        If all there is shows nothing but padding.
    """
    empty = None
    for index in plan.overviews:
        path = overview_path(plan.image, index, folder, plan.dataset.name)
        try:
            fetch_overview(plan.image, index, path)
            seen = survey(plan.image, index, path, plan.index, plan.spans, plan.dataset.padding_value)
        except (OSError, ValueError) as error:
            warnings.warn(f"level {index} cannot be the overview, another takes its place: {error}", stacklevel=2)
            continue
        if seen.sample().size:
            return seen
        empty = index
    if empty is not None and plan.index in plan.overviews:
        raise ValueError(_no_specimen(plan, empty))
    why = f"level {empty} is empty" if empty is not None else f"no level of at most {LARGEST >> 20} MB can be read"
    warnings.warn(
        f"level {plan.index} has no overview ({why}): boxes are chosen without looking, those of padding are left out "
        "when they are read",
        stacklevel=2,
    )
    return None


def find_specimen(
    plan: SamplingPlan, seen: Survey | None, reader: LevelReader, folder: Path, known: Contrast | None = None
) -> Specimen:
    """The boxes that are worth taking and the contrast window of a dataset, unless it is `known` already.

    Raises
    ------
    ValueError
        If there are no boxes, or no specimen.
    """
    boxes = seen.candidates(plan.options.min_frac) if seen else Boxes(plan.spans)
    if seen and not boxes:
        raise ValueError(_no_specimen(plan, seen.level))
    if plan.options.mask:
        boxes = _masked(boxes, plan, folder)
    contrast = known or specimen_contrast(plan, seen)
    return Specimen(boxes, contrast, reader) if contrast else sample_cubes(plan, boxes, reader)


def specimen_contrast(plan: SamplingPlan, seen: Survey | None) -> Contrast | None:
    """The contrast window as far as type and overview tell it; None where cubes have to be read for it."""
    if plan.level.dtype == np.uint8 and not plan.options.stretch:
        return NO_CONTRAST
    return _window(seen.sample(), plan) if seen else None


def _no_specimen(plan: SamplingPlan, overview: int | None) -> str:
    return (
        f"none of {len(Boxes(plan.spans))} boxes is at least {plan.options.min_frac:.0%} specimen: level {overview} "
        f"holds mostly the padding value {plan.dataset.padding_value:g}"
    )


def sample_cubes(plan: SamplingPlan, boxes: Boxes, reader: LevelReader) -> Specimen:
    """The contrast window of a dataset without an overview, from cubes in the order in which they will be taken.

    Cubes are read until there are enough of specimen and their values differ, or boxes end.

    Raises
    ------
    ValueError
        If no specimen is found.
    """
    found = Specimen(boxes, NO_CONTRAST, reader)
    window: Contrast | None = None
    planes: list[np.ndarray] = []

    def read(roi: Roi) -> tuple[Roi, np.ndarray, int]:
        return roi, *reader.read_counted(roi.slices)

    for roi, voxels, refused in ordered_map(read, plan.draw(boxes), min(SAMPLED_CUBES, plan.threads)):
        planes.append(_few_planes(voxels, plan))
        _, why_padding = specimen_share(voxels, plan.fills, plan.options.min_frac)
        if why_padding:
            found.padding[roi] = why_padding
            continue
        if len(found.voxels) < SAMPLED_CUBES:
            found.voxels[roi] = voxels, refused
        window = _window(np.concatenate(planes), plan)
        if window and len(found.voxels) == SAMPLED_CUBES:
            break
    window = window or _window(np.concatenate(planes), plan)
    if window is None:
        raise ValueError(f"no specimen: each of {len(planes)} cubes that were read holds one value")
    found.contrast = window
    return found


def _few_planes(voxels: np.ndarray, plan: SamplingPlan) -> np.ndarray:
    """Some planes of a cube; of a short one the border is repeated, so that all have one size."""
    count = max(1, SAMPLE // (voxels.shape[1] * voxels.shape[2]))
    chosen = voxels[:: -(-len(voxels) // count)]
    sides = zip(chosen.shape[1:], plan.level.shape[1:], strict=True)
    short = [min(plan.crop, length) - side for side, length in sides]
    return np.pad(chosen, [(0, 0), (0, short[0]), (0, short[1])], "edge") if any(short) else chosen.copy()


def _window(planes: np.ndarray, plan: SamplingPlan) -> Contrast | None:
    """The contrast window of intensities; None where it would be of one value."""
    options, padding = plan.options, plan.dataset.padding_value
    picture = planes[not_padding(planes, padding)]
    if not picture.size or picture.min() == picture.max():
        return None
    contrast = measure_contrast(planes, options.contrast, stretch=options.stretch, padding=padding)
    return contrast if contrast.low < contrast.high else None


def _masked(boxes: Boxes, plan: SamplingPlan, folder: Path) -> Boxes:
    """Those boxes of which at least ``min_frac`` lies where the mask is not 0; refused where there is none."""
    options = plan.options
    with allowing_labels():
        mask = open_multiscale(str(options.mask), options.access)
        index = _level(mask)
        path = overview_path(mask, index, folder, f"{plan.dataset.name}-mask")
        fetch_overview(mask, index, path)
    level = mask.levels[index]
    scale = mask_ratio(plan, level)
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
    small = [i for i, level in enumerate(mask.levels) if not level.problem and level.nbytes <= LARGEST_MASK]
    if not small:
        raise ValueError(f"the mask has no level of at most {LARGEST_MASK >> 20} MB")
    return small[0]


def _alignment(image: Level, mask: Level, scale: Lengths) -> tuple[Triple, Triple]:
    """Mask voxels that cover the image, and where in the mask they begin: each may have an offset of its own."""
    shape = triple(max(1, math.ceil(length / r)) for length, r in zip(image.shape, scale, strict=True))
    own, theirs = (np.array(level.offset) for level in (image, mask))
    if mask.translation is not None:  # else its voxels are counted with the image's
        own, theirs = own + (image.translation or 0), theirs + mask.translation
    return shape, triple(map(round, (own / scale - theirs).tolist()))


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


def mask_ratio(plan: SamplingPlan, mask: Level) -> Lengths:
    """Image voxels per mask voxel, z, y, x: by the voxel sizes where they say that the mask covers another extent."""
    by_shape = [downsampling(a, b) for a, b in zip(plan.level.shape, mask.shape, strict=True)]
    size = mask.voxel_size
    if size is None:
        return triple(by_shape)
    by_size = [theirs / ours for theirs, ours in zip(size, plan.voxel_size, strict=True)]
    return triple(a if abs(a - b) <= SAME_SIDE * b else b for a, b in zip(by_shape, by_size, strict=True))
