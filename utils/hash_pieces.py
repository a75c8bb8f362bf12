"""Pieces of hashes: what differs in few bits differs in hardly any bits of one of them.

Hashes that differ in at most d bits differ in at most r bits of one of their pieces, if the r + 1 of all pieces add up
to d + 1 (multi-index hashing, Norouzi, Punjani and Fleet 2012, https://doi.org/10.1109/CVPR.2012.6248043; with pieces
of several widths and r: Qin et al., "GPH: similarity search in Hamming space", ICDE 2018). At 12 of 64 bits one pair in
thirty to sixty is left to compare.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from math import comb

import numpy as np

# The widest piece: 2^18 values. Each fifth bit: neighbours, across and down, are alike, and tell little apart.
WIDEST, EVERY = 18, 5
# What costs as much as to compare so many pairs simply: to look up a value, to compare with a hash that has it, to sort
# a hash by a piece.
LOOK, FOUND, SORTED = 3.0, 1.6, 300.0


@dataclass(frozen=True)
class Piece:
    """Some bits of a hash, what a near one may differ by in them, as numbers, and what it costs to find those."""

    start: int
    width: int
    differences: np.ndarray
    cost: float

    def values(self, hashes: np.ndarray) -> np.ndarray:
        """These bits of hashes as numbers.

        Parameters
        ----------
        hashes : ndarray of uint64, shape (n, words)

        Returns
        -------
        ndarray of intp, shape (n,)
        """
        word, shift = divmod(self.start, 64)
        found = hashes[:, word] >> np.uint64(shift)
        if shift + self.width > 64:
            found |= hashes[:, word + 1] << np.uint64(64 - shift)
        return (found & np.uint64((1 << self.width) - 1)).astype(np.intp)


@cache
def pieces_of(bits: int, distance: int, count: int) -> tuple[Piece, ...]:
    """The pieces by which it costs least to find what is near among 2**count hashes of so many bits."""

    def cost(width: int, radius: int) -> float:
        return SORTED + _ball(width, radius) * (LOOK + FOUND * 2.0 ** (count - width))

    pieces: list[Piece] = []
    start = 0
    shapes = _shapes(bits, distance, min(count, WIDEST))
    for width, radius in min(shapes, key=lambda shape: sum(cost(*piece) for piece in shape)):
        numbers = np.arange(1 << width)
        pieces.append(Piece(start, width, numbers[np.bitwise_count(numbers) <= radius], cost(width, radius)))
        start += width
    return tuple(pieces)


def _shapes(bits: int, distance: int, widest: int) -> Iterator[tuple[tuple[int, int], ...]]:
    """Widths and radii of pieces, of no more than two kinds."""
    for count in range(1, min(distance + 1, bits) + 1):
        radius, larger = divmod(distance + 1, count)
        for wide in range(1, widest + 1) if larger else (0,):
            narrow = min(widest, (bits - larger * wide) // (count - larger))
            if narrow > 0:
                yield ((narrow, radius - 1),) * (count - larger) + ((wide, radius),) * larger


def _ball(width: int, radius: int) -> int:
    """How many numbers of so many bits have at most so many ones."""
    return sum(comb(width, ones) for ones in range(radius + 1))


def bits_apart(hashes: np.ndarray) -> tuple[np.ndarray, int]:
    """Hashes as far apart as others: without the bits in which none differ, and with neighbouring bits parted.

    Parameters
    ----------
    hashes : ndarray of uint64, shape (n, words)
        At least one.

    Returns
    -------
    parted : ndarray of uint64, shape (n, as many words as it takes)
    bits : int
        How many there are, from the lowest of the first word on; at least 1.
    """
    differing = np.bitwise_or.reduce(hashes ^ hashes[0], axis=0)
    bits = [bit for bit in range(64 * len(differing)) if int(differing[bit // 64]) >> bit % 64 & 1] or [0]
    parted = np.zeros((-(-len(bits) // 64), len(hashes)), np.uint64)
    # What each value of each byte becomes is looked up.
    becomes = np.zeros((8 * len(differing), len(parted), 256), np.uint64)
    for place, bit in enumerate(bit for first in range(EVERY) for bit in bits[first::EVERY]):
        becomes[bit // 8, place // 64] |= (np.arange(256, dtype=np.uint64) >> bit % 8 & 1) << place % 64
    for byte, words in zip(hashes.astype("<u8", copy=False).view(np.uint8).T, becomes, strict=True):
        for word, table in zip(parted, words, strict=True):
            word |= table[byte]
    return np.ascontiguousarray(parted.T), len(bits)
