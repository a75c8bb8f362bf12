"""Augmentation of labelled patches for training: the published recipe and a heavy one for few labels.

Images are float32, shape (size, size), 0 to 255.
"""

import cv2
import numpy as np

from utils.training.synthetic.fields import Image, Rng, field, gradient, noise
from utils.training.synthetic.negatives import cover_mask, filler, island_mask

# Of mildly augmented patches this share is whole and as it is.
WHOLE = 0.8
# Of a patch that is mostly covered so much is left; or so little that it informs no longer.
LEFT, LOST = (0.12, 0.5), (0.0, 0.04)


def published(rng: Rng, patch: Image, size: int) -> Image:
    """Augment as the CEM500K paper does: resize, brightness and contrast by 20 %, noise, blur, flips; clipped."""
    image: Image = cv2.resize(patch, (size, size), interpolation=cv2.INTER_LINEAR).astype(np.float32)
    image = _flipped(rng, image)
    image = image * rng.uniform(0.8, 1.2) + 255 * rng.uniform(-0.2, 0.2)
    if rng.random() < 0.5:
        image += rng.standard_normal(image.shape, dtype=np.float32) * rng.uniform(3, 7)
    if rng.random() < 0.5:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.5))
    return np.clip(image, 0, 255)


def heavy(rng: Rng, patch: Image, size: int, *, informative: bool) -> Image:
    """Augment so strongly that a few hundred patches stand for other microscopes too; clipped to 0..255.

    Good patches (informative) may be partly covered; bad ones are cropped less, because a close crop of their few
    structures would no longer be bad.
    """
    image = _window(rng, patch, size, smallest=0.55 if informative else 0.8)
    image = _flipped(rng, image)
    return heavy_picture(rng, image) if informative else exposure(rng, image)


def mild(rng: Rng, patch: Image, size: int, *, informative: bool) -> Image:
    """The whole patch, flipped, more often than not; else as `heavy`: for a head, whose body needs no teaching."""
    if rng.random() < WHOLE:
        return _flipped(rng, cv2.resize(patch, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32))
    return heavy(rng, patch, size, informative=informative)


def heavy_picture(rng: Rng, image: Image) -> Image:
    """Cover up to 80 % of an informative image now and then, and vary its exposure: a fifth with cells informs."""
    size = len(image)
    if rng.random() < 0.25:
        mask = cover_mask(rng, size, rng.uniform(0.1, 0.8))
        image = image * (1 - mask) + filler(rng, size) * mask
    return exposure(rng, image)


def mostly_covered(rng: Rng, patch: Image, size: int) -> tuple[Image, bool]:
    """Cover a patch, flipped, but for a part: with padding, resin or an empty field, and perhaps an edge of padding.

    Returns
    -------
    image : ndarray of float32, shape (size, size)
        Clipped to 0..255.
    informs : bool
        Whether enough is left to inform, if the patch does: `LEFT` of it, rather than `LOST`.
    """
    image = _flipped(rng, cv2.resize(patch, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32))
    informs = bool(rng.random() < 0.85)
    draw_mask = island_mask if rng.random() < 0.4 else cover_mask
    mask, ground = draw_mask(rng, size, 1 - rng.uniform(*(LEFT if informs else LOST))), rng.random()
    if ground < 0.6:
        beside = filler(rng, size)
    else:
        gray, deviation = np.percentile(image, rng.uniform(5, 98)), rng.uniform(0.02, 0.35) * image.std()
        beside = rng.normal(gray, deviation, image.shape)
    mixed = image * (1 - mask) + beside * mask
    if rng.random() < 0.3:
        edge = cover_mask(rng, size, rng.uniform(0.05, 0.4)) * mask
        mixed = mixed * (1 - edge) + rng.choice([0, 255]) * edge
    return np.clip(mixed, 0, 255).astype(np.float32), informs


def exposure(rng: Rng, image: Image) -> Image:
    """Vary what the detector does: gamma, contrast, brightness, inversion, blur, noise, shading, lines."""
    size = len(image)
    image = np.clip(image, 0, 255)
    if rng.random() < 0.3:
        image = 255 - image
    if rng.random() < 0.4:
        image = 255 * (image / 255) ** np.exp(rng.normal(0, 0.3))
    if rng.random() < 0.35:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 3.0) * size / 224)
    contrast = max(float(image.std()), 4.0)
    if rng.random() < 0.2:
        image = image + gradient(rng, size) * contrast * rng.uniform(0, 1)
    if rng.random() < 0.15:
        lines = field(rng, size, rng.uniform(2, 12))[0] * contrast * rng.uniform(0, 0.4)
        image = image + (lines[None] if rng.random() < 0.5 else lines[:, None])
    if rng.random() < 0.4:
        image = image + noise(rng, size) * contrast * 0.6 * rng.random() ** 1.5
    # Clipping is part of it: overexposed and underexposed patches lose their lights or shadows.
    scale = np.exp(rng.uniform(np.log(0.06 if rng.random() < 0.3 else 0.25), np.log(1.6)))
    image = (image - image.mean()) * scale + np.clip(image.mean() + rng.normal(0, 25), 15, 240)
    return np.asarray(np.round(np.clip(image, 0, 255)).astype(np.float32))


def _window(rng: Rng, patch: Image, size: int, smallest: float) -> Image:
    """Cut a window of random scale and place; beyond the patch its mirror image continues."""
    height, width = patch.shape
    scale = rng.uniform(smallest, 1.0) if rng.random() < 0.7 else rng.uniform(1.0, 1.8)
    stretch = np.exp(rng.normal(0, 0.1))
    angle = rng.uniform(-np.pi, np.pi) if rng.random() < 0.15 else 0.0
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turn @ np.diag([scale * stretch * width / size, scale / stretch * height / size])
    room = np.array([width, height]) * max(0.0, 1 - scale) / 2
    centre = np.array([width, height]) / 2 + rng.uniform(-1, 1, 2) * room
    offset = centre - matrix @ np.array([size / 2, size / 2])
    source = patch
    if scale > 1.2 or size < 0.8 * scale * min(height, width):
        source = cv2.GaussianBlur(patch, (0, 0), max(0.3, 0.4 * scale * min(height, width) / size))
    affine = np.hstack([matrix, offset[:, None]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    window = cv2.warpAffine(source, affine, (size, size), flags=flags, borderMode=cv2.BORDER_REFLECT_101)
    return window.astype(np.float32)


def _flipped(rng: Rng, image: Image) -> Image:
    if rng.random() < 0.5:
        image = image[::-1]
    if rng.random() < 0.5:
        image = image[:, ::-1]
    return np.ascontiguousarray(image.T if rng.random() < 0.5 else image)
