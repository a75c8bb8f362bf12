"""Perceptual hashes of single patches of any size, by ImageHash's methods."""

from collections.abc import Callable
from typing import Any

import numpy as np

from utils.dhash import hash_patches, pack_bits

HASHES = ("dhash", "phash", "average", "whash")


def patch_hasher(crop: int, hash_size: int = 8, method: str = "dhash") -> Callable[[np.ndarray], np.ndarray]:
    """A function that hashes one patch.

    Parameters
    ----------
    crop : int
        Patches of other sizes are resized (Pillow, bilinear) to crop x crop first.
    hash_size : int
        Bits per row and per column.
    method : {'dhash', 'phash', 'average', 'whash'}
        dHash is computed here, bit for bit as ImageHash does; the others by ImageHash.

    Returns
    -------
    callable
        (h, w) uint8 -> (words,) uint64, the library's bits row by row.
    """
    import imagehash
    from PIL import Image

    library: dict[str, Callable[..., Any]] = {
        "phash": imagehash.phash,
        "average": imagehash.average_hash,
        "whash": imagehash.whash,
    }

    def hash_one(patch: np.ndarray) -> np.ndarray:
        pixels = np.ascontiguousarray(patch)
        if patch.shape != (crop, crop):
            pixels = np.asarray(Image.fromarray(pixels).resize((crop, crop), Image.Resampling.BILINEAR))
        if method == "dhash":
            return hash_patches(pixels[np.newaxis], hash_size).reshape(-1)
        bits = np.asarray(library[method](Image.fromarray(pixels), hash_size=hash_size).hash)
        return pack_bits(bits.reshape(1, -1)).reshape(-1)

    return hash_one


def is_flat(patch: np.ndarray) -> bool:
    """Whether a patch has one value throughout: no contrast, and no meaningful hash.

    Parameters
    ----------
    patch : ndarray, shape (h, w)
    """
    return bool(patch.min() == patch.max())
