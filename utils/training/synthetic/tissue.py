"""Generated tissue: cells with membranes and organelles, drawn roughly, so that pale cells are known as cells too.

Images are float32, shape (size, size), roughly 0 to 255.
"""

import cv2
import numpy as np

from utils.training.synthetic.fields import Image, Rng, field, noise


def tissue(rng: Rng, size: int) -> Image:
    """Draw cells that fill the image: dark borders, granular insides, organelles, now and then a nucleus."""
    label, gap = _territories(rng, size)
    count = int(label.max()) + 1
    gray = rng.uniform(120, 200) + rng.normal(0, rng.uniform(2, 22), count)
    image: Image = gray.astype(np.float32)[label]
    image += noise(rng, size) * rng.uniform(2, 14) + field(rng, size, rng.uniform(3, 12)) * rng.uniform(1, 10)
    for _ in range(int(rng.uniform(0, 2.5) * count)):
        ORGANELLES[rng.integers(0, len(ORGANELLES))](rng, image, gap)
    width, depth = rng.uniform(0.8, 3.0), rng.uniform(40, 120)
    if rng.random() < 0.4:  # two membranes with a cleft between them
        image -= depth * np.exp(-(((gap - 2 * width) / width) ** 2))
    else:
        image -= depth * np.exp(-((gap / width) ** 2))
    image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.4))
    return image + noise(rng, size) * rng.uniform(0, 14)


def _territories(rng: Rng, size: int) -> tuple[np.ndarray, Image]:
    """Cells as wobbly Voronoi regions: the cell of each pixel, and its distance in pixels from the nearest border."""
    count = int(np.exp(rng.uniform(np.log(4), np.log(45))))
    seeds = rng.uniform(-0.2, 1.2, (count, 2)) * size
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    pitch = size * 1.4 / np.sqrt(count)
    y = y + field(rng, size, pitch * rng.uniform(0.3, 0.8)) * pitch * rng.uniform(0.02, 0.15)
    x = x + field(rng, size, pitch * rng.uniform(0.3, 0.8)) * pitch * rng.uniform(0.02, 0.15)
    stretch = np.exp(rng.normal(0, 0.35))
    distance = np.hypot((y - seeds[:, 0, None, None]) * stretch, x - seeds[:, 1, None, None])
    nearest = np.partition(distance, 1, axis=0)[:2]
    return distance.argmin(0), ((nearest[1] - nearest[0]) / 2).astype(np.float32)


def _place(rng: Rng, gap: Image, radius: float) -> tuple[int, int] | None:
    """A place inside a cell with room for a radius; None when a few tries found none."""
    for _ in range(6):
        y, x = rng.integers(0, len(gap), 2)
        if gap[y, x] > radius:
            return int(x), int(y)
    return None


def _mitochondrion(rng: Rng, image: Image, gap: Image) -> None:
    size = len(image)
    radius = size * rng.uniform(0.025, 0.09)
    if (place := _place(rng, gap, radius * 0.8)) is None:
        return
    axes = (int(radius * rng.uniform(1, 2)) + 1, int(radius) + 1)
    angle = rng.uniform(0, 180)
    mask = np.zeros_like(image)
    cv2.ellipse(mask, place, axes, angle, 0, 360, 1.0, -1)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    turn = np.deg2rad(angle) + rng.normal(0, 0.3)
    stripes = np.sin(2 * np.pi * (x * np.cos(turn) + y * np.sin(turn)) / rng.uniform(3, 8))
    level = max(30.0, image[place[1], place[0]] - rng.uniform(5, 80))
    inside = level + stripes * rng.uniform(0, 22) + field(rng, size, 4) * rng.uniform(0, 8)
    np.copyto(image, inside.astype(np.float32), where=mask > 0)
    cv2.ellipse(image, place, axes, angle, 0, 360, float(level - rng.uniform(10, 50)), int(rng.integers(1, 3)))


def _vesicles(rng: Rng, image: Image, gap: Image) -> None:
    size = len(image)
    radius = max(1.0, size * rng.uniform(0.008, 0.03))
    if (place := _place(rng, gap, 2 * radius)) is None:
        return
    level = float(image[place[1], place[0]])
    spread = radius * rng.uniform(3, 8)
    for _ in range(rng.integers(1, 15)):
        x, y = (int(c + rng.normal(0, spread)) for c in place)
        if not (0 <= x < size and 0 <= y < size) or gap[y, x] < radius:
            continue
        cv2.circle(image, (x, y), int(radius), level + rng.uniform(-30, 40), -1)
        cv2.circle(image, (x, y), int(radius), level - rng.uniform(15, 80), 1)


def _reticulum(rng: Rng, image: Image, gap: Image) -> None:
    size = len(image)
    if (place := _place(rng, gap, 3)) is None:
        return
    steps = int(rng.integers(6, 20))
    heading = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.35, steps))
    path = np.array(place) + np.cumsum(np.stack([np.cos(heading), np.sin(heading)], 1) * size / 45, axis=0)
    shade = image[place[1], place[0]] - rng.uniform(15, 70)
    cv2.polylines(image, [path.astype(np.int32)], False, float(shade), int(rng.integers(1, 3)))


def _nucleus(rng: Rng, image: Image, gap: Image) -> None:
    size = len(image)
    radius = size * rng.uniform(0.1, 0.3)
    if (place := _place(rng, gap, radius * 0.6)) is None:
        return
    mask = np.zeros_like(image)
    cv2.ellipse(mask, place, (int(radius * rng.uniform(1, 1.4)), int(radius)), rng.uniform(0, 180), 0, 360, 1.0, -1)
    level = image[place[1], place[0]] + rng.uniform(-30, 20)
    inside = level + field(rng, size, rng.uniform(4, 15)) * rng.uniform(5, 20) + noise(rng, size) * rng.uniform(0, 10)
    rim = mask - cv2.erode(mask, np.ones((3, 3)), iterations=int(rng.integers(1, 3)))
    np.copyto(image, inside.astype(np.float32), where=mask > 0)
    image -= rim * rng.uniform(20, 80)


ORGANELLES = (_mitochondrion, _mitochondrion, _mitochondrion, _vesicles, _vesicles, _reticulum, _reticulum, _nucleus)
