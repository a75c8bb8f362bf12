"""Where a patch may lie in excluded images by SIFT's keypoints: what --deep compares, at any rotation and scale.

Lowe 2004, https://doi.org/10.1023/B:VISI.0000029664.99615.94; the square root of descriptors as in Arandjelovic and
Zisserman 2012. Neighbouring directions of the histogram are joined, which halves it and costs little.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

from utils.duplicates.embedding import SIZE
from utils.duplicates.inverted_file import InvertedFile, cell_count
from utils.duplicates.placement import Placement, Votes

# Codes have this length, up to rounding: whole numbers whose products float32 holds exactly.
LENGTH = 300
# Contrast below which keypoints are not taken: EM is softer than photographs.
CONTRAST = 0.02
# Large images are looked at in squares of SQUARE pixels and MARGIN around them: the pyramids of a square take 300 MB,
# those of a whole section of 10^8 pixels would take 20 GB. Of a square the strongest so many a pixel are taken.
SQUARE = 1024
MARGIN = 64
DENSITY = 0.03
# Keypoints less alike do not vote; a place needs FEW of them.
ALIKE = 0.9
FEW = 4
PROBED = 12
# Of a patch, the strongest; and the places that are compared pixel by pixel.
POINTS = 300
MOST = 4
# Keypoints within this many pixels of where a placement puts them belong to it; it is fitted so many times.
NEAR = 6.0
FITS = 4
MIRROR = np.diag([1.0, -1.0])


@dataclass(frozen=True)
class Points:
    """Keypoints of one image."""

    codes: np.ndarray  # (n, SIZE) int8
    frames: np.ndarray  # (n, 4) float32: row, column, size in pixels, and angle in radians from columns towards rows


def find_points(image: np.ndarray, most: int | None = None) -> Points:
    """The keypoints of an image.

    Parameters
    ----------
    image : ndarray of uint8, shape (h, w)
    most : int, optional
        Only so many of each square, the strongest; else `DENSITY` a pixel.
    """
    corners = product(*(range(0, max(1, side), SQUARE) for side in image.shape))
    found = [_points_of_square(image, y, x, most) for y, x in corners]
    return Points(*(np.concatenate([getattr(each, name) for each in found]) for name in ("codes", "frames")))


def _points_of_square(image: np.ndarray, y: int, x: int, most: int | None) -> Points:
    """The keypoints whose middles lie in one square."""
    import cv2

    y0, x0 = max(0, y - MARGIN), max(0, x - MARGIN)
    seen = np.ascontiguousarray(image[y0 : y + SQUARE + MARGIN, x0 : x + SQUARE + MARGIN])
    create = getattr(cv2, "SIFT_create")  # noqa: B009 - the package's type stubs lack it
    sift = create(nfeatures=most or int(DENSITY * seen.size) + 1, contrastThreshold=CONTRAST)
    found, descriptors = sift.detectAndCompute(seen, None)
    if descriptors is None:
        return Points(np.zeros((0, SIZE), np.int8), np.zeros((0, 4), np.float32))
    frames = np.array([(p.pt[1] + 0.5, p.pt[0] + 0.5, p.size, np.radians(p.angle)) for p in found], np.float32)
    frames[:, :2] += y0, x0
    mine = (frames[:, :2] // SQUARE == (y // SQUARE, x // SQUARE)).all(axis=1)
    return Points(_codes_of_descriptors(descriptors[mine]), frames[mine])


def _codes_of_descriptors(descriptors: np.ndarray) -> np.ndarray:
    """SIFT's descriptors as codes without mean."""
    joined = np.sqrt(descriptors.astype(np.float64).reshape(-1, SIZE, 2).sum(axis=2))
    joined -= joined.mean(axis=1, keepdims=True)
    length = np.sqrt((joined * joined).sum(axis=1, keepdims=True))
    scaled = np.divide(joined * LENGTH, length, out=np.zeros_like(joined), where=length > 0)
    return np.asarray(np.rint(np.clip(scaled, -127, 127)), np.int8)


