"""The networks, their input, and batched scores in full and half precision; sheets and reading ahead."""

import threading

import numpy as np
import pytest
import torch
from PIL import Image

from utils.classification.background import background_calls, prefetched
from utils.classification.cascade import Cascade, Precision
from utils.classification.classifier import (
    Classifier,
    _views,
    load_weights,
    pick_device,
    pick_dtype,
    published_size,
    uses_int8,
)
from utils.classification.decision import Decision, Familiarity
from utils.classification.models import SIDES, build_model, detect_arch, prepare
from utils.classification.sample import sample_patches
from utils.classification.weights import LITE
from utils.cli import UsageError
from utils.contact_sheet import TILE, Section, Tile, draw_sheet, save_sheet
from utils.dictionaries import save_patches


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
    assert count == {"resnet34": 21_285_185, "lite": 403_041}[arch]
    with pytest.raises(ValueError, match="unknown architecture"):
        build_model("vgg")


def unfolded(state: dict, patches: np.ndarray) -> np.ndarray:
    """Logits of the network as it was trained: three channels, batch norms of their own."""
    arch = detect_arch(state)
    model = build_model(arch)
    model.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items()})
    with torch.inference_mode():
        return model.eval()(prepare(torch.from_numpy(patches), arch)).squeeze(1).numpy()


@pytest.mark.parametrize("arch", ["lite", "resnet34"])
def test_folded_networks_say_the_same(arch, lite, resnet):
    state = lite if arch == "lite" else {k: v.clone() for k, v in resnet.items()}
    rng = torch.Generator().manual_seed(1)
    for name, value in state.items():
        if arch == "resnet34" and name.endswith("running_mean"):
            value.normal_(0, 0.2, generator=rng)
        if arch == "resnet34" and name.endswith("running_var"):
            value.uniform_(0.5, 2, generator=rng)
    patches = stack(2)
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
        assert torch.allclose(GrayStem(conv, 224)(white[None].float()), whole, atol=1e-4)


def test_eight_views_do_not_mind_how_a_patch_lies(lite):
    classifier = Classifier(lite, device="cpu", views=8)
    smooth = np.add.outer(np.arange(224) % 50 * 3, np.arange(224) % 30 * 3).astype(np.uint8)
    scores = classifier.outputs([smooth, smooth.T.copy(), smooth[::-1], np.rot90(smooth)])[0]
    assert scores == pytest.approx(scores[0], abs=1e-3)
    assert len(list(_views(np.zeros((2, 3, 4), np.uint8), 8))) == 8


def test_other_sizes_become_the_published_one_as_opencv_does_it(resnet):
    import cv2

    patch = stack(1, 300)[0][:, :180]
    expected = cv2.resize(patch, (224, 224))
    assert np.array_equal(published_size(patch), expected) and published_size(expected) is expected
    classifier = Classifier(resnet, device="cpu", precision="fp32")
    assert classifier.scores([patch])[0] == classifier.scores([expected])[0]


def test_scores_are_calibrated_and_distances_told(lite):
    patches = stack(2)
    raw = Classifier(lite, device="cpu").outputs(patches)
    heads = np.stack([raw[1][0] * 0, raw[1][1] - raw[1][0]])
    known = Familiarity(heads, np.array([0.0, -(heads[1] @ raw[1][0])]), 1.0)
    classifier = Classifier(lite, device="cpu", decision=Decision(0.3, 0.1, 0.5, known))
    assert classifier.threshold == 0.3 and Classifier(lite, device="cpu", threshold=0.7).threshold == 0.7
    seen = classifier.examine(patches)
    assert seen.scores == pytest.approx(1 / (1 + np.exp(-(0.1 * raw[0] + 0.5))), abs=1e-4)
    assert seen.distances[0] < 0.01 < seen.distances[1]
    assert np.isnan(Classifier(lite, device="cpu").examine(patches).distances).all()


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
    image = rng.normal(120, 30, (96, 96)).clip(10, 240).round()
    x = [prepare(torch.tensor(p[None]), "lite") for p in (image, image * 0.5 + 60)]
    assert torch.allclose(x[0], x[1], atol=1e-4)
    padded = image.copy()
    padded[:60] = 0
    y = prepare(torch.tensor(padded[None]), "lite")[0, 0, 60:]
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
    body = Classifier(lite, device="cpu").body
    assert {p.dtype for p in body.parameters()} == {torch.float32}
    patches = stack(2)
    patches.flags.writeable = False
    assert len(Classifier(lite, device="cpu").scores(list(patches))) == 2


def test_auto_precision_decides_as_fp32_does(resnet, monkeypatch):
    """Random weights put every patch near the threshold: the hardest case for half precision."""
    monkeypatch.setattr("utils.classification.classifier._cpu_has_bf16", lambda: True)
    monkeypatch.setattr("utils.classification.cascade.LEAST", 4)
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


