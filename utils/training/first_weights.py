"""The weights that a training begins with: random, ImageNet's, the bundled ones, or a file's."""

from pathlib import Path

from utils.classification.models import WINDOW_HEAD, build_model, load_state, loaded_model, torchvision_models
from utils.classification.state_files import State, load_weights, read_state
from utils.classification.weights import LITE, fetch_cached
from utils.files import expanded


def first_weights(init: str, arch: str) -> State | None:
    """The weights that a training begins with: ``imagenet``, ``lite`` (bundled) or a path; None for ``random``.

    A head for windows, which only a bank teaches, is left out.

    Raises
    ------
    OSError, ValueError
        If they cannot be fetched or read, or belong to another network.
    FileNotFoundError
        If there is no such file.
    """
    if init == "random":
        return None
    if init == "imagenet":
        if arch == "lite":
            raise ValueError(
                "--init imagenet is for ResNet34; the bundled lite weights (--init lite) were made of ImageNet's"
            )
        return _imagenet_weights()
    path = LITE if init == "lite" else expanded(init)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such weights file; --init takes imagenet, random, lite or a path")
    state = load_weights(path)
    loaded_model(arch, state, str(path))
    return {k: v.float() if v.is_floating_point() else v for k, v in state.items() if k not in WINDOW_HEAD}


def imagenet_url() -> str:
    """Where torchvision keeps ResNet34's ImageNet weights."""
    return str(torchvision_models().ResNet34_Weights.IMAGENET1K_V1.url)


def _imagenet_weights() -> State:
    """Fetch torchvision's ImageNet weights and fit them to one output."""
    models, url = torchvision_models(), imagenet_url()

    def check(path: Path) -> State:
        state = read_state(path)
        load_state(models.resnet34(weights=None), state, str(path))
        return state

    path = fetch_cached([url], url.rsplit("/", 1)[-1], check, instead="begin with --init random or --init PATH")
    state, fresh = check(path), build_model("resnet34").state_dict()
    return {k: fresh[k] if k.startswith("fc.") else v for k, v in state.items()}
