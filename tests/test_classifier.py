"""The networks, their input, and batched scores in full and half precision; sheets and reading ahead."""

import numpy as np
import pytest
import torch

from conftest import noise_patches
from utils.classification.classifier import Classifier, _published_size, _views
from utils.classification.decision import Decision, Familiarity


def test_eight_views_do_not_mind_how_a_patch_lies(lite):
    classifier = Classifier(lite, device="cpu", views=8)
    smooth = np.add.outer(np.arange(224) % 50 * 3, np.arange(224) % 30 * 3).astype(np.uint8)
    scores = classifier.outputs([smooth, smooth.T.copy(), smooth[::-1], np.rot90(smooth)])[0]
    assert scores == pytest.approx(scores[0], abs=1e-3)
    assert len(list(_views(np.zeros((2, 3, 4), np.uint8), 8))) == 8


def test_other_sizes_become_the_published_one_as_opencv_does_it(resnet):
    import cv2

    patch = noise_patches(1, 300)[0][:, :180]
    expected = cv2.resize(patch, (224, 224))
    assert np.array_equal(_published_size(patch, 224), expected) and _published_size(expected, 224) is expected
    classifier = Classifier(resnet, device="cpu", precision="fp32")
    assert classifier.scores([patch])[0] == classifier.scores([expected])[0]


def test_scores_are_calibrated_and_distances_told(lite):
    patches = noise_patches(2)
    raw = Classifier(lite, device="cpu").outputs(patches)
    heads = np.stack([raw[1][0] * 0, raw[1][1] - raw[1][0]])
    known = Familiarity(heads, np.array([0.0, -(heads[1] @ raw[1][0])]), 1.0)
    classifier = Classifier(lite, device="cpu", decision=Decision(0.3, 0.1, 0.5, known))
    assert classifier.threshold == 0.3 and Classifier(lite, device="cpu", threshold=0.7).threshold == 0.7
    seen = classifier.examine(patches)
    assert seen.scores == pytest.approx(1 / (1 + np.exp(-(0.1 * raw[0] + 0.5))), abs=1e-4)
    assert seen.distances[0] < 0.01 < seen.distances[1]
    assert np.isnan(Classifier(lite, device="cpu").examine(patches).distances).all()


@pytest.mark.parametrize("level", [0, 128, 255])
def test_blank_patches_score_low(lite, level):
    assert Classifier(lite, device="cpu").scores(np.full((1, 224, 224), level, np.uint8))[0] < 0.1


def test_noise_scores_low(lite):
    assert Classifier(lite, device="cpu").scores(noise_patches(4)).max() < 0.1


def test_weights_that_overflow_give_no_scores(lite):
    huge = {name: values * 1e30 if values.is_floating_point() else values for name, values in lite.items()}
    with pytest.raises(ValueError, match=r"w\.pth: no score for 2 patches, the network overflows"):
        Classifier(huge, device="cpu", origin="w.pth").examine(noise_patches(2))


def test_scores_keep_order_over_sizes_and_batches(lite):
    patches = [
        *noise_patches(3),
        *noise_patches(2, 96, 1),
        *noise_patches(2, 224, 2),
        noise_patches(1, 300, 3)[0][:, :200],
    ]
    together = Classifier(lite, device="cpu", batch_size=2).scores(patches)
    single = [Classifier(lite, device="cpu", batch_size=1).scores([p])[0] for p in patches]
    assert together.tolist() == pytest.approx(single, abs=1e-4)
    assert Classifier(lite, device="cpu").scores([]).shape == (0,)


def test_half_weights_and_read_only_patches(lite):
    assert lite["fc.weight"].dtype == torch.float16
    body = Classifier(lite, device="cpu").body
    assert {p.dtype for p in body.parameters()} == {torch.float32}
    patches = noise_patches(2)
    patches.flags.writeable = False
    assert len(Classifier(lite, device="cpu").scores(list(patches))) == 2


def test_auto_precision_decides_as_fp32_does(resnet, monkeypatch):
    """Random weights put every patch near the threshold: the hardest case for half precision."""
    monkeypatch.setattr("utils.classification.precisions._cpu_has_bf16", lambda: True)
    monkeypatch.setattr("utils.classification.cascade.LEAST", 4)
    patches, small = noise_patches(6), Decision(side=64)  # of patches, to be quick
    full = Classifier(resnet, device="cpu", precision="fp32", decision=small)
    scores = full.scores(patches)
    threshold = float(np.median(scores))
    auto = Classifier(resnet, device="cpu", precision="auto", threshold=threshold, decision=small)
    assert auto.dtype == torch.bfloat16
    assert ((auto.scores(patches) > threshold) == (scores > threshold)).all()


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_extreme_thresholds(lite, threshold):
    assert Classifier(lite, device="cpu", threshold=threshold).scores(noise_patches(1)).shape == (1,)


def test_batches_halve_when_memory_runs_out(lite, monkeypatch):
    classifier = Classifier(lite, device="cpu", batch_size=8)
    forward = classifier._forward

    def small_device(stack, dtype):
        if len(stack) > 2:
            raise torch.OutOfMemoryError("too large")
        return forward(stack, dtype)

    expected = classifier.scores(noise_patches(7))
    monkeypatch.setattr(classifier, "_forward", small_device)
    monkeypatch.setattr("torch.cuda.empty_cache", lambda: None)
    assert classifier.scores(noise_patches(7)).tolist() == expected.tolist()
    assert classifier.batch_size == 2


def test_padded_batches_say_the_same(lite):
    plain, padded = (Classifier(lite, device="cpu", batch_size=8) for _ in range(2))
    padded.pads_batches = True
    sizes, body = [], padded.body
    body.register_forward_hook(lambda _, given, __: sizes.append(len(given[0])))
    assert padded.scores(noise_patches(11)).tolist() == plain.scores(noise_patches(11)).tolist()
    assert set(sizes) == {8} and not plain.pads_batches


def test_beside_int8_the_precise_network_runs_in_what_auto_takes(resnet, monkeypatch):
    monkeypatch.setattr("utils.classification.precisions._cpu_has_bf16", lambda: True)
    networks = [Classifier(resnet, device="cpu", precision=name) for name in ("int8", "bf16", "fp32")]
    assert [network.dtype for network in networks] == [torch.bfloat16, torch.bfloat16, torch.float32]
    levels = [[level.name for level in network.cascade.levels] for network in networks]
    assert levels == [["bf16", "fp32"], ["bf16"], ["fp32"]]


def test_only_lite_looks_twice_and_only_where_no_views_are_asked_for(lite, resnet):
    asked = [(lite, None), (lite, 1), (resnet, None)]
    networks = [Classifier(state, device="cpu", precision="fp32", views=views) for state, views in asked]
    assert [network.looks_twice for network in networks] == [True, False, False]
    assert [level.name for level in Classifier(lite, device="cpu").cascade.levels] == ["fp32"]
    assert [network.is_aside for network in networks] == [False] * 3 and networks[0].account.network == "weights"


def test_threads_say_what_one_says(lite):
    patches = noise_patches(5)
    one, two = (Classifier(lite, device="cpu", threads=threads) for threads in (1, 2))
    assert two.scores(patches).tolist() == one.scores(patches).tolist() and two.scores([]).tolist() == []
    assert Classifier(lite, device="cpu", threads=4).at_once == 8 * 4 * 64
