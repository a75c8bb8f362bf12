"""The taking: cubes of a dataset until a budget is filled, or a whole level; further or anew, with a record of how."""

import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from utils.axes import Triple
from utils.contrast import to_uint8
from utils.files import atomic_path, remove
from utils.formats.volume_base import Region
from utils.formats.writers import nrrd_header
from utils.jobs import SKIPPED, Outdated, SomeFailed
from utils.ngff.read import LevelReader
from utils.sampling.orphans import discard_cubes
from utils.sampling.overview import BLOCK_BYTES, blocks, write_blocks
from utils.sampling.plan import SamplingPlan
from utils.sampling.roi_crops import Crops, Failure, make_crops
from utils.sampling.roi_record import RoiRecord, Settings
from utils.sampling.rois import GB, Boxes, Roi, choose_without_padding, is_whole
from utils.sampling.specimen import find_specimen, sample_cubes, specimen_contrast, survey_dataset
from utils.sampling.survey import PaddingError, Survey, not_padding


def sample(plan: SamplingPlan, folder: Path) -> str:
    """Bring cubes (or, without crop, the whole level) of one dataset into a folder, with a record of how.

    Raises
    ------
    SomeFailed
        If cubes failed; the others are kept.
    ValueError, OSError
        If nothing can be taken.
    """
    # What was made otherwise is kept, and said before anything is fetched.
    path = folder / f"{plan.dataset.name}.json"
    outdated = RoiRecord(path, plan.settings(None), plan.options.listing).outdated
    if outdated and not plan.options.update:
        return Outdated(outdated)
    reader = plan.open_level()
    seen = survey_dataset(plan, folder) if plan.is_surveyed else None
    settings = plan.settings(seen.level if seen and plan.dataset.crop else None)

    def make(record: RoiRecord) -> str:
        if plan.dataset.crop:
            return _fetch_cubes(plan, record, seen, reader, folder)
        return _fetch_whole(plan, record, seen, reader)

    return renewed(path, settings, plan.options.update, make, plan.options.listing)


def _fetch_cubes(
    plan: SamplingPlan, record: RoiRecord, seen: Survey | None, reader: LevelReader, overviews: Path
) -> str:
    """Bring cubes of a dataset, as many as ``-gb`` allows; overviews are kept in the folder `overviews`."""
    found = find_specimen(plan, seen, reader, overviews, record.contrast)
    crops = Crops(
        plan.name,
        record.path.parent,
        found.read,
        found.contrast,
        plan.voxel_size,
        invert=plan.dataset.invert,
        fills=plan.fills,
        min_frac=0.0 if seen else plan.options.min_frac,
        share=seen.share if seen else None,
        offset=plan.level.offset,
    )
    return fill_budget(
        crops,
        lambda: plan.draw(found.boxes),
        plan.options.gigabytes,
        record,
        threads=plan.threads,
        chunk=plan.level.chunk,
        padding={} if seen else found.padding,
    )


def _fetch_whole(plan: SamplingPlan, record: RoiRecord, seen: Survey | None, reader: LevelReader) -> str:
    """Bring a whole level, if ``-gb`` allows, into one file, block by block; refuse one of missing chunks only."""
    level, target = plan.level, record.path.with_name(f"{plan.name}.nrrd")
    size = math.prod(level.shape)
    if size > plan.budget:
        raise ValueError(
            f"level {plan.index} is {size / GB:.3g} GB as uint8, more than -gb "
            f"{plan.options.gigabytes:g}; raise -gb, choose a coarser level, or set crop to true"
        )
    contrast = record.contrast or specimen_contrast(plan, seen)
    contrast = contrast or sample_cubes(plan, Boxes(plan.spans), reader).contrast
    record.save_whole(target, contrast)  # also where a killed run left the level without its record
    if is_whole(target, Roi.of(level.shape)):
        return SKIPPED
    empty = True

    def read(box: Region) -> np.ndarray:
        nonlocal empty
        voxels = reader.read(box)
        empty = empty and not not_padding(voxels, level.fill).any()
        gray = to_uint8(voxels, contrast)
        return np.invert(gray, out=gray) if plan.dataset.invert else gray

    with atomic_path(target) as scratch, scratch.open("wb") as file:
        file.write(nrrd_header(level.shape, np.uint8, plan.voxel_size))
        boxes = blocks(level.shape, level.chunk, BLOCK_BYTES, level.dtype.itemsize)
        write_blocks(file, level.shape, np.uint8, boxes, read)
        if empty:
            raise PaddingError(f"every voxel is {level.fill:g} (chunks are missing): nothing was written")
    record.save_whole(target, contrast)
    return f"{size / GB:.3g} GB brought"


