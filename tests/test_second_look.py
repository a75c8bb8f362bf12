"""utils/classification/second_look.py: what is in doubt or mostly empty is looked at again, where the structure is."""

import cv2
import numpy as np
import pytest

from conftest import noise_patches
from utils.classification import second_look
from utils.classification.classifier import Classifier
from utils.classification.second_look import (
    BLOCKS,
    DOUBT,
    FADE,
    PART,
    WINDOW,
    combined,
    densest_window,
    further_looks,
    look_twice,
    sparseness,
    structured_blocks,
    turned,
)


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


@pytest.mark.parametrize(("top", "left"), [(0, 0), (3, 5), (10, 10), (10, 0)])
def test_the_densest_window(top, left):
    patch = np.arange(160 * 320, dtype=np.int32).reshape(160, 320)
    window = densest_window(patch, box(top, left, WINDOW, WINDOW))
    assert window.shape == (60, 120) and window[0, 0] == patch[top * 10, left * 20]
    assert np.shares_memory(window, patch)


def test_of_equal_windows_the_first():
    patch = np.arange(256).reshape(16, 16)
    assert densest_window(patch, box(6, 9, 1, 1))[0, 0] == patch[1, 4]


@pytest.mark.parametrize("shape", [(1, 1), (3, 17), (2, 500)])
def test_small_and_long_patches(shape):
    patch = np.random.default_rng(1).integers(0, 256, shape).astype(np.uint8)
    window = densest_window(patch, structured_blocks(patch))
    assert window.shape == tuple(max(1, 6 * side // 16) for side in shape)


LOOKS = 5


def test_a_turn_and_windows_of_a_patch():
    patch = np.arange(24, dtype=np.uint8).reshape(4, 6)
    looks = list(further_looks(patch))
    assert [look.shape for look in looks] == [(6, 4)] + [(2, 3)] * 4
    assert np.array_equal(looks[0], np.rot90(patch))
    assert [look[0, 0] for look in looks[1:]] == [0, 3, 12, 15]
    assert [look.shape for look in further_looks(np.zeros((1, 1), np.uint8))] == [(1, 1)] * LOOKS


def test_the_mean_of_turns_and_of_the_best_windows():
    assert combined(np.array([[0.0, 6, 9, -9, 6, -9]])).tolist() == [(3 + 7.5) / 2]


@pytest.mark.parametrize("first", [DOUBT, -DOUBT, 6.0, -9.0])
def test_what_is_clear_stays(first):
    assert combined(np.array([[first, *[-first] * LOOKS]])).tolist() == [first]


def test_the_more_doubtful_the_more_further_looks_count():
    first = DOUBT - FADE / 4
    again = ((first + 2) / 2 + 2) / 2
    assert combined(np.array([[-first, *[-2.0] * LOOKS]])) == pytest.approx(-(first + 0.25 * (again - first)))


def test_no_jump_at_the_edge_of_doubt():
    firsts = np.linspace(-5, 5, 2001)
    logits = combined(np.column_stack([firsts, np.full((len(firsts), LOOKS), 2.0)]))
    assert np.abs(np.diff(logits)).max() < 0.05


def test_only_patches_in_doubt_are_looked_at_again():
    seen = []

    def run(patches):
        seen.append(len(patches))
        return np.array([patch.mean() / 10 for patch in patches]), np.array([[patch.max()] for patch in patches])

    patches = [np.full((4, 4), level, np.uint8) for level in [0, 39, 40, 200] + [10] * PART]
    logits, features = look_twice(run, patches)
    assert seen == [len(patches), LOOKS * PART, LOOKS * 2]
    assert logits == pytest.approx([0, 3.9, 4, 20] + [1] * PART)
    assert features.ravel().tolist() == [0, 39, 40, 200] + [10] * PART


def test_turns():
    patch = np.arange(6, dtype=np.uint8).reshape(2, 3)
    assert [look.tolist() for look in turned(patch)] == [patch.tolist(), np.rot90(patch).tolist()]


def test_the_emptier_the_more_its_window_counts():
    shares = np.array([0, 0.01, 0.2, 0.4, 0.45, 0.5, 1])
    assert sparseness(shares) == pytest.approx([0, 1, 1, 1, 0.5, 0, 0])


def test_a_sparse_patch_is_judged_by_its_densest_window():
    ground = np.random.default_rng(0).integers(0, 100, (64, 64)).astype(np.uint8)
    sparse = np.full((64, 64), 200, np.uint8)
    sparse[32:, :32] = ground[:32, :32]
    seen = []

    def run(patches):
        seen.append([patch.shape for patch in patches])
        return np.array([patch.mean() for patch in patches]), np.array([[patch.mean()] for patch in patches])

    logits, features = look_twice(run, [ground, sparse])
    assert seen == [[(64, 64)] * 2, [(24, 24)] * 2]
    window = densest_window(sparse, structured_blocks(sparse))
    assert logits == pytest.approx([ground.mean(), window.mean()]) and window.mean() < 100
    assert features.ravel() == pytest.approx([ground.mean(), sparse.mean()])
    by_head, _ = look_twice(run, [ground, sparse], (np.array([2.0]), 5))
    assert by_head == pytest.approx([ground.mean(), 2 * window.mean() + 5])


def test_what_its_window_decides_is_looked_at_no_further():
    sparse = np.full((64, 64), 200, np.uint8)
    sparse[40:, :24] = np.random.default_rng(0).integers(0, 100, (24, 24))
    seen = []

    def run(patches):
        seen.append([patch.shape for patch in patches])
        return np.zeros(len(patches)), np.zeros((len(patches), 1))

    look_twice(run, [sparse])
    assert seen == [[(64, 64)], [(24, 24)] * 2]


def test_large_patches_are_looked_at_one_by_one(monkeypatch):
    monkeypatch.setattr(second_look, "PART_BYTES", 100)
    seen = []

    def run(patches):
        seen.append(len(patches))
        return np.zeros(len(patches)), np.zeros((len(patches), 1))

    look_twice(run, [np.zeros((4, 4), np.uint8), np.zeros((8, 8), np.uint8)])
    assert seen == [2, LOOKS, LOOKS]
    seen.clear()
    look_twice(run, [np.zeros((5, 5), np.uint8)] * 3)
    assert seen == [3, 2 * LOOKS, LOOKS]


def test_lite_looks_twice_unless_told_how_often(lite, resnet):
    patches = noise_patches(3)
    once = Classifier(lite, device="cpu", views=1).outputs(patches)[0]
    assert np.abs(once).min() > DOUBT
    lite = {**lite, "fc.bias": lite["fc.bias"] - float(once[0]) + 1}
    once, twice = (Classifier(lite, device="cpu", views=views) for views in (1, None))
    first, both = once.outputs(patches), twice.outputs(patches)
    again = [float(combined(once.outputs([patch, *further_looks(patch)])[0][np.newaxis])[0]) for patch in patches]
    assert both[0] == pytest.approx(again, abs=1e-4) and both[0][0] != first[0][0]
    assert np.array_equal(both[1], first[1])
    assert not Classifier(resnet, device="cpu", precision="fp32").looks_twice


def test_the_bundled_windows_have_a_head_of_their_own(lite):
    window = densest_window(patch := sparse_patch(28, 112), structured_blocks(patch))
    turns = list(turned(window))
    told = Classifier(lite, device="cpu").outputs([patch])[0]
    without = {name: values for name, values in lite.items() if not name.startswith("window_fc")}
    one_look = Classifier(without, device="cpu", views=1)
    logits, features = one_look.outputs(turns)
    assert Classifier(without, device="cpu").outputs([patch])[0] == pytest.approx([logits.mean()], abs=1e-3)
    by_head = features @ lite["window_fc.weight"][0].float().numpy() + float(lite["window_fc.bias"])
    assert told == pytest.approx([by_head.mean()], abs=1e-3) and abs(by_head.mean() - logits.mean()) > 0.1
