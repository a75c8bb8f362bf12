"""utils/classification/models.py: networks, and how patches are made ready for them."""

import numpy as np
import pytest
import torch

from conftest import noise_patches
from utils.classification.lite_net import LiteNet
from utils.classification.models import (
    _declared,
    _operators_load,
    build_model,
    detect_arch,
    loaded_model,
    prepare,
    resized,
    torchvision_models,
)


@pytest.mark.parametrize("arch", ["resnet34", "lite"])
def test_architectures(arch):
    with torch.device("meta"):  # no random weights are drawn
        model = build_model(arch)
    assert detect_arch(model.state_dict()) == arch
    count = sum(p.numel() for p in model.parameters())
    assert count == {"resnet34": 21_285_185, "lite": 403_041}[arch]
    with pytest.raises(ValueError, match="unknown architecture"):
        build_model("vgg")


def test_what_stands_in_for_operators_is_held():
    torchvision_models()
    assert bool(_declared) is not _operators_load()


@pytest.mark.parametrize("windows", [False, True])
def test_a_network_computes_with_the_weights_that_it_is_given(windows):
    network = LiteNet(windows=windows).eval()
    loaded = loaded_model("lite", network.state_dict(), "a.pth").eval()
    x = torch.linspace(-1, 1, 2 * 96 * 96).reshape(2, 1, 96, 96)
    assert torch.equal(loaded(x), network(x))


def test_published_input_is_imagenets():
    x = prepare(torch.full((2, 224, 224), 255, dtype=torch.uint8), "resnet34")
    assert x.shape == (2, 3, 224, 224)
    assert x[0, :, 5, 5].tolist() == pytest.approx([(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225])


def test_only_other_sizes_are_resized():
    patches, side = torch.from_numpy(noise_patches(1)), 96
    assert torch.equal(prepare(patches, "resnet34")[0, 0], (patches[0].float() / 255 - 0.485) / torch.tensor(0.229))
    assert torch.equal(resized(patches[:, :side, :side])[0, 0], patches[0, :side, :side].float())
    for other in (patches, patches[:, :100], patches[:, :side, :50]):
        assert resized(other).shape == (1, 1, side, side)


def test_lite_does_not_mind_contrast_settings_or_padding():
    rng = np.random.default_rng(0)
    image = rng.normal(120, 30, (96, 96)).clip(10, 240).round()
    x = [prepare(torch.tensor(p[None]), "lite") for p in (image, image * 0.5 + 60)]
    assert torch.allclose(x[0], x[1], atol=1e-4)
    padded = image.copy()
    padded[:60] = 0
    y = prepare(torch.tensor(padded[None]), "lite")[0, 0, 60:]
    assert abs(float(y.mean())) < 1e-4 and float(y.std()) == pytest.approx(1, abs=1e-3)
    padded = (image / 8 + 10).clip(11, 40).round()
    padded[:60], padded[-1, -1] = 2, 41  # 2 is as good as black where 41 is the brightest
    y = prepare(torch.tensor(padded[None]), "lite")[0, 0, 60:]
    assert abs(float(y.mean())) < 1e-4
    padded = image.copy()
    padded[:60] = 255
    y = prepare(torch.tensor(padded[None]), "lite")[0, 0, 60:]
    assert abs(float(y.mean())) < 1e-4 and float(y.std()) == pytest.approx(1, abs=1e-3)


def test_each_patch_of_a_batch_is_measured_by_itself():
    rng = np.random.default_rng(0)
    patches = torch.tensor(rng.integers(10, 240, (3, 96, 96)) // np.array([1, 2, 8])[:, None, None])
    patches[1, :60], patches[2, :60] = 0, 255
    alone = torch.cat([prepare(patches[i : i + 1], "lite") for i in range(3)])
    assert torch.allclose(prepare(patches, "lite"), alone, atol=1e-6)


@pytest.mark.parametrize(("least", "white", "is_padding"), [(10, 252, True), (10, 251, False), (216, 253, False)])
def test_what_is_nearly_white_is_padding_where_the_range_is_wide(least, white, is_padding):
    patch = np.random.default_rng(0).integers(least, 240, (96, 96))
    patch[:60], patch[-1, -1] = white, least
    rest = prepare(torch.tensor(patch[None]), "lite")[0, 0, 60:]
    assert (abs(float(rest.mean())) < 1e-4) is is_padding


def test_weights_of_another_network_are_named_by_their_first_layers():
    said = r"these weights: fits neither network \(.*\); the first layers are \['a', 'b', 'c'\]$"
    with pytest.raises(ValueError, match=said):
        detect_arch(dict.fromkeys("abcd", torch.zeros(1)))
