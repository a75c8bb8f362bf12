"""Pickles of plain values and numeric arrays, read opcode by opcode: nothing is called, nothing is imported.

What `pickle` writes at protocols 2 to 5 for dict, list, tuple, str, bytes, numbers, and numpy's numeric arrays and
scalars is understood; whatever else a pickle asks for is refused by name. The bytes of arrays are passed over and read
when they are wanted, so that a file of any size is looked through in little memory.

The opcodes: https://github.com/python/cpython/blob/3.11/Lib/pickletools.py
"""

import math
import os
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal, NamedTuple

import numpy as np

from utils import memory
from utils.reading import read_into

_LONGEST_TEXT = 64 << 20
_LONGEST_INTEGER = 64
# What a value costs at most while it is on the stack, in a list or in the memo.
_VALUE_BYTES = 120
_DEEPEST = 100
_MOST_OTHER_KEYS = 10_000
_LAZY_BYTES = 1024
_LAST_CHARACTER = 0x10FFFF
_DTYPE = re.compile(r"b1|[iu][1248]|f[248]|c8|c16|U[0-9]{1,6}")
_GLOBALS = {
    ("numpy._core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "scalar"),
    ("numpy._core.numeric", "_frombuffer"), ("numpy", "ndarray"), ("numpy", "dtype"),
    ("_codecs", "encode"),  # how protocol 2 spells bytes
    ("builtins", "bytes"),  # and bytes of length 0
    ("builtins", "list"),  # how `utils.dictionaries` spells a list that it streams
}  # fmt: skip
_REFUSED = {
    **dict.fromkeys("SILFVdlpg", "text of protocol 0 or 1; save it with protocol 4"),
    **dict.fromkeys("012", "values that are built and thrown away, which pickle does for values that hold themselves"),
    **dict.fromkeys("PQ", "an object that is stored elsewhere"),
    **dict.fromkeys(("i", "o", "\x81", "\x92"), "an instance of a class"),
    **dict.fromkeys(("\x82", "\x83", "\x84"), "an object of a registered extension"),
    **dict.fromkeys(("\x8f", "\x90", "\x91"), "a set"),
    **dict.fromkeys(("\x97", "\x98"), "a buffer that is stored elsewhere"),
}


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
    """An array of a pickle, its values in memory or still in the file.

    Attributes
    ----------
    data : Stored or bytes
        None until the pickle says what the array holds.
    dtype : numpy.dtype
    shape : tuple of int
    order : str
        C or F.
    axes : tuple of int, optional
        How numpy transposed an array of more axes before it wrote it.
    """

    data: Stored | bytes | None = None
    dtype: np.dtype = np.dtype(np.uint8)  # noqa: RUF009 (dtypes never change)
    shape: tuple[int, ...] = (0,)
    order: str = "C"
    axes: tuple[int, ...] | None = None

    @property
    def nbytes(self) -> int:
        """Size of the values."""
        return math.prod(self.shape) * self.dtype.itemsize

    def fill(self, data: Any, dtype: Any, shape: Any, order: Any) -> "StoredArray":
        """Take what the pickle says about the array, once it is sure that the bytes are as many as the shape needs.

        Raises
        ------
        PlainPickleError
            If they are not.
        """
        data = data.encode("latin1") if isinstance(data, str) else data
        if not isinstance(dtype, _Dtype) or not isinstance(data, Stored | bytes) or order not in ("C", "F"):
            raise PlainPickleError("an array is not spelled as numpy spells its numeric arrays")
        if not isinstance(shape, tuple) or len(shape) > 32 or any(type(n) is not int or n < 0 for n in shape):
            raise PlainPickleError(f"an array's shape is {_shown(shape)}")
        self.data, self.dtype, self.shape, self.order = data, dtype.checked(), shape, order
        length = data.length if isinstance(data, Stored) else len(data)
        if length != self.nbytes:
            raise PlainPickleError(f"an array of shape {_shown(shape)} {self.dtype} has {length} bytes of data")
        return self


@dataclass(eq=False, slots=True)
class _Dtype:
    """A dtype as a pickle spells it: a code, then a state that must not say more than the byte order."""

    code: str
    order: str = ""

    def set_state(self, state: Any) -> None:
        size = int(self.code[1:]) * 4 if self.code[0] == "U" else -1
        plain = (None, None, None, size, 4 if size >= 0 else -1, 8 if size >= 0 else 0)
        order = state[1] if isinstance(state, tuple) and len(state) == 8 else None
        if order not in ("<", ">", "|", "=") or state != (3, order, *plain) or self.order:
            raise PlainPickleError(f"the state of dtype {self.code} is no plain number's: {_shown(state)}")
        self.order = order

    def checked(self) -> np.dtype:
        return np.dtype((self.order or "=") + self.code)


_MARK = Global("", "mark")
_LEAVES = (str, int, float, complex, bytes, np.generic, type(None))
_ORDERS: dict[str, Literal["C", "F"]] = {"C": "C", "F": "F"}


def load(file: BinaryIO) -> Any:
    """Read one pickle from where a file stands; every array comes as a `StoredArray`.

    Raises
    ------
    PlainPickleError
        If it is damaged, or holds anything but plain values and numeric arrays.
    """
    try:
        return _Machine(file).run()
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError, struct.error) as error:
        if isinstance(error, PlainPickleError):
            raise
        raise PlainPickleError(f"damaged: {error or type(error).__name__}") from error


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
    array = possible_text(values).reshape(stored.shape, order=_ORDERS[stored.order])
    return array.transpose(stored.axes) if stored.axes else array


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
        If there are such.
    """
    if values.dtype.kind == "U" and values.nbytes and (values.view(values.dtype.str[0] + "u4") > _LAST_CHARACTER).any():
        raise PlainPickleError("text of characters that there are not")
    return values


class _Machine:
    """The stack machine that a pickle is a program for."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.read = file, file.read
        self.size = os.fstat(file.fileno()).st_size
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.budget = memory.limit_bytes() // _VALUE_BYTES
        self.visits = 0

    def run(self) -> Any:
        """Run the program; the value that it leaves."""
        read, steps = self.read, 0
        while (code := read(1)) != b".":
            handler = _HANDLERS.get(code)
            if handler is None:
                raise PlainPickleError(_reason(code))
            steps += 1
            if steps > self.budget:
                raise PlainPickleError(f"more values than {memory.limit_bytes() / 1e9:.4g} GB hold (--max-gb)")
            handler(self)
        value = self.stack.pop()
        self.visits = 16 * steps + 1000
        return self.settle(value, 0)

    def settle(self, value: Any, depth: int) -> Any:
        """A value without what was only needed to build it; what refers to itself would never end."""
        if isinstance(value, _LEAVES):
            return value
        if isinstance(value, StoredArray) and value.data is not None:
            return value
        if isinstance(value, Stored):
            memory.require(value.length, "a string")
            values = np.empty(value.length, np.uint8)
            read_into(self.file, value.offset, values)
            data = values.tobytes()
            return data.decode("latin1") if value.is_text else data
        if type(value) not in (list, tuple, dict):
            raise PlainPickleError(f"refused: it holds {_shown(value)}; only plain data and arrays are read")
        self.visits -= len(value)
        if depth > _DEEPEST or self.visits < 0:
            raise PlainPickleError("values that are nested too deeply, or hold themselves")
        if isinstance(value, dict):
            return {key: self.settle(item, depth + 1) for key, item in value.items()}
        return type(value)([self.settle(item, depth + 1) for item in value])

    def text(self, length: int, encoding: str = "utf-8") -> None:
        """Push the string that follows."""
        if length > _LONGEST_TEXT:
            raise PlainPickleError(f"a string of {length} bytes")
        self.budget -= length // _VALUE_BYTES
        self.stack.append(str(self.exactly(length), encoding, "surrogatepass" if encoding == "utf-8" else "strict"))

    def data(self, length: int, *, is_text: bool = False) -> None:
        """Push the bytes that follow; many of them stay in the file."""
        if length < _LAZY_BYTES and not is_text:
            self.stack.append(self.exactly(length))
            return
        start = self.file.tell()
        if not 0 <= length <= self.size - start:
            raise PlainPickleError(f"the file is cut short: {self.size} bytes, {start + length} needed")
        self.file.seek(length, os.SEEK_CUR)
        self.stack.append(Stored(start, length, is_text))

    def exactly(self, length: int) -> bytes:
        """The next bytes."""
        if not 0 <= length <= self.size or len(found := self.read(length)) != length:
            raise PlainPickleError("the file is cut short")
        return found

    def integer(self, length: int) -> None:
        """Push the integer that follows."""
        if length > _LONGEST_INTEGER:
            raise PlainPickleError(f"an integer of {length} bytes")
        self.stack.append(int.from_bytes(self.exactly(length), "little", signed=True))

    def since_mark(self) -> list[Any]:
        """Pop what lies above the topmost mark."""
        stack = self.stack
        for index in range(len(stack) - 1, -1, -1):
            if stack[index] is _MARK:
                values = stack[index + 1 :]
                del stack[index:]
                return values
        raise PlainPickleError("damaged: a group without a beginning")

    def top(self, kind: type) -> Any:
        """The value on top, which must be of a type."""
        if type(self.stack[-1]) is not kind:
            raise PlainPickleError(f"puts items into {_shown(self.stack[-1])}")
        return self.stack[-1]

    def line(self) -> str:
        return self.file.readline(256).decode("utf-8").rstrip("\n")

    def tuple_of(self, count: int) -> None:
        """Make a tuple of the topmost values."""
        values = tuple(self.stack[-count:])
        if len(values) < count:
            raise PlainPickleError("damaged: a tuple of values that are not there")
        self.stack[-count:] = [values]

    def name(self, module: Any, name: Any) -> None:
        """Push a global, as a name."""
        module = module.replace("numpy.core.", "numpy._core.")  # numpy 1 wrote its files under the old name
        module = "builtins" if module == "__builtin__" else module
        if (module, name) not in _GLOBALS:
            raise PlainPickleError(f"refused: it asks for {module}.{name}; only plain data and arrays are read")
        self.stack.append(Global(module, name))

    def get(self, index: int) -> None:
        """Push a remembered value; containers that hold themselves could be built no other way."""
        value = self.memo[index]
        if isinstance(value, list | dict):
            raise PlainPickleError("a list or dict that is used twice")
        self.stack.append(value)

    def extend(self, values: list[Any]) -> None:
        self.top(list).extend(values)

    def update(self, values: list[Any]) -> None:
        """Put keys and values into the dict on top."""
        target = self.top(dict)
        if len(values) % 2:
            raise PlainPickleError("damaged: a key without a value")
        for key, value in zip(values[::2], values[1::2], strict=True):
            if not isinstance(key, str | int | float | bytes | None) or isinstance(key, Stored):
                raise PlainPickleError(f"a dict's key is {_shown(key)}")
            if not isinstance(key, str) and len(target) > _MOST_OTHER_KEYS:
                raise PlainPickleError(f"a dict of more than {_MOST_OTHER_KEYS} keys that are no names")
            target[key] = value

    def call(self) -> None:
        """Push what numpy's constructors would make of their arguments."""
        arguments, function = self.stack.pop(), self.stack.pop()
        if not isinstance(function, Global) or not isinstance(arguments, tuple):
            raise PlainPickleError(f"calls {_shown(function)}")
        maker = _MAKERS.get(function.name)
        if maker is None:
            raise PlainPickleError(f"refused: it calls {function}")
        self.stack.append(maker(arguments))
        if isinstance(buffered := self.stack[-1], bytes):
            self.budget -= len(buffered) // _VALUE_BYTES

    def build(self) -> None:
        """Give an array or a dtype its state."""
        state = self.stack.pop()
        target = self.stack[-1]
        if isinstance(target, _Dtype):
            target.set_state(state)
        elif isinstance(target, StoredArray) and target.data is None:
            if not isinstance(state, tuple) or len(state) != 5 or state[0] != 1 or type(state[3]) is not bool:
                raise PlainPickleError(f"the state of an array is {_shown(state)}")
            target.fill(state[4], state[2], state[1], "F" if state[3] else "C")
        else:
            raise PlainPickleError(f"sets the state of {_shown(target)}")


