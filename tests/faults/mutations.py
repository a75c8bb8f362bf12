"""Ways to damage a file: bits, ends, numbers in headers, pieces of it."""

import random
import re
import struct

NUMBERS = (0, -1, 1, 2**31 - 1, -(2**31), 2**32 - 1, 2**63 - 1, 65535, 255, 32768, 7)
WORDS = (b"0", b"-1", b"nan", b"inf", b"1e308", b"-0.0", b"2147483648", b"9" * 40, b"", b"x", b"1 2 3", b"\xff\xfe")
_HEAD = 600


def mutate(content: bytes, chance: random.Random) -> tuple[str, bytes]:
    """One damage, by its name, and what is left; most of them within the header."""
    kind = chance.choice(list(KINDS))
    return kind, KINDS[kind](content, chance)


def _place(content: bytes, chance: random.Random) -> int:
    reach = chance.choice((_HEAD, _HEAD, len(content)))
    at = chance.randrange(max(1, min(reach, len(content))))
    return at if chance.random() < 0.8 else max(0, len(content) - 1 - at)


def _cut(content: bytes, chance: random.Random) -> bytes:
    if chance.random() < 0.3:
        return content[: max(0, len(content) - chance.randint(1, 40))]
    return content[: chance.randrange(max(1, len(content)))]


def _flip(content: bytes, chance: random.Random) -> bytes:
    changed = bytearray(content or b"\0")
    changed[_place(content or b"\0", chance)] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _flips(content: bytes, chance: random.Random) -> bytes:
    for _ in range(chance.randint(2, 30)):
        content = _flip(content, chance)
    return content


def _number(content: bytes, chance: random.Random) -> bytes:
    """A binary number at an extreme, of any width and order of bytes."""
    width, code = chance.choice(((1, "B"), (2, "H"), (4, "I"), (8, "Q"), (4, "f"), (8, "d")))
    value = chance.choice(NUMBERS)
    number = float(value) * chance.choice((1, 1e19)) if code in "fd" else value % (1 << 8 * width)
    at = _place(content, chance) // width * width
    return content[:at] + struct.pack(chance.choice("<>") + code, number) + content[at + width :]


def _text_number(content: bytes, chance: random.Random) -> bytes:
    """A number written in text at an extreme; elsewhere as `_number`."""
    found = list(re.finditer(rb"-?\d+(\.\d+)?", content[:20_000]))
    if not found:
        return _number(content, chance)
    place = chance.choice(found)
    return content[: place.start()] + chance.choice(WORDS) + content[place.end() :]


def _piece(content: bytes, chance: random.Random) -> bytes:
    """A piece taken out, put in twice, filled with one value, or moved."""
    start = _place(content, chance)
    stop = start + chance.choice((1, 2, 4, 16, 100))
    piece = content[start:stop]
    way = chance.randrange(4)
    if way == 0:
        return content[:start] + content[stop:]
    if way == 1:
        return content[:stop] + piece + content[stop:]
    if way == 2:
        return content[:start] + bytes([chance.choice((0, 255, 32))]) * len(piece) + content[stop:]
    at = _place(content, chance)
    return content[:at] + piece + content[at + len(piece) :]


def _longer(content: bytes, chance: random.Random) -> bytes:
    return content + chance.randbytes(chance.choice((1, 16, 5000)))


KINDS = {
    "cut": _cut, "flip": _flip, "flips": _flips, "number": _number, "text number": _text_number, "piece": _piece,
    "longer": _longer,
}  # fmt: skip
