"""The networks, their input, and batched scores in full and half precision; sheets and reading ahead."""

import numpy as np
import pytest
import torch
from PIL import Image

from utils.classification.ahead import ReadAhead
from utils.classification.classifier import Classifier, load_weights, pick_device, pick_dtype
from utils.classification.models import SIDES, build_model, detect_arch, prepare
from utils.classification.weights import LITE
from utils.cli import UsageError
from utils.contact_sheet import TILE, Section, Tile, draw_sheet, save_sheet


def stack(count: int, side: int = 224, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, side, side)).astype(np.uint8)


@pytest.fixture(scope="module")
def lite() -> dict:
    return load_weights(LITE)


@pytest.fixture(scope="module")
def resnet() -> dict:
    torch.manual_seed(0)
    return build_model("resnet34").state_dict()


@pytest.mark.parametrize("arch", ["resnet34", "lite"])
def test_architectures(arch):
    model = build_model(arch)
    assert detect_arch(model.state_dict()) == arch
    count = sum(p.numel() for p in model.parameters())
    assert count == {"resnet34": 21_285_185, "lite": 342_385}[arch]
    with pytest.raises(ValueError, match="unknown architecture"):
        build_model("vgg")


def test_published_input_is_imagenets():
    x = prepare(torch.full((2, 224, 224), 255, dtype=torch.uint8), "resnet34")
    assert x.shape == (2, 3, 224, 224)
    assert x[0, :, 5, 5].tolist() == pytest.approx([(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225])


def test_only_other_sizes_are_resized():
    patches = torch.from_numpy(stack(1))
    assert torch.equal(prepare(patches, "resnet34")[0, 0], (patches[0].float() / 255 - 0.485) / torch.tensor(0.229))
    assert prepare(patches[:, :100], "resnet34").shape[2:] == (224, 224)
    assert prepare(patches, "lite").shape == (1, 1, SIDES["lite"], SIDES["lite"])


def test_lite_does_not_mind_contrast_settings_or_padding():
    rng = np.random.default_rng(0)
    image = rng.normal(120, 30, (144, 144)).clip(10, 240).round()
    x = [prepare(torch.tensor(p[None]), "lite") for p in (image, image * 0.5 + 60)]
    assert torch.allclose(x[0], x[1], atol=1e-4)
    padded = image.copy()
    padded[:100] = 0
    y = prepare(torch.tensor(padded[None]), "lite")[0, 0, 100:]
    assert abs(float(y.mean())) < 1e-4 and float(y.std()) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("level", [0, 128, 255])
def test_blank_patches_score_low(lite, level):
    assert Classifier(lite, device="cpu").scores(np.full((1, 224, 224), level, np.uint8))[0] < 0.1


def test_noise_scores_low(lite):
    assert Classifier(lite, device="cpu").scores(stack(4)).max() < 0.1


def test_scores_keep_order_over_sizes_and_batches(lite):
    patches = [*stack(3), *stack(2, 96, 1), *stack(2, 224, 2), stack(1, 300, 3)[0][:, :200]]
    together = Classifier(lite, device="cpu", batch_size=2).scores(patches)
    single = [Classifier(lite, device="cpu", batch_size=1).scores([p])[0] for p in patches]
    assert together.tolist() == pytest.approx(single, abs=1e-4)
    assert Classifier(lite, device="cpu").scores([]).shape == (0,)


def test_half_weights_and_read_only_patches(lite):
    assert lite["fc.weight"].dtype == torch.float16
    model = Classifier(lite, device="cpu").model
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    patches = stack(2)
    patches.flags.writeable = False
    assert len(Classifier(lite, device="cpu").scores(list(patches))) == 2


def test_auto_precision_decides_as_fp32_does(resnet, monkeypatch):
    """Random weights put every patch near the threshold: the hardest case for half precision."""
    monkeypatch.setattr("utils.classification.classifier._cpu_has_bf16", lambda: True)
    patches = stack(6)
    full = Classifier(resnet, device="cpu", precision="fp32")
    scores = full.scores(patches)
    threshold = float(np.median(scores))
    auto = Classifier(resnet, device="cpu", precision="auto", threshold=threshold)
    assert auto.dtype == torch.bfloat16
    assert ((auto.scores(patches) > threshold) == (scores > threshold)).all()


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_extreme_thresholds(lite, threshold):
    assert Classifier(lite, device="cpu", threshold=threshold).scores(stack(1)).shape == (1,)


def test_precision_and_device_choices(monkeypatch):
    monkeypatch.setattr("utils.classification.classifier._cpu_has_bf16", lambda: True)
    assert pick_dtype("auto", "cuda", "lite") == torch.float16
    assert pick_dtype("auto", "cpu", "resnet34") == torch.bfloat16
    assert pick_dtype("auto", "cpu", "lite") == torch.float32
    assert pick_dtype("auto", "mps", "resnet34") == torch.float32
    assert pick_dtype("fp16", "mps", "resnet34") == torch.float16
    assert pick_device("cpu") == "cpu" and pick_device("auto") in {"cpu", "cuda", "mps"}
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match="--device cuda"):
            pick_device("cuda")


def test_batches_halve_when_memory_runs_out(lite, monkeypatch):
    classifier = Classifier(lite, device="cpu", batch_size=8)
    forward = classifier._forward

    def small_device(stack, dtype):
        if len(stack) > 2:
            raise torch.OutOfMemoryError("too large")
        return forward(stack, dtype)

    expected = classifier.scores(stack(7))
    monkeypatch.setattr(classifier, "_forward", small_device)
    monkeypatch.setattr("torch.cuda.empty_cache", lambda: None)
    assert classifier.scores(stack(7)).tolist() == expected.tolist()
    assert classifier.batch_size == 2


def test_reading_ahead(tmp_path):
    paths = [tmp_path / name for name in "abc"]
    read = []

    def load(path):
        read.append(path.name)
        if path.name == "b":
            raise ValueError("b is broken")
        return path.name

    ahead = ReadAhead(load, paths)
    assert ahead.take(paths[0]) == "a"
    with pytest.raises(ValueError, match="b is broken"):
        ahead.take(paths[1])
    assert ahead.take(paths[2]) == "c" and read == ["a", "b", "c"]
    assert ReadAhead(load, paths).take(paths[2]) == "c"


def test_contact_sheet(tmp_path):
    tiles = [Tile(stack(1, side)[0], f"{side}") for side in (224, 64, 1)] * 5
    sheet = draw_sheet([Section("kept", tiles), Section("none", [])])
    assert sheet.mode == "L" and sheet.height > 2 * TILE
    save_sheet(tmp_path / "a.png", [Section("kept", tiles)])
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == "L" and image.height < sheet.height