def _reconstruct(arguments: tuple[Any, ...]) -> StoredArray:
    if arguments != (Global("numpy", "ndarray"), (0,), b"b"):
        raise PlainPickleError(f"refused: it makes an array of {_shown(arguments)}")
    return StoredArray()


def _from_buffer(arguments: tuple[Any, ...]) -> StoredArray:
    data, dtype, shape, order, *axes = arguments
    array = StoredArray().fill(data, dtype, shape, "C" if axes and order == "K" else order)
    if axes:
        if len(axes) != 1 or not isinstance(axes[0], tuple) or sorted(axes[0]) != list(range(len(shape))):
            raise PlainPickleError(f"the axes of an array of shape {_shown(shape)} are {_shown(axes[0])}")
        array.axes = axes[0]
    return array


def _dtype(arguments: tuple[Any, ...]) -> _Dtype:
    if len(arguments) != 3 or not isinstance(arguments[0], str) or arguments[1:] != (False, True):
        raise PlainPickleError(f"a dtype is {_shown(arguments)}")
    if not _DTYPE.fullmatch(arguments[0]):
        raise PlainPickleError(f"refused: it holds values of type {arguments[0]!r}; only numbers are read")
    return _Dtype(arguments[0])


def _scalar(arguments: tuple[Any, ...]) -> Any:
    dtype, data = arguments
    array = StoredArray().fill(data, dtype, (), "C")
    if isinstance(array.data, Stored):
        raise PlainPickleError(f"a single value of {array.data.length} bytes")
    value = possible_text(np.frombuffer(array.data or b"", array.dtype))[0]
    return str(value) if array.dtype.kind == "U" else value


