"""SIFT's keypoints as 64-byte codes: what --deep compares, at any rotation and scale.

Lowe 2004, https://doi.org/10.1023/B:VISI.0000029664.99615.94; the square root of descriptors as in Arandjelovic and
Zisserman 2012. Neighbouring directions of the histogram are joined, which halves it and costs little.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np

from utils.duplicates.embedding import SIZE

# Codes have this length, up to rounding: whole numbers whose products float32 holds exactly.
LENGTH = 300
# Contrast below which keypoints are not taken: EM is softer than photographs.
CONTRAST = 0.02
# Large images are looked at in squares of SQUARE pixels and MARGIN around them: the pyramids of a square take 300 MB,
# those of a whole section of 10^8 pixels would take 20 GB. Of a square the strongest so many a pixel are taken.
SQUARE = 1024
MARGIN = 64
DENSITY = 0.03


@dataclass(frozen=True)
class Points:
    """Keypoints of one image.

    Attributes
    ----------
    codes : (n, SIZE) int8 array
    frames : (n, 4) float32 array
        Row, column, size in pixels, and angle in radians from columns towards rows.
    """

    codes: np.ndarray
    frames: np.ndarray


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
    if descriptors is None or not len(found):
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
    codes: np.ndarray = np.rint(np.clip(scaled, -127, 127)).astype(np.int8)
    return codes


def frame_matrices(asked: np.ndarray, found: np.ndarray) -> np.ndarray:
    """The matrices (rows, columns) that take one frame's scale and angle to the other's.

    Parameters
    ----------
    asked, found : ndarray, shape (n, 4)

    Returns
    -------
    ndarray, shape (n, 2, 2)
    """
    scale, angle = found[:, 2] / asked[:, 2], found[:, 3] - asked[:, 3]
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    return np.stack([np.stack([cos, sin], 1), np.stack([-sin, cos], 1)], 1).astype(np.float64)
