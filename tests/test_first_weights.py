"""What a training begins with: nothing, the bundled weights, a file's, ImageNet's is where torchvision says."""

from pathlib import Path

import pytest
import torch

from utils.classification.models import WINDOW_HEAD, torchvision_models
from utils.classification.weights import LITE
from utils.training.first_weights import first_weights, imagenet_url


def test_random_ones_are_none():
    assert first_weights("random", "lite") is None


@pytest.mark.parametrize("init", ["lite", str(LITE)])
def test_the_bundled_ones_as_floats(init, lite):
    state = first_weights(init, "lite")
    assert state is not None and state.keys() == lite.keys() - WINDOW_HEAD
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


def test_weights_of_another_network_are_refused():
    with pytest.raises(ValueError, match="lite_weights"):
        first_weights("lite", "resnet34")


def test_where_they_are():
    assert imagenet_url().partition("/models/")[2].startswith("resnet34-")


def test_imagenet_s_from_the_cache_fitted_to_one_output(tmp_path, monkeypatch):
    torch.manual_seed(0)
    published = {
        name: torch.rand(()).expand(values.shape)
        for name, values in torchvision_models().resnet34(weights=None).state_dict().items()
    }
    monkeypatch.setattr("utils.classification.weights.cache_folder", lambda: tmp_path)
    torch.save(published, tmp_path / imagenet_url().rpartition("/")[2])
    state = first_weights("imagenet", "resnet34")
    assert state is not None and state.keys() == published.keys()
    assert state["fc.weight"].shape == (1, 512) and state["fc.bias"].shape == (1,)
    others = [name for name in state if not name.startswith("fc.")]
    assert all(torch.equal(state[name], published[name]) for name in others)


def test_what_is_not_imagenet_s_network_is_not_taken_for_it(tmp_path, monkeypatch):
    checked = []

    def fetched(urls, name, check, instead):
        torch.save({"conv1.weight": torch.zeros(3)}, tmp_path / name)
        with pytest.raises(ValueError, match=name):
            check(tmp_path / name)
        torch.save({"conv1.weight": Path("x")}, tmp_path / name)
        with pytest.raises(ValueError, match=f"{name}: refused"):  # nothing in it is run
            check(tmp_path / name)
        (tmp_path / name).write_bytes(b"PK\3\4 half of a download")
        with pytest.raises(ValueError, match=f"{name}: not a readable weights file"):
            check(tmp_path / name)
        checked.append((urls, name, instead))
        raise ValueError("nothing to begin with")

    monkeypatch.setattr("utils.training.first_weights.fetch_cached", fetched)
    with pytest.raises(ValueError, match="nothing to begin with"):
        first_weights("imagenet", "resnet34")
    url = imagenet_url()
    assert checked == [([url], url.rpartition("/")[2], "begin with --init random or --init PATH")]
