"""Where a patch would lie in an image, by windows that both have chosen; and how well it fits there."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from utils.duplicates.embedding import VIEWS
from utils.duplicates.keypoints import view_matrix
from utils.duplicates.verify import NOTHING, Agreement, compare
from utils.patches import Box

# Places that agree within this many pixels of the patch are one; each is tried in two grids, half a step apart.
STEP = 24.0
# The share of a patch that must lie in the image.
LEAST_SHARE = 0.2
# A place that fits like SURE is not looked at again; below FAINT it is no place at all.
SURE = 0.9
FAINT = 0.25


@dataclass(frozen=True)
class Placement:
    """A patch laid into an image: a point (row, column) at p from the patch's middle is at ``matrix @ p + middle``."""

    plane: int  # running number of the image
    matrix: np.ndarray  # (2, 2): a view, times the scale in pixels of the image per pixel of the patch
    middle: np.ndarray  # (2,)

    @property
    def scale(self) -> float:
        """Pixels of the image per pixel of the patch."""
        return float(np.sqrt(abs(np.linalg.det(self.matrix))))

    def box(self, shape: tuple[int, int]) -> Box:
        """The upright region of the image that a patch of a shape covers."""
        half = np.abs(self.matrix) @ (np.array(shape) / 2)
        (y0, x0), (y1, x1) = np.rint(self.middle - half).astype(int), np.rint(self.middle + half).astype(int)
        return Box(int(y0), int(y1), int(x0), int(x1))


def view_of_matrix(matrix: np.ndarray) -> int | None:
    """The number of the view that a matrix is, whatever its scale; None where it is none.

    Parameters
    ----------
    matrix : ndarray, shape (2, 2)
    """
    unit = matrix / np.sqrt(abs(np.linalg.det(matrix)))
    fits = [view for view in range(len(VIEWS)) if np.allclose(unit, view_matrix(view), atol=0.05)]
    return fits[0] if fits else None


def place_patch(patch: np.ndarray, image: np.ndarray, placement: Placement) -> Agreement:
    """Cut what the image shows at a placement, and compare the patch with it.

    An image of twice the size is reduced, and what is reduced half a pixel off has lost what is fine: where it fits,
    but not well, it is also tried a pixel of the image further.

    Parameters
    ----------
    patch : ndarray of uint8, shape (h, w)
    image : ndarray of uint8, shape (rows, columns)
    placement : Placement
    """
    best = NOTHING
    for offset in ((0, 0), (0, 1), (1, 0), (1, 1)) if _reduction(placement) > 1 else ((0, 0),):
        found = _compared(patch, image, placement, np.array(offset))
        best = max(best, found, key=lambda each: each.similarity)
        if not FAINT <= best.similarity < SURE:
            break
    return best


def _reduction(placement: Placement) -> int:
    return 2 if placement.scale > 1.5 else 1


def _compared(patch: np.ndarray, image: np.ndarray, placement: Placement, offset: np.ndarray) -> Agreement:
    import cv2

    (height, width), reduce = patch.shape, _reduction(placement)
    half = np.abs(placement.matrix) @ (np.array(patch.shape) / 2)
    corner, middle = np.rint(placement.middle - half) + offset, placement.middle + offset
    if view_of_matrix(placement.matrix) is not None:  # on the image's own pixels
        middle = corner + half
    margin = reduce * (int(np.ceil(placement.scale)) + 1)
    starts = [int(start) - margin for start in corner]
    y0, x0 = (start if start > 0 else start % reduce for start in starts)
    y1, x1 = np.ceil(middle + half).astype(int) + margin
    region = np.ascontiguousarray(image[y0 : max(0, y1), x0 : max(0, x1)])
    if 0 in region.shape:
        return NOTHING
    if reduce > 1 and min(region.shape) >= reduce:
        rows, columns = (side // reduce for side in region.shape)
        region = np.ascontiguousarray(region[: rows * reduce, : columns * reduce])
        region = cv2.resize(region, (columns, rows), interpolation=cv2.INTER_AREA)
    matrix = placement.matrix / reduce
    # Pixel centres: (i + 1/2) is where pixel i lies.
    origin = (middle - (y0, x0)) / reduce - matrix @ (np.array([height, width]) / 2 - 0.5) - 0.5
    warp = np.array([[matrix[1, 1], matrix[1, 0], origin[1]], [matrix[0, 1], matrix[0, 0], origin[0]]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP  # what lies outside of the image becomes 0
    seen = cv2.warpAffine(region, warp, (width, height), flags=flags)
    valid = cv2.warpAffine(np.full_like(region, 255), warp, (width, height), flags=flags) == 255
    if valid.mean() < LEAST_SHARE:
        return NOTHING
    return compare(patch, seen, None if valid.all() else valid)


@dataclass(frozen=True)
class Votes:
    """Pairs of windows that look alike: which patch and which of its windows, and where that lays it; (m,) each.

    `kinds` numbers the ways of laying a patch into an image: plane, view, polarity and scale.
    """

    patches: np.ndarray
    windows: np.ndarray
    kinds: np.ndarray
    middles: np.ndarray
    cosines: np.ndarray

    def places(self, few: int, certain: float) -> Iterator[tuple[int, np.ndarray]]:
        """For each patch the votes (indices) that agree on a place, the places with most windows first.

        Places of fewer than `few` windows count only with a cosine of `certain`.

        Yields
        ------
        patch, votes : int, and ndarray of int, shape (k,)
        """
        clusters: dict[int, list[tuple[int, float, int, np.ndarray]]] = {}
        for shift in (0.0, 0.5):
            cells = np.floor(self.middles / STEP + shift).astype(np.int64)
            keys = np.column_stack([self.patches, self.kinds, cells])
            order = np.lexsort((*keys.T[::-1],))
            ends = np.flatnonzero((keys[order][1:] != keys[order][:-1]).any(axis=1)) + 1
            for group in np.split(order, ends):
                if not len(group):
                    continue
                count, best = len(np.unique(self.windows[group])), float(self.cosines[group].max())
                if count >= few or best >= certain:
                    clusters.setdefault(int(self.patches[group[0]]), []).append((-count, -best, int(group[0]), group))
        for patch in sorted(clusters):
            for _, _, _, group in sorted(clusters[patch], key=lambda each: each[:3]):
                yield patch, group
