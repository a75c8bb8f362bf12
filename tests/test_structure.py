"""utils/classification/structure.py: the part of a patch that shows structure is found, whatever its contrast."""

import cv2
import numpy as np
import pytest

from utils.classification.structure import BLOCKS, densest_window, structured_blocks


def sparse_patch(top: int, left: int, side: int = 84, size: int = 224, scale: float = 1.0) -> np.ndarray:
    """A square of smooth texture on a gray ground with faint noise."""
    rng = np.random.default_rng(0)
    patch = 200 + rng.normal(0, 3, (size, size))
    texture = cv2.GaussianBlur(rng.normal(0, 1, (side, side)), (0, 0), 3)
    patch[top : top + side, left : left + side] = 120 + 40 * texture / texture.std()
    return np.clip(128 + scale * (patch - 128), 0, 255).round().astype(np.uint8)


def box(top: int, left: int, height: int, width: int) -> np.ndarray:
    blocks = np.zeros((BLOCKS, BLOCKS), bool)
    blocks[top : top + height, left : left + width] = True
    return blocks


@pytest.mark.parametrize("scale", [1, 0.25, -1])
def test_blocks_with_structure(scale):
    found = structured_blocks(sparse_patch(28, 112, scale=scale))
    assert found[2:8, 8:14].all()
    # Beside it, only blocks that the border reaches.
    assert not (found & ~box(1, 7, 8, 8)).any()


def test_the_same_blocks_at_another_size():
    small = cv2.resize(sparse_patch(28, 112), (112, 112), interpolation=cv2.INTER_AREA)
    assert (structured_blocks(small) == structured_blocks(sparse_patch(28, 112))).mean() > 0.98


@pytest.mark.parametrize("gray", [0, 90, 255])
def test_one_gray_shows_nothing(gray):
    assert not structured_blocks(np.full((50, 70), gray, np.uint8)).any()


def test_noise_alone_is_everywhere():
    noise = np.random.default_rng(0).integers(0, 256, (224, 224)).astype(np.uint8)
    assert structured_blocks(noise).all()


def test_a_block_is_faint_beside_busier_ones():
    ground = np.random.default_rng(0).normal(0, 1, (BLOCKS * 7, BLOCKS * 7))
    for part, is_seen in ((0.1, False), (0.5, True)):
        contrast = np.ones_like(ground)
        contrast[:28, :28] = part
        assert structured_blocks(np.clip(128 + 30 * contrast * ground, 0, 255).astype(np.uint8))[1, 1] == is_seen


def test_a_few_bright_specks_do_not_outshine_the_rest():
    patch = sparse_patch(28, 112)
    patch[200:204, 10:14] = 0
    assert structured_blocks(patch)[2:8, 8:14].all()


@pytest.mark.parametrize(("top", "left"), [(0, 0), (3, 5), (8, 8), (8, 0)])
def test_the_densest_window(top, left):
    patch = np.arange(160 * 320, dtype=np.int32).reshape(160, 320)
    window = densest_window(patch, box(top, left, 8, 8))
    assert window.shape == (80, 160) and window[0, 0] == patch[top * 10, left * 20]
    assert np.shares_memory(window, patch)


def test_of_equal_windows_the_first():
    patch = np.arange(256).reshape(16, 16)
    assert densest_window(patch, box(6, 9, 1, 1))[0, 0] == patch[0, 2]


@pytest.mark.parametrize("shape", [(1, 1), (3, 17), (2, 500)])
def test_small_and_long_patches(shape):
    patch = np.random.default_rng(1).integers(0, 256, shape).astype(np.uint8)
    window = densest_window(patch, structured_blocks(patch))
    assert window.shape == tuple(max(1, side // 2) for side in shape)