def test_what_comes_next_is_taken_on_a_thread():
    taken = []

    def items():
        for i in range(3):
            taken.append((i, threading.current_thread()))
            yield i
        raise ValueError("the fourth is broken")

    seen = []
    with pytest.raises(ValueError, match="the fourth is broken"):
        for item in prefetched(items()):
            seen.append(item)
    assert seen == [0, 1, 2] == [i for i, _ in taken] and list(prefetched([])) == []
    assert threading.main_thread() not in {thread for _, thread in taken}


def test_calls_that_wait_are_bounded_and_their_errors_raised():
    going, most = threading.Semaphore(0), []

    def call(i):
        most.append(i)
        going.acquire()

    with background_calls(1, 3) as write:
        for i in range(3):
            write(call, i)
        threading.Thread(target=going.release, args=(10,)).start()
        for i in range(3, 6):
            write(call, i)
            assert len(write._open) <= 3
    assert most == list(range(6))
    with pytest.raises(OSError, match="full"), background_calls(2, 2) as write:
        write(_fail)
        write.finish()
    with pytest.raises(OSError, match="full"), background_calls(2, 2) as write:
        write(_fail)


def _fail():
    raise OSError("the disk is full")


def test_contact_sheet(tmp_path):
    tiles = [Tile(stack(1, side)[0], f"{side}") for side in (224, 64, 1)] * 5
    sheet = draw_sheet([Section("kept", tiles), Section("none", [])])
    assert sheet.mode == "L" and sheet.height > 2 * TILE
    save_sheet(tmp_path / "a.png", [Section("kept", tiles)])
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == "L" and image.height < sheet.height


