"""utils/dhash.py and utils/hashing.py: ImageHash's bits; utils/exemplars.py: the greedy rule."""

import imagehash
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from utils.dhash import hash_patches, pack_bits, reduce_last
from utils.exemplars import exemplars, hamming
from utils.hashing import HASHES, is_flat, patch_hasher


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


def test_patches_must_be_square():
    with pytest.raises(ValueError, match="square"):
        hash_patches(np.zeros((1, 8, 9), np.uint8))


@pytest.mark.parametrize("method", HASHES)
@pytest.mark.parametrize("shape", [(64, 64), (64, 40), (9, 64)])
def test_patches_of_any_size_as_the_library_after_a_bilinear_resize(method, shape, rng):
    library = {"average": imagehash.average_hash}.get(method) or getattr(imagehash, method)
    patch = rng.integers(0, 256, shape, dtype=np.uint8)
    image = Image.fromarray(patch)
    image = image if shape == (64, 64) else image.resize((64, 64), Image.Resampling.BILINEAR)
    assert np.array_equal(patch_hasher(64, 8, method)(patch), library_bits(image, 8, library))


def test_packing_keeps_every_bit(rng):
    bits = rng.random((5, 81)) < 0.5
    packed = pack_bits(bits)
    assert packed.shape == (5, 2)
    assert np.array_equal(np.bitwise_count(packed).sum(axis=1), bits.sum(axis=1))
    assert hamming(packed[0], packed[1]) == (bits[0] != bits[1]).sum()


def test_flat():
    assert is_flat(np.full((4, 4), 9))
    assert not is_flat(np.eye(4))


hash_arrays = st.integers(1, 3).flatmap(
    lambda words: hnp.arrays(np.uint64, st.tuples(st.integers(1, 90), st.just(words)), elements=st.integers(0, 2**20))
)


@given(hash_arrays, st.integers(0, 20), st.integers(0, 5))
def test_exemplars_are_apart_and_represent_all(hashes, distance, seed):
    kept = exemplars(hashes, distance, seed)
    apart = hamming(hashes[kept][:, np.newaxis], hashes[kept])
    np.fill_diagonal(apart, np.iinfo(apart.dtype).max)
    assert (apart > distance).all()
    assert (hamming(hashes[:, np.newaxis], hashes[kept]).min(axis=1) <= distance).all()
    assert np.array_equal(kept, exemplars(hashes, distance, seed))


@given(hash_arrays, st.integers(0, 12))
def test_exemplars_follow_the_plain_rule(hashes, distance):
    order = np.random.default_rng(3).permutation(len(hashes))
    kept: list[int] = []
    for candidate in order:
        if all(hamming(hashes[candidate], hashes[k]) > distance for k in kept):
            kept.append(candidate)
    assert sorted(kept) == exemplars(hashes, distance, 3).tolist()


def test_last_ones_represent_no_other():
    hashes = np.array([[0], [0], [1], [2**40 - 1]], np.uint64)
    last = np.array([True, True, False, False])
    for seed in range(8):
        assert exemplars(hashes, 12, seed, last=last).tolist() == [2, 3]
    assert len(exemplars(hashes[[0, 1, 3]], 12, last=last[[0, 1, 3]])) == 2


def test_no_hashes():
    assert exemplars(np.empty((0, 1), np.uint64), 12).tolist() == []
