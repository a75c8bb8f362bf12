"""utils/hashing.py: hashes of single patches of any size."""

import imagehash
import numpy as np
import pytest
from PIL import Image

from utils.dhash import pack_bits
from utils.hashing import HASHES, is_flat, patch_hasher


def library_bits(image: Image.Image, size: int, method=imagehash.dhash) -> np.ndarray:
    return pack_bits(np.asarray(method(image, hash_size=size).hash).reshape(1, -1))[0]


@pytest.mark.parametrize("method", HASHES)
@pytest.mark.parametrize("shape", [(64, 64), (64, 40), (9, 64)])
def test_patches_of_any_size_as_the_library_after_a_bilinear_resize(method, shape, rng):
    library = {"average": imagehash.average_hash}.get(method) or getattr(imagehash, method)
    patch = rng.integers(0, 256, shape, dtype=np.uint8)
    image = Image.fromarray(patch)
    image = image if shape == (64, 64) else image.resize((64, 64), Image.Resampling.BILINEAR)
    for size in (8, 16):
        assert np.array_equal(patch_hasher(64, size, method)(patch), library_bits(image, size, library))
    assert np.array_equal(patch_hasher(64)(patch), library_bits(image, 8))


def test_flat():
    assert is_flat(np.full((4, 4), 9))
    assert not is_flat(np.eye(4))