def renewed(
    path: Path, settings: Settings, update: bool, make: Callable[[RoiRecord], str], listing: Path | None = None
) -> str:
    """Make a dataset, or go on with it; what is outdated stays, unless it is to be updated.

    With `update` there is then what a fresh run would leave: other choices of earlier runs go, too. `make` makes cubes,
    and the record beside them; `listing` is `RoiRecord`'s.

    Raises
    ------
    SomeFailed
        If cubes failed, in `make`; what is replaced stays then as it was.
    """
    record = RoiRecord(path, settings, listing)
    reason = record.outdated
    if reason and not update:
        return Outdated(reason)
    if not update or not record.earlier or (reason is None and record.is_fresh):
        return make(record)
    # A dead run's scratch folder is swept away with its lock, as every target's.
    scratch = path.with_name(f".{path.name}.part")
    remove(scratch)
    try:
        message = make(RoiRecord(scratch / path.name, settings))
        _replace_cubes(path, scratch)
    except SomeFailed as error:  # by the names that the cubes would have
        raise SomeFailed({str(path.with_name(Path(file).name)): why for file, why in error.failures.items()}) from None
    finally:
        remove(scratch)
    return f"{message}, in place of the earlier ones"


def _replace_cubes(path: Path, scratch: Path) -> None:
    """Put whole new cubes in the place of the old ones: those go first, then comes the record.

    So a kill leaves no cube beside a record that says it was made otherwise, or that does not name it.
    """
    discard_cubes(path)
    (scratch / path.name).replace(path)
    for file in sorted(scratch.iterdir()):
        if file.name.endswith(".nrrd"):
            file.replace(path.with_name(file.name))


def fill_budget(
    crops: Crops,
    order: Callable[[], Iterator[Roi]],
    gigabytes: float,
    record: RoiRecord,
    *,
    threads: int,
    chunk: Triple,
    padding: Mapping[Roi, str] | None = None,
) -> str:
    """Make the cubes of a dataset that are missing; `order` and `padding` are what `choose_without_padding` takes.

    Raises
    ------
    SomeFailed
        If cubes failed; the others are kept.
    ValueError
        If there is none to make.
    """
    crops = replace(crops, files=record.existing(crops.folder, crops.name))
    kept, empty = record.kept(crops.files), {**record.padding, **(padding or {})}
    known, failures, written = len(empty), dict[Roi, Failure](), 0

    def find_padding(chosen: list[Roi]) -> Mapping[Roi, str]:
        nonlocal written
        missing = [roi for roi in chosen if roi not in failures and not is_whole(crops.path(roi), roi)]
        # Before the cubes: it fixes their contrast.
        record.save(crops, chosen, kept, padding=empty, failures=failures, gigabytes=gigabytes)
        found, failed = make_crops(crops, missing, threads, chunk)
        failures.update(failed)
        written += len(missing) - len(found)
        return found

    chosen = choose_without_padding(order, gigabytes * GB, empty, find_padding, kept)
    if not chosen:
        raise ValueError(_nothing(order(), empty, gigabytes))
    record.save(crops, chosen, kept, padding=empty, failures=failures, gigabytes=gigabytes)
    if len(empty) > known:
        said = list(empty.values())[-1]
        warnings.warn(f"{len(empty) - known} cubes were read for nothing and left out: {said}", stacklevel=2)
    if failures:
        raise SomeFailed({str(crops.path(roi)): failure.reason for roi, failure in failures.items()})
    size = sum(roi.voxels for roi in chosen) / GB
    return f"{written} cubes made, {len(chosen)} there ({size:.3g} GB)" if written else SKIPPED


def _nothing(order: Iterator[Roi], empty: Mapping[Roi, str], gigabytes: float) -> str:
    first = next((roi for roi in order if roi not in empty), None)
    if first is None:
        return f"no specimen: {len(empty)} boxes were read, and of each {next(iter(empty.values()), 'nothing')}"
    return f"-gb {gigabytes:g} is less than one cube ({first.voxels / GB:g})"
