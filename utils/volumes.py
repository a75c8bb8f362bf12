"""Volumes: open any 3D format as (z, y, x) with its voxel size in nm; list and name them."""

import contextlib
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path

from utils.contact_sheet import MONTAGES, SHEETS
from utils.dataset_table import NOTHING_STATED, TABLE_NAME, Stated
from utils.files import NGFF_ENDING, is_there, list_entries, list_files, stem, stem_of_file, suffix
from utils.formats import metaimage, nifti, nrrd_reader
from utils.formats.hdf5 import HDF5_SUFFIXES, open_hdf5
from utils.formats.itk import open_itk
from utils.formats.mrc import MRC_SUFFIXES, open_mrc
from utils.formats.slice_files import are_named, slice_files
from utils.formats.slice_folder import open_slices
from utils.formats.tiff_stack import open_tiff
from utils.formats.volume_base import Volume
from utils.images import IMAGE_SUFFIXES
from utils.names import is_patch_name, is_video, level_name
from utils.reading import first_bytes
from utils.records.recipes import stage_of
from utils.tiff_pages import TIFF_SUFFIXES

__all__ = ["Volume", "has_slices", "is_isotropic", "is_ngff", "list_volumes", "open_volume", "volume_name"]


def _refuse_dm(path: Path) -> Volume:
    raise ValueError(
        f"{suffix(path)} is Gatan DigitalMicrograph's own format: convert it with IMOD's dm2mrc, or ncempy in Python"
    )


PACKED_MRC = frozenset(end + packed for end in MRC_SUFFIXES for packed in (".gz", ".bz2"))
OPENERS: dict[str, Callable[[Path], Volume]] = {
    **dict.fromkeys(MRC_SUFFIXES | PACKED_MRC, open_mrc),
    **dict.fromkeys((".nrrd", ".nhdr"), nrrd_reader.open_nrrd),
    **dict.fromkeys((".mha", ".mhd"), metaimage.open_metaimage),
    **dict.fromkeys((".nii", ".nii.gz", ".hdr", ".hdr.gz", ".img", ".img.gz"), nifti.open_nifti),
    **dict.fromkeys(TIFF_SUFFIXES, open_tiff),
    **dict.fromkeys((".gipl", ".gipl.gz", ".vtk", ".mnc", ".pic", ".dcm", ".dicom", ".spr"), open_itk),
    **dict.fromkeys(HDF5_SUFFIXES, open_hdf5),
    **dict.fromkeys((".dm3", ".dm4"), _refuse_dm),
}
# Headers whose voxels lie in another file: of the same name, or of one that they name.
PAIRED = frozenset({".hdr", ".hdr.gz", ".spr"})
DETACHED = PAIRED | {".nhdr", ".mhd"}
_HALVES = frozenset({".img", ".img.gz"})
_LONGEST_INFO = 1 << 25
_MOST_SLICES = 100_000  # of those in files of their own
NGFF_FILES = (".zattrs", ".zgroup", ".zarray", "zarr.json", "attributes.json")
# z may differ from x and y by a quarter before slices along x and y would look squeezed.
ANISOTROPY = 0.25


def open_volume(source: Path | str, stated: Stated = NOTHING_STATED) -> Volume:
    """Open a volume file, a folder of slices, an OME-Zarr, N5 or precomputed folder, or a URL of one.

    Only the header is read; voxels are when the volume is indexed: ``volume[z0:z1, y0:y1, x0:x1]``. A voxel size that
    is stated elsewhere overrules the header's.

    Raises
    ------
    ValueError, OSError
        If it cannot be read; the message is one sentence.
    """
    return stated.applied(_open(source))


def _open(source: Path | str) -> Volume:
    path = Path(source)
    if _is_url(source) or is_ngff(path):
        from utils.ngff.multiscale import open_volume_level

        return open_volume_level(source)
    if path.is_dir():
        return open_slices(path)
    if not path.exists():
        raise FileNotFoundError(f"{path.name}: no such volume")
    opener = OPENERS.get(suffix(path))
    if opener is None:
        raise ValueError(f"no volume format is known by the suffix {suffix(path) or path.name!r}")
    if path.stat().st_size == 0:
        raise ValueError("the file is empty")
    return opener(path)


def volume_name(source: Path | str) -> str:
    """The name that patches carry: without suffix; of a multiscale image with the level its address chooses, or 0."""
    if _is_url(source):
        return level_name(source)
    path = source if isinstance(source, Path) else Path(source)
    if not path.is_dir():
        return stem_of_file(path)
    return level_name(path) if is_ngff(path) else stem(path)


