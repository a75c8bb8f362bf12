"""Patch dictionaries whose patches stay in the file until they are asked for, read without running what is in them."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from utils import memory
from utils.pickled_arrays import PlainPickleError, Stored, StoredArray, array_of
from utils.plain_pickle import load

_READ_AHEAD = 4096  # between patches little is read: names of types and shapes


class Batch(NamedTuple):
    """Some patches of a dictionary, in its order: (h, w) uint8 arrays, and their names."""

    names: list[str]
    patches: list[np.ndarray]


class PatchFile(AbstractContextManager["PatchFile"]):
    """A patch dictionary whose patches stay in the file until they are asked for; safe to use from many threads.

    Memory is what names and meta take, about 300 bytes a patch to know where it lies, and what is asked for. Of arrays
    that a writer stored in an unusual order of axes the whole is read.

    Attributes
    ----------
    names : list of str
    meta : dict
        Empty where the dictionary has none.
    extra : dict
        The other keys, such as ``hashes``.

    Raises
    ------
    ValueError
        If the file is no patch dictionary, is damaged, or asks for anything but plain data and numpy arrays.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: BinaryIO = path.open("rb", buffering=_READ_AHEAD)
        try:
            content = read_plain(self._file)
            self.names, self._patches = _checked(content, self._file)
            self.extra = {k: in_memory(v, self._file) for k, v in content.items() if k not in ("names", "patches")}
        except BaseException:
            self._file.close()
            raise
        self.meta: dict[str, Any] = self.extra.get("meta", {})

    def __len__(self) -> int:
        return len(self.names)

    def shape(self, index: int) -> tuple[int, int]:
        """(h, w) of one patch."""
        height, width = self._patches[index].shape
        return height, width

    def offset(self, index: int) -> int | None:
        """Where in the file the bytes of one patch lie as they are, row by row; None where they do not."""
        patch = self._patches[index]
        as_it_is = patch.order == "C" and not patch.axes
        return patch.data.offset if as_it_is and isinstance(patch.data, Stored) and not patch.data.is_text else None

    def read(self, indices: Iterable[int]) -> list[np.ndarray]:
        """The patches at these indices.

        Returns
        -------
        list of ndarray of uint8, shape (h, w)

        Raises
        ------
        ValueError
            If they take more memory than decoding may, or the file has become shorter.
        """
        chosen = [self._patches[index] for index in indices]
        memory.require(sum(patch.nbytes for patch in chosen), "a batch of patches")
        return [array_of(patch, self._file) for patch in chosen]

    def batches(self, nbytes: int = 64 << 20, count: int | None = None) -> Iterator[Batch]:
        """All patches in order, in batches of at most `nbytes` bytes and `count` patches, at least one."""
        start = 0
        while start < len(self):
            end, size = start, 0
            while end < len(self) and end - start != count:
                size += self._patches[end].nbytes
                if size > nbytes and end > start:
                    break
                end += 1
            yield Batch(self.names[start:end], self.read(range(start, end)))
            start = end

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def __exit__(self, *_: object) -> None:
        self.close()


def read_plain(file: BinaryIO) -> Any:
    """The plain data of a pickle, from where a file stands; arrays come as `StoredArray`.

    Raises
    ------
    ValueError
        If it is damaged, or asks for anything but plain data and numpy arrays.
    """
    try:
        return load(file)
    except PlainPickleError as error:
        raise ValueError(f"not a readable patch dictionary: {error}") from error


def in_memory(value: Any, file: BinaryIO) -> Any:
    """The same plain data with its arrays in memory."""
    if isinstance(value, StoredArray):
        return array_of(value, file)
    if isinstance(value, dict):
        return {key: in_memory(item, file) for key, item in value.items()}
    return type(value)([in_memory(item, file) for item in value]) if isinstance(value, list | tuple) else value


def checked_meta(value: Any) -> dict[str, Any]:
    """The ``meta`` of a dictionary, once it is sure that it is one.

    Raises
    ------
    ValueError
    """
    if not isinstance(value, dict):
        raise ValueError(f"a damaged patch dictionary: its meta is {type(value).__name__}, expected a dict")
    return value


def _checked(content: Any, file: BinaryIO) -> tuple[list[str], list[StoredArray]]:
    """Names and patches of a dictionary, once it is sure that they are names and patches."""
    if not isinstance(content, dict) or not {"names", "patches"} <= content.keys():
        raise ValueError("not a patch dictionary: expected a dict with 'names' and 'patches'")
    checked_meta(content.get("meta", {}))
    names, patches = _names(content["names"], file), _patch_list(content["patches"], file)
    if len(names) != len(patches):
        raise ValueError(f"a damaged patch dictionary: {len(names)} names for {len(patches)} patches")
    for name, patch in zip(names, patches, strict=True):
        if not isinstance(patch, StoredArray) or len(patch.shape) != 2 or patch.dtype != np.uint8 or not patch.nbytes:
            found = f"{patch.dtype} {patch.shape}" if isinstance(patch, StoredArray) else type(patch).__name__
            raise ValueError(f"patch {name!r} is {found}, expected a 2D array of uint8")
    return names, patches


def _names(value: Any, file: BinaryIO) -> list[str]:
    if isinstance(value, StoredArray) and value.dtype.kind == "U":
        value = array_of(value, file).ravel().tolist()
    if not isinstance(value, list | tuple) or not all(isinstance(name, str) for name in value):
        raise ValueError(f"a damaged patch dictionary: its names are no list of strings but {type(value).__name__}")
    return list(value)


def _patch_list(value: Any, file: BinaryIO) -> list[Any]:
    """Patches one by one; rows of one (n, h, w) array are parts of its bytes."""
    if isinstance(value, list | tuple):
        return list(value)
    if not isinstance(value, StoredArray) or len(value.shape) != 3:
        kind = f"an array of shape {value.shape}" if isinstance(value, StoredArray) else type(value).__name__
        raise ValueError(f"a damaged patch dictionary: its patches are {kind}, expected a list of 2D arrays")
    count, height, width = value.shape
    data = value.data
    if not isinstance(data, Stored) or value.order != "C" or value.axes:
        whole = array_of(value, file)
        return [StoredArray(patch.tobytes(), value.dtype, patch.shape) for patch in whole]
    length = height * width  # of uint8: others are refused
    return [
        StoredArray(Stored(data.offset + index * length, length), value.dtype, (height, width))
        for index in range(count)
    ]
