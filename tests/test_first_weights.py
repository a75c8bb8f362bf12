"""What a training begins with: nothing, the bundled weights, a file's, ImageNet's over loopback."""

import pytest
import torch

from utils.classification.models import build_model
from utils.classification.weights import LITE
from utils.training import first_weights as room
from utils.training.first_weights import first_weights, imagenet_url
from weights_server import Server, whole


def test_random_ones_are_none():
    assert first_weights("random", "lite") is None


@pytest.mark.parametrize("init", ["lite", str(LITE)])
def test_the_bundled_ones_as_floats(init, lite):
    state = first_weights(init, "lite")
    assert state is not None and state.keys() == lite.keys()
    for name, values in state.items():
        assert torch.equal(values, lite[name].to(values.dtype))
        assert not values.is_floating_point() or values.dtype == torch.float32


def test_what_belongs_to_another_network_is_refused(tmp_path):
    with pytest.raises(ValueError, match="lite"):
        first_weights("lite", "resnet34")
    with pytest.raises(ValueError, match=r"--init imagenet is for ResNet34; the bundled lite weights"):
        first_weights("imagenet", "lite")
    with pytest.raises(
        FileNotFoundError, match=r"gone\.pth: no such weights file; --init takes imagenet, random, lite"
    ):
        first_weights(str(tmp_path / "gone.pth"), "lite")


def test_imagenet_s_with_a_head_of_our_own(tmp_path, monkeypatch):
    from torchvision.models import resnet34

    torch.manual_seed(0)
    torch.save(resnet34(weights=None).state_dict(), tmp_path / "r.pth")
    server = Server()
    server.answers = [whole((tmp_path / "r.pth").read_bytes())]
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(room, "imagenet_url", lambda: server.url)
    try:
        state = first_weights("imagenet", "resnet34")
    finally:
        server.httpd.shutdown()
        server.httpd.server_close()
    stored, own = torch.load(tmp_path / "r.pth", weights_only=True), build_model("resnet34").state_dict()
    assert state is not None and state.keys() == own.keys()
    assert all(torch.equal(values, stored[name]) for name, values in state.items() if not name.startswith("fc."))
    assert {name: state[name].shape for name in ("fc.weight", "fc.bias")} == {"fc.weight": (1, 512), "fc.bias": (1,)}


def test_where_they_are():
    assert imagenet_url().partition("/models/")[2].startswith("resnet34-")