def _encode(arguments: tuple[Any, ...]) -> bytes:
    if len(arguments) != 2 or not isinstance(arguments[0], str) or arguments[1] != "latin1":
        raise PlainPickleError(f"encodes {_shown(arguments)}")
    return arguments[0].encode("latin1")


def _empty(kind: type) -> Callable[[tuple[Any, ...]], Any]:
    def make(arguments: tuple[Any, ...]) -> Any:
        if arguments:
            raise PlainPickleError(f"refused: it makes {kind.__name__} of {_shown(arguments)}")
        return kind()

    return make


_MAKERS: dict[str, Callable[[tuple[Any, ...]], Any]] = {
    "_reconstruct": _reconstruct,
    "_frombuffer": _from_buffer,
    "dtype": _dtype,
    "scalar": _scalar,
    "encode": _encode,
    "list": _empty(list),
    "bytes": _empty(bytes),
}


def _text(layout: str, encoding: str = "utf-8") -> Callable[[_Machine], None]:
    return _counted(layout, lambda machine, length: machine.text(length, encoding))


def _push(make: Callable[[], Any]) -> Callable[[_Machine], None]:
    return lambda machine: machine.stack.append(make())


def _number(layout: str) -> Callable[[_Machine], None]:
    return _counted(layout, lambda machine, number: machine.stack.append(number))


