"""The weights that a training begins with: random, ImageNet's, the bundled ones, or a file's."""

from pathlib import Path

import torch

from utils.classification.classifier import State, load_weights
from utils.classification.models import build_model, load_state, torchvision_models
from utils.classification.weights import LITE, fetch_cached

IMAGENET = {"resnet34": ("ResNet34_Weights", "resnet34"), "lite": ("ShuffleNet_V2_X0_5_Weights", "shufflenet_v2_x0_5")}


def first_weights(init: str, arch: str) -> State | None:
    """The weights that a training begins with; None for random ones.

    Parameters
    ----------
    init : str
        ``imagenet``, ``random``, ``lite`` (the bundled weights) or a path.
    arch : str

    Raises
    ------
    OSError, ValueError
        If they cannot be fetched or read, or belong to another network.
    """
    if init == "random":
        return None
    if init == "imagenet":
        return _imagenet_weights(arch)
    path = LITE if init == "lite" else Path(init).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such weights file; --init takes imagenet, random, lite or a path")
    state = load_weights(path)
    load_state(build_model(arch), state, str(path))
    return {k: v.float() if v.is_floating_point() else v for k, v in state.items()}


def imagenet_url(arch: str) -> str:
    """Where torchvision keeps a network's ImageNet weights."""
    return getattr(torchvision_models(), IMAGENET[arch][0]).IMAGENET1K_V1.url


def _imagenet_weights(arch: str) -> State:
    """Fetch torchvision's ImageNet weights and fit them to one output (and, for lite, one channel)."""
    models, url = torchvision_models(), imagenet_url(arch)

    def check(path: Path) -> State:
        state = torch.load(path, map_location="cpu", weights_only=True)
        load_state(getattr(models, IMAGENET[arch][1])(weights=None), state, str(path))
        return state

    path = fetch_cached([url], url.rsplit("/", 1)[-1], check, instead="begin with --init random or --init PATH")
    state = check(path)
    model = build_model(arch)
    fresh = model.state_dict()
    if arch == "lite":
        state["conv1.0.weight"] = state["conv1.0.weight"].sum(1, keepdim=True)
    return {k: fresh[k] if k.startswith("fc.") else v for k, v in state.items()}