def volume_inputs(source: Path | str) -> dict[str, tuple[Path, ...]]:
    """The files that a volume is made of, by its name in its folder, as a recipe takes them; none of a URL's."""
    if _is_url(source) and not str(source).startswith("file://"):
        return {str(source): ()}
    path = Path(source)
    return {path.name: (path, *(data for data in data_files(path) if is_there(data)))}


def list_volumes(folder: Path) -> tuple[list[Path], list[Path]]:
    """Volumes directly in a folder, and what else lies there.

    Volumes are files of a known format, folders of at least two slices, OME-Zarr/N5/precomputed folders. In
    neither list is the data file of a detached header, which belongs to its header, nor hidden and system files, nor
    the table of datasets.
    """
    entries = list_entries(folder)
    ends = [suffix(f) for f in entries.files]
    owned = {data for f, end in zip(entries.files, ends, strict=True) if end in DETACHED for data in own_data(f)}
    volumes: list[Path] = []
    others: list[Path] = []
    for path, end in zip(entries.files, ends, strict=True):
        if not (owned and path in owned) and (end != ".csv" or path.name != TABLE_NAME):
            (volumes if end in OPENERS else others).append(path)
    for path in entries.folders:
        (volumes if _may_be_volume(path) else others).append(path)
    return volumes, others + entries.special


def _may_be_volume(folder: Path) -> bool:
    """Whether a folder is a volume; one that may not be looked into is to fail by its name, not all others with it."""
    try:
        return is_ngff(folder) or has_slices(folder)
    except OSError:
        return True


def is_isotropic(volume: Volume) -> bool:
    """Whether slices along x and y are worth cutting: z spacing within 25 % of y's and x's, and no video.

    A missing voxel size counts as isotropic; `Volume.voxel_size` says so once.
    """
    if is_video(volume.name):
        return False
    size = volume.voxel_size
    if size is None:
        return True
    z, y, x = size
    return all(abs(z - side) <= ANISOTROPY * side * (1 + 1e-6) for side in (y, x))


def _is_url(source: Path | str) -> bool:
    return isinstance(source, str) and "://" in source


def is_ngff(folder: Path) -> bool:
    """Whether a folder is an OME-Zarr, N5 or precomputed image, by its name or its metadata."""
    if not folder.is_dir():
        return False
    if NGFF_ENDING.search(folder.name):
        return True
    info = folder / "info"  # precomputed; a name that notes beside slices may have, too
    with contextlib.suppress(OSError):  # may not be looked into
        return any((folder / name).is_file() for name in NGFF_FILES) or (
            info.is_file() and b'"scales"' in first_bytes(info, _LONGEST_INFO)
        )
    return False


def has_slices(folder: Path) -> bool:
    """Whether a folder holds at least two images, the slices of a volume; kept patches and montages are none."""
    images = [f for f in list_files(folder) if suffix(f) in IMAGE_SUFFIXES]
    return len(images) >= 2 and not (_shows_patches(images[0]) and _shows_patches(images[-1]))


def _shows_patches(image: Path) -> bool:
    """Whether an image is a patch or a stack of slices, or a picture of those in the folder beside it."""
    if is_patch_name(stem_of_file(image)):
        return True
    return suffix(image) == ".png" and (image.with_suffix("").is_dir() or stage_of(image) in (SHEETS, MONTAGES))


def data_files(header: Path) -> list[Path]:
    """Files that only hold the voxels of a detached header."""
    end = suffix(header)
    if end in PAIRED:
        base = header.name[: -len(end)]
        return [header.with_name(base + data) for data in (".img", ".img.gz", ".sdt")]
    try:
        data_file = _data_file(header)
    except (ValueError, OSError):  # a damaged header fails by itself, later
        return []
    if not data_file:
        return []
    names: Iterable[str] = [data_file]
    if are_named(data_file):
        with contextlib.suppress(ValueError, OSError):  # what is no numbering is the name of one file
            names = islice(slice_files(header, data_file)[1], _MOST_SLICES)
    return [header.parent / name for name in names]


def _data_file(header: Path) -> str | None:
    if suffix(header) in (".nhdr", ".nrrd"):
        return nrrd_reader.read_header(header).data_file
    return metaimage.read_header(header)[0]["ElementDataFile"] if suffix(header) in (".mhd", ".mha") else None


def own_data(header: Path) -> list[Path]:
    """Of its data files those that are no volumes by themselves: a header may name any file, another volume, too."""
    return [data for data in data_files(header) if (end := suffix(data)) not in OPENERS or end in _HALVES]
