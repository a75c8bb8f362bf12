"""Random fields, noise and gradients: what generated images are made of. Images are float32, shape (size, size)."""

from collections.abc import Iterable

import cv2
import numpy as np

Rng = np.random.Generator
Image = np.ndarray


def field(rng: Rng, size: int, grain: float) -> Image:
    """Draw a smooth random field.

    Parameters
    ----------
    rng : numpy.random.Generator
    size : int
        Side in pixels.
    grain : float
        Distance in pixels over which the field changes.

    Returns
    -------
    ndarray of float32, shape (size, size)
        Mean 0, standard deviation about 1.
    """
    nodes = int(np.ceil(size / grain)) + 3
    coarse = rng.standard_normal((nodes, nodes), dtype=np.float32)
    side = int(nodes * grain) + 1
    fine = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
    y, x = rng.integers(0, side - size + 1, 2)
    return standard(fine[y : y + size, x : x + size])


def noise(rng: Rng, size: int) -> Image:
    """Draw noise with a random radial spectrum: white, correlated, band-passed (as in cryo images) or 1/f."""
    white = rng.standard_normal((size, size), dtype=np.float32)
    kind = rng.integers(0, 5)
    if kind == 0:
        return white
    if kind == 1:
        return standard(cv2.GaussianBlur(white, (0, 0), rng.uniform(0.4, 5)))
    radius = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :]).astype(np.float32)
    radius[0, 0] = 1 / size
    if kind == 2:
        shape = radius ** -rng.uniform(0.3, 2.0)
    elif kind == 3:
        centre = np.exp(rng.uniform(np.log(0.02), np.log(0.4)))
        shape = np.exp(-(((radius - centre) / (centre * rng.uniform(0.15, 0.8))) ** 2)) + rng.uniform(0, 0.3)
    else:
        # The contrast transfer of a defocused microscope leaves rings in the spectrum.
        shape = (0.1 + np.abs(np.sin(rng.uniform(20, 400) * radius**2))) * np.exp(-radius * rng.uniform(2, 14))
    return standard(np.fft.irfft2(np.fft.rfft2(white) * shape, s=(size, size)).astype(np.float32))


def gradient(rng: Rng, size: int) -> Image:
    """Draw a slow ramp or bowl of brightness, scaled to -1..1."""
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j].astype(np.float32)
    a, b, c, d, e = rng.normal(0, 1, 5)
    ramp = a * x + b * y + rng.choice([0, 1]) * (c * x * x + d * y * y + e * x * y)
    return np.asarray((ramp / (np.abs(ramp).max() + 1e-6)).astype(np.float32))


def background(rng: Rng, size: int) -> Image:
    """Draw an empty field: a level, perhaps a slow gradient, and more or less noise."""
    image = np.full((size, size), rng.uniform(5, 250), np.float32)
    if rng.random() < 0.5:
        image += gradient(rng, size) * rng.uniform(2, 60)
    if rng.random() < 0.3:
        image += field(rng, size, rng.uniform(20, 120)) * rng.uniform(1, 15)
    return np.asarray(image + noise(rng, size) * rng.choice([0.5, 3, 10, 25, 50]) * rng.uniform(0.3, 1))


def standard(image: Image) -> Image:
    """Shift and scale to mean 0 and standard deviation 1."""
    return np.asarray(((image - image.mean()) / (image.std() + 1e-6)).astype(np.float32))


def pixel(point: Iterable[float]) -> tuple[int, int]:
    """A point x, y as OpenCV's drawing takes it."""
    x, y = point
    return int(x), int(y)
