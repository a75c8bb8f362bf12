"""How the lite network's body was made: channels chosen by what they explain, a student that follows its teacher."""

import copy
import sys

import numpy as np
import pytest
import torch

from conftest import ROOT
from utils.classification.lite_net import PUBLISHED_WIDTHS, LiteNet

sys.path.insert(0, str(ROOT / "benchmarks"))
import slimming
from slimming import PACKAGE, explaining, follow, padded_as_published, published_body, slimmed


@pytest.fixture(scope="module")
def network() -> LiteNet:
    torch.manual_seed(0)
    network = LiteNet(tuple(min(64, width) for width in PUBLISHED_WIDTHS))
    for norm in (module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)):
        norm.momentum = None
    network(torch.randn(16, 1, 64, 64))
    return network.eval()


def test_columns_that_explain_are_chosen_and_fitted():
    rng = np.random.default_rng(0)
    values = rng.normal(2, 1, (200, 6))
    aims = values[:, [4, 1]] @ [[1.0, 2.0], [-3.0, 0.5]] + 7
    chosen, weights, bias = explaining(values, aims, 2)
    assert chosen.tolist() == [1, 4] and np.allclose(weights, [[-3, 1], [0.5, 2]], atol=0.01)
    assert np.allclose(bias, 7, atol=0.1)


def test_all_channels_see_the_same_and_few_see_less(network):
    x = torch.randn(64, 1, 64, 64)
    widths = tuple(block.depth.out_channels for block in network.blocks())
    with torch.no_grad():
        aim = network.maps(x)
        errors = [
            float((slimmed(network, x, w).maps(x) - aim).square().mean() / aim.square().mean())
            for w in (widths, tuple(w if w == 32 else w // 2 for w in widths))
        ]
    assert errors[0] < 0.01 < errors[1] < 1


@pytest.mark.parametrize("side", [64, 96])
def test_padding_goes_right_and_below_where_a_stride_is_two(network, side):
    """As TensorFlow's SAME of an even side: a kernel of 3 pads nothing on the left, one of 5 pads one."""
    padded = padded_as_published(network)
    x = torch.randn(1, 1, side, side)
    wanted = torch.nn.functional.conv2d(torch.nn.functional.pad(x, (0, 1, 0, 1)), network.stem.weight, stride=2)
    assert torch.allclose(padded.stem(x), wanted, atol=1e-6) and padded.stem(x).shape[2] == side // 2
    assert padded.maps(x).shape == network.maps(x).shape and isinstance(network.stem, torch.nn.Conv2d)


def test_a_student_comes_nearer_to_its_teacher(network):
    torch.manual_seed(1)
    student, x = copy.deepcopy(network), torch.randn(4, 1, 64, 64)
    with torch.no_grad():
        for parameter in student.parameters():
            parameter *= 1 + 0.2 * torch.randn_like(parameter)
    seen: list[float] = []
    followed = follow(student, network, iter([x] * 12), 12, 1e-3, lambda step, loss, average: seen.append(loss))
    assert len(seen) == 12 and seen[-1] < seen[0]
    assert torch.equal(followed.fc.weight, student.fc.weight)


def test_without_the_package_its_name_is_told(monkeypatch):
    monkeypatch.setattr(slimming, "find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match=r"requirements-teacher\.txt"):
        published_body()


def test_every_layer_of_the_published_file_finds_its_place():
    pytest.importorskip(PACKAGE)
    network = published_body()
    assert float(network.stage6[0].depth_norm.running_var.mean()) != 1
