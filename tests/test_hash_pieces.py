"""utils/hash_pieces.py: what is near is near in one of the pieces, and they cost what is least."""

import numpy as np
import pytest

from utils.hash_pieces import WIDEST, Piece, bits_apart, pieces_of
from utils.near_hashes import hamming

RNG = np.random.default_rng(5)


@pytest.mark.parametrize("count", [1, 9, 15, 19])
@pytest.mark.parametrize(
    ("bits", "distance"), [(64, d) for d in (0, 1, 5, 12, 13, 20, 33, 63, 64)] + [(256, 48), (1, 3)]
)
def test_near_ones_are_near_in_a_piece(bits, distance, count):
    pieces = pieces_of(bits, distance, count)
    assert [piece.start for piece in pieces] == np.cumsum([0] + [piece.width for piece in pieces])[:-1].tolist()
    assert sum(piece.width for piece in pieces) <= bits and all(0 < piece.width <= WIDEST for piece in pieces)
    radii = [int(np.bitwise_count(piece.differences).max()) for piece in pieces]
    for piece, radius in zip(pieces, radii, strict=True):
        every = np.arange(1 << piece.width)
        assert piece.differences.tolist() == every[np.bitwise_count(every) <= radius].tolist()
    # To differ by more in every piece takes more than so many bits, or more than there are.
    beyond = [radius + 1 if radius < piece.width else bits + 1 for piece, radius in zip(pieces, radii, strict=True)]
    assert sum(beyond) > min(distance, bits)


def test_more_hashes_take_wider_pieces():
    few, many = pieces_of(64, 12, 13), pieces_of(64, 12, 19)
    assert max(piece.width for piece in few) < max(piece.width for piece in many)
    assert sum(piece.cost for piece in many) < 64 * sum(piece.cost for piece in few) / 3


def test_few_pairs_are_left():
    """Of 64 bits, at a distance of 12: less than one pair in twenty among thousands, in sixty among half a million."""
    for count, least in ((13, 20), (16, 30), (19, 60)):
        left = sum(len(piece.differences) / 2**piece.width for piece in pieces_of(64, 12, count))
        assert left < 1 / least


@pytest.mark.parametrize(("start", "width"), [(0, 16), (13, 9), (60, 10), (63, 1), (64, 16), (120, 8)])
def test_values_are_the_bits_of_a_piece(start, width):
    hashes = RNG.integers(0, 2**64, (50, 2), dtype=np.uint64)
    piece = Piece(start, width, np.arange(1), 1.0)
    whole = [int(low) | int(high) << 64 for low, high in hashes]
    assert piece.values(hashes).tolist() == [number >> start & (1 << width) - 1 for number in whole]


@pytest.mark.parametrize("words", [1, 2, 3])
def test_parted_hashes_are_as_far_apart(words):
    hashes = RNG.integers(0, 2**64, (40, words), dtype=np.uint64)
    parted, bits = bits_apart(hashes)
    assert bits == 64 * words and parted.shape == hashes.shape
    assert np.array_equal(hamming(parted[:, np.newaxis], parted), hamming(hashes[:, np.newaxis], hashes))


def test_bits_that_all_share_are_left_out():
    hashes = RNG.integers(0, 2**20, (40, 2), dtype=np.uint64) << np.uint64(30) | np.uint64(5)
    parted, bits = bits_apart(hashes)
    assert bits == 40 and parted.shape == (40, 1) and int(np.bitwise_or.reduce(parted[:, 0])) == 2**40 - 1
    assert np.array_equal(hamming(parted[:, np.newaxis], parted), hamming(hashes[:, np.newaxis], hashes))


def test_neighbouring_bits_are_parted():
    hashes = np.array([[0], [1], [2], [2**64 - 1]], np.uint64)
    assert bits_apart(hashes)[0][:3, 0].tolist() == [0, 1, 1 << 13]


def test_equal_hashes_keep_a_bit():
    parted, bits = bits_apart(np.full((3, 2), 7, np.uint64))
    assert bits == 1 and parted.shape == (3, 1) and len(np.unique(parted)) == 1
