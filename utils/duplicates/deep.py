"""Where a patch may lie in excluded images by SIFT's keypoints: turned by any angle, at other scales."""

from collections.abc import Iterator

import numpy as np

from utils.duplicates.inverted_file import InvertedFile, cell_count
from utils.duplicates.placement import Placement, Votes
from utils.duplicates.sift import Points, find_points, frame_matrices

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


class DeepPoints:
    """The keypoints of all excluded images, and the search among them.

    Parameters
    ----------
    codes : (n, SIZE) int8 array
    frames : (n, 4) array
        See `utils.duplicates.sift.Points`.
    planes : (n,) int array
        Running number of the image of each.
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
        matrices = frame_matrices(frames, self._frames[owner]) if len(probe) else np.zeros((0, 2, 2))
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
