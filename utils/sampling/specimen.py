"""Where the specimen of a dataset lies and which intensities it has: by an overview, or by reading cubes."""

import warnings
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from utils.contrast import Contrast, measure_contrast
from utils.ngff.read import LevelReader
from utils.parallel import ordered_map
from utils.sampling.overview import LARGEST, fetch_overview, overview_path, survey
from utils.sampling.plan import SamplingOptions, SamplingPlan, draw
from utils.sampling.roi_crops import PaddingError, specimen_share
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


def survey_dataset(plan: SamplingPlan, options: SamplingOptions, folder: Path) -> Surveyed:
    """The first overview that can be read and shows specimen; each that does not is said.

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
        raise ValueError(no_specimen(plan, empty, options.min_frac))
    why = f"level {empty} is empty" if empty is not None else f"no level of at most {LARGEST >> 20} MB can be read"
    warnings.warn(
        f"level {plan.index} has no overview ({why}): boxes are chosen without looking, those of padding are left out "
        "when they are read",
        stacklevel=2,
    )
    return Surveyed()


def no_specimen(plan: SamplingPlan, overview: int, min_frac: float) -> str:
    """The sentence for a dataset without a box that is worth taking."""
    return (
        f"none of {len(Boxes(plan.spans))} boxes is at least {min_frac:.0%} specimen: level {overview} holds mostly "
        f"the padding value {plan.dataset.padding_value:g}"
    )


@dataclass
class SampledCubes:
    """Cubes that were read for the contrast: its window, the voxels of the good ones, the others' reasons."""

    contrast: Contrast
    voxels: dict[Roi, tuple[np.ndarray, int]] = field(default_factory=dict)
    padding: dict[Roi, str] = field(default_factory=dict)


def sample_cubes(plan: SamplingPlan, boxes: Boxes, reader: LevelReader, options: SamplingOptions) -> SampledCubes:
    """The contrast window of a dataset without an overview, from cubes in the order in which they will be taken.

    Cubes are read until there are enough of specimen and their values differ, or boxes end.

    Raises
    ------
    ValueError
        If no specimen is found.
    """
    found = SampledCubes(measure_contrast(np.zeros(1, np.uint8)))
    window: Contrast | None = None
    values: list[np.ndarray] = []
    fills = tuple(dict.fromkeys((plan.dataset.padding_value, plan.level.fill)))

    def read(roi: Roi) -> tuple[Roi, np.ndarray, int]:
        return roi, *reader.read_counted(roi.slices)

    for roi, voxels, refused in ordered_map(
        read, draw(boxes, options), min(SAMPLED_CUBES, plan.threads(options.workers))
    ):
        part = voxels.reshape(-1)[:: -(-voxels.size // SAMPLE)]
        values.append(part[not_padding(part, plan.dataset.padding_value)].copy())
        try:
            specimen_share(voxels, fills, options.min_frac)
        except PaddingError as error:
            found.padding[roi] = str(error)
            continue
        if len(found.voxels) < SAMPLED_CUBES:
            found.voxels[roi] = voxels, refused
        window = _window(np.concatenate(values), options.contrast)
        if window and len(found.voxels) == SAMPLED_CUBES:
            break
    window = window or _window(np.concatenate(values), options.contrast)
    if window is None:
        raise ValueError(f"no specimen: each of {len(values)} cubes that were read holds one value")
    found.contrast = window
    return found


def _window(values: np.ndarray, method: str) -> Contrast | None:
    """The contrast window of intensities; None where it would be of one value."""
    if not values.size:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a constant sample is no finding: more cubes are read
        contrast = measure_contrast(values, method)
    return contrast if contrast.low < contrast.high else None
