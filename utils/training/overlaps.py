"""Labelled patches that show the same tissue, at any offset, turn and scale: what a fair split must not part.

Local features propose, pixels decide. One pair is enough to join two sources, so a few strong features of each patch
do: sources that overlap share many patches.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from utils.correlations import correlation, tile_correlations

# Descriptors of all patches together, and of one patch: the cost is the square of the former.
BUDGET, MOST, FEWEST = 20_000, 48, 4
# A descriptor's nearest is taken when the nearest of another patch is this much farther (Lowe 2004).
RATIO = 0.85
# Matches that agree on one shift, turn and scale; unrelated patches reach 8 by chance, so pixels are compared.
LEAST_MATCHES = 4
SIMILARITY, CORRELATION = 0.5, 0.6
BLOCK = 2048


def overlapping_pairs(patches: Sequence[np.ndarray], groups: np.ndarray) -> list[tuple[int, int]]:
    """Find patches of different groups that show the same.

    Parameters
    ----------
    patches : sequence of (h, w) uint8 arrays
    groups : ndarray of int, shape (n,)
        Patches of one group stay together anyway and are not compared.

    Returns
    -------
    list of (int, int)
        Indices, ascending. Copies are found from about half an overlap on, at half to double size, in any turn;
        mirrored and inverted ones are not.
    """
    most = max(FEWEST, min(MOST, BUDGET // max(1, len(patches))))
    points, descriptors, owners = _described(patches, most)
    candidates: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for mine, other in _matches(descriptors, owners, groups):
        a, b = sorted((mine, other))
        candidates.setdefault((int(owners[a]), int(owners[b])), []).append((a, b))
    found = []
    for (first, second), matches in sorted(candidates.items()):
        pairs = np.array(sorted(set(matches)))
        if len(pairs) >= LEAST_MATCHES and _agree(
            patches[first], patches[second], points[pairs[:, 0]], points[pairs[:, 1]]
        ):
            found.append((first, second))
    return found


def _described(patches: Sequence[np.ndarray], most: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Places (x, y), unit descriptors and owners of the strongest features of all patches."""
    import cv2

    sift = cv2.SIFT_create(nfeatures=most)  # type: ignore[attr-defined]
    points, descriptors, owners = [np.empty((0, 2), np.float32)], [np.empty((0, 128), np.float32)], []
    for i, patch in enumerate(patches):
        keys, values = sift.detectAndCompute(patch, None)
        if values is not None:
            points.append(np.array([key.pt for key in keys[:most]], np.float32))
            descriptors.append(values[:most] / np.maximum(np.linalg.norm(values[:most], axis=1, keepdims=True), 1e-6))
            owners += [i] * len(keys[:most])
    return np.concatenate(points), np.concatenate(descriptors), np.array(owners, int)


def _matches(descriptors: np.ndarray, owners: np.ndarray, groups: np.ndarray) -> Iterator[tuple[int, int]]:
    """Descriptors and their nearest in another group, where no third patch comes near."""
    group_of = groups[owners] if len(owners) else owners
    for start in range(0, len(descriptors), BLOCK):
        part = slice(start, start + BLOCK)
        likeness = descriptors[part] @ descriptors.T
        likeness[group_of[part, None] == group_of[None]] = -1
        best = likeness.argmax(axis=1)
        rows = np.arange(len(best))
        top = likeness[rows, best]
        likeness[owners[best][:, None] == owners[None]] = -1
        second = likeness.max(axis=1)
        # Distances of unit vectors, squared.
        for row in np.flatnonzero(2 - 2 * top < RATIO**2 * (2 - 2 * second)):
            yield start + int(row), int(best[row])


def _agree(first: np.ndarray, second: np.ndarray, places: np.ndarray, others: np.ndarray) -> bool:
    """Whether `second`, laid over `first` as the matches say, looks like it, tile by tile."""
    import cv2

    matrix, inside = cv2.estimateAffinePartial2D(others, places, method=cv2.RANSAC, ransacReprojThreshold=3)
    if matrix is None or int(inside.sum()) < LEAST_MATCHES or not 0.4 < np.hypot(*matrix[0, :2]) < 2.5:
        return False
    height, width = first.shape
    laid = cv2.warpAffine(second, matrix, (width, height), flags=cv2.INTER_LINEAR)
    known = cv2.warpAffine(np.full(second.shape, 255, np.uint8), matrix, (width, height)) == 255
    # Scales differ, and with them the sharpness.
    a, b = (cv2.GaussianBlur(image, (0, 0), 1.5) for image in (first, laid))
    tiles = tile_correlations(a, b, known)
    return bool(tiles) and float(np.mean(tiles)) >= SIMILARITY and correlation(a, b, known) >= CORRELATION
