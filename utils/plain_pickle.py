"""Pickles of plain values and numeric arrays, read opcode by opcode: nothing is called, nothing is imported.

What `pickle` writes at protocols 2 to 5 for dict, list, tuple, str, bytes, numbers, and numpy's numeric arrays and
scalars is understood; whatever else a pickle asks for is refused by name. The bytes of arrays are passed over and read
when they are wanted, so that a file of any size is looked through in little memory.

The opcodes: https://github.com/python/cpython/blob/3.11/Lib/pickletools.py
"""

import os
import struct
from collections.abc import Callable
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from utils import memory
from utils.pickled_arrays import (
    LAZY_BYTES,
    MAKERS,
    Global,
    PlainPickleError,
    Stored,
    StoredArray,
    StoredDtype,
    arrays_alike,
    shown,
)
from utils.reading import read_into

_LONGEST_TEXT = 64 << 20
_LONGEST_INTEGER = 64
# What a value costs at most while it is on the stack, in a list or in the memo.
_VALUE_BYTES = 120
_ARRAY_VALUES = 3  # what an array that stays in the file takes is so many times that
_DEEPEST = 100
_MOST_OTHER_KEYS = 10_000
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


_MARK = Global("", "mark")
_LEAVES = (str, int, float, complex, bytes, np.generic, type(None))


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


class _Place(NamedTuple):
    """Where an array has been built: how deep the stack is, where the file stands, what has been touched till then."""

    array: StoredArray
    depth: int
    end: int
    effects: int


class _Machine:
    """The stack machine that a pickle is a program for."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.read = file, file.read
        self.size = os.fstat(file.fileno()).st_size
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.budget = self.limit = memory.limit_bytes() // _VALUE_BYTES
        self.visits = 0
        self.effects = 0  # on the memo, and on what was there before
        self.last = _Place(StoredArray(), -1, 0, 0)  # none

    def run(self) -> Any:
        """Run the program; the value that it leaves."""
        read = self.read
        while (code := read(1)) != b".":
            handler = _HANDLERS.get(code)
            if handler is None:
                raise PlainPickleError(_reason(code))
            self.spend(1)
            handler(self)
        value = self.stack.pop()
        self.visits = 16 * (self.limit - self.budget) + 1000
        return self.settle(value, 0)

    def spend(self, values: int) -> None:
        """Count what takes memory."""
        self.budget -= values
        if self.budget < 0:
            raise PlainPickleError(f"more values than {memory.limit_bytes() / 1e9:.4g} GB hold (--max-gb)")

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
            raise PlainPickleError(f"refused: it holds {shown(value)}; only plain data and arrays are read")
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
        if length < LAZY_BYTES and not is_text:
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
            raise PlainPickleError(f"puts items into {shown(self.stack[-1])}")
        return self.stack[-1]

    def line(self) -> str:
        return self.file.readline(256).decode("utf-8").rstrip("\n")

    def take(self, count: int) -> list[Any]:
        """Pop the topmost values."""
        values = self.stack[-count:]
        if len(values) < count:
            raise PlainPickleError("damaged: values that are not there")
        del self.stack[-count:]
        return values

    def name(self, module: Any, name: Any) -> None:
        """Push a global, as a name."""
        module = module.replace("numpy.core.", "numpy._core.")  # numpy 1 wrote its files under the old name
        module = "builtins" if module == "__builtin__" else module
        if (module, name) not in _GLOBALS:
            raise PlainPickleError(f"refused: it asks for {module}.{name}; only plain data and arrays are read")
        self.stack.append(Global(module, name))

    def get(self, index: int) -> None:
        """Push a remembered value; containers that hold themselves could be built no other way."""
        self.effects += 1
        value = self.memo[index]
        if isinstance(value, list | dict):
            raise PlainPickleError("a list or dict that is used twice")
        self.stack.append(value)

    def extend(self, values: list[Any]) -> None:
        self.effects += 1
        self.top(list).extend(values)

    def update(self, values: list[Any]) -> None:
        """Put keys and values into the dict on top."""
        self.effects += 1
        target = self.top(dict)
        if len(values) % 2:
            raise PlainPickleError("damaged: a key without a value")
        for key, value in zip(values[::2], values[1::2], strict=True):
            if not isinstance(key, str | int | float | bytes | None) or isinstance(key, Stored):
                raise PlainPickleError(f"a dict's key is {shown(key)}")
            if not isinstance(key, str) and len(target) > _MOST_OTHER_KEYS:
                raise PlainPickleError(f"a dict of more than {_MOST_OTHER_KEYS} keys that are no names")
            target[key] = value

    def call(self) -> None:
        """Push what numpy's constructors would make of their arguments."""
        function, arguments = self.take(2)
        if not isinstance(function, Global) or not isinstance(arguments, tuple):
            raise PlainPickleError(f"calls {shown(function)}")
        maker = MAKERS.get(function.name)
        if maker is None:
            raise PlainPickleError(f"refused: it calls {function}")
        self.stack.append(maker(arguments))
        if isinstance(buffered := self.stack[-1], bytes):
            self.budget -= len(buffered) // _VALUE_BYTES

    def build(self) -> None:
        """Give an array or a dtype its state."""
        state = self.stack.pop()
        target = self.stack[-1]
        if isinstance(target, StoredDtype):
            target.set_state(state)
        elif isinstance(target, StoredArray) and target.data is None:
            if not isinstance(state, tuple) or len(state) != 5 or state[0] != 1 or type(state[3]) is not bool:
                raise PlainPickleError(f"the state of an array is {shown(state)}")
            target.fill(state[4], state[2], state[1], "F" if state[3] else "C")
            self.take_alike(target)
        else:
            raise PlainPickleError(f"sets the state of {shown(target)}")

    def take_alike(self, array: StoredArray) -> None:
        """Push the arrays that follow and are spelled as this one and the one before it, as thousands of patches are.

        The same bytes do the same again, where they touch neither the memo nor what was there before.
        """
        before, depth, end = self.last, len(self.stack), self.file.tell()
        if (before.depth, before.effects) == (depth - 1, self.effects) and self.stack[-2] is before.array:
            for found, its_end in arrays_alike(self.file, before.end, array, end):
                self.spend(_ARRAY_VALUES)
                self.stack.append(found)
                end = its_end
            self.file.seek(end)
        self.last = _Place(self.stack[-1], len(self.stack), end, self.effects)


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


