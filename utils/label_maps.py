"""Label maps: masks and segmentations, told from images by their values and by how these lie in the plane.

A label holds a whole area at exactly one value, and beside it may lie any other: most neighbours are equal, and those
that are not differ by any number of steps. In an image noise makes neighbours differ; without noise (blurred and
posterised) they differ by one step. An image blown up pixel by pixel is judged by its pixels. The commonest value, with
which a picture may be padded, does not count.
"""

import numpy as np

from utils.histogram import Histogram
from utils.planes import in_bands

# Values that no image gets along with: 2 bits.
FEW = 4
# Up to so many values (3 bits) are labels where neighbours differ by more than a step this often,
SOME, JUMPS = 8, 0.3
# or where so nearly all are equal that only nested areas are left, of which some touch others than the next.
NESTED, TOUCHING = 0.95, 0.05
# More values are labels where most neighbours are equal and most that differ do so by more than a step,
EQUAL, FAR = 0.75, 0.5
# and a plane holds a handful of areas of each value (instances),
AREAS = 16
# or there are few values (classes), in areas of many pixels.
CLASSES, CLASS_EQUAL, CLASS_PIXELS = 32, 0.85, 16
# What may be done about it.
_TAKEN = "(--keep-labels takes it all the same)"
# No image is worth blowing up whose shorter side has fewer pixels.
SMALLEST = 64


def why_labels(planes: np.ndarray) -> str:
    """Why planes of pixels are a mask or a label map; empty when they are an image, or one value throughout.

    Parameters
    ----------
    planes : ndarray of numbers, shape (..., h, w)
    """
    seen = _shrunk(in_bands(planes), min(planes.shape[-2:]))
    values = Histogram.of(seen)
    if len(values) <= FEW:
        values = Histogram.of(planes)
    if len(values) <= FEW:
        return few_values(len(values))
    if not np.array_equal(values.values, np.rint(values.values)):
        return ""
    if _are_few_labels(seen, values) or _are_many_labels(seen, values):
        return f"areas of exactly one value each: a label map {_TAKEN}"
    return ""


def few_values(count: int) -> str:
    """The reason of `why_labels` for a few values; of a single one none, since a blank image is no label."""
    return f"{count} distinct values: a mask or a label map {_TAKEN}" if count > 1 else ""


def _shrunk(planes: np.ndarray, side: int) -> np.ndarray:
    """Planes blown up N times, as every N-th pixel; others as they are, and what would be smaller than an image."""
    changes = 1 + np.flatnonzero((planes[..., 1:] != planes[..., :-1]).any(axis=(0, 1)))
    times = max(1, int(np.gcd.reduce(changes)))
    return planes[:, ::times, ::times] if side >= times * SMALLEST else planes


def _are_few_labels(planes: np.ndarray, values: Histogram) -> bool:
    if len(values) > SOME:
        return False
    equal, far = _equal_share(planes, values), _far_share(planes, values)
    return far >= JUMPS or (equal >= NESTED and far >= TOUCHING)


def _are_many_labels(planes: np.ndarray, values: Histogram) -> bool:
    equal = _equal_share(planes, values)
    if equal < EQUAL or _far_share(planes, values) < FAR:
        return False
    areas, pixels, distinct = _areas(planes, values)
    return areas <= AREAS * distinct or (
        len(values) <= CLASSES and equal >= CLASS_EQUAL and pixels >= CLASS_PIXELS * areas
    )


def _commonest(planes: np.ndarray, values: Histogram) -> np.generic:
    commonest: np.generic = planes.dtype.type(values.values[np.argmax(values.counts)])
    return commonest


def _equal_share(planes: np.ndarray, values: Histogram) -> float:
    """Share of the pixels, other than of the commonest value, that equal their left neighbour."""
    right = planes[..., 1:]
    counted = right != _commonest(planes, values)
    return float(np.count_nonzero(counted & (right == planes[..., :-1]))) / max(1, int(np.count_nonzero(counted)))


def _far_share(planes: np.ndarray, values: Histogram) -> float:
    """Share of the unequal neighbours along rows that lie more than one distinct value apart."""
    left, right = planes[..., :-1], planes[..., 1:]
    unequal = left != right
    steps = np.searchsorted(values.values, left[unequal]) - np.searchsorted(values.values, right[unequal])
    return float(np.count_nonzero(np.abs(steps) > 1) / max(1, steps.size))


def _areas(planes: np.ndarray, values: Histogram) -> tuple[int, int, int]:
    """Areas of one value, their pixels, and how many values the planes hold, one by one; all but the commonest value.

    An area is counted by its upper left corners: a pixel that differs from those left of it and above it.
    """
    inner = planes[:, 1:, 1:]
    common = _commonest(planes, values)
    counted = inner != common
    corners = counted & (inner != planes[:, 1:, :-1]) & (inner != planes[:, :-1, 1:])
    distinct = sum(int(np.count_nonzero(np.unique(plane) != common)) for plane in inner)
    return int(np.count_nonzero(corners)), int(np.count_nonzero(counted)), distinct
