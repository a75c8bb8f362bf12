"""Contrast: the suite's only conversion of intensities to uint8, once per image or volume."""

import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

CONTRASTS = ("percentile", "minmax", "dtype")
PERCENTILES = (0.1, 99.9)
# Enough values that about a thousand lie beyond each percentile.
SAMPLE = 1 << 20
# Elements converted at a time: the float64 scratch stays in a core's cache.
CHUNK = 1 << 16


@dataclass(frozen=True)
class Contrast:
    """The window of source values that becomes 0..255: ``low`` -> 0, ``high`` -> 255, rounded, clipped.

    ``method`` says where it came from; ``none`` (uint8) leaves values as they are. ``low == high`` gives 0 everywhere.
    """

    method: str
    low: float
    high: float

    def as_dict(self) -> dict[str, str | float]:
        """Plain values, for a dictionary's ``meta`` or a TIFF's description."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> "Contrast":
        """The inverse of `as_dict`."""
        return cls(str(values["method"]), float(values["low"]), float(values["high"]))


NO_CONTRAST = Contrast("none", 0.0, 255.0)


def measure_contrast(sample: ArrayLike, method: str = "percentile", *, name: str = "") -> Contrast:
    """The contrast window of an image, or of a sample of a volume.

    Parameters
    ----------
    sample : ndarray
        Values in the source's dtype. Non-finite ones do not count. Of large arrays a fixed random sample is taken for
        the percentiles.
    method : {'percentile', 'minmax', 'dtype'}
        0.1-99.9 percentile, smallest to largest value, or the whole range of an integer dtype (floats have none:
        minmax).
    name : str
        What warnings call the image, where a caller measures several.

    Raises
    ------
    ValueError
        If the method is unknown or the dtype is not real numbers.
    """
    values = np.asarray(sample)
    if method not in CONTRASTS:
        raise ValueError(f"contrast {method!r} is none of {', '.join(CONTRASTS)}")
    if values.dtype.kind not in "buif":
        raise ValueError(f"values of type {values.dtype} have no intensity; expected integers or real numbers")
    if values.dtype == np.uint8:
        return NO_CONTRAST
    if values.dtype.kind == "b":
        return Contrast("dtype", 0.0, 1.0)
    if method == "dtype" and values.dtype.kind in "iu":
        limits = np.iinfo(values.dtype)
        return Contrast(method, float(limits.min), float(limits.max))
    finite = _finite(values)
    if finite.size < values.size:
        warn_not_finite(values.size - finite.size, name)
    contrast = _measured(finite, method)
    if finite.size and contrast.low == contrast.high:
        _warn(name, f"constant ({contrast.low:g} everywhere): everything becomes 0")
    return contrast


def warn_not_finite(count: int, name: str = "") -> None:
    """Say that values are NaN or infinite, and what becomes of them."""
    _warn(name, f"{count} values are not finite: NaN and -inf become 0, +inf 255")


def _measured(values: np.ndarray, method: str) -> Contrast:
    if values.size == 0:
        return Contrast(method, 0.0, 0.0)
    if method == "percentile":
        low, high = _percentiles(values)
        if low < high:
            return Contrast(method, low, high)
    return Contrast("minmax", float(values.min()), float(values.max()))


def _percentiles(values: np.ndarray) -> tuple[float, float]:
    """The two percentiles: of all values where counting them is quick, else of a fixed random sample."""
    if values.dtype.kind in "iu" and values.dtype.itemsize <= 2:
        return _percentiles_by_counting(values)
    if values.size > SAMPLE:
        values = values[np.random.default_rng(0).integers(0, values.size, SAMPLE)]
    low, high = np.percentile(values.astype(np.float64), PERCENTILES)
    return float(low), float(high)


def _percentiles_by_counting(values: np.ndarray) -> tuple[float, float]:
    """``numpy.percentile`` of short integers, from how often each occurs."""
    smallest = int(values.min())
    counts = np.zeros(int(values.max()) - smallest + 1, np.int64)
    for part in _parts(values.size, SAMPLE):
        counts += np.bincount(values[part].astype(np.int64) - smallest, minlength=counts.size)
    ends = np.cumsum(counts)

    def percentile(share: float) -> float:
        rank = (values.size - 1) * share / 100
        below, above = np.searchsorted(ends, [np.floor(rank), np.ceil(rank)], side="right")
        return smallest + float(below + (above - below) * (rank % 1))

    return percentile(PERCENTILES[0]), percentile(PERCENTILES[1])


def _finite(values: np.ndarray) -> np.ndarray:
    values = values.ravel()
    if values.dtype.kind != "f":
        return values
    finite = np.isfinite(values)
    return values if finite.all() else values[finite]


def _warn(name: str, sentence: str) -> None:
    warnings.warn(f"{name}: {sentence}" if name else sentence, stacklevel=3)


def to_uint8(values: np.ndarray, contrast: Contrast | str = "percentile") -> np.ndarray:
    """Convert intensities to uint8; uint8 passes through untouched.

    Parameters
    ----------
    values : ndarray, any shape
    contrast : Contrast or str
        A window measured before (all parts of one volume share it), or a method to measure it here.

    Returns
    -------
    ndarray of uint8, same shape
        NaN and -inf are 0, +inf is 255; all 0 where the window is empty.
    """
    if isinstance(contrast, str):
        contrast = measure_contrast(values, contrast)
    if values.dtype == np.uint8:
        return values
    if values.dtype.kind in "iu" and values.dtype.itemsize <= 2:
        table = _window(
            np.arange(1 << 8 * values.dtype.itemsize).astype(_unsigned(values)).view(values.dtype), contrast
        )
        return table[np.ascontiguousarray(values).view(_unsigned(values))]
    result = np.empty(values.shape, np.uint8)
    flat, source = result.reshape(-1), values.reshape(-1)
    for part in _parts(source.size, CHUNK):
        flat[part] = _window(source[part], contrast)
    return result


def _unsigned(values: np.ndarray) -> DTypeLike:
    return np.dtype(f"{values.dtype.byteorder}u{values.dtype.itemsize}")


def _parts(size: int, step: int) -> Iterator[slice]:
    return (slice(start, start + step) for start in range(0, size, step))


def _window(values: np.ndarray, contrast: Contrast) -> np.ndarray:
    """``rint((values - low) * 255 / (high - low))``, clipped; float64 throughout, so that machines agree."""
    if contrast.low >= contrast.high:
        return np.where(values == np.inf, 255, 0).astype(np.uint8)
    scaled = values.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        scaled -= contrast.low
        scaled *= 255.0 / (contrast.high - contrast.low)
    return np.rint(np.clip(np.nan_to_num(scaled, nan=0.0, posinf=255.0, neginf=0.0), 0, 255)).astype(np.uint8)
