"""What a training begins with: nothing, the bundled weights, a file's, ImageNet's is where torchvision says."""

import pytest
import torch

from utils.classification.weights import LITE
from utils.training.first_weights import first_weights, imagenet_url


def test_random_ones_are_none():
    assert first_weights("random", "lite") is None


@pytest.mark.parametrize("init", ["lite", str(LITE)])
def test_the_bundled_ones_as_floats(init, lite):
    state = first_weights(init, "lite")
    assert state is not None and state.keys() == lite.keys()
    for name, values in state.items():
        assert torch.equal(values, lite[name].to(values.dtype))
        assert not values.is_floating_point() or values.dtype == torch.float32


def test_what_cannot_be_begun_with(tmp_path):
    with pytest.raises(ValueError, match=r"--init imagenet is for ResNet34; the bundled lite weights"):
        first_weights("imagenet", "lite")
    with pytest.raises(
        FileNotFoundError, match=r"gone\.pth: no such weights file; --init takes imagenet, random, lite"
    ):
        first_weights(str(tmp_path / "gone.pth"), "lite")


def test_where_they_are():
    assert imagenet_url().partition("/models/")[2].startswith("resnet34-")
