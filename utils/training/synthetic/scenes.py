"""Generated scenes without cells: what microscopes deliver when no cell is in view.

Images are float32, shape (size, size), roughly 0 to 255.
"""

from collections.abc import Callable

import cv2
import numpy as np

from utils.training.synthetic.fields import Image, Rng, background, field, noise, pixel, standard


def curtaining(rng: Rng, size: int) -> Image:
    """Draw stripes of a mill or scanner: profiles along one direction, warped a little, over a smooth background."""
    octaves = [field(rng, size, grain)[0] * rng.uniform(0, 1) for grain in (3, 6, 15, 40, 90)]
    profile = np.sum(octaves, axis=0)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    warp = field(rng, size, rng.uniform(30, 120)) * rng.choice([0, 2, 8, 20])
    lean = rng.normal(0, 0.15)
    source = np.abs((x + lean * y + warp) % (2 * size - 2))
    source = np.minimum(source, 2 * size - 2 - source).astype(np.float32)
    stripes = cv2.remap(profile[None].astype(np.float32), source, np.zeros_like(source), cv2.INTER_LINEAR)
    fade = 1 + rng.uniform(0, 0.8) * np.tanh(field(rng, size, rng.uniform(20, 100)))
    image = rng.uniform(40, 210) + stripes * fade * rng.uniform(4, 50)
    image += field(rng, size, rng.uniform(15, 90)) * rng.uniform(0, 25) + noise(rng, size) * rng.uniform(0, 15)
    return _turned(rng, image)


