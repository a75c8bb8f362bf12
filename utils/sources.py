"""Where volumes come from: folders, single files, URLs, tables of URLs; each under the name its patches carry."""

import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from utils.axes import triple
from utils.cli import UsageError, as_usage_errors
from utils.dataset_table import HEADERS_ONLY, NOT_GIVEN, NOTHING_STATED, DatasetTable, Stated, TableOptions
from utils.files import expanded, stem, stem_of_file, walk
from utils.names import format_level, is_patch_name, is_table, parse_level
from utils.volumes import Volume, has_slices, is_ngff, list_volumes, open_volume, volume_inputs

if TYPE_CHECKING:
    from utils.ngff.dataset import Dataset

# A file of this size is worth all processes at once; smaller ones are better done side by side.
LARGE_BYTES = 32 << 20


@dataclass(frozen=True)
class VolumeSource:
    """A volume that can be opened."""

    name: str  # what patches of it are called; of an NGFF image it ends in ``_s{level}``
    address: Path | str  # file, folder or URL
    level: int | None = None  # of an NGFF image
    row: "Dataset | None" = None  # of an NGFF image: its address and what a table says of it
    stated: Stated = NOTHING_STATED  # what a table of datasets or the command line states about it
    gigabytes: float | None = None  # of a row that is sampled: what cubes of it may hold; None for all there is

    @property
    def problem(self) -> str:
        """Why a table's row cannot be used; opening it raises ValueError with this."""
        return self.row.problem if self.row else ""

    def __str__(self) -> str:
        return str(self.row or self.address)

    def open(self) -> Volume:
        """Open the volume; only its header is read."""
        volume: Volume = self.row.open(self.level) if self.row else open_volume(self.address, self.stated)
        if self.row:
            volume = self.stated.applied(volume)
        volume.name = self.name
        return volume

    def inputs(self) -> dict[str, tuple[Path, ...]]:
        """What it is made of, as a recipe takes it; addresses without their secrets."""
        if self.row and "://" in self.row.url:
            return {str(self.row): ()}
        return volume_inputs(Path(self.row.url) if self.row else self.address)

    def options(self) -> dict[str, object]:
        """What decides its voxels besides, as a recipe takes it."""
        stated = {**self.stated.options(), "table": dict(self.stated.fields)}
        if self.row is None:
            return stated
        row = self.row
        said = {"invert": row.invert, "padding-value": row.padding_value, "row-voxel-size": list(row.given_size)}
        sampled = {} if self.gigabytes is None else {"cubes": row.crop_size, "gb": self.gigabytes}
        return {"level": self.level, **said, **sampled, **stated}

    def is_large(self) -> bool:
        """Whether one volume keeps several processes busy; folders and URLs count as large."""
        if not (isinstance(self.address, Path) and self.address.is_file()):
            return True
        files = [path for paths in volume_inputs(self.address).values() for path in paths]  # a header's voxels, too
        return sum(path.stat().st_size for path in files) >= LARGE_BYTES

    def is_worth_spreading(self) -> bool:
        """Whether parts of it can be read on many machines at once, and are enough for that."""
        if not self.is_large() or self.row is not None:
            return self.is_large()
        try:
            with warnings.catch_warnings(action="ignore"), self.open() as volume:
                return volume.streams
        except (OSError, ValueError):  # who opens it for its voxels says so
            return False


def volume_sources(
    where: str,
    level: int | None = None,
    table_options: TableOptions = HEADERS_ONLY,
    *,
    recursive: bool = False,
    gigabytes: float | None = None,
) -> tuple[list[VolumeSource], list[Path]]:
    """The volumes that an argument stands for, and what lies beside them and is none.

    Parameters
    ----------
    where : str
        A folder of volumes, one volume (file, NGFF folder), the URL of an NGFF image, or a CSV of such.
    level : int, optional
        Of NGFF images, where a table does not say; 0 by default.
    table_options : TableOptions
        Where voxel sizes and provenance come from besides headers.
    recursive : bool
        Take the volumes in folders within the folder, too, each named by its path.
    gigabytes : float, optional
        Of a table of addresses: what may be taken of each row that does not ask for the whole level.

    Raises
    ------
    UsageError
        If nothing is there, or no volume.
    """
    sources, passed_over, folder = _found(where, level, recursive=recursive)
    if gigabytes is not None and is_table(where):
        sources = [replace(s, gigabytes=gigabytes) if s.row and s.row.crop else s for s in sources]
    table = table_options.in_folder(folder)
    if table_options.table is None and folder == expanded(where):
        table.say_unmatched([source.name for source in sources], table_options.quiet)
    if table.rows or table.everywhere != NOT_GIVEN:
        sources = [_with_statement(source, table) for source in sources]
    return sources, [p for p in passed_over if p != table.path]


