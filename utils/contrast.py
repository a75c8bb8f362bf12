"""Contrast: the suite's only conversion of intensities to uint8, once per image or volume."""

import warnings
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from utils.histogram import as_unsigned, parts, values_of_unsigned
from utils.outliers import OutlierRange, window, without_outliers

CONTRASTS = ("percentile", "minmax", "dtype")
FIXED = ("method", "low", "high")
# Elements converted at a time: the float64 scratch stays in a core's cache.
CHUNK = 1 << 16


@dataclass(frozen=True)
class Contrast:
    """The window of source values that becomes 0..255: ``low`` -> 0, ``high`` -> 255, rounded, clipped.

    ``method`` says where it came from; ``none`` (uint8) leaves values as they are. ``low == high`` gives 0 everywhere.
    ``left_out`` did not set the window: it is clipped like all that lies beyond. ``stretch`` converts uint8, too.
    """

    method: str
    low: float
    high: float
    left_out: tuple[OutlierRange, ...] = ()
    stretch: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for a dictionary's ``meta`` or a TIFF's description; what is empty or false is left out."""
        return {
            key: list(value) if key == "left_out" else value
            for key, value in asdict(self).items()
            if value or key in FIXED
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Contrast":
        """The inverse of `as_dict`; also of records that older versions wrote."""
        left_out = tuple(
            OutlierRange(**{key: float(entry[key]) for key in ("low", "high", "share")})
            for entry in values.get("left_out", ())
        )
        return cls(
            str(values["method"]), float(values["low"]), float(values["high"]), left_out, bool(values.get("stretch"))
        )


NO_CONTRAST = Contrast("none", 0.0, 255.0)


def measure_contrast(
    sample: ArrayLike,
    method: str = "percentile",
    *,
    name: str = "",
    stretch: bool = False,
    padding: float | None = None,
) -> Contrast:
    """The contrast window of an image, or of a sample of a volume.

    Parameters
    ----------
    sample : ndarray, shape (..., h, w) or (n,)
        Values in the source's dtype. Non-finite ones do not count. Of large arrays a fixed random sample is taken for
        the percentiles. In planes (two axes or more) hot and dead pixels are told from what is rare but real.
    method : {'percentile', 'minmax', 'dtype'}
        0.1-99.9 percentile of what is no fill value and no hot or dead pixel (`utils.outliers`; a warning names what
        was left out), smallest to largest value, or the whole range of an integer dtype (floats have none: minmax).
    name : str
        What warnings call the image, where a caller measures several.
    stretch : bool
        Measure uint8, too, which otherwise stays as it is.
    padding : float, optional
        A value that stands for no picture, whatever share of it there is.

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
    if values.dtype == np.uint8 and not stretch:
        return NO_CONTRAST
    if values.dtype.kind == "b":
        return Contrast("dtype", 0.0, 1.0)
    if method == "dtype" and values.dtype.kind in "iu":
        limits = np.iinfo(values.dtype)  # of uint8: what it is already
        return Contrast(method, float(limits.min), float(limits.max))
    finite = int(np.count_nonzero(np.isfinite(values)))
    if finite < values.size:
        warn_not_finite(values.size - finite, name)
    contrast = replace(_measured(values, method, name, padding), stretch=values.dtype == np.uint8)
    if finite and contrast.low == contrast.high:
        _warn(name, f"constant ({contrast.low:g} everywhere): everything becomes 0")
    return contrast


def warn_not_finite(count: int, name: str = "") -> None:
    """Say that values are NaN or infinite, and what becomes of them."""
    _warn(name, f"{count} values are not finite: NaN and -inf become 0, +inf 255")


def _measured(values: np.ndarray, method: str, name: str, padding: float | None) -> Contrast:
    finite = _finite(values)
    if padding is not None:
        finite = finite[finite != padding]
    if finite.size == 0:
        return Contrast(method, 0.0, 0.0)
    if method == "percentile":
        picture, fills, lone = without_outliers(values, finite, padding)
        low, high = window(picture)
        if low < high:
            kinds = (("fill values", fills), ("hot or dead pixels", lone))
            if said := [f"{kind} {', '.join(map(str, found))}" for kind, found in kinds if found]:
                _warn(name, f"the contrast window leaves out {' and '.join(said)}")
            return Contrast(method, low, high, (*fills, *lone))
    return Contrast("minmax", float(finite.min()), float(finite.max()))


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
    if values.dtype == np.uint8 and not contrast.stretch:
        return values
    result = np.empty(values.shape, np.uint8)
    flat, source = result.reshape(-1), values.reshape(-1)
    convert = _looked_up if values.dtype.kind in "iu" and values.dtype.itemsize <= 2 else _window
    for part in parts(source.size, CHUNK):
        flat[part] = convert(source[part], contrast)
    return result


def _looked_up(values: np.ndarray, contrast: Contrast) -> np.ndarray:
    """The same for integers of 8 or 16 bits, (n,), each of which is computed once."""
    import cv2

    return np.asarray(cv2.LUT(as_unsigned(values), _table(values.dtype, contrast)).ravel())


@lru_cache(maxsize=8)
def _table(dtype: np.dtype, contrast: Contrast) -> np.ndarray:
    return _window(values_of_unsigned(dtype), contrast)[np.newaxis]


def _window(values: np.ndarray, contrast: Contrast) -> np.ndarray:
    """``rint((values - low) * 255 / (high - low))``, clipped; float64 throughout, so that machines agree."""
    if contrast.low >= contrast.high:
        return np.where(values == np.inf, 255, 0).astype(np.uint8)
    if contrast.high - contrast.low == np.inf:  # float64 at both ends of its range
        return _window(values / 2, replace(contrast, low=contrast.low / 2, high=contrast.high / 2))
    scaled = values.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        scaled -= contrast.low
        scaled *= 255.0 / (contrast.high - contrast.low)
    return np.rint(np.clip(np.nan_to_num(scaled, nan=0.0, posinf=255.0, neginf=0.0), 0, 255)).astype(np.uint8)
