"""Values that must not set a contrast window: fill values, and hot or dead pixels.

A *fill value* is one exact value that holds far more pixels than the values beside it do and lies apart from them: what
microscopes, stitching and registration write where there is no picture (0, 65535, -9999, 1e38). The values of a picture
come in a crowd: where one of them is common, so are its neighbours. *Hot and dead pixels* stand alone in the plane:
a median over neighbours removes them and keeps whatever is wider than a pixel, however rare.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from utils.histogram import Histogram
from utils.planes import in_bands

PERCENTILES = (0.1, 99.9)
# What the percentiles ignore anyway, as a share.
IGNORED = PERCENTILES[0] / 100
# A fill value is this many times as common as the mean of so many values beside it,
COMMONER, NEIGHBOURS = 16, 16
# and further from them than so many of the steps between the values of the picture, or it holds most of all
APART, MOST = 3, 0.5
# and the picture is not so quantised that its steps are seen: more than this share of the window.
COARSE = 0.02
# Fewer values than this are no picture beside which another value could be a fill.
LEAST = 8
# Fill values that one picture can have at each end.
FILLS = 3
# A window that grows less than this by what seems wrong is right as it is.
MATTERS = 0.02
# Lone pixels are outliers beyond one window's width from the window of what is not alone, where they are few.
REACH, FEW = 1.0, 0.05
# They make the window many times as wide as what holds nine tenths of the picture; a normal distribution's is 1.9.
SPREAD = 3


@dataclass(frozen=True)
class OutlierRange:
    """Values, from `low` to `high`, that did not set the window, and their share of all."""

    low: float
    high: float
    share: float

    def __str__(self) -> str:
        what = f"{self.low:g}" if self.low == self.high else f"{self.low:g} to {self.high:g}"
        return f"{what} ({self.share:.2%})"


def window(histogram: Histogram) -> tuple[float, float]:
    """The two percentiles."""
    return histogram.percentile(PERCENTILES[0]), histogram.percentile(PERCENTILES[1])


def without_outliers(
    values: np.ndarray, finite: np.ndarray, padding: float | None = None
) -> tuple[Histogram, list[OutlierRange], list[OutlierRange]]:
    """What may set the window: a picture's histogram, without the fill values and the hot or dead pixels beside it.

    Parameters
    ----------
    values : ndarray, shape (..., h, w) or (n,)
        Planes, in which lone pixels can be told; a row of pixels without others above and below tells nothing.
    finite : ndarray, shape (m,)
        Those that are finite and no padding, at least one.
    padding : float, optional
        A value among `values` that is known to stand for no picture.
    """
    whole = Histogram.of(finite)
    picture, fills = _without_fills(whole)
    known = [] if padding is None else [OutlierRange(padding, padding, 0.0)]
    picture, lone = _without_lone_pixels(values, picture, [*fills, *known])
    harmless = [fill for fill in fills if not _differ(window(_put_back(picture, whole, [fill])), window(picture))]
    return _put_back(picture, whole, harmless), [fill for fill in fills if fill not in harmless], lone


def _put_back(picture: Histogram, whole: Histogram, fills: Sequence[OutlierRange]) -> Histogram:
    places = np.searchsorted(whole.values, [fill.low for fill in fills])
    where = np.searchsorted(picture.values, whole.values[places])
    return Histogram(
        np.insert(picture.values, where, whole.values[places]), np.insert(picture.counts, where, whole.counts[places])
    )


def _without_fills(histogram: Histogram) -> tuple[Histogram, list[OutlierRange]]:
    """The histogram without fill values, and these."""
    keep = np.ones(len(histogram), bool)
    for _ in range(2 * FILLS + 1):
        there = np.flatnonzero(keep)
        rest = histogram.chosen(there)
        fill = next((place for place in _suspects(rest) if _is_fill(rest, place)), None)
        if fill is None:
            break
        keep[there[fill]] = False
    total = histogram.total
    return histogram.chosen(keep), [
        OutlierRange(float(value), float(value), int(count) / total)
        for value, count in zip(histogram.values[~keep], histogram.counts[~keep], strict=True)
    ]


def _suspects(rest: Histogram) -> list[int]:
    """Places of the commonest value at each end (what lies beyond it, the percentiles ignore), and of all."""
    if len(rest) <= LEAST:
        return []
    allowed = IGNORED * rest.total
    first = rest.ends - rest.counts <= allowed
    last = rest.total - rest.ends <= allowed
    places = (np.flatnonzero(end) for end in (first, last, rest.counts > MOST * rest.total))
    return [int(where[np.argmax(rest.counts[where])]) for where in places if where.size]


def _is_fill(rest: Histogram, place: int) -> bool:
    """Whether one value of a histogram is apart from the others, and too common beside its neighbours.

    One that lies further off than the window is wide needs not be so common, one that holds most of all not so far off.
    """
    value, count, total = rest.values[place], rest.counts[place], rest.total
    picture = rest.chosen(np.arange(len(rest)) != place)
    beside = picture.counts[max(0, place - NEIGHBOURS // 2) : place + NEIGHBOURS // 2]
    if count <= IGNORED * total:
        return False
    with np.errstate(over="ignore"):
        low, high = window(picture)
        core = picture.within(picture.percentile(5), picture.percentile(95)).values
        step = float(np.percentile(np.diff(core), 90)) if len(core) > 1 else 0.0
        gap = _gap(picture, value)
    if count < COMMONER * beside.mean():
        return gap > high - low
    return gap > APART * step or bool(count > MOST * total and step < COARSE * (high - low))


def _gap(picture: Histogram, value: float) -> float:
    """How far from a value the picture begins: its nearest thousandth may be stray."""
    distance = np.abs(picture.values - value)
    order = np.argsort(distance)
    reached = np.searchsorted(np.cumsum(picture.counts[order]), IGNORED * picture.total, side="right")
    return float(distance[order[reached]])


def _differ(one: tuple[float, float], other: tuple[float, float]) -> bool:
    """Whether a window is another than `other`, by more than a little of that one's width."""
    with np.errstate(over="ignore", invalid="ignore"):
        width = np.float64(other[1]) - other[0]
        return any(not abs(np.float64(a) - b) <= MATTERS * width for a, b in zip(one, other, strict=True))


