"""A row of a table as patchify3d reads it: the cubes that ngff_download would bring, and the dataset's contrast."""

from dataclasses import replace
from functools import partial
from pathlib import Path

from utils.contrast import NO_CONTRAST, Contrast
from utils.names import parse_level
from utils.ngff.multiscale import NgffVolume
from utils.outliers import OutlierRange
from utils.records.recipes import discard
from utils.sampling.overview import discard_overviews
from utils.sampling.plan import SamplingOptions, SamplingPlan, plan_sampling
from utils.sampling.rois import Boxes, Roi, boxes_that_fit, choose_without_padding
from utils.sampling.specimen import find_specimen, survey_dataset
from utils.sampling.survey import specimen_share
from utils.sources import VolumeSource


def candidate_cubes(source: VolumeSource, options: SamplingOptions) -> list[Roi]:
    """The cubes of a sampled row before any voxel is looked at: their number is right, padding is not yet told."""
    plan = _planned(source, options)
    return sorted(boxes_that_fit(plan.draw(Boxes(plan.spans)), plan.budget))


def sampled_cubes(source: VolumeSource, options: SamplingOptions, folder: Path) -> tuple[list[Roi], Contrast]:
    """The cubes of a sampled row that ngff_download would bring, and its contrast window, inverted as the row says.

    Level and budget are the source's; the overview is kept in `folder`.

    Raises
    ------
    ValueError, OSError
        If the dataset cannot be read, or holds no specimen.
    """
    plan = _planned(source, options)
    reader = plan.open_level()
    seen = survey_dataset(plan, folder)
    found = find_specimen(plan, seen, reader, folder)
    tried: set[Roi] = set()

    def find_padding(chosen: list[Roi]) -> dict[Roi, str]:
        if seen:  # has told beforehand
            return {}
        new = [roi for roi in chosen if roi not in tried]
        tried.update(new)
        told = {roi: specimen_share(found.read(roi)[0], plan.fills, plan.options.min_frac)[1] for roi in new}
        return {roi: why_padding for roi, why_padding in told.items() if why_padding}

    cubes = choose_without_padding(partial(plan.draw, found.boxes), plan.budget, dict(found.padding), find_padding)
    reader.close()
    if not cubes:
        raise ValueError(f"no cube of {plan.crop} voxels a side fits into -gb {plan.options.gigabytes:g}")
    level = plan.image.open_level(plan.index, invert=plan.dataset.invert)
    return sorted(cubes), _shown_contrast(found.contrast, level)


def discard_sampled(result: Path) -> None:
    """Remove what was made of a row, and the overviews of its image."""
    discard_overviews(result.parent, parse_level(result.stem)[0])
    discard(result)


def _planned(source: VolumeSource, options: SamplingOptions) -> SamplingPlan:
    if source.row is None or source.gigabytes is None:
        raise ValueError(f"{source}: is no row of a table that is sampled")
    return plan_sampling(source.row, replace(options, level=source.level, gigabytes=source.gigabytes))


def _shown_contrast(contrast: Contrast, volume: NgffVolume) -> Contrast:
    """A window of stored intensities for those that reading returns, which may be mirrored."""
    if not volume.invert or contrast == NO_CONTRAST:
        return contrast
    left_out = tuple(
        OutlierRange(volume.shown(part.high), volume.shown(part.low), part.share)
        for part in reversed(contrast.left_out)
    )
    return replace(contrast, low=volume.shown(contrast.high), high=volume.shown(contrast.low), left_out=left_out)