def _with_statement(source: VolumeSource, table: DatasetTable) -> VolumeSource:
    """A source with what a table states about it; of an image with levels a size is for the finest, by its name."""
    stated = table.of(source.name)
    if source.row and source.level and stated.voxel_size == NOT_GIVEN:
        finest = table.of(parse_level(source.name)[0]).voxel_size
        size = triple(a or b for a, b in zip(finest, source.row.given_size, strict=True))
        return replace(source, stated=stated, row=replace(source.row, given_size=size))
    return replace(source, stated=stated)


def nested_volumes(folder: Path) -> list[Path]:
    """Volumes deeper than directly in a folder, in natural order.

    What lies in a folder of slices is none, nor are kept patches and stacks, which were cut from a volume.
    """
    volumes: set[Path] = set()
    found: list[Path] = []
    for place in walk(folder, lambda inner: inner not in volumes):
        own = list_volumes(place)[0]
        volumes.update(own)
        if place != folder:
            found += [path for path in own if not is_patch_name(stem_of_file(path))]
    return found


def _found(where: str, level: int | None, *, recursive: bool) -> tuple[list[VolumeSource], list[Path], Path | None]:
    """Volumes, what lies beside them and is none, and the folder that they lie in."""
    if "://" in where:
        return [_ngff_source(where, level)], [], None
    path = expanded(where)
    if is_table(where) and path.is_file():
        return _table(path, level), [], None
    if path.is_file() or (path.is_dir() and is_ngff(path)):
        return [_source(path, level)], [], path.parent
    if not path.is_dir():
        raise UsageError(f"{where}: no such folder, file or CSV")
    volumes, passed_over = list_volumes(path)
    if not volumes and has_slices(path):
        return [_source(path, level)], [], path.parent
    nested = nested_volumes(path) if recursive or not volumes else []
    sources = [_source(volume, level) for volume in volumes]
    if recursive:
        sources += [_named_by_path(_source(volume, level), volume.relative_to(path)) for volume in nested]
        passed_over = [other for other in passed_over if not any(other in volume.parents for volume in nested)]
    if not sources:
        raise UsageError(
            f"{where}: no volume in it (looked for .nrrd, .mrc, .tif, .nii.gz, .zarr, folders of slices ...)"
            + (f"; {len(nested)} are nested deeper, --recursive takes them" if nested else "")
        )
    return sources, passed_over, path


def _named_by_path(source: VolumeSource, place: Path) -> VolumeSource:
    """A source called by its path in the folder that is listed, the parts joined by ``-``."""
    name = "-".join([*place.parent.parts, source.name])
    row = source.row and replace(source.row, name="-".join([*place.parent.parts, source.row.name]))
    return replace(source, name=name, row=row)


def _source(path: Path, level: int | None) -> VolumeSource:
    if path.is_dir():
        return _ngff_source(str(path), level) if is_ngff(path) else VolumeSource(stem(path), path)
    if path.suffix.lower() in (".zip", ".ozx"):
        return _ngff_source(str(path), level)
    return VolumeSource(stem_of_file(path), path)


def _ngff_source(url: str, level: int | None) -> VolumeSource:
    from utils.ngff.dataset import dataset_of_url

    with as_usage_errors():
        return _row_source(dataset_of_url(url), level)


def _table(path: Path, level: int | None) -> list[VolumeSource]:
    from utils.ngff.table import read_table

    with as_usage_errors():
        return [_row_source(row, level) for row in read_table(path)]


def _row_source(row: "Dataset", level: int | None) -> VolumeSource:
    chosen = row.chosen_level(level)
    return VolumeSource(row.name if row.problem else format_level(row.name, chosen), str(row), chosen, row)
