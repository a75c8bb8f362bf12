"""Patches: the tile grid, the patch names, and the patch dictionary."""

import os
import pickle
import re
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from utils.files import atomic_path

EDGES = ("shift", "keep", "drop")
AXIS_NAMES = ("xy", "xz", "yz")


class Box(NamedTuple):
    """A half-open region of a slice: rows y0..y1, columns x0..x1 as numpy sees the slice."""

    y0: int
    y1: int
    x0: int
    x1: int


def tiles(length: int, crop: int, edges: str = "shift") -> list[tuple[int, int]]:
    """Intervals that tile a side without overlap, but for the last.

    ``max(1, round(length / crop))`` of them, half rounded up. What sticks out at the end is moved inward (``shift``),
    left short (``keep``) or left out (``drop``). A side shorter than the crop is one interval of its own length.

    >>> tiles(1024, 224)
    [(0, 224), (224, 448), (448, 672), (672, 896), (800, 1024)]
    >>> tiles(560, 224, "keep"), tiles(559, 224)
    ([(0, 224), (224, 448), (448, 560)], [(0, 224), (224, 448)])
    """
    if edges not in EDGES:
        raise ValueError(f"edges {edges!r} is none of {', '.join(EDGES)}")
    if length <= crop:
        return [(0, length)]
    count = max(1, (2 * length + crop) // (2 * crop))
    spans = [(i * crop, (i + 1) * crop) for i in range(count)]
    if spans[-1][1] > length:
        last = spans.pop()
        if edges == "shift":
            spans.append((length - crop, length))
        elif edges == "keep":
            spans.append((last[0], length))
    return spans


def patch_boxes(shape: tuple[int, int], crop: int, edges: str = "shift") -> list[Box]:
    """The tiles of a 2D image, row by row."""
    rows, columns = (tiles(side, crop, edges) for side in shape)
    return [Box(*row, *column) for row in rows for column in columns]


# The grammar: each formatter stands beside the pattern that reads its names back.
_NAME_2D = re.compile(r"^(?P<source>.+)-LOC-2d-(?P<y0>\d+)-(?P<y1>\d+)_(?P<x0>\d+)-(?P<x1>\d+)$", re.DOTALL)
_NAME_3D = re.compile(
    r"^(?P<source>.+)-LOC-(?P<axis>[012])_(?P<first>-?\d+)(-(?P<stop>\d+))?"
    r"_(?P<y0>\d+)-(?P<y1>\d+)_(?P<x0>\d+)-(?P<x1>\d+)$",
    re.DOTALL,
)
_ROI = re.compile(r"^(?P<dataset>.+?)-ROI-x(\d+)-(\d+)_y(\d+)-(\d+)_z(\d+)-(\d+)$", re.DOTALL)


@dataclass(frozen=True)
class PatchName:
    """Where a patch lies: in a 2D image (`axis` None), in slice `first` of a volume, or in slices first..stop - 1."""

    source: str
    box: Box
    axis: int | None = None
    first: int = 0
    stop: int | None = None


def format_name_2d(source: str, box: Box) -> str:
    """``{image stem}-LOC-2d-{y0}-{y1}_{x0}-{x1}``."""
    return f"{source}-LOC-2d-{box.y0}-{box.y1}_{box.x0}-{box.x1}"


def format_name_3d(source: str, axis: int, index: int, count: int, box: Box) -> str:
    """``{volume name}-LOC-{axis}_{index}_{y0}-{y1}_{x0}-{x1}``, the index as wide as the last of `count` slices.

    >>> format_name_3d("vol", 1, 7, 100, Box(0, 224, 0, 224))
    'vol-LOC-1_07_0-224_0-224'
    """
    return f"{source}-LOC-{axis}_{_padded(index, count)}_{box.y0}-{box.y1}_{box.x0}-{box.x1}"


def format_name_subvolume(source: str, axis: int, first: int, stop: int, count: int, box: Box) -> str:
    """``{volume name}-LOC-{axis}_{first}-{past the last}_{y0}-{y1}_{x0}-{x1}``.

    A padded subvolume may begin before slice 0: ``first`` is then negative.
    """
    return f"{source}-LOC-{axis}_{_padded(first, count)}-{_padded(stop, count)}_{box.y0}-{box.y1}_{box.x0}-{box.x1}"


def _padded(index: int, count: int) -> str:
    return str(index).zfill(len(str(count - 1)))


def parse_name(name: str) -> PatchName:
    """Read a patch's name back.

    Raises
    ------
    ValueError
        If it follows none of the grammars.
    """
    if found := _NAME_2D.match(name):
        return PatchName(found["source"], _box(found))
    if found := _NAME_3D.match(name):
        stop = int(found["stop"]) if found["stop"] else None
        return PatchName(found["source"], _box(found), int(found["axis"]), int(found["first"]), stop)
    raise ValueError(
        f"{name!r} is no patch name; expected {{source}}-LOC-2d-y0-y1_x0-x1 or {{source}}-LOC-axis_index_y0-y1_x0-x1"
    )


def _box(found: re.Match[str]) -> Box:
    return Box(*(int(found[field]) for field in Box._fields))


def format_roi(dataset: str, z: tuple[int, int], y: tuple[int, int], x: tuple[int, int]) -> str:
    """``{dataset}-ROI-x{x0}-{x1}_y{y0}-{y1}_z{z0}-{z1}``: a region cropped from a dataset, in its voxels."""
    return f"{dataset}-ROI-x{x[0]}-{x[1]}_y{y[0]}-{y[1]}_z{z[0]}-{z[1]}"


def parse_roi(name: str) -> tuple[str, tuple[tuple[int, int], tuple[int, int], tuple[int, int]]]:
    """Dataset and (z, y, x) intervals of a region's name; ValueError when it is none."""
    if not (found := _ROI.match(name)):
        raise ValueError(f"{name!r} is no region's name; expected {{dataset}}-ROI-x0-x1_y0-y1_z0-z1")
    x0, x1, y0, y1, z0, z1 = (int(value) for value in found.groups()[1:])
    return found["dataset"], ((z0, z1), (y0, y1), (x0, x1))


def dataset_of(name: str) -> str:
    """The dataset that a volume, a dictionary or a patch belongs to: what stands before ``-ROI-`` or ``-LOC-``.

    >>> dataset_of("fly-ROI-x0-9_y0-9_z0-9-LOC-0_1_0-9_0-9"), dataset_of("fly-LOC-2d-0-9_0-9"), dataset_of("fly")
    ('fly', 'fly', 'fly')
    """
    return name.split("-ROI-")[0].split("-LOC-")[0] or name


def save_patches(path: Path, names: Sequence[str], patches: Iterable[np.ndarray], **extra: Any) -> None:
    """Write a patch dictionary, completely or not at all.

    A copy of `meta` follows the pickle, where `load_meta` finds it without reading the patches.

    Parameters
    ----------
    path : Path
        The ``.pkl`` to write.
    names : sequence of str
    patches : iterable of (h, w) uint8 arrays
        Indexed like `names`. An iterator is written as it comes (a dictionary may be larger than memory), before names
        and the rest: both may still be filled while it runs.
    **extra
        Further keys (``hashes``, ``meta``): plain Python values and numpy arrays.
    """
    stream = _Stream(patches)
    with atomic_path(path) as scratch, scratch.open("wb") as f:
        _dump({"patches": stream, "names": names, **extra}, f)
        if stream.count != len(names):
            raise ValueError(f"{len(names)} names for {stream.count} patches")
        start = f.tell()
        _dump(extra.get("meta", {}), f)
        f.write(_FOOTER.pack(f.tell() - start, _MAGIC))


_MAGIC = b"patchdic"
_FOOTER = struct.Struct(">Q8s")


def _dump(content: dict, file: BinaryIO) -> None:
    pickler = pickle.Pickler(file, protocol=4)
    pickler.fast = True  # no memo: it would keep every patch alive until the end
    pickler.dump(content)


def load_meta(path: Path) -> dict[str, Any]:
    """The ``meta`` of a patch dictionary, ``{}`` when it has none; quick, however many patches there are."""
    with path.open("rb") as f:
        size = f.seek(0, os.SEEK_END)
        f.seek(max(0, size - _FOOTER.size))
        tail = f.read()
        length, magic = _FOOTER.unpack(tail) if len(tail) == _FOOTER.size else (0, b"")
        if magic != _MAGIC:
            return load_patches(path).get("meta", {})
        f.seek(size - _FOOTER.size - length)
        return _load(f)


class _Stream:
    """Pickles as the list of what an iterable yields, without holding it."""

    def __init__(self, items: Iterable[np.ndarray]) -> None:
        self.items = items
        self.count = 0

    def __reduce__(self) -> tuple:
        return list, (), None, self._counted()

    def _counted(self) -> Iterator[np.ndarray]:
        for item in self.items:
            self.count += 1
            yield np.ascontiguousarray(item)


def load_patches(path: Path) -> dict[str, Any]:
    """Read a patch dictionary without running anything that is in it.

    Returns
    -------
    dict
        ``names`` list of str, ``patches`` list of (h, w) uint8 arrays, and whatever else it holds.

    Raises
    ------
    ValueError
        If the file is no patch dictionary, is damaged, or asks for anything but plain data and numpy arrays.
    """
    with path.open("rb") as f:
        return _checked(_load(f))


def _load(file: BinaryIO) -> Any:
    try:
        return _PlainUnpickler(file, encoding="latin1").load()
    except _DAMAGED as error:
        raise ValueError(f"not a readable patch dictionary: {error or type(error).__name__}") from error


_DAMAGED: tuple[type[Exception], ...] = (
    *(pickle.UnpicklingError, EOFError, LookupError, AttributeError, ImportError),
    *(TypeError, ValueError, OverflowError, MemoryError, RecursionError),
)
_PLAIN_GLOBALS = frozenset(
    (module, name)
    for module, names in (
        ("numpy._core.multiarray", ("_reconstruct", "scalar")),
        ("numpy._core.numeric", ("_frombuffer",)),
        ("numpy", ("ndarray", "dtype")),
        ("builtins", ("list",)),  # how `save_patches` spells a list that it streams
        ("_codecs", ("encode",)),  # how protocol 2 spells bytes
    )
    for name in names
)


class _PlainUnpickler(pickle.Unpickler):
    """Admits dict, list, tuple, str, numbers, bytes and numpy's arrays; refuses everything else before it runs."""

    def find_class(self, module: str, name: str) -> Any:
        module = module.replace("numpy.core.", "numpy._core.")  # numpy 1 wrote its files under the old name
        if (module, name) not in _PLAIN_GLOBALS:
            raise pickle.UnpicklingError(
                f"refused: it asks for {module}.{name}, and a patch dictionary holds only plain data and arrays"
            )
        return super().find_class(module, name)


def _checked(content: Any) -> dict[str, Any]:
    if not isinstance(content, dict) or not {"names", "patches"} <= content.keys():
        raise ValueError("not a patch dictionary: expected a dict with 'names' and 'patches'")
    names, patches = [str(name) for name in content["names"]], list(content["patches"])
    if len(names) != len(patches):
        raise ValueError(f"a damaged patch dictionary: {len(names)} names for {len(patches)} patches")
    for name, patch in zip(names, patches, strict=True):
        if not isinstance(patch, np.ndarray) or patch.ndim != 2 or patch.dtype != np.uint8 or patch.size == 0:
            found = f"{patch.dtype} {patch.shape}" if isinstance(patch, np.ndarray) else type(patch).__name__
            raise ValueError(f"patch {name!r} is {found}, expected a 2D array of uint8")
    return {**content, "names": names, "patches": patches}
