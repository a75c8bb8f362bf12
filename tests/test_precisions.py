"""Where a network is computed and in which precision."""

import pytest
import torch

from utils.classification.precisions import pick_device, pick_dtype, uses_int8
from utils.cli import UsageError


def test_precision_and_device_choices(monkeypatch):
    for instructions in ("avx512_bf16", "amx_bf16", "avx2"):
        monkeypatch.setattr("torch.cpu.get_capabilities", lambda has=instructions: {has: True})
        chosen = pick_dtype("auto", "cpu", "resnet34")
        assert chosen == (torch.float32 if instructions == "avx2" else torch.bfloat16)
    assert pick_dtype("auto", "cuda", "resnet34") == torch.float16
    assert pick_dtype("auto", "cuda", "lite") == torch.float32
    assert pick_dtype("auto", "cpu", "lite") == torch.float32
    assert pick_dtype("auto", "mps", "resnet34") == torch.float32
    assert pick_dtype("fp16", "mps", "resnet34") == torch.float16
    assert pick_device("cpu") == "cpu" and pick_device("auto") in {"cpu", "cuda", "mps"}
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match="--device cuda"):
            pick_device("cuda")


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
