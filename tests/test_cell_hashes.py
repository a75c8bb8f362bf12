"""utils/cell_hashes.py: the library's hashes, of all patches of a cell at once; enlarged patches are Pillow's."""

import imagehash
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from utils.cell_hashes import bilinear_steps, enlarge, flat_hashes, hash_cell
from utils.cubes import cut, grid
from utils.dhash import pack_bits
from utils.patches import EDGES


@pytest.mark.parametrize("shape", [(33, 18, 41), (10, 22, 41), (16, 16, 16), (17, 40, 8), (1, 40, 40)])
@pytest.mark.parametrize("edges", EDGES)
@pytest.mark.parametrize("axes", [(0, 1, 2), (1,), (0, 2)])
@pytest.mark.parametrize("size", [8, 16])
def test_hashes_are_the_librarys(shape, edges, axes, size, rng):
    voxels = rng.integers(0, 256, shape, dtype=np.uint8)
    voxels[:, :16, :16] = 7
    for cell in grid(shape, 16, axes, edges=edges):
        cube = voxels[tuple(slice(*span) for span in cell.region())]
        hashes, flat = hash_cell(cube, cell, 16, hash_size=size)
        for where, packed, is_flat in zip(cell.patches(), hashes, flat, strict=True):
            patch = cut(cube, cell, *where)
            assert is_flat == (patch.min() == patch.max())
            image = Image.fromarray(np.ascontiguousarray(patch))
            image = image if patch.shape == (16, 16) else image.resize((16, 16), Image.Resampling.BILINEAR)
            expected = pack_bits(np.asarray(imagehash.dhash(image, size).hash).reshape(1, -1))[0]
            assert np.array_equal(packed, np.zeros_like(packed) if is_flat else expected)


def test_other_hashes(rng):
    voxels = rng.integers(0, 256, (16, 16, 16), dtype=np.uint8)
    (cell,) = grid(voxels.shape, 16)
    hashes, _ = hash_cell(voxels, cell, 16, method="phash")
    image = Image.fromarray(voxels[:, 3].copy())
    assert np.array_equal(hashes[16 + 3], pack_bits(imagehash.phash(image).hash.reshape(1, -1))[0])


def test_one_value_has_no_hash():
    voxels = np.full((16, 16, 16), 200, np.uint8)
    (cell,) = grid(voxels.shape, 16)
    for method in ("dhash", "average"):
        hashes, flat = hash_cell(voxels, cell, 16, method=method)
        assert flat.all()
        assert not hashes.any()


@pytest.mark.parametrize("method", ["dhash", "average"])
def test_a_cube_of_one_value_is_told_apart_and_gives_what_its_patches_would(method, monkeypatch):
    [cell] = grid((16, 16, 16), 16)
    cube = np.full((16, 16, 16), 9, np.uint8)
    quick = hash_cell(cube, cell, 16, method=method)
    monkeypatch.setattr("utils.cell_hashes.is_one_value", lambda cube: False)
    slow = hash_cell(cube, cell, 16, method=method)
    assert all(np.array_equal(a, b) and a.dtype == b.dtype for a, b in zip(quick, slow, strict=True))
    assert quick[1].all()


def test_rows_of_one_value_have_the_hashes_of_their_cells():
    [cell] = grid((10, 10, 10), 10)
    for found, expected in zip(
        flat_hashes(len(cell), 16), hash_cell(np.full((10,) * 3, 7, np.uint8), cell, 10, hash_size=16), strict=True
    ):
        assert np.array_equal(found, expected)


@pytest.mark.parametrize("method", ["dhash", "phash", "average"])
def test_a_flat_patch_among_others_has_no_hash(method, rng):
    voxels = rng.integers(0, 256, (16, 16, 16), dtype=np.uint8)
    voxels[3] = 9
    [cell] = grid(voxels.shape, 16, (0,))
    hashes, flat = hash_cell(voxels, cell, 16, method=method)
    assert np.flatnonzero(flat).tolist() == [3]
    assert not hashes[3].any() and hashes.any(axis=1).sum() == 15


