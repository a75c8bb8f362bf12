"""Cubes of a local volume, chosen like those of an NGFF dataset."""

from dataclasses import dataclass
from pathlib import Path

from utils.contrast import measure_contrast
from utils.files import list_files
from utils.images import IMAGE_SUFFIXES
from utils.sampling.roi_crops import Crops
from utils.sampling.roi_record import Record, take
from utils.sampling.rois import Boxes, Survey, grid, shuffled, within
from utils.volumes import Volume, is_ngff, list_volumes, open_volume, volume_name

GB = 10**9
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


def find_volumes(source: Path) -> tuple[list[Path], list[Path], bool]:
    """Volumes that a path stands for, what else lies there, and whether the path is a folder of volumes."""
    if not source.is_dir() or is_ngff(source):
        return [source], [], False
    volumes, others = list_volumes(source)
    if not volumes and sum(path.suffix.lower() in IMAGE_SUFFIXES for path in list_files(source)) > 1:
        return [source], [], False
    return volumes, others, True


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
    boxes = grid(volume.shape, options.crop_size, _chunk(volume))
    seen = Survey(boxes, (step, stride, stride), shape, options.padding_value)
    for index in range(shape[0]):
        seen.add(index, volume[index * step : index * step + 1][0, ::stride, ::stride])
    return seen


def _chunk(volume: Volume) -> tuple[int, int, int]:
    level = getattr(volume, "level", None)
    return level.chunk if level is not None else (1, 1, 1)


def choose(volume: Volume, seen: Survey, options: CropOptions) -> Boxes:
    """Boxes worth taking.

    Raises
    ------
    ValueError
        If there are none.
    """
    if not Boxes(seen.spans):
        size = " x ".join(map(str, volume.shape))
        raise ValueError(
            f"no box of {options.crop_size} fits a volume of {size}: a box at the border must be at least half as "
            "large in each axis; choose a smaller --crop-size"
        )
    found = seen.candidates(options.min_frac)
    if not found:
        raise ValueError(
            f"no box is at least {options.min_frac:.0%} specimen: the volume holds mostly the padding value "
            f"{options.padding_value:g}"
        )
    return found


def crop_volume(path: Path, options: CropOptions, target: Path) -> str:
    """Crop cubes from one volume into the folder of its record.

    Raises
    ------
    SomeFailed
        If cubes failed; the others are kept.
    ValueError, OSError
        If nothing can be taken.
    """
    with open_volume(path) as volume:
        record = Record(target, _settings(path, volume, options))
        seen = survey_volume(volume, options)
        found = choose(volume, seen, options)
        contrast = record.contrast or measure_contrast(seen.sample(), options.contrast)
        fills = (options.padding_value,)
        crops = Crops(target.stem, target.parent, volume.__getitem__, contrast, volume.voxel_size, fills=fills)
        kept = record.kept(crops)
        chosen = within(shuffled(found, options.seed), options.gigabytes * GB, kept)
        if not chosen:
            raise ValueError(f"-gb {options.gigabytes:g} is less than one cube ({found[0].voxels / GB:g})")
        return take(crops, chosen, kept, record, options.threads)


def _settings(path: Path, volume: Volume, options: CropOptions) -> dict:
    return {
        "source": str(path.resolve()),
        "volume_name": volume_name(path),
        "level": None,
        "seed": options.seed,
        "crop_size": options.crop_size,
        "min_frac": options.min_frac,
        "padding_value": options.padding_value,
        "invert": False,
        "voxel_size": list(volume.voxel_size) if volume.voxel_size else None,
        "shape": list(volume.shape),
        "dtype": volume.dtype.name,
        "overview_level": None,
    }
