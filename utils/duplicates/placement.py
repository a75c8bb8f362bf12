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


@dataclass(frozen=True)
class Placement:
    """A patch laid into an image: a point (row, column) at p from the patch's middle lies at ``matrix @ p + middle``.

    Attributes
    ----------
    plane : int
        Running number of the image.
    matrix : (2, 2) array
        A view, times the scale in pixels of the image per pixel of the patch.
    middle : (2,) array
    """

    plane: int
    matrix: np.ndarray
    middle: np.ndarray

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

    Parameters
    ----------
    patch : ndarray of uint8, shape (h, w)
    image : ndarray of uint8, shape (rows, columns)
    placement : Placement
    """
    import cv2

    height, width = patch.shape
    box = placement.box(patch.shape)
    margin = int(np.ceil(2 * placement.scale)) + 1
    y0, x0 = max(0, box.y0 - margin), max(0, box.x0 - margin)
    region = np.ascontiguousarray(image[y0 : max(0, box.y1 + margin), x0 : max(0, box.x1 + margin)])
    if 0 in region.shape:
        return NOTHING
    reduce = 2 if placement.scale > 1.5 else 1
    if reduce > 1 and min(region.shape) >= reduce:
        region = cv2.resize(region, (region.shape[1] // 2, region.shape[0] // 2), interpolation=cv2.INTER_AREA)
    matrix = placement.matrix / reduce
    # Pixel centres: (i + 1/2) is where pixel i lies.
    origin = (placement.middle - (y0, x0)) / reduce - matrix @ (np.array([height, width]) / 2 - 0.5) - 0.5
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

        Parameters
        ----------
        few : int
            Places of fewer windows count only with a cosine of `certain`.

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
