"""Generated tissue: sections through cells with membranes, organelles and resin around them.

Everything is a function of a point in space, so that sections at any z, spacing and pixel size show the same tissue.
Lengths are in nm; axes are z, y, x.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.floating]
Mask = NDArray[np.bool]

# Grid cells after which a random lattice repeats.
PERIOD = 32
CELL = 720.0
MITOCHONDRION = 480.0
VESICLE = 110.0
# Grey values, of 255.
RESIN, CYTOPLASM, MEMBRANE, MATRIX = 196.0, 158.0, 62.0, 104.0


@dataclass(frozen=True)
class Tissue:
    """A block of tissue.

    Attributes
    ----------
    seed : int
    depth : float
        How far, in nm, the tissue reaches along y before resin begins; the border waves by a quarter of a cell.
    """

    seed: int = 0
    depth: float = 3000.0

    def lattice(self, salt: int, values: int) -> Values:
        """Random numbers in 0..1 at the points of a repeating lattice, shape (values, PERIOD, PERIOD, PERIOD)."""
        rng = np.random.default_rng((self.seed, salt))
        return rng.random((values, PERIOD, PERIOD, PERIOD), dtype=np.float32)


def sections(tissue: Tissue, positions: Values, shape: tuple[int, int], pixel: float) -> Values:
    """Sections through a tissue.

    Parameters
    ----------
    tissue : Tissue
    positions : ndarray, shape (n,)
        z of each section in nm.
    shape : tuple of int
        Rows and columns of a section.
    pixel : float
        Side of a pixel in nm.

    Returns
    -------
    ndarray of uint8, shape (n, rows, columns)
    """
    lattices = {name: tissue.lattice(i, n) for i, (name, n) in enumerate((("cell", 4), ("mito", 6), ("vesicle", 4)))}
    noise = tissue.lattice(9, 4)

    def draw(index: int) -> Values:
        rng = np.random.default_rng((tissue.seed, 10, index))
        return _section(tissue, lattices, noise, float(positions[index]), shape, pixel, rng)

    with ThreadPoolExecutor() as pool:
        return np.stack(list(pool.map(draw, range(len(positions)))))


def _section(
    tissue: Tissue,
    lattices: dict[str, Values],
    noise: Values,
    z: float,
    shape: tuple[int, int],
    pixel: float,
    rng: np.random.Generator,
) -> Values:
    """One section; drawn at half resolution, because that is how sharp a microscope's image is."""
    half = tuple(-(-side // 2) for side in shape)
    y, x = np.meshgrid(*(np.arange(side, dtype=np.float32) * 2 * pixel for side in half), indexing="ij")
    point = np.stack([np.full_like(y, z), y, x])
    point += 260 * (_smooth(noise[:3], point / 700) - 0.5)
    point += 60 * (_smooth(noise[:3], point / 160) - 0.5)
    image = _cells(point, lattices, noise, 2 * pixel)
    inside = tissue.depth + 450 * (_smooth(noise[3:4], point / 900)[0] - 0.5) - point[1]
    image = np.where(inside > 0, image, RESIN)
    image -= 110 * np.exp(-((inside / 16) ** 2))
    image = _double(_double(image, 0), 1)[: shape[0], : shape[1]]
    grain = rng.normal(0, 11, shape).astype(np.float32)
    grain[1:] += 0.4 * grain[:-1]
    shade = np.linspace(-6, 6, shape[1], dtype=np.float32)
    section: Values = np.clip(np.rint(image + grain + shade), 0, 255).astype(np.uint8)
    return section


def _cells(point: Values, lattices: dict[str, Values], noise: Values, step: float) -> Values:
    """Grey values of cells at points of shape (3, rows, columns), which lie `step` nm apart."""
    first, second, kind = _two_nearest(point / CELL, lattices["cell"])
    border = _steady((second - first) * CELL / 2, step)
    texture = _smooth(noise[3:4], point / 30)[0] - 0.5
    image = CYTOPLASM + 30 * (kind - 0.5) + 44 * texture
    nuclear = kind > 0.8
    roomy = (border > 45) & ~(nuclear & (first * CELL < 270))
    image = _with_reticulum(image, point, noise, roomy & (kind > 0.3))
    image = _with_vesicles(image, point, lattices["vesicle"], roomy & (kind < 0.45))
    image = _with_mitochondria(image, point, lattices["mito"], roomy)
    image = _with_nuclei(image, first * CELL, nuclear, texture)
    return image - (image - MEMBRANE) * np.exp(-(((border - 10) / 8) ** 2))


def _steady(distance: Values, step: float) -> Values:
    """A distance whose slope is 1 in the plane: membranes as wide where they are cut askew."""
    slope: Values = np.hypot(*np.gradient(distance, step))
    return distance / np.clip(slope, 0.3, None)


def _with_reticulum(image: Values, point: Values, noise: Values, allowed: Mask) -> Values:
    """Endoplasmic reticulum: dark sheets, which are lines in a section."""
    sheet = _smooth(noise[2:3], point / 230)[0] - 0.5
    drawn: Values = image - 48 * np.exp(-((sheet / 0.02) ** 2)) * allowed
    return drawn


def _with_nuclei(image: Values, radius: Values, allowed: Mask, texture: Values) -> Values:
    """Nuclei in some cells: clumped chromatin inside an envelope."""
    chromatin = 140 + 110 * np.clip(texture + 0.05, -0.35, 0.12)
    image = np.where(allowed & (radius < 240), chromatin, image)
    drawn: Values = image - 80 * np.exp(-(((radius - 240) / 12) ** 2)) * allowed
    return drawn


def _with_vesicles(image: Values, point: Values, lattice: Values, allowed: Mask) -> Values:
    """Round vesicles: a dark ring around a light lumen."""
    offset, random = _own(point / VESICLE, lattice, room=0.3)
    radius = np.sqrt((offset**2).sum(0)) * VESICLE
    ring = np.exp(-(((radius - 24) / 7) ** 2)) * (allowed & (random[3] < 0.8))
    drawn: Values = image - 85 * ring
    return drawn


def _with_mitochondria(image: Values, point: Values, lattice: Values, allowed: Mask) -> Values:
    """Mitochondria: a dark matrix crossed by cristae, inside a membrane."""
    offset, random = _own(point / MITOCHONDRION, lattice, room=0.42)
    stretch = np.stack([0.75 + 0.5 * random[3], 0.75 + 0.5 * random[4], 1.9 - random[3] * 0.5 - random[4] * 0.5])
    radius = np.sqrt(((offset * stretch) ** 2).sum(0)) * MITOCHONDRION
    size = 110 + 90 * random[5]
    allowed = allowed & (random[5] > 0.25)
    cristae = np.sin((point[1] * (random[3] - 0.5) + point[2] * (random[4] - 0.3) + point[0] * 0.4) / 14)
    body = np.where(radius < size, MATRIX + 24 * cristae, image)
    body = body - 60 * np.exp(-(((radius - size) / 9) ** 2))
    return np.where(allowed, body, image)


def _own(point: Values, lattice: Values, *, room: float) -> tuple[Values, Values]:
    """Of the lattice cell that a point lies in: the offset from its seed, and its random numbers.

    Seeds stay `room` away from their cell's walls: what is smaller than that needs no look at the neighbours.
    """
    cell = np.floor(point).astype(np.int32)
    random = lattice[:, *(cell % PERIOD)]
    return point - cell.astype(np.float32) - (room + (1 - 2 * room) * random[:3]), random


def _two_nearest(point: Values, lattice: Values) -> tuple[Values, Values, Values]:
    """Distances to the nearest two seeds of a jittered lattice (Worley 1996), and the nearest one's random number."""
    cell = np.floor(point).astype(np.int32)
    within = point - cell.astype(np.float32)
    first = np.full(point.shape[1:], np.inf, np.float32)
    second, kind = first.copy(), np.zeros_like(first)
    for step in product((-1, 0, 1), repeat=3):
        shift = np.array(step, np.int32)[:, None, None]
        random = lattice[:, *((cell + shift) % PERIOD)]
        distance = np.sqrt(((random[:3] + shift.astype(np.float32) - within) ** 2).sum(0))
        closer = distance < first
        second = np.where(closer, first, np.minimum(second, distance))
        kind = np.where(closer, random[3], kind)
        first = np.minimum(first, distance)
    return first, second, kind


def _smooth(values: Values, point: Values) -> Values:
    """Lattice values between their points, shape (values, rows, columns), smoothly interpolated."""
    low = np.floor(point).astype(np.int32)
    part = point - low.astype(np.float32)
    part = part * part * (3 - 2 * part)
    total = np.zeros((len(values), *point.shape[1:]), np.float32)
    for corner in product((0, 1), repeat=3):
        weight = np.prod([p if side else 1 - p for p, side in zip(part, corner, strict=True)], axis=0)
        total += weight * values[:, *((low + np.array(corner, np.int32)[:, None, None]) % PERIOD)]
    return total


def _double(image: Values, axis: int) -> Values:
    """Twice as many pixels along an axis, the new ones halfway between their neighbours."""
    image = np.moveaxis(image, axis, 0)
    after = np.concatenate([image[1:], image[-1:]])
    doubled = np.stack([image, (image + after) / 2], axis=1).reshape(-1, *image.shape[1:])
    return np.moveaxis(doubled, 0, axis)