class Drawn:
    """Levels over patches that hold their own number: logits are known, and how far a quick level strays."""

    def __init__(self, count: int, error: float, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.exact = rng.normal(0, 3, count)
        self.quick = self.exact + rng.normal(0, error, count)
        self.calls: dict[str, int] = {}
        self.patches = [np.array([[i % 256, i // 256]], np.uint8) for i in range(count)]

    def level(self, name: str, logits: np.ndarray) -> Precision:
        def run(patches):
            self.calls[name] = self.calls.get(name, 0) + len(patches)
            chosen = [int(p[0, 0]) + 256 * int(p[0, 1]) for p in patches]
            return logits[chosen].copy(), np.zeros((len(chosen), 1), np.float32)

        return Precision(name, run)

    def cascade(self) -> Cascade:
        return Cascade([self.level("int8", self.quick), self.level("fp32", self.exact)], 0.2)


def test_the_margin_is_measured_and_decisions_are_the_exact_ones():
    drawn = Drawn(20_000, 0.05)
    cascade = drawn.cascade()
    logits = np.concatenate([cascade(drawn.patches[k : k + 250])[0] for k in range(0, 20_000, 250)])
    assert ((logits > 0.2) == (drawn.exact > 0.2)).all()
    (watch,) = cascade.watches
    assert 0.15 < watch.margin < 0.4 and watch.failures == 0
    assert 100 < watch.audited == watch.equal < 200
    assert drawn.calls["fp32"] < 0.07 * 20_000
    share = 100 * np.mean(np.abs(drawn.quick - 0.2) < watch.margin)
    assert cascade.summary() == [
        f"int8: {share:.1f} % computed again; audited {watch.audited} patches, {watch.audited} decisions equal"
    ]


def test_more_is_measured_until_it_is_stable():
    steady, growing = Drawn(1000, 0.05), Drawn(1000, 0.05)
    growing.quick = growing.exact + np.arange(1000) / 500
    for drawn in (steady, growing):
        assert drawn.cascade().measure(drawn.patches)
    assert steady.calls["fp32"] < growing.calls["fp32"] == 512


def test_a_failed_audit_widens_the_margin_and_a_precision_that_strays_is_given_up(capsys):
    """After the first patches the quick level is wrong about everything near the threshold."""
    drawn = Drawn(20_000, 0.02)
    drawn.quick[1000:] += np.random.default_rng(1).normal(0, 0.5, 19_000)
    cascade = drawn.cascade()
    parts = [cascade(drawn.patches[k : k + 250])[0] for k in range(0, 20_000, 250)]
    wrong = (np.concatenate(parts)[1000:] > 0.2) != (drawn.exact[1000:] > 0.2)
    (watch,) = cascade.watches
    assert 1 <= cascade.changes == watch.failures < 3 and watch.margin > 1
    assert wrong.mean() < 0.01 and "int8 strayed from fp32 in an audit: it now computes" in capsys.readouterr().err
    assert "margin widened" in cascade.summary()[0]
    drawn.quick = -drawn.exact + 0.4
    cascade.levels[0] = drawn.level("int8", drawn.quick)
    drawn.quick[:] = np.where(drawn.exact > 0, -100, 100)
    for k in range(0, 20_000, 2500):
        logits = cascade(drawn.patches[k : k + 2500])[0]
    assert [level.name for level in cascade.levels] == ["fp32"] and cascade.is_measured
    assert "fp32 takes its place" in capsys.readouterr().err and "given up" in cascade.summary()[0]
    assert ((logits > 0.2) == (drawn.exact[17_500:] > 0.2)).all()


def test_too_few_patches_to_measure_on_are_computed_exactly():
    drawn = Drawn(100, 5.0)
    assert drawn.cascade()(drawn.patches)[0].tolist() == drawn.exact.tolist()
    assert Cascade([drawn.level("int8", drawn.quick), drawn.level("fp32", drawn.exact)], np.inf)(drawn.patches)[
        0
    ].tolist() == (drawn.quick.tolist())


def test_int8_is_built_once_and_decides_as_fp32(resnet, tmp_path, monkeypatch):
    pytest.importorskip("openvino")
    pytest.importorskip("nncf")
    monkeypatch.setattr("utils.classification.cascade.LEAST", 4)
    weights = tmp_path / "w.pth"
    weights.write_bytes(b"the weights")
    patches = list(stack(10))
    exact = Classifier(resnet, device="cpu", precision="fp32").outputs(patches)
    decision = Decision(scale=1 / exact[0].std(), bias=-np.median(exact[0]) / exact[0].std())
    classifier = Classifier(resnet, device="cpu", precision="int8", decision=decision)
    classifier.add_int8(patches[:4], weights, 2)
    (folder,) = tmp_path.glob("w.pth.*.openvino")
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    logits, features = classifier.outputs(patches)
    assert ((logits > classifier.doubt) == (exact[0] > classifier.doubt)).all()
    assert features.shape == exact[1].shape and [watch.name for watch in classifier.cascade.watches] == ["int8"]
    quick = classifier.cascade.levels[0].run
    one_by_one = np.concatenate([quick([patch])[0] for patch in patches])
    assert quick(patches)[0].tolist() == one_by_one.tolist(), "no score depends on its batch"
    again = Classifier(resnet, device="cpu", precision="int8", decision=decision)
    again.add_int8(patches[:4], weights, 1)
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert again.cascade.levels[0].run(patches)[0].tolist() == one_by_one.tolist(), "nor on threads"


def test_where_int8_is_computed(monkeypatch):
    monkeypatch.setattr("utils.classification.openvino_models.is_installed", lambda **_: True)
    monkeypatch.setattr("utils.classification.openvino_models.has_fast_int8", lambda: True)
    assert uses_int8("auto", "cpu", "resnet34") and uses_int8("int8", "cpu", "resnet34")
    assert not uses_int8("auto", "cpu", "lite") and not uses_int8("auto", "cuda", "resnet34")
    assert not uses_int8("fp32", "cpu", "resnet34") and not uses_int8("bf16", "cpu", "resnet34")
    monkeypatch.setattr("utils.classification.openvino_models.has_fast_int8", lambda: False)
    assert not uses_int8("auto", "cpu", "resnet34") and uses_int8("int8", "cpu", "resnet34")
    with pytest.raises(UsageError, match="ResNet34 on a CPU"):
        uses_int8("int8", "cpu", "lite")
    monkeypatch.setattr("utils.classification.openvino_models.is_installed", lambda **_: False)
    assert not uses_int8("auto", "cpu", "resnet34")
    with pytest.raises(UsageError, match=r"requirements-openvino\.txt"):
        uses_int8("int8", "cpu", "resnet34")


def test_a_sample_is_the_same_whatever_the_order(tmp_path):
    paths = [tmp_path / f"{name}.pkl" for name in "abc"]
    for seed, path in enumerate(paths):
        save_patches(path, [f"{path.stem}{i}" for i in range(40)], stack(40, 8, seed))
    (tmp_path / "broken.pkl").write_bytes(b"no pickle")
    drawn = sample_patches([*paths, tmp_path / "broken.pkl"], 50)
    again = sample_patches([tmp_path / "broken.pkl", *reversed(paths)], 50)
    assert len(drawn) == 50 and all(np.array_equal(a, b) for a, b in zip(drawn, again, strict=True))
    other = sample_patches(paths, 50, seed=1)
    assert not all(np.array_equal(a, b) for a, b in zip(drawn, other, strict=True))
    assert len({patch.tobytes() for patch in sample_patches(paths, 1000)}) == 120 and sample_patches([], 5) == []
