"""utils/cell_hashes.py: the library's hashes, of all patches of a cell at once."""

import imagehash
import numpy as np
import pytest
from PIL import Image

from utils.cell_hashes import flat_hashes, hash_cell
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