def _frame_matrices(asked: np.ndarray, found: np.ndarray) -> np.ndarray:
    """The matrices (rows, columns), (n, 2, 2), that take the scale and angle of frames, (n, 4), to those of others."""
    scale, angle = found[:, 2] / asked[:, 2], found[:, 3] - asked[:, 3]
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    return np.stack([np.stack([cos, sin], 1), np.stack([-sin, cos], 1)], 1).astype(np.float64)


class DeepPoints:
    """The keypoints of all excluded images, as in `Points`, and the search among them.

    `planes`, (n,), are the running numbers of their images.
    """

    def __init__(self, codes: np.ndarray, frames: np.ndarray, planes: np.ndarray) -> None:
        self._frames, self._planes = frames.astype(np.float64), planes
        # Centres from the keypoints themselves: they are no textures.
        step = max(1, len(codes) // cell_count(len(codes)))
        self._file = InvertedFile(len(codes), codes[::step] if len(codes) else None)
        self._file.add(codes, np.arange(len(codes)))

    def placements(self, patch: np.ndarray) -> Iterator[Placement]:
        """Places to look at, those with most keypoints first, as the patch is and mirrored.

        Parameters
        ----------
        patch : ndarray of uint8, shape (h, w)
        """
        found = [part for mirrored in (False, True) for part in self._placed(patch, mirrored)]
        found.sort(key=lambda each: each[0])
        yield from (placement for _, placement in found[:MOST])

    def _placed(self, patch: np.ndarray, mirrored: bool) -> Iterator[tuple[int, Placement]]:
        """Minus the number of keypoints, and the placement."""
        points = find_points(np.ascontiguousarray(patch[:, ::-1] if mirrored else patch), POINTS)
        votes, asked, found = self._votes(points, np.array(patch.shape) / 2)
        for _, group in votes.places(FEW, 2.0):
            alike = np.flatnonzero(votes.kinds == votes.kinds[group[0]])
            fitted = _fit_similarity(asked[alike], found[alike], np.isin(alike, group))
            if fitted is None:
                continue
            matrix, middle, count = fitted
            yield -count, Placement(int(votes.kinds[group[0]]), matrix @ MIRROR if mirrored else matrix, middle)

    def _votes(self, points: Points, half: np.ndarray) -> tuple[Votes, np.ndarray, np.ndarray]:
        """Pairs of alike keypoints; with where they lie from the patch's middle, and in the image."""
        probe, owner, cosine = self._file.pairs(points.codes, ALIKE, probed=PROBED)
        frames = points.frames.astype(np.float64)[probe]
        asked, found = frames[:, :2] - half, self._frames[owner, :2]
        matrices = _frame_matrices(frames, self._frames[owner])
        middles = found - np.einsum("nij,nj->ni", matrices, asked)
        return Votes(np.zeros(len(probe), np.int64), probe, self._planes[owner], middles, cosine), asked, found


def _fit_similarity(
    asked: np.ndarray, found: np.ndarray, seed: np.ndarray
) -> tuple[np.ndarray, np.ndarray, int] | None:
    """The turn, scale and shift by least squares that take points to points, from a seed to all that agree.

    Points are rows and columns, (n, 2). None when fewer than `FEW` different ones agree, else the matrix (2, 2), the
    shift (2,), and how many agree.
    """
    near = seed
    matrix, shift = np.eye(2), np.zeros(2)
    for _ in range(FITS):
        if len(np.unique(asked[near], axis=0)) < FEW:
            return None
        source, target = (points[near, 1] + 1j * points[near, 0] for points in (asked, found))
        centred = source - source.mean()
        turn = np.vdot(centred, target - target.mean()) / max(float(np.vdot(centred, centred).real), 1e-9)
        offset = target.mean() - turn * source.mean()
        matrix = np.array([[turn.real, turn.imag], [-turn.imag, turn.real]])
        shift = np.array([offset.imag, offset.real])
        scale = abs(turn)
        if not 0.2 <= scale <= 5:
            return None
        near = np.hypot(*(asked @ matrix.T + shift - found).T) <= NEAR * max(1.0, scale)
    count = len(np.unique(asked[near], axis=0))
    return (matrix, shift, count) if count >= FEW else None
