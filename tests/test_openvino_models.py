"""utils/classification/openvino_models.py: int8 where the CPU is fast at it, built once."""

import numpy as np
import pytest

from conftest import noise_patches
from utils.classification.classifier import (
    Classifier,
    uses_int8,
)
from utils.classification.decision import Decision
from utils.cli import UsageError


def test_int8_is_built_once_and_decides_as_fp32(resnet, tmp_path, monkeypatch):
    pytest.importorskip("openvino")
    pytest.importorskip("nncf")
    monkeypatch.setattr("utils.classification.cascade.LEAST", 4)
    weights = tmp_path / "w.pth"
    weights.write_bytes(b"the weights")
    patches = list(noise_patches(10))
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
