"""The lite network: its shape, what it pools, and that it fits what it promises."""

import pytest
import torch
from torch import nn

from utils.classification.folding import fold_batch_norms
from utils.classification.lite_net import FEATURES, PUBLISHED_WIDTHS, WIDTHS, InvertedBottleneck, LiteNet, pooled


def test_it_is_small_and_halves_five_times():
    network = LiteNet().eval()
    assert sum(p.numel() for p in network.parameters()) == 403_041 and len(network.blocks()) == len(WIDTHS) == 12
    assert [name for name, _ in network.named_children()] == [
        "stem", "stem_norm", *(f"stage{k}" for k in range(1, 7)), "fc",
    ]  # fmt: skip  # as weights name them
    assert network.maps(torch.zeros(2, 1, 96, 96)).shape == (2, FEATURES // 2, 3, 3)
    assert network(torch.zeros(2, 1, 96, 96)).shape == (2, 1)
    published = LiteNet(PUBLISHED_WIDTHS)
    assert [block.depth.out_channels for block in published.blocks()] == list(PUBLISHED_WIDTHS)
    assert sum(p.numel() for p in published.parameters()) == 924_737


def test_pooled_is_mean_and_deviation_with_a_finite_slope():
    maps = torch.rand(3, 5, 4, 4, requires_grad=True)
    seen = pooled(maps)
    assert torch.allclose(seen[:, :5], maps.mean((2, 3)))
    assert torch.allclose(seen[:, 5:], maps.std((2, 3), correction=0), atol=1e-4)
    flat = torch.ones(1, 2, 3, 3, requires_grad=True)
    pooled(flat).sum().backward()
    assert flat.grad is not None and torch.isfinite(flat.grad).all()


@pytest.mark.parametrize(("stride", "outputs", "adds"), [(1, 8, True), (1, 6, False), (2, 8, False)])
def test_a_block_adds_its_input_where_shapes_allow(stride, outputs, adds):
    block = InvertedBottleneck(3, stride, 8, 16, outputs).eval()
    nn.init.zeros_(block.project.weight)
    x = torch.rand(1, 8, 6, 6)
    assert torch.equal(block(x), x) if adds else not block(x).any()
    assert not hasattr(InvertedBottleneck(3, 1, 8, 8, 8), "expand")


def test_folding_changes_nothing():
    torch.manual_seed(0)
    network = LiteNet()
    network.train()(torch.randn(8, 1, 64, 64))
    folded, x = fold_batch_norms(network), torch.randn(2, 1, 64, 64)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    assert torch.allclose(folded(x), network.eval()(x), atol=1e-4)
