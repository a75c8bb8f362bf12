"""The two networks that tell informative patches from uninformative ones, and what each wants as input.

``resnet34`` is the published network (Conrad & Narayan 2021, doi:10.7554/eLife.65894); ``lite`` is a
slimmed EfficientNet-Lite0 (`utils.classification.lite_net`), small enough to lie in the repository.
"""

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from utils.classification.lite_net import LiteNet

ARCHITECTURES = ("resnet34", "lite")
SIDES = {"resnet34": 224, "lite": 96}
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
# What the lite network may have besides: a head for windows of patches that are mostly empty.
WINDOW_HEAD = {"window_fc.weight", "window_fc.bias"}
# Below this standard deviation (gray levels) a patch is not stretched any further: what is left is mostly noise.
LEAST_STD = 1.5
# Padding is black or white, or after JPEG nearly so: within this part of the range above black, at most MARGIN levels
# (a dark image uses few levels, and its own are no padding).
PADDING, MARGIN = 1 / 20, 3.0
# Beyond so many deviations a pixel says nothing more.
FARTHEST = 4.0
_declared: list[torch.library.Library] = []


def torchvision_models() -> Any:
    """Import torchvision.models, also where torchvision's compiled operators cannot load.

    Its Linux wheel is built for CUDA; beside a CPU-only torch two operators get a fake registration without a check,
    and the import fails. Their schemas are all that the import wants, and nothing here calls them.
    """
    if not _declared and not _operators_load():
        library = torch.library.Library("torchvision", "DEF")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _declared.append(library)
    from torchvision import models

    return models


def build_model(arch: str) -> nn.Module:
    """Build a network with one output (a logit; above 0 is informative) and random weights.

    Raises
    ------
    ValueError
        If `arch` is unknown.
    """
    if arch == "lite":
        return LiteNet()
    if arch != "resnet34":
        raise ValueError(f"unknown architecture {arch!r}; expected one of {', '.join(ARCHITECTURES)}")
    model = torchvision_models().resnet34(weights=None)
    model.fc = nn.Linear(model.fc.in_features, 1)
    network: nn.Module = model
    return network


def detect_arch(state: Mapping[str, Tensor], origin: str = "these weights") -> str:
    """Tell which network a state_dict belongs to, by the names of its layers.

    Parameters
    ----------
    state : mapping of Tensor, each layer's own shape
    origin : str
        What the sentence calls them if they fit neither.

    Raises
    ------
    ValueError
        If it belongs to neither.
    """
    if "layer4.2.conv2.weight" in state:
        return "resnet34"
    if "stage6.0.depth.weight" in state:
        return "lite"
    raise ValueError(
        f"{origin}: fits neither network ({', '.join(ARCHITECTURES)}); the first layers are {list(state)[:3]}"
    )


def load_state(model: nn.Module, state: Mapping[str, Tensor], origin: str) -> None:
    """Load a state_dict, strictly: every layer, every shape; in the precision that the model has.

    Parameters
    ----------
    model : Module
    state : mapping of Tensor, each layer's own shape
    origin : str

    Raises
    ------
    ValueError
        If layers are missing, unknown or of another shape; the message holds `origin` and the first of them.
    """
    expected = model.state_dict()
    others = {"missing": expected.keys() - state.keys(), "unknown": state.keys() - expected.keys()}
    if any(others.values()):
        found = " and ".join(f"{len(those)} {what} (first: {min(those)})" for what, those in others.items() if those)
        raise ValueError(f"{origin}: other layers than expected: {found}")
    if wrong := [k for k in expected if tuple(expected[k].shape) != tuple(state[k].shape)]:
        k = min(wrong)
        shapes = f"{tuple(state[k].shape)}, expected {tuple(expected[k].shape)}"
        raise ValueError(f"{origin}: layer {k} has the shape {shapes} ({len(wrong)} layers differ)")
    values = {k: state[k].to(v.dtype, copy=True) for k, v in expected.items()}
    model.load_state_dict(values, assign=any(v.is_meta for v in expected.values()))


def loaded_model(arch: str, state: Mapping[str, Tensor], origin: str) -> nn.Module:
    """A network with these weights, see `load_state`, for which no random ones are drawn first.

    Parameters
    ----------
    arch : str
    state : mapping of Tensor, each layer's own shape
    origin : str
        Where they come from, for messages.
    """
    with torch.device("meta"):
        model = LiteNet(windows=state.keys() >= WINDOW_HEAD) if arch == "lite" else build_model(arch)
    load_state(model, state, origin)
    return model


def prepare(patches: Tensor, arch: str) -> Tensor:
    """Turn patches of the network's size into what it wants, on the device where they are.

    Parameters
    ----------
    patches : Tensor, shape (n, h, w)
        uint8, or float in 0..255.
    arch : str
        ``resnet34``: three equal channels, ImageNet's mean and deviation. ``lite``: one channel, each patch
        with mean 0 and deviation 1 (padding left out), so that a detector's contrast settings hardly matter.

    Returns
    -------
    Tensor of float32, shape (n, 3 or 1, h, w)
    """
    x = patches.unsqueeze(1).float()
    if arch == "lite":
        return standardized(x)
    mean = torch.tensor(IMAGENET_MEAN, device=x.device).view(1, 3, 1, 1)
    std = torch.tensor(IMAGENET_STD, device=x.device).view(1, 3, 1, 1)
    return (x / 255 - mean) / std


def resized(patches: Tensor) -> Tensor:
    """Bring patches to the lite network's side, unless they have it.

    Parameters
    ----------
    patches : Tensor of uint8, shape (n, h, w)

    Returns
    -------
    Tensor of float32, shape (n, 1, side, side)
    """
    x, side = patches.unsqueeze(1).float(), SIDES["lite"]
    if tuple(x.shape[2:]) == (side, side):
        return x
    return nn.functional.interpolate(x, (side, side), mode="bilinear", align_corners=False, antialias=True)


def standardized(x: Tensor) -> Tensor:
    """Each patch with mean 0 and deviation 1, measured without black and white padding, clamped to its range.

    Parameters
    ----------
    x : Tensor of float32, shape (n, 1, h, w)
        Gray values, 0 to 255.

    Returns
    -------
    Tensor of float32, shape (n, 1, h, w)
    """
    black = (x.amax((2, 3), keepdim=True) * PADDING).clamp_max(MARGIN)
    white = 255 - ((255 - x.amin((2, 3), keepdim=True)) * PADDING).clamp_max(MARGIN)
    inside = ((x > black) & (x < white)).float()
    # A patch that is padding alone, all black or all white, has nothing else to measure.
    inside = torch.where(inside.mean((2, 3), keepdim=True) > 0.01, inside, 1.0)
    count = inside.sum((2, 3), keepdim=True)
    mean = (x * inside).sum((2, 3), keepdim=True) / count
    variance = ((x - mean).square() * inside).sum((2, 3), keepdim=True) / count
    return ((x - mean) / variance.sqrt().clamp_min(LEAST_STD)).clamp(-FARTHEST, FARTHEST)


def _operators_load() -> bool:
    """Whether torchvision's compiled operators load here; asked of its own library file, without importing it."""
    spec = importlib.util.find_spec("torchvision")
    folders = spec.submodule_search_locations if spec else None
    for library in (f for folder in folders or [] for f in Path(folder).glob("_C.*")):
        try:
            torch.ops.load_library(str(library))
        except (OSError, RuntimeError):
            return False
    return hasattr(torch.ops.torchvision, "nms")