def _put(machine: _Machine, index: int) -> None:
    machine.effects += 1
    machine.memo[index] = machine.stack[-1]


_NEWEST_PROTOCOL = 5
_HANDLERS: dict[bytes, Callable[[_Machine], Any]] = {
    b"\x80": _counted("<B", _protocol),
    b"\x95": _counted("<Q", lambda machine, length: None),  # a frame
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
    b"t": lambda machine: machine.stack.append(tuple(machine.since_mark())),
    b"\x85": lambda machine: machine.stack.append(tuple(machine.take(1))),
    b"\x86": lambda machine: machine.stack.append(tuple(machine.take(2))),
    b"\x87": lambda machine: machine.stack.append(tuple(machine.take(3))),
    b"a": lambda machine: machine.extend(machine.take(1)),
    b"e": lambda machine: machine.extend(machine.since_mark()),
    b"s": lambda machine: machine.update(machine.take(2)),
    b"u": lambda machine: machine.update(machine.since_mark()),
    b"\x94": lambda machine: _put(machine, len(machine.memo)),
    b"q": _counted("<B", _put),
    b"r": _counted("<I", _put),
    b"h": _counted("<B", _Machine.get),
    b"j": _counted("<I", _Machine.get),
    b"c": lambda machine: machine.name(machine.line(), machine.line()),
    b"\x93": lambda machine: machine.name(*machine.take(2)),
    b"R": _Machine.call,
    b"b": _Machine.build,
}


def _reason(code: bytes) -> str:
    if not code:
        return "the file is cut short"
    what = _REFUSED.get(code.decode("latin1"))
    return f"refused: it holds {what}" if what else f"damaged: no pickle has the opcode {code!r}"
