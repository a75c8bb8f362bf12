"""utils/classification/folding.py: folded networks say what whole ones say."""

import numpy as np
import pytest
import torch

from conftest import noise_patches
from utils.classification.classifier import Classifier
from utils.classification.models import build_model, detect_arch, loaded_model, prepare, resized


def unfolded(state: dict, patches: np.ndarray) -> np.ndarray:
    """Logits of the network as it was trained: three channels, batch norms of their own."""
    arch = detect_arch(state)
    model = loaded_model(arch, state, "weights")
    stack = torch.from_numpy(patches)
    with torch.inference_mode():
        stack = resized(stack).squeeze(1) if arch == "lite" else stack
        return model.eval()(prepare(stack, arch)).squeeze(1).numpy()


@pytest.mark.parametrize("arch", ["lite", "resnet34"])
def test_folded_networks_say_the_same(arch, lite, resnet):
    state = lite if arch == "lite" else {k: v.clone() for k, v in resnet.items()}
    rng = torch.Generator().manual_seed(1)
    for name, value in state.items():
        if arch == "resnet34" and name.endswith("running_mean"):
            value.normal_(0, 0.2, generator=rng)
        if arch == "resnet34" and name.endswith("running_var"):
            value.uniform_(0.5, 2, generator=rng)
    patches = noise_patches(2)
    classifier = Classifier(state, device="cpu", precision="fp32")
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in classifier.body.modules())
    assert classifier.outputs(patches)[0] == pytest.approx(unfolded(state, patches), rel=1e-4, abs=1e-3)


def test_the_folded_first_layer_knows_the_border(resnet):
    """Padding stands for the normalised 0 in each channel, no gray level of its own: white shows it most."""
    from utils.classification.folding import GrayStem

    conv = build_model("resnet34").conv1
    white = torch.full((1, 224, 224), 255, dtype=torch.uint8)
    with torch.inference_mode():
        whole = conv(prepare(white, "resnet34"))
        found = GrayStem(conv, 224)(white[None].float())
    assert found.shape == whole.shape and torch.allclose(found, whole, atol=1e-4)
