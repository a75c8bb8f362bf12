"""HDF5 (.h5, .hdf5 and the like): the 3-D dataset in it, read by region; ITK's own layout among them."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from utils import memory
from utils.files import stem
from utils.formats.volume_base import Region, Volume
from utils.formats.voxel_size import VoxelSize, checked, checked_unitless
from utils.reading import reading_as, refuse_special
from utils.settings import DATASET, settings

HDF5_SUFFIXES = frozenset({".h5", ".hdf5", ".hdf", ".he5", ".nxs"})
_CACHE_BYTES = 64 << 20
_MOST_NAMED = 8


class Hdf5Volume(Volume):
    """One dataset of an HDF5 file."""

    def __init__(self, name: str, file: Any, dataset: Any, size: VoxelSize) -> None:
        super().__init__(name, dataset.shape, dataset.dtype, size)
        self._file, self._dataset = file, dataset

    def _read(self, box: Region) -> np.ndarray:
        if not self._file:
            raise ValueError("the volume is closed")
        with reading_as("HDF5"):
            return np.asarray(self._dataset[box])

    def close(self) -> None:
        self._file.close()


def open_hdf5(path: Path) -> Volume:
    """Open the only 3-D dataset of numbers in a HDF5 file, or the one that ``--dataset`` names, as ``group/name``.

    Raises
    ------
    ValueError
        If there is none, several and none was chosen, or the file is damaged.
    """
    import h5py

    refuse_special(path)
    try:
        file = h5py.File(path, "r", rdcc_nbytes=_CACHE_BYTES)
    except (OSError, RuntimeError) as error:
        raise ValueError(f"is no HDF5 file, or a damaged one: {error}") from error
    try:
        with reading_as("HDF5"):
            chosen = _choose(file, settings().get(DATASET))
            _refuse_unstored(path, chosen)
            return Hdf5Volume(stem(path), file, chosen, _voxel_size(chosen))
    except BaseException:
        file.close()
        raise


def _choose(file: Any, name: str | None) -> Any:
    datasets = _datasets(file)
    volumes = {path: dataset for path, dataset in datasets.items() if dataset.ndim == 3}
    if name is not None:
        if name.strip("/") not in volumes:
            raise ValueError(f"has no 3-D dataset of numbers called {name!r}; it has {_listed(volumes) or 'none'}")
        return volumes[name.strip("/")]
    if len(volumes) > 1:
        raise ValueError(f"holds several 3-D datasets ({_listed(volumes)}): choose one with --dataset")
    if not volumes:
        shapes = {path: " x ".join(map(str, dataset.shape)) for path, dataset in datasets.items()}
        others = _listed(f"{path} is {what}" for path, what in (shapes | _links(file)).items())
        raise ValueError(f"holds no 3-D dataset of numbers{others and f' ({others})'}")
    return next(iter(volumes.values()))


def _listed(names: Iterable[str]) -> str:
    named = sorted(names)
    return ", ".join(named[:_MOST_NAMED]) + (" ..." if len(named) > _MOST_NAMED else "")


def _datasets(file: Any) -> dict[str, Any]:
    """The datasets of numbers of a file, by name; links into other files are not followed."""
    import h5py

    found: dict[str, Any] = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.dtype.kind in "biuf" and item.size:
            found[name] = item

    file.visititems(visit)
    return found


def _links(file: Any) -> dict[str, str]:
    """What a file holds of other files only, by name."""
    import h5py

    found: dict[str, str] = {}

    def visit(name: str, link: Any) -> None:
        if isinstance(link, h5py.ExternalLink):
            found[name] = f"a link to {link.path} of {link.filename}"

    file.visititems_links(visit)
    return found


def _refuse_unstored(path: Path, dataset: Any) -> None:
    """Refuse what would be read from elsewhere, or as fill values, without a word; and chunks that fit nowhere."""
    if dataset.external:
        raise ValueError(f"its dataset {dataset.name} lies in another file, {dataset.external[0][0]}")
    if dataset.is_virtual:
        for name, inner in sorted({(source.file_name, source.dset_name) for source in dataset.virtual_sources()}):
            if not _holds(path if name == "." else path.parent / name, inner):
                raise ValueError(f"its dataset {dataset.name} is made of others, and {inner} of {name} is missing")
    elif dataset.id.get_storage_size() == 0:
        raise ValueError(f"its dataset {dataset.name} of shape {dataset.shape} holds no data")
    if dataset.chunks:
        memory.require(math.prod(dataset.chunks) * dataset.dtype.itemsize, "a chunk")


def _holds(path: Path, dataset: str) -> bool:
    import h5py

    if not path.is_file():
        return False
    try:
        with h5py.File(path, "r") as file:
            return isinstance(file.get(dataset), h5py.Dataset)
    except OSError:  # another kind of file
        return False


def _voxel_size(dataset: Any) -> VoxelSize:
    """From ITK's spacing (x, y, z), ilastik's ``element_size_um`` or CREMI's ``resolution`` in nm (both z, y, x)."""
    spacing = dataset.parent.get("Spacing")
    if dataset.name.startswith("/ITKImage/") and spacing is not None and spacing.shape == (3,):
        return checked_unitless([float(n) for n in spacing[()][::-1]])
    for name, unit in (("element_size_um", "um"), ("resolution", "nm")):
        numbers = np.ravel(dataset.attrs.get(name, []))
        if numbers.size == 3 and numbers.dtype.kind in "iuf":
            return checked([float(n) for n in numbers], unit)
    return checked(None)
