"""Where volumes come from: folders, single files, URLs, tables of URLs; each under the name its patches carry."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from utils.cli import UsageError
from utils.names import format_level
from utils.volumes import Volume, has_slices, is_ngff, list_volumes, open_volume, volume_inputs, volume_name

if TYPE_CHECKING:
    from utils.ngff.table import Dataset

# A file of this size is worth all processes at once; smaller ones are better done side by side.
LARGE_BYTES = 32 << 20


@dataclass(frozen=True)
class VolumeSource:
    """A volume that can be opened.

    Attributes
    ----------
    name : str
        What patches of it are called; of an NGFF image it ends in ``_s{level}``.
    address : Path or str
        File, folder or URL.
    level : int, optional
        Of an NGFF image.
    row : Dataset, optional
        Of an NGFF image: its address and what a table says of it.
    """

    name: str
    address: Path | str
    level: int | None = None
    row: "Dataset | None" = None

    @property
    def problem(self) -> str:
        """Why a table's row cannot be used; opening it raises ValueError with this."""
        return self.row.problem if self.row else ""

    def __str__(self) -> str:
        return str(self.row or self.address)

    def open(self) -> Volume:
        """Open the volume; only its header is read."""
        return self.row.open(self.level) if self.row else open_volume(self.address)

    def inputs(self) -> dict[str, tuple[Path, ...]]:
        """What it is made of, as a recipe takes it; addresses without their secrets."""
        if self.row and "://" in self.row.url:
            return {self.row.shown_url: ()}
        return volume_inputs(Path(self.row.url) if self.row else self.address)

    def options(self) -> dict[str, object]:
        """What decides its voxels besides, as a recipe takes it."""
        if self.row is None:
            return {}
        row = self.row
        said = {"voxel-size": list(row.given_size), "invert": row.invert, "padding-value": row.padding_value}
        return {"level": self.level, **said}

    def is_large(self) -> bool:
        """Whether one volume keeps several processes busy; folders and URLs count as large."""
        return not (isinstance(self.address, Path) and self.address.is_file()) or (
            self.address.stat().st_size >= LARGE_BYTES
        )


def volume_sources(where: str, level: int | None = None) -> tuple[list[VolumeSource], list[Path]]:
    """The volumes that an argument stands for, and what lies beside them and is none.

    Parameters
    ----------
    where : str
        A folder of volumes, one volume (file, NGFF folder), the URL of an NGFF image, or a CSV of such.
    level : int, optional
        Of NGFF images, where a table does not say; 0 by default.

    Raises
    ------
    UsageError
        If nothing is there, or no volume.
    """
    if "://" in where:
        return [_ngff_source(where, level)], []
    path = Path(where).expanduser()
    if path.suffix.lower() in (".csv", ".tsv") and path.is_file():
        return _table(path, level), []
    if path.is_file() or (path.is_dir() and is_ngff(path)):
        return [_source(path, level)], []
    if not path.is_dir():
        raise UsageError(f"{where}: no such folder, file or CSV")
    volumes, passed_over = list_volumes(path)
    if not volumes and has_slices(path):
        return [_source(path, level)], []
    if not volumes:
        raise UsageError(
            f"{where}: no volume in it (looked for .nrrd, .mrc, .tif, .nii.gz, .zarr, folders of slices ...)"
        )
    return [_source(volume, level) for volume in volumes], passed_over


def _source(path: Path, level: int | None) -> VolumeSource:
    if (path.is_dir() and is_ngff(path)) or path.suffix.lower() in (".zip", ".ozx"):
        return _ngff_source(str(path), level)
    return VolumeSource(volume_name(path), path)


def _ngff_source(url: str, level: int | None) -> VolumeSource:
    from utils.ngff.table import dataset_of_url

    try:
        return _row_source(dataset_of_url(url), level)
    except (ValueError, OSError) as error:
        raise UsageError(str(error)) from error


def _table(path: Path, level: int | None) -> list[VolumeSource]:
    from utils.ngff.table import read_table

    try:
        return [_row_source(row, level) for row in read_table(path)]
    except ValueError as error:
        raise UsageError(str(error)) from error


def _row_source(row: "Dataset", level: int | None) -> VolumeSource:
    chosen = row.chosen_level(level)
    return VolumeSource(row.name if row.problem else format_level(row.name, chosen), row.shown_url, chosen, row)