def _without_lone_pixels(
    values: np.ndarray, picture: Histogram, fills: Sequence[OutlierRange]
) -> tuple[Histogram, list[OutlierRange]]:
    """A picture's histogram without hot and dead pixels, and these."""
    low, high = window(picture)
    core = picture.percentile(5), picture.percentile(95)
    with np.errstate(over="ignore", invalid="ignore"):
        if values.ndim < 2 or len(picture) <= LEAST or not high - low > SPREAD * (core[1] - core[0]):
            return picture, []
        kept = _beside_others(values, picture, fills)
        if not kept.size:
            return picture, []
        below, above = window(Histogram.of(kept))
        reach = REACH * (above - below)
        rest = picture.within(below - reach, above + reach)
        if not reach > 0 or (low >= below - reach and high <= above + reach) or rest.total < (1 - FEW) * picture.total:
            return picture, []
        return rest, _ends(picture, below - reach, above + reach, picture.total / (1 - sum(f.share for f in fills)))


def _beside_others(values: np.ndarray, picture: Histogram, fills: Sequence[OutlierRange]) -> np.ndarray:
    """The picture's values after a median over 3 x 3 neighbours, rows then columns; fill values count as the median."""
    values = in_bands(values)
    middle = np.asarray(picture.percentile(50)).astype(values.dtype)
    other = ~np.isfinite(values)
    for fill in fills:
        other |= values == fill.low
    smooth = np.where(other, middle, values)
    for axis in (-1, -2):
        smooth = _median_of_3(smooth, axis)
    return np.asarray(smooth[~other])


def _median_of_3(values: np.ndarray, axis: int) -> np.ndarray:
    """The median of each value and its two neighbours along an axis; the first and last stay as they are."""
    if values.shape[axis] < 3:
        return values
    along = np.moveaxis(values, axis, 0)
    one, two, three = along[:-2], along[1:-1], along[2:]
    result = along.copy()
    np.maximum(np.minimum(one, two), np.minimum(np.maximum(one, two), three), out=result[1:-1])
    return np.moveaxis(result, 0, axis)


def _ends(picture: Histogram, low: float, high: float, total: float) -> list[OutlierRange]:
    left_out = []
    for end in (picture.values < low, picture.values > high):
        if end.any():
            beyond = picture.chosen(end)
            left_out.append(OutlierRange(float(beyond.values[0]), float(beyond.values[-1]), beyond.total / total))
    return left_out
