"""Generated uninformative patches: what microscopes deliver besides cells.

Few collections hold enough labelled rubbish to teach a classifier what rubbish looks like on the next microscope, so
that part is drawn: empty and noisy fields, gradients, curtaining, particles, grains, fracture relief, grids, data bars,
and real patches that were ruined by cover, blur, lost contrast or lost phase. Images are float32, shape (size, size),
roughly 0 to 255.
"""

from collections.abc import Callable

import cv2
import numpy as np

from utils.training.synthetic.fields import Image, Rng, background, field, gradient, noise, pixel, standard
from utils.training.synthetic.scenes import SCENES


def lettering(rng: Rng, size: int) -> Image:
    """Draw a data bar, a scale bar or text over a field without cells."""
    image = SCENES[rng.integers(0, len(SCENES))](rng, size)
    dark, light = rng.permutation([0.0, 255.0])
    if rng.random() < 0.6:
        depth = int(rng.uniform(0.08, 0.9) * size)
        image[-depth:] = dark
    ink = np.zeros((size, size), np.uint8)
    for _ in range(rng.integers(1, 6)):
        place = pixel(rng.uniform([-0.2, 0.6], [0.7, 1.0]) * size)
        text = "".join(rng.choice(list("0123456789 kVxnmWDHTSE.=:um"), rng.integers(2, 16)))
        cv2.putText(ink, text, place, int(rng.integers(0, 5)), rng.uniform(0.3, 1.2), 255, int(rng.integers(1, 3)))
    if rng.random() < 0.6:
        x, y = pixel(rng.uniform([0.05, 0.6], [0.5, 0.95]) * size)
        cv2.rectangle(ink, (x, y), (x + int(rng.uniform(0.1, 0.5) * size), y + int(rng.integers(2, 8))), 255, -1)
    image[ink > 127] = light
    return image


def cover_mask(rng: Rng, size: int, share: float) -> Image:
    """Draw a soft mask, 1 where covered, over the given share of the area.

    The border is straight (padding), wavy (resin) or patchy.
    """
    kind = rng.integers(0, 3)
    if kind == 0:
        ramp = gradient(rng, size)
    elif kind == 1:
        ramp = standard(gradient(rng, size)) + 0.3 * field(rng, size, rng.uniform(8, 60))
    else:
        ramp = field(rng, size, rng.uniform(30, 120))
    return _softened(rng, ramp <= np.quantile(ramp, share))


def island_mask(rng: Rng, size: int, share: float) -> Image:
    """Draw a soft mask, 1 where covered, over the given share of the area: all but a disc or a rectangle."""
    stretch = np.exp(rng.normal(0, 0.3))
    y, x = np.abs(np.arange(size) - rng.uniform(0, size, (2, 1)))
    distance = (np.hypot if rng.random() < 0.5 else np.maximum)(y[:, None] * stretch, x / stretch)
    return _softened(rng, distance >= np.quantile(distance, 1 - share))


def filler(rng: Rng, size: int) -> Image:
    """Draw what covers a patch: padding at one level, or an empty field."""
    if rng.random() < 0.4:
        return np.full((size, size), rng.choice([0.0, 255.0, rng.uniform(0, 255)]), np.float32)
    return background(rng, size)


def covered(rng: Rng, good: Image) -> Image:
    """Cover at least 85 % of a good patch."""
    size = len(good)
    mask = cover_mask(rng, size, 1 - 0.15 * rng.random() ** 1.5)
    return np.asarray(good * (1 - mask) + filler(rng, size) * mask)


def blurred(rng: Rng, good: Image) -> Image:
    """Blur a good patch until no structure is left, and stretch what remains."""
    size = len(good)
    smooth = cv2.GaussianBlur(good, (0, 0), size * np.exp(rng.uniform(np.log(0.05), np.log(0.2))))
    return np.asarray(128 + standard(smooth) * rng.uniform(3, 45) + noise(rng, size) * rng.choice([0.5, 4, 15]))


def pressed(rng: Rng, good: Image) -> Image:
    """Press the contrast of a good patch far below its noise."""
    grain = noise(rng, len(good))
    signal = standard(good) * rng.uniform(0, 0.25)
    return np.asarray(rng.uniform(20, 235) + (signal + grain) * rng.choice([1.5, 6, 20, 45]))


def scrambled(rng: Rng, good: Image) -> Image:
    """Keep the spectrum of a good patch and lose its phase: a texture without structure, as inside nuclei."""
    window = np.hanning(len(good))
    spectrum = np.abs(np.fft.rfft2(standard(good) * window[:, None] * window[None]))
    white = np.fft.rfft2(rng.standard_normal(good.shape))
    texture = np.fft.irfft2(spectrum * np.exp(1j * np.angle(white)), s=good.shape).astype(np.float32)
    return rng.uniform(60, 200) + standard(texture) * rng.uniform(5, 50)


RUINS: tuple[Callable[[Rng, Image], Image], ...] = (covered, covered, covered, covered, blurred, pressed, scrambled)


def uninformative(rng: Rng, good: Image) -> tuple[Image, bool]:
    """Draw one uninformative patch.

    Parameters
    ----------
    rng : numpy.random.Generator
    good : ndarray, shape (size, size)
        An informative patch; one in three results is this patch, ruined.

    Returns
    -------
    image : ndarray of float32, shape (size, size)
        Roughly 0 to 255, not clipped.
    touched : bool
        Whether it was made of `good`.
    """
    choice = rng.random()
    if choice < 0.3:
        return RUINS[rng.integers(0, len(RUINS))](rng, good), True
    if choice < 0.36:
        return lettering(rng, len(good)), False
    return SCENES[rng.integers(0, len(SCENES))](rng, len(good)), False


def _softened(rng: Rng, covered: np.ndarray) -> Image:
    return np.asarray(cv2.GaussianBlur(covered.astype(np.float32), (0, 0), rng.uniform(0.3, 2.5)))
