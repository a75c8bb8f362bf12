"""Numeric arrays, dtypes and scalars as pickles spell them: checked before anything is made of them."""

import math
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal, NamedTuple

import numpy as np

from utils import memory
from utils.reading import read_into

LAZY_BYTES = 1024  # fewer are read at once, and do not stay in the file
_FRAME = 9  # bytes of a mark that pickles put before a part
_LAST_CHARACTER = 0x10FFFF
_DTYPE = re.compile(r"b1|[iu][1248]|f[248]|c8|c16|U[0-9]{1,6}")


class PlainPickleError(ValueError):
    """What is wrong with a pickle, or what it asks for that is not admitted."""


class Global(NamedTuple):
    """A name that a pickle refers to; it stays a name."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}" if self.module else f"a {self.name}"


class Stored(NamedTuple):
    """Bytes that were left in the file."""

    offset: int
    length: int
    is_text: bool = False  # of Python 2, whose str and bytes are one


@dataclass(eq=False, slots=True)
class StoredArray:
    """An array of a pickle, its values in memory or still in the file."""

    data: Stored | bytes | None = None  # None until the pickle says what the array holds
    dtype: np.dtype = np.dtype(np.uint8)  # noqa: RUF009 (dtypes never change)
    shape: tuple[int, ...] = (0,)
    order: Literal["C", "F"] = "C"
    axes: tuple[int, ...] | None = None  # how numpy transposed an array of more axes before it wrote it

    @property
    def nbytes(self) -> int:
        """Size of the values."""
        return math.prod(self.shape) * self.dtype.itemsize

    def fill(self, data: Any, dtype: Any, shape: Any, order: Any) -> "StoredArray":
        """Take what the pickle says about the array, once it is sure that the bytes are as many as the shape needs.

        Raises
        ------
        PlainPickleError
        """
        data = data.encode("latin1") if isinstance(data, str) else data
        if not isinstance(dtype, StoredDtype) or not isinstance(data, Stored | bytes) or order not in ("C", "F"):
            raise PlainPickleError("an array is not spelled as numpy spells its numeric arrays")
        if not isinstance(shape, tuple) or len(shape) > 32 or any(type(n) is not int or n < 0 for n in shape):
            raise PlainPickleError(f"an array's shape is {shown(shape)}")
        self.data, self.dtype, self.shape, self.order = data, dtype.checked(), shape, order
        length = data.length if isinstance(data, Stored) else len(data)
        if length != self.nbytes:
            raise PlainPickleError(f"an array of shape {shown(shape)} {self.dtype} has {length} bytes of data")
        return self


@dataclass(eq=False, slots=True)
class StoredDtype:
    """A dtype as a pickle spells it: a code, then a state that must not say more than the byte order."""

    code: str
    order: str = ""

    def set_state(self, state: Any) -> None:
        """Take what the pickle says of the byte order.

        Raises
        ------
        PlainPickleError
        """
        size = int(self.code[1:]) * 4 if self.code[0] == "U" else -1
        plain = (None, None, None, size, 4 if size >= 0 else -1, 8 if size >= 0 else 0)
        order = state[1] if isinstance(state, tuple) and len(state) == 8 else None
        if order not in ("<", ">", "|", "=") or state != (3, order, *plain) or self.order:
            raise PlainPickleError(f"the state of dtype {self.code} is no plain number's: {shown(state)}")
        self.order = order

    def checked(self) -> np.dtype:
        """As numpy has it."""
        return np.dtype((self.order or "=") + self.code)


def array_of(stored: StoredArray, file: BinaryIO) -> np.ndarray:
    """Read an array into memory.

    Returns
    -------
    ndarray, the stored shape

    Raises
    ------
    ValueError
        If they need more memory than decoding may take, or the file has become shorter.
    """
    memory.require(stored.nbytes, "an array")
    values = np.empty(stored.nbytes // stored.dtype.itemsize, stored.dtype)
    if isinstance(stored.data, Stored):
        read_into(file, stored.data.offset, values)
    else:
        values[:] = np.frombuffer(stored.data or b"", stored.dtype)
    array = possible_text(values).reshape(stored.shape, order=stored.order)
    return array.transpose(stored.axes) if stored.axes else array


def arrays_alike(file: BinaryIO, before: int, array: StoredArray, end: int) -> Iterator[tuple[StoredArray, int]]:
    """The arrays that follow one and are spelled as it is, byte for byte but for their values; and where each ends.

    The one is spelled from where the array `before` ends up to its own `end`.
    """
    # Windows has no reads by position: there each array is built by itself.
    if not hasattr(os, "pread") or not isinstance(array.data, Stored) or array.data.offset - before > LAZY_BYTES:
        return
    descriptor, offset, length = file.fileno(), array.data.offset, array.data.length
    head = _unframed(os.pread(descriptor, offset - before, before))
    tail = os.pread(descriptor, end - offset - length, offset + length)
    while (found := _unframed(ahead := os.pread(descriptor, _FRAME + len(head), end))).startswith(head):
        offset = end + len(ahead) - len(found) + len(head)
        if os.pread(descriptor, len(tail), offset + length) != tail:
            return
        end = offset + length + len(tail)
        yield StoredArray(Stored(offset, length), array.dtype, array.shape, array.order), end


def _unframed(spelled: bytes) -> bytes:
    """Without the frame that may begin there: how many bytes follow is for readers of sockets."""
    return spelled[_FRAME:] if spelled.startswith(b"\x95") else spelled


def possible_text(values: np.ndarray) -> np.ndarray:
    """The same values; numpy itself fails on text of characters that there are not.

    Parameters
    ----------
    values : ndarray of str, any shape

    Returns
    -------
    ndarray of str, same shape

    Raises
    ------
    PlainPickleError
    """
    if values.dtype.kind == "U" and values.nbytes and (values.view(values.dtype.str[0] + "u4") > _LAST_CHARACTER).any():
        raise PlainPickleError("text of characters that there are not")
    return values


def _reconstruct(arguments: tuple[Any, ...]) -> StoredArray:
    if arguments != (Global("numpy", "ndarray"), (0,), b"b"):
        raise PlainPickleError(f"refused: it makes an array of {shown(arguments)}")
    return StoredArray()


def _from_buffer(arguments: tuple[Any, ...]) -> StoredArray:
    data, dtype, shape, order, *axes = arguments
    array = StoredArray().fill(data, dtype, shape, "C" if axes and order == "K" else order)
    if axes:
        if len(axes) != 1 or not isinstance(axes[0], tuple) or sorted(axes[0]) != list(range(len(shape))):
            raise PlainPickleError(f"the axes of an array of shape {shown(shape)} are {shown(axes[0])}")
        array.axes = axes[0]
    return array


def _dtype(arguments: tuple[Any, ...]) -> StoredDtype:
    if len(arguments) != 3 or not isinstance(arguments[0], str) or arguments[1:] != (False, True):
        raise PlainPickleError(f"a dtype is {shown(arguments)}")
    if not _DTYPE.fullmatch(arguments[0]):
        raise PlainPickleError(f"refused: it holds values of type {arguments[0]!r}; only numbers are read")
    return StoredDtype(arguments[0])


def _scalar(arguments: tuple[Any, ...]) -> Any:
    dtype, data = arguments
    array = StoredArray().fill(data, dtype, (), "C")
    if isinstance(array.data, Stored):
        raise PlainPickleError(f"a single value of {array.data.length} bytes")
    value = possible_text(np.frombuffer(array.data or b"", array.dtype))[0]
    return str(value) if array.dtype.kind == "U" else value


def _encode(arguments: tuple[Any, ...]) -> bytes:
    if len(arguments) != 2 or not isinstance(arguments[0], str) or arguments[1] != "latin1":
        raise PlainPickleError(f"encodes {shown(arguments)}")
    return arguments[0].encode("latin1")


def _empty(kind: type) -> Callable[[tuple[Any, ...]], Any]:
    def make(arguments: tuple[Any, ...]) -> Any:
        if arguments:
            raise PlainPickleError(f"refused: it makes {kind.__name__} of {shown(arguments)}")
        return kind()

    return make


MAKERS: dict[str, Callable[[tuple[Any, ...]], Any]] = {
    "_reconstruct": _reconstruct,
    "_frombuffer": _from_buffer,
    "dtype": _dtype,
    "scalar": _scalar,
    "encode": _encode,
    "list": _empty(list),
    "bytes": _empty(bytes),
}


def shown(value: Any) -> str:
    """A value for a message; never long, whatever it holds."""
    if isinstance(value, tuple) and not isinstance(value, Global | Stored):
        inner = ", ".join("(...)" if type(item) is tuple else shown(item) for item in value[:5])
        return f"({inner}{', ...' if len(value) > 5 else ''})"
    if isinstance(value, str | bytes | int | float | None):
        return repr(value)[:80]
    return str(value) if isinstance(value, Global) else type(value).__name__
