"""What a dataset holds and what a run would take from it, in words; no voxel is fetched."""

from pathlib import Path

from utils.ngff.metadata import Level
from utils.ngff.table import Dataset
from utils.sampling.overview import overview_path
from utils.sampling.plan import GB, Options, Plan, by, overview_of, plan
from utils.sampling.rois import Boxes, shuffled, within


def describe(dataset: Dataset, options: Options, folder: Path) -> str:
    """Levels with shape, voxel size, dtype and bytes; candidate cubes; what would be downloaded.

    Candidates are exact when the overview was fetched by an earlier run, else the number of boxes before padding is
    told.
    """
    made = plan(dataset, options)
    lines = [f"{dataset.name}  {dataset.url}  ({made.image.format})"]
    lines += [_level_line(i, level, i == made.index) for i, level in enumerate(made.image.levels)]
    size = " x ".join(f"{length:g}" for length in made.voxel_size)
    lines.append(f"  level {made.index}: voxel size {size} nm (z, y, x)")
    return "\n".join([*lines, *(_crop_lines(made, options, folder) if dataset.crop else _whole_lines(made, options))])


def _level_line(index: int, level: Level, chosen: bool) -> str:
    size = " x ".join(f"{n:g}" for n in level.voxel_size) + " nm" if level.voxel_size else "voxel size not known"
    mark = "*" if chosen else " "
    return f" {mark}s{index}  {by(level.shape)} (z, y, x)  {size}  {level.dtype.name}  {_bytes(level.nbytes)}"


def _crop_lines(made: Plan, options: Options, folder: Path) -> list[str]:
    boxes, told = _boxes(made, options, folder)
    taken = within(shuffled(boxes, options.seed), options.gigabytes * GB)
    voxels = sum(roi.voxels for roi in taken)
    return [
        f"  {len(boxes)} candidate cubes of {made.crop} ({told})",
        f"  would download {len(taken)} cubes: {_bytes(voxels * made.level.dtype.itemsize)} read, {_bytes(voxels)} "
        f"written (-gb {options.gigabytes:g})",
    ]


def _boxes(made: Plan, options: Options, folder: Path) -> tuple[Boxes, str]:
    if made.overview is None:
        return Boxes(made.spans), "no overview: padding is told when they are read"
    if not overview_path(made.image, made.overview, folder, made.dataset.name).exists():
        size = _bytes(made.image.levels[made.overview].nbytes)
        return Boxes(made.spans), f"before padding is told from the overview, level {made.overview}, {size}"
    found = overview_of(made, folder).candidates(options.min_frac)
    return found, f"told from the overview, level {made.overview}"


def _whole_lines(made: Plan, options: Options) -> list[str]:
    voxels = made.level.nbytes // made.level.dtype.itemsize
    verdict = "would download" if voxels <= options.gigabytes * GB else f"more than -gb {options.gigabytes:g}: refused"
    return [f"  crop is false: the whole level, {_bytes(made.level.nbytes)} read, {_bytes(voxels)} written: {verdict}"]


def _bytes(count: float) -> str:
    units = ["B", "kB", "MB", "GB", "TB", "PB"]
    while count >= 1000 and len(units) > 1:
        count /= 1000
        units.pop(0)
    return f"{count:.3g} {units[0]}"