def test_small_patches_are_enlarged_a_few_at_a_time(rng, monkeypatch):
    voxels = rng.integers(0, 256, (14, 9, 16), dtype=np.uint8)
    [cell] = grid(voxels.shape, 16)
    at_once, _ = hash_cell(voxels, cell, 16)
    monkeypatch.setattr("utils.cell_hashes.STACK", 4)
    assert np.array_equal(hash_cell(voxels, cell, 16)[0], at_once)


def pillows(patches: np.ndarray, height: int, width: int) -> np.ndarray:
    """Patches (n, h, w) as the library enlarges them."""
    size = (width, height)
    return np.stack([np.asarray(Image.fromarray(p).resize(size, Image.Resampling.BILINEAR)) for p in patches])


def squared(patches: np.ndarray, side: int) -> np.ndarray:
    """Patches (n, h, w) as `enlarge` does it."""
    stack = np.ascontiguousarray(np.moveaxis(patches, 0, -1))
    return np.moveaxis(enlarge(enlarge(stack, side, 1), side, 0), -1, 0)


@given(side=st.integers(1, 230), data=st.data(), seed=st.integers(0, 999))
def test_bit_for_bit_as_the_library(side, data, seed):
    shape = (2, data.draw(st.integers(1, side)), data.draw(st.integers(1, side)))
    patches = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    square = squared(patches, side)
    assert square.dtype == np.uint8
    assert np.array_equal(square, pillows(patches, side, side))


@pytest.mark.parametrize("shape", [(3, 128, 128), (3, 112, 224), (3, 224, 138)])
def test_sizes_of_thin_volumes(shape, rng):
    patches = rng.integers(0, 256, shape, dtype=np.uint8)
    assert np.array_equal(squared(patches, 224), pillows(patches, 224, 224))


@pytest.mark.parametrize("side", [3, 7, 8, 224, 512])
def test_every_pair_of_neighbours(side):
    pairs = np.stack(np.meshgrid(*2 * [np.arange(256, dtype=np.uint8)], indexing="ij"))
    expected = pillows(pairs.reshape(1, 2, -1), side, 1 << 16)
    assert np.array_equal(enlarge(pairs, side, 0).reshape(1, side, -1), expected)


def test_what_is_large_enough_stays(rng):
    stack = rng.integers(0, 256, (9, 8, 2), dtype=np.uint8)
    assert np.shares_memory(enlarge(stack, 9, 0), stack)
    assert np.array_equal(enlarge(stack, 8, 1), stack)


@pytest.mark.parametrize(("axis", "side"), [(0, 9), (0, 5), (1, 9), (1, 6)])
def test_some_rows_of_the_enlarged_axis(axis, side, rng):
    stack = rng.integers(0, 256, (5, 6, 3), dtype=np.uint8)
    some = enlarge(stack, side, axis, slice(2, 5))
    assert np.array_equal(some, enlarge(stack, side, axis).take(range(2, 5), axis=axis))


def test_steps_begin_within_the_side_and_go_no_further_than_the_next_pixel():
    first, second, shares = zip(*bilinear_steps(4, 7), strict=True)
    assert first == (0, 0, 0, 1, 2, 2, 2)
    assert second == (1, 1, 1, 2, 3, 3, 3)
    assert (shares[0], shares[3], shares[6]) == (0, 0.5, 1)
    assert {step[:2] for step in bilinear_steps(1, 5)} == {(0, 0)}


@pytest.mark.parametrize("length", [2, 3, 100, 128, 223])
def test_shares_are_far_from_all_at_which_a_blend_changes(length):
    exact = ((np.arange(224) + 0.5) * (length / 224) - 0.5) % 1
    for (*_, share), true in zip(bilinear_steps(length, 224), exact, strict=True):
        blends = np.arange(1, 256) * share
        between = np.abs(blends % 1 - 0.5)
        assert ((between > 2.0**-10.5) | (between == 0)).all()
        assert abs(share - true) < 1 / 255 or share in (0, 1)