def waves(rng: Rng, size: int) -> Image:
    """Draw lattice fringes or moire: one to four sine waves over noise."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    image = background(rng, size)
    for _ in range(rng.integers(1, 5)):
        angle, period = rng.uniform(0, np.pi), np.exp(rng.uniform(np.log(3), np.log(80)))
        phase = 2 * np.pi * (np.cos(angle) * x + np.sin(angle) * y) / period + rng.uniform(0, 6)
        wave = np.sin(phase)
        image += rng.uniform(4, 40) * (np.sign(wave) if rng.random() < 0.2 else wave)
    return image


def streaks(rng: Rng, size: int) -> Image:
    """Draw reconstruction artefacts: straight streaks in a fan of directions, or rings."""
    image = background(rng, size)
    layer = np.zeros((size, size), np.float32)
    focus = rng.uniform(-0.5, 1.5, 2) * size
    rings = rng.random() < 0.3
    for _ in range(rng.integers(8, 60)):
        shade, width = rng.uniform(-60, 60), int(rng.integers(1, 5))
        if rings:
            cv2.circle(layer, pixel(focus), int(rng.uniform(2, 1.5 * size)), shade, width)
            continue
        start = focus if rng.random() < 0.6 else rng.uniform(0, 1, 2) * size
        angle = rng.uniform(0, 2 * np.pi)
        end = start + 3 * size * np.array([np.cos(angle), np.sin(angle)])
        cv2.line(layer, pixel(start), pixel(end), shade, width)
    return image + cv2.GaussianBlur(layer, (0, 0), rng.uniform(0.4, 2))


def particles(rng: Rng, size: int) -> Image:
    """Draw ellipses and polygons, flat or shaded, sharp or soft, on an empty field: gold, dust, ice, pores."""
    image = background(rng, size)
    level, spread = rng.uniform(0, 255), rng.uniform(0, 70)
    scale = np.exp(rng.uniform(np.log(2), np.log(size / 3)))
    count = int(np.clip(rng.uniform(0.02, 0.5) * size * size / (3 * scale * scale), 1, 150))
    blur = rng.choice([0, 0.8, 2])
    mask: Image = np.zeros((size, size), np.float32)
    shade: Image = image.copy()
    for _ in range(count):
        centre, radius = rng.uniform(0, size, 2), scale * rng.uniform(0.6, 1.4)
        gray = float(level + spread * rng.standard_normal())
        outline = _outline(rng, centre, radius)
        cv2.fillPoly(mask, [outline], 1.0)
        cv2.fillPoly(shade, [outline], gray)
    if blur:
        mask, shade = cv2.GaussianBlur(mask, (0, 0), blur), cv2.GaussianBlur(shade, (0, 0), blur)
    texture = noise(rng, size) * rng.uniform(0, 12)
    return np.asarray(image * (1 - mask) + (shade + texture) * mask)


def grains(rng: Rng, size: int) -> Image:
    """Draw a polished section: facets of flat gray levels, as in rock, metal or powder."""
    count = int(np.exp(rng.uniform(np.log(3), np.log(60))))
    seeds = rng.uniform(-0.1, 1.1, (count, 2)) * size
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    if rng.random() < 0.6:
        roughness = rng.uniform(1, 10)
        x, y = (np.asarray(axis + field(rng, size, rng.uniform(6, 30)) * roughness) for axis in (x, y))
    distance = (y[None] - seeds[:, 0, None, None]) ** 2 + (x[None] - seeds[:, 1, None, None]) ** 2
    phases = rng.uniform(10, 245, rng.integers(2, 7))
    gray = rng.choice(phases, count) + rng.normal(0, rng.choice([0, 4, 15]), count)
    image = gray.astype(np.float32)[distance.argmin(0)]
    image += noise(rng, size) * rng.uniform(0, 14) + field(rng, size, 30) * rng.uniform(0, 8)
    return np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.5)))


def phases(rng: Rng, size: int) -> Image:
    """Draw a few flat phases with curved borders, holes and bright specks: minerals, alloys, foams, resin edges."""
    height = field(rng, size, np.exp(rng.uniform(np.log(15), np.log(120))))
    if rng.random() < 0.5:
        height = height + 0.3 * field(rng, size, rng.uniform(5, 15))
    levels = np.sort(rng.uniform(-1.5, 1.5, rng.integers(1, 4)))
    image: Image = rng.uniform(5, 250, len(levels) + 1).astype(np.float32)[np.searchsorted(levels, height)]
    image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 2)) + noise(rng, size) * rng.uniform(0, 20)
    if rng.random() < 0.4:
        for _ in range(rng.integers(1, 25)):
            cv2.fillPoly(image, [_outline(rng, rng.uniform(0, size, 2), rng.uniform(1, 8))], rng.choice([0, 255.0]))
    return image


def minerals(rng: Rng, size: int) -> Image:
    """Draw a polished section with pores, cracks and bright inclusions: back-scatter images of rock."""
    image = (grains if rng.random() < 0.6 else phases)(rng, size)
    for _ in range(rng.integers(0, 12)):
        pore = _outline(rng, rng.uniform(0, size, 2), size * rng.uniform(0.01, 0.12))
        cv2.fillPoly(image, [pore], rng.uniform(0, 30))
    for _ in range(rng.integers(0, 8)):
        path = np.cumsum(rng.normal(0, size / 25, (8, 2)) + rng.normal(0, size / 20, 2), axis=0)
        path += rng.uniform(0, size, 2)
        cv2.polylines(image, [path.astype(np.int32)], False, rng.uniform(0, 60), int(rng.integers(1, 3)))
    for _ in range(rng.integers(0, 10)):
        cv2.fillPoly(image, [_outline(rng, rng.uniform(0, size, 2), rng.uniform(1, 6))], rng.uniform(200, 255))
    return np.asarray(
        cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.2)) + noise(rng, size) * rng.choice([1, 8, 30])
    )


def relief(rng: Rng, size: int) -> Image:
    """Draw a fractured or etched surface lit from one side: the slope of a rough height field."""
    grain = np.exp(rng.uniform(np.log(4), np.log(50)))
    height = sum(field(rng, size, max(1.5, grain / 2**k)) / 2**k for k in range(4))
    if rng.random() < 0.3:
        height = np.abs(height)
    angle = rng.uniform(0, 2 * np.pi)
    dy, dx = np.gradient(height)
    shade = standard(np.cos(angle) * dx + np.sin(angle) * dy)
    return rng.uniform(60, 200) + shade * rng.uniform(8, 45) + noise(rng, size) * rng.uniform(0, 12)


def cracks(rng: Rng, size: int) -> Image:
    """Draw a few wandering lines on an empty field: fibres, scratches, cracks, folds."""
    image = background(rng, size)
    for _ in range(rng.integers(1, 7)):
        steps = rng.integers(8, 40)
        heading = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, rng.choice([0.02, 0.15, 0.4]), steps))
        path = np.cumsum(np.stack([np.cos(heading), np.sin(heading)], 1) * size / 12, axis=0)
        path += rng.uniform(0, size, 2) - path[steps // 2]
        shade = image.mean() + rng.choice([-1, 1]) * rng.uniform(10, 120)
        cv2.polylines(image, [path.astype(np.int32)], False, float(shade), int(rng.integers(1, 9)))
    return cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.5)) + noise(rng, size) * rng.uniform(0, 10)


def lattice(rng: Rng, size: int) -> Image:
    """Draw regular holes or bars: a support film or a grid."""
    image = background(rng, size)
    pitch, level = rng.uniform(0.15, 1.2) * size, rng.uniform(0, 255)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    angle, origin = rng.uniform(0, np.pi), rng.uniform(0, size, 2)
    u = np.cos(angle) * (x - origin[0]) + np.sin(angle) * (y - origin[1])
    v = np.cos(angle) * (y - origin[1]) - np.sin(angle) * (x - origin[0])
    u, v = (np.abs((axis % pitch) - pitch / 2) for axis in (u, v))
    width = rng.uniform(0.1, 0.42) * pitch
    inside = np.hypot(u, v) < width if rng.random() < 0.5 else np.minimum(u, v) < width / 2
    mask = cv2.GaussianBlur(inside.astype(np.float32), (0, 0), rng.uniform(0.5, 4))
    return np.asarray(image * (1 - mask) + (level + noise(rng, size) * rng.uniform(0, 15)) * mask)


def _turned(rng: Rng, image: Image) -> Image:
    """Turn by 90 degrees half the time, by any angle now and then."""
    if rng.random() < 0.5:
        return np.ascontiguousarray(image.T)
    if rng.random() < 0.5:
        return image
    size = len(image)
    turn = cv2.getRotationMatrix2D((size / 2, size / 2), rng.uniform(0, 180), 1.45)
    return cv2.warpAffine(image, turn, (size, size), borderMode=cv2.BORDER_REFLECT)


def _outline(rng: Rng, centre: np.ndarray, radius: float) -> np.ndarray:
    """Points of an ellipse (many corners) or of a polygon (few corners)."""
    corners = rng.choice([4, 5, 6, 24, 24])
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners)) if corners < 24 else np.linspace(0, 2 * np.pi, corners)
    stretch, turn = rng.uniform(0.5, 1), rng.uniform(0, np.pi)
    x, y = radius * np.cos(angles), radius * stretch * np.sin(angles)
    points = np.stack([np.cos(turn) * x - np.sin(turn) * y, np.sin(turn) * x + np.cos(turn) * y], 1)
    return np.asarray((points + centre).round().astype(np.int32))


# As often as each is listed; what real collections are full of comes more than once.
SCENES: tuple[Callable[[Rng, int], Image], ...] = (
    *(background, background, background, curtaining, curtaining, curtaining, particles, particles),
    *(minerals, minerals, minerals, grains, phases, relief, cracks, waves, streaks, lattice),
)
