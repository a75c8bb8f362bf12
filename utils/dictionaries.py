"""Patch dictionaries: names and pixels in one pickle, written as they come and read without running what is in them."""

import os
import pickle
import struct
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from utils.files import atomic_path


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
