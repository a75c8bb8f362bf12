"""utils/dhash.py and utils/hashing.py: ImageHash's bits; utils/exemplars.py: the greedy rule."""

import imagehash
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from utils.dhash import hash_patches, pack_bits, reduce_last
from utils.near_hashes import hamming


def library_bits(image: Image.Image, size: int, method=imagehash.dhash) -> np.ndarray:
    return pack_bits(np.asarray(method(image, hash_size=size).hash).reshape(1, -1))[0]


@pytest.mark.parametrize("side", [16, 17, 100, 224, 512])
@pytest.mark.parametrize("size", [3, 8, 16])
def test_bit_for_bit_as_the_library(side, size, rng):
    ramp = np.add.outer(np.arange(side), np.arange(side)) % 256
    patches = np.stack([rng.integers(0, 256, (side, side)), rng.integers(0, 2, (side, side)) * 255, ramp]).astype(
        np.uint8
    )
    for patch, packed in zip(patches, hash_patches(patches, size), strict=True):
        assert np.array_equal(packed, library_bits(Image.fromarray(patch), size))


@given(hnp.arrays(np.uint8, (24, 24)), st.sampled_from([8, 16]))
def test_any_patch_bit_for_bit(patch, size):
    assert np.array_equal(hash_patches(patch[np.newaxis], size)[0], library_bits(Image.fromarray(patch), size))


def test_every_patch_of_real_slices(real_data):
    from utils.volumes import open_volume

    with open_volume(real_data / "3d" / "isbi2012_train_slices") as volume:
        patches = volume[:, :224, :224]
    for size in (8, 16):
        expected = [library_bits(Image.fromarray(patch), size) for patch in patches]
        assert np.array_equal(hash_patches(patches, size), expected)


def test_a_pass_is_the_librarys_resize(rng):
    pixels = rng.integers(0, 256, (30, 224), dtype=np.uint8)
    resized = np.asarray(Image.fromarray(pixels).resize((9, 30), Image.Resampling.LANCZOS))
    assert np.array_equal(reduce_last(pixels.astype(np.float32), 9), resized)


def test_sixty_four_bits_if_nothing_else_is_said(rng):
    patches = rng.integers(0, 256, (3, 40, 40), dtype=np.uint8)
    assert np.array_equal(hash_patches(patches), hash_patches(patches, 8))


def test_patches_must_be_square():
    with pytest.raises(ValueError, match="square"):
        hash_patches(np.zeros((1, 8, 9), np.uint8))


def test_packing_keeps_every_bit(rng):
    bits = rng.random((5, 81)) < 0.5
    packed = pack_bits(bits)
    assert packed.shape == (5, 2)
    assert np.array_equal(np.bitwise_count(packed).sum(axis=1), bits.sum(axis=1))
    assert hamming(packed[0], packed[1]) == (bits[0] != bits[1]).sum()