def _counted(layout: str, action: Callable[[_Machine, Any], Any]) -> Callable[[_Machine], None]:
    """A handler of an opcode that is followed by a number."""
    unpack, size = struct.Struct(layout).unpack, struct.calcsize(layout)
    return lambda machine: action(machine, unpack(machine.read(size))[0])


def _protocol(machine: _Machine, number: int) -> None:
    if number > _NEWEST_PROTOCOL:
        raise PlainPickleError(f"pickle protocol {number}; save it with protocol 4")


def _append(machine: _Machine) -> None:
    value = machine.stack.pop()
    machine.top(list).append(value)


def _set_item(machine: _Machine) -> None:
    value, key = machine.stack.pop(), machine.stack.pop()
    machine.update([key, value])


def _stack_global(machine: _Machine) -> None:
    name, module = machine.stack.pop(), machine.stack.pop()
    machine.name(module, name)


def _group(machine: _Machine) -> None:
    machine.stack.append(tuple(machine.since_mark()))


def _put(machine: _Machine, index: int) -> None:
    machine.memo[index] = machine.stack[-1]


_NEWEST_PROTOCOL = 5
_HANDLERS: dict[bytes, Callable[[_Machine], Any]] = {
    b"\x80": _counted("<B", _protocol),
    b"\x95": _counted("<Q", lambda machine, length: None),  # frames are for readers of sockets
    b"N": _push(lambda: None),
    b"\x88": _push(lambda: True),
    b"\x89": _push(lambda: False),
    b"]": _push(list),
    b"}": _push(dict),
    b")": _push(tuple),
    b"(": _push(lambda: _MARK),
    b"J": _number("<i"),
    b"K": _number("<B"),
    b"M": _number("<H"),
    b"G": _number(">d"),
    b"\x8a": _counted("<B", _Machine.integer),
    b"\x8b": _counted("<i", _Machine.integer),
    b"X": _text("<I"),
    b"\x8c": _text("<B"),
    b"\x8d": _text("<Q"),
    b"U": _text("<B", "latin1"),
    b"T": _counted("<i", lambda machine, length: machine.data(length, is_text=True)),
    b"B": _counted("<I", _Machine.data),
    b"C": _counted("<B", _Machine.data),
    b"\x8e": _counted("<Q", _Machine.data),
    b"\x96": _counted("<Q", _Machine.data),
    b"t": _group,
    b"\x85": lambda machine: machine.tuple_of(1),
    b"\x86": lambda machine: machine.tuple_of(2),
    b"\x87": lambda machine: machine.tuple_of(3),
    b"a": _append,
    b"e": lambda machine: machine.extend(machine.since_mark()),
    b"s": _set_item,
    b"u": lambda machine: machine.update(machine.since_mark()),
    b"\x94": lambda machine: _put(machine, len(machine.memo)),
    b"q": _counted("<B", _put),
    b"r": _counted("<I", _put),
    b"h": _counted("<B", _Machine.get),
    b"j": _counted("<I", _Machine.get),
    b"c": lambda machine: machine.name(machine.line(), machine.line()),
    b"\x93": _stack_global,
    b"R": _Machine.call,
    b"b": _Machine.build,
}


def _reason(code: bytes) -> str:
    if not code:
        return "the file is cut short"
    what = _REFUSED.get(code.decode("latin1"))
    return f"refused: it holds {what}" if what else f"damaged: no pickle has the opcode {code!r}"


def _shown(value: Any) -> str:
    """A value for a message; never long, whatever it holds."""
    if isinstance(value, tuple) and not isinstance(value, Global | Stored):
        inner = ", ".join(_shown(item) if not isinstance(item, tuple) else "(...)" for item in value[:5])
        return f"({inner}{', ...' if len(value) > 5 else ''})"
    if isinstance(value, str | bytes | int | float | None):
        return repr(value)[:80]
    return str(value) if isinstance(value, Global) else type(value).__name__.strip("_")
