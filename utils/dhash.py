"""Difference hashes of stacks of patches, bit for bit those of ImageHash.

ImageHash shrinks an image with Pillow's Lanczos filter to (hash size + 1) x hash size pixels and compares neighbours.
Pillow does it in two passes, columns first, each with integer weights and rounded to uint8. A pass is therefore a
matrix product of integers; split so that every partial sum fits float32's 24 bits, it is exact on any machine and in
any order of summation.

References
----------
Pillow, src/libImaging/Resample.c: ``precompute_coeffs`` and ``normalize_coeffs_8bpc``.
ImageHash, ``dhash``: https://github.com/JohannesBuchner/imagehash
"""

import math
from collections.abc import Sequence
from functools import cache

import numpy as np

PRECISION_BITS = 22
_SUPPORT = 3.0
# Whole numbers below this, and their sums, are exact in float32.
_EXACT = 1 << 24


@cache
def _lanczos_weights(length: int, reduced: int) -> np.ndarray:
    """Pillow's Lanczos weights that resize a side: int64 (length, reduced), whose columns sum to 2**PRECISION_BITS."""
    scale = length / reduced
    filter_scale = max(scale, 1.0)
    support = _SUPPORT * filter_scale
    weights = np.zeros((length, reduced), np.int64)
    for column in range(reduced):
        center = (column + 0.5) * scale
        first = max(int(center - support + 0.5), 0)
        stop = min(int(center + support + 0.5), length)
        taps = np.array([_lanczos((x - center + 0.5) * (1.0 / filter_scale)) for x in range(first, stop)])
        total = 0.0
        for tap in taps:  # one by one, as Pillow adds them: pairwise summation would differ in the last bit
            total += tap
        scaled = taps / total * (1 << PRECISION_BITS)
        weights[first:stop, column] = np.trunc(scaled + np.copysign(0.5, scaled))
    return weights


def _lanczos(x: float) -> float:
    if not -_SUPPORT <= x < _SUPPORT:
        return 0.0
    return _sinc(x) * _sinc(x / _SUPPORT)


def _sinc(x: float) -> float:
    if x == 0.0:
        return 1.0
    x *= math.pi
    return math.sin(x) / x


@cache
def _split_weights(length: int, reduced: int) -> tuple[np.ndarray, int]:
    """Weights as digits to the base 2^bits, each digit's matrix beside the last: float32 (length, digits * reduced).

    The base is the largest for which 255 * (sum of a column's |digits|) stays below 2^24.
    """
    weights = _lanczos_weights(length, reduced)
    bits = next(b for b in range(12, 0, -1) if 255 * np.abs(_digit(weights, b)).sum(axis=0).max() < _EXACT)
    digits = []
    while 255 * np.abs(weights).sum(axis=0).max() >= _EXACT:
        digits.append(_digit(weights, bits))
        weights = (weights - digits[-1]) >> bits
    return np.concatenate([*digits, weights], axis=1).astype(np.float32), bits


def _digit(weights: np.ndarray, bits: int) -> np.ndarray:
    """The lowest digit, from -2^(bits - 1) to 2^(bits - 1) - 1."""
    half = 1 << (bits - 1)
    return ((weights + half) & ((1 << bits) - 1)) - half


def reduce_last(pixels: np.ndarray, reduced: int) -> np.ndarray:
    """Resize the last axis as Pillow does: weighted sums, rounded, clipped to uint8.

    Parameters
    ----------
    pixels : ndarray, shape (..., n)
        Values 0..255 as float32.
    reduced : int
        Length of the resized axis.

    Returns
    -------
    ndarray of float32, shape (..., reduced)
        Whole numbers from 0 to 255.
    """
    weights, bits = _split_weights(pixels.shape[-1], reduced)
    sums = pixels.reshape(-1, pixels.shape[-1]) @ weights
    digits = [sums[:, first : first + reduced] for first in range(0, sums.shape[-1], reduced)]
    return _rounded(digits, bits).reshape(*pixels.shape[:-1], reduced)


def reduce_middle(pixels: np.ndarray, reduced: int) -> np.ndarray:
    """`reduce_last` for the axis before the last.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (..., n, m)
    reduced : int

    Returns
    -------
    ndarray of uint8, shape (..., reduced, m)
    """
    weights, bits = _split_weights(pixels.shape[-2], reduced)
    sums = weights.T @ pixels
    return _rounded([sums[..., first : first + reduced, :] for first in range(0, sums.shape[-2], reduced)], bits)


def _rounded(digits: Sequence[np.ndarray], bits: int) -> np.ndarray:
    """Put the digits of sums together, the lowest first, and round to 0..255; 32 bits hold them, as in Pillow."""
    total = digits[0].astype(np.int32)
    for place, digit in enumerate(digits[1:], 1):
        total += digit.astype(np.int32) << (bits * place)
    total += 1 << (PRECISION_BITS - 1)
    total >>= PRECISION_BITS
    return np.clip(total, 0, 255, out=total).astype(np.float32)


def hash_patches(patches: np.ndarray, hash_size: int = 8) -> np.ndarray:
    """dHash of every patch.

    Parameters
    ----------
    patches : ndarray of uint8, shape (n, side, side)
        Square ones only: of others Pillow may shrink the rows first, which rounds differently.
    hash_size : int
        Bits per row and per column: 8 gives 64-bit hashes.

    Returns
    -------
    ndarray of uint64, shape (n, ceil(hash_size**2 / 64))
        The bits of ``imagehash.dhash(image, hash_size).hash``, row by row, packed (see `pack_bits`).

    Raises
    ------
    ValueError
        If they are not square.
    """
    if patches.ndim != 3 or patches.shape[1] != patches.shape[2]:
        raise ValueError(f"expected square patches (n, side, side), got an array of shape {patches.shape}")
    wide = reduce_last(patches.astype(np.float32), hash_size + 1)
    return bits_of_rows(reduce_middle(wide, hash_size))


def bits_of_rows(reduced: np.ndarray) -> np.ndarray:
    """Packed dHash of reduced patches: is the right neighbour brighter?

    Parameters
    ----------
    reduced : ndarray of uint8, shape (n, hash_size, hash_size + 1)

    Returns
    -------
    ndarray of uint64, shape (n, words)
    """
    bits = reduced[..., 1:] > reduced[..., :-1]
    return pack_bits(bits.reshape(len(bits), -1))


def pack_bits(bits: np.ndarray) -> np.ndarray:
    """Pack booleans into words, bits in order, the last word filled up with zeros.

    Parameters
    ----------
    bits : ndarray of bool, shape (n, b)

    Returns
    -------
    ndarray of uint64, shape (n, ceil(b / 64))
    """
    count, width = bits.shape
    padded = np.zeros((count, -(-width // 64) * 8), np.uint8)
    packed = np.packbits(bits, axis=1)
    padded[:, : packed.shape[1]] = packed
    return padded.view(">u8").astype(np.uint64)
