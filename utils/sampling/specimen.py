"""Where the specimen of a dataset lies and which intensities it has: by an overview, or by reading cubes."""

import warnings
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from utils.contrast import NO_CONTRAST, Contrast, measure_contrast
from utils.ngff.read import LevelReader
from utils.parallel import ordered_map
from utils.sampling.mask import masked
from utils.sampling.overview import LARGEST, fetch_overview, overview_path, survey
from utils.sampling.padding import why_padding
from utils.sampling.plan import SamplingOptions, SamplingPlan, draw
from utils.sampling.rois import Boxes, Roi, not_padding
from utils.sampling.survey import SAMPLE, Survey

# Cubes of specimen that give the contrast of a dataset without an overview.
SAMPLED_CUBES = 4


@dataclass(frozen=True)
class Surveyed:
    """A dataset's boxes as its overview shows them.

    Attributes
    ----------
    survey : Survey, optional
        None where there is no overview: boxes of padding are told when they are read.
    level : int, optional
        The overview's.
    """

    survey: Survey | None = None
    level: int | None = None


@dataclass
class Specimen:
    """What can be taken of a dataset.

    Attributes
    ----------
    boxes : Boxes
        Worth taking, as far as is known before they are read.
    contrast : Contrast
        The dataset's one window.
    voxels : dict
        Cubes that were read for it, with the number of voxels that were refused.
    padding : dict
        Boxes that were read and are padding, with the reason.
    """

    boxes: Boxes
    contrast: Contrast
    voxels: dict[Roi, tuple[np.ndarray, int]] = field(default_factory=dict)
    padding: dict[Roi, str] = field(default_factory=dict)


def survey_dataset(plan: SamplingPlan, folder: Path, min_frac: float = 0.0) -> Surveyed:
    """The first overview that can be read and shows specimen; each that does not is said.

    Parameters
    ----------
    folder : Path
        Where overviews are kept.
    min_frac : float
        What a box has to hold; only said.

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
            return Surveyed(seen, index)
        empty = index
    if empty is not None and plan.index in plan.overviews:
        raise ValueError(_no_specimen(plan, empty, min_frac))
    why = f"level {empty} is empty" if empty is not None else f"no level of at most {LARGEST >> 20} MB can be read"
    warnings.warn(
        f"level {plan.index} has no overview ({why}): boxes are chosen without looking, those of padding are left out "
        "when they are read",
        stacklevel=2,
    )
    return Surveyed()


def find_specimen(
    plan: SamplingPlan,
    options: SamplingOptions,
    surveyed: Surveyed,
    reader: LevelReader,
    folder: Path,
    known: Contrast | None = None,
) -> Specimen:
    """The boxes that are worth taking and the contrast window of a dataset.

    Parameters
    ----------
    folder : Path
        Where overviews are kept.
    known : Contrast, optional
        The window that the dataset has already.

    Raises
    ------
    ValueError
        If there are no boxes, or no specimen.
    """
    seen, boxes = surveyed.survey, Boxes(plan.spans)
    if seen is not None:
        boxes = seen.candidates(options.min_frac)
        if not boxes:
            raise ValueError(_no_specimen(plan, surveyed.level or 0, options.min_frac))
    if options.mask:
        boxes = masked(boxes, plan, options, folder)
    contrast = known or specimen_contrast(plan, options, surveyed)
    return Specimen(boxes, contrast) if contrast else sample_cubes(plan, boxes, reader, options)


def specimen_contrast(plan: SamplingPlan, options: SamplingOptions, surveyed: Surveyed) -> Contrast | None:
    """The contrast window as far as type and overview tell it; None where cubes have to be read for it."""
    if plan.level.dtype == np.uint8 and not options.stretch:
        return NO_CONTRAST
    return _window(surveyed.survey.sample(), plan, options) if surveyed.survey else None


def _no_specimen(plan: SamplingPlan, overview: int, min_frac: float) -> str:
    return (
        f"none of {len(Boxes(plan.spans))} boxes is at least {min_frac:.0%} specimen: level {overview} holds mostly "
        f"the padding value {plan.dataset.padding_value:g}"
    )


def sample_cubes(plan: SamplingPlan, boxes: Boxes, reader: LevelReader, options: SamplingOptions) -> Specimen:
    """The contrast window of a dataset without an overview, from cubes in the order in which they will be taken.

    Cubes are read until there are enough of specimen and their values differ, or boxes end.

    Raises
    ------
    ValueError
        If no specimen is found.
    """
    found = Specimen(boxes, NO_CONTRAST)
    window: Contrast | None = None
    planes: list[np.ndarray] = []

    def read(roi: Roi) -> tuple[Roi, np.ndarray, int]:
        return roi, *reader.read_counted(roi.slices)

    in_flight = min(SAMPLED_CUBES, plan.threads(options.workers))
    for roi, voxels, refused in ordered_map(read, draw(boxes, options), in_flight):
        planes.append(_few_planes(voxels, plan))
        if why := why_padding(voxels, plan.fills, options.min_frac):
            found.padding[roi] = why
            continue
        if len(found.voxels) < SAMPLED_CUBES:
            found.voxels[roi] = voxels, refused
        window = _window(np.concatenate(planes), plan, options)
        if window and len(found.voxels) == SAMPLED_CUBES:
            break
    window = window or _window(np.concatenate(planes), plan, options)
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


def _window(planes: np.ndarray, plan: SamplingPlan, options: SamplingOptions) -> Contrast | None:
    """The contrast window of intensities; None where it would be of one value."""
    picture = planes[not_padding(planes, plan.dataset.padding_value)]
    if not picture.size or picture.min() == picture.max():
        return None
    contrast = measure_contrast(planes, options.contrast, stretch=options.stretch, padding=plan.dataset.padding_value)
    return contrast if contrast.low < contrast.high else None
