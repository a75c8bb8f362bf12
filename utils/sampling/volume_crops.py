"""Cubes of a local volume, chosen like those of an NGFF dataset."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from utils.contrast import measure_contrast
from utils.dataset_table import NOTHING_STATED, Stated
from utils.files import stem
from utils.jobs import SKIPPED, PassedOver
from utils.names import parse_roi, parsed
from utils.records.fingerprints import digest, glance
from utils.sampling.fetch import fill_budget, renewed
from utils.sampling.orphans import without_cubes
from utils.sampling.roi_crops import Crops
from utils.sampling.roi_record import RoiRecord, Settings, read_record
from utils.sampling.rois import Boxes, grid, shuffled
from utils.sampling.survey import Survey
from utils.volume_samples import why_labels_volume
from utils.volumes import Volume, has_slices, is_ngff, list_volumes, open_volume, volume_inputs, volume_name

# A cube is judged by this many slices, and by this many rows and columns of each.
SLICES, ROWS = 16, 32


@dataclass(frozen=True)
class CropOptions:
    """The command line's say about every volume."""

    crop_size: int = 256
    gigabytes: float = 5.0
    padding_value: float = 0.0
    min_frac: float = 0.7
    contrast: str = "percentile"
    seed: int = 0
    threads: int = 1
    update: bool = False
    keep_labels: bool = False
    listing: Path | None = None  # the folder that is gone through


def find_volumes(source: Path, cubes: Path) -> tuple[list[Path], list[Path], bool]:
    """Volumes that a path stands for, what else lies there, and whether the path is a folder of volumes.

    Cubes are neither, where their folder is the volumes', too.
    """
    if not source.is_dir() or is_ngff(source):
        return [source], [], False
    volumes, others = list_volumes(source)
    if source.resolve() == cubes.resolve():
        volumes = [path for path in volumes if not _is_cube(path)]
    if not volumes and has_slices(source):
        return [source], [], False
    return volumes, others, True


def _is_cube(path: Path) -> bool:
    """Whether a volume is a cube that lies beside the record of its dataset."""
    found = parsed(parse_roi, stem(path))
    return found is not None and path.with_name(f"{found[0]}.json").is_file()


def volume_bytes(path: Path) -> int:
    """Size of a volume's voxels in memory, compressed or not in the file."""
    with open_volume(path) as volume:
        z, y, x = volume.shape
        return z * y * x * volume.dtype.itemsize


def volume_target(path: Path, folder: Path) -> Path:
    """The record of a volume, which stands for its cubes."""
    return folder / f"{volume_name(path)}.json"


def survey_volume(volume: Volume, options: CropOptions) -> Survey:
    """Look at every few slices of a volume through its grid of boxes."""
    step, stride = max(1, options.crop_size // SLICES), max(1, options.crop_size // ROWS)
    z, y, x = volume.shape
    shape = (-(-z // step), -(-y // stride), -(-x // stride))
    boxes = grid(volume.shape, options.crop_size)
    seen = Survey(boxes, (step, stride, stride), shape, options.padding_value)
    for index in range(shape[0]):
        pixels = volume[index * step]
        seen.add(index, pixels[::stride, ::stride], pixels)
    return seen


def _chunk(volume: Volume) -> tuple[int, int, int]:
    level = getattr(volume, "level", None)
    return level.chunk if level is not None else (1, 1, 1)


def _candidates(seen: Survey, options: CropOptions) -> Boxes:
    """Boxes worth taking; refused where there is none."""
    found = seen.candidates(options.min_frac)
    if not found:
        raise ValueError(
            f"no box is at least {options.min_frac:.0%} specimen: the volume holds mostly the padding value "
            f"{options.padding_value:g}"
        )
    return found


def crop_volume(path: Path, options: CropOptions, target: Path, stated: Stated = NOTHING_STATED) -> str:
    """Crop cubes from one volume into the folder of its record; a voxel size that is stated overrules the header's.

    Raises
    ------
    PassedOver
        If it is a mask or a label map; cubes that were made of what it was before go with ``--update``.
    SomeFailed
        If cubes failed; the others are kept.
    ValueError, OSError
        If nothing can be taken.
    """
    with open_volume(path, stated) as volume:
        reason = "" if options.keep_labels else why_labels_volume(volume)
        if reason and not target.exists():
            raise PassedOver(reason)
        settings = _settings(path, volume, options, read_record(target).get("input"))
        if reason:
            return without_cubes(target, settings, options.update, reason, options.listing)
        return renewed(target, settings, options.update, partial(_crop, path, volume, options), options.listing)


def _crop(path: Path, volume: Volume, options: CropOptions, record: RoiRecord) -> str:
    if record.is_filled(options.gigabytes):  # before the survey, which reads a part of all there is
        return SKIPPED
    seen = survey_volume(volume, options)
    boxes = _candidates(seen, options)
    crops = Crops(
        volume_name(path),
        record.path.parent,
        lambda roi: (volume[roi.slices], 0),
        record.contrast or measure_contrast(seen.sample(), options.contrast, padding=options.padding_value),
        volume.voxel_size,
        fills=(options.padding_value,),
        share=seen.share,
    )
    return fill_budget(
        crops,
        lambda: shuffled(boxes, options.seed),
        options.gigabytes,
        record,
        threads=options.threads,
        chunk=_chunk(volume),
    )


def input_of(path: Path, before: list[int | str] | None) -> list[int | str]:
    """Size, time and digest of a volume's files; those that were recorded where the content is the same."""
    files = volume_inputs(path)[path.name]
    seen = glance(files)
    if before and (seen.size, seen.stamp) == (before[0], before[1]):
        return before
    content = digest(files)
    return before if before and (seen.size, content) == (before[0], before[2]) else [seen.size, seen.stamp, content]


def _settings(path: Path, volume: Volume, options: CropOptions, before: list[int | str] | None) -> Settings:
    return Settings(
        input=input_of(path, before),
        source=str(path.resolve()),
        volume_name=volume_name(path),
        seed=options.seed,
        crop_size=options.crop_size,
        min_frac=options.min_frac,
        padding_value=options.padding_value,
        contrast_method=options.contrast,
        voxel_size=list(volume.voxel_size) if volume.voxel_size else None,
        shape=list(volume.shape),
        dtype=volume.dtype.name,
    )
