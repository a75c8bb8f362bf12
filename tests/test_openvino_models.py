"""utils/classification/openvino_models.py: int8 where the CPU is fast at it, built once."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import classify_patches
from conftest import noise_patches
from utils.classification import openvino_models
from utils.classification.classifier import Classifier
from utils.classification.decision import Decision
from utils.classification.openvino_models import has_fast_int8, is_installed
from utils.dictionaries import save_patches


def test_of_few_patches_no_int8_is_built_and_that_is_said(resnet, tmp_path, capsys):
    pytest.importorskip("openvino")
    torch.save(resnet, tmp_path / "w.pth")
    (tmp_path / "in").mkdir()
    save_patches(tmp_path / "in" / "a.pkl", ["a-LOC-0_0_0-32_0-32"], noise_patches(1, 32))
    command = [tmp_path / "in", tmp_path / "out", "--weights", tmp_path / "w.pth", "--precision", "int8", "-p", "1"]
    assert classify_patches.main([str(word) for word in command]) == 0
    assert "(resnet34) on cpu, not int8: building it takes 428 patches, here are 1\n" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.openvino"))


def test_int8_is_built_once_and_decides_as_fp32(resnet, tmp_path, monkeypatch):
    pytest.importorskip("openvino")
    pytest.importorskip("nncf")
    monkeypatch.setattr("utils.classification.cascade.LEAST", 4)
    weights = tmp_path / "w.pth"
    weights.write_bytes(b"the weights")
    patches = list(noise_patches(10))
    small = Decision(side=64)  # of patches, to be quick
    exact = Classifier(resnet, device="cpu", precision="fp32", decision=small).outputs(patches)
    decision = replace(small, scale=1 / exact[0].std(), bias=-np.median(exact[0]) / exact[0].std())
    classifier = Classifier(resnet, device="cpu", precision="int8", decision=decision)
    classifier.add_int8(patches[:4], weights, 2)
    (folder,) = tmp_path.glob("w.pth.*.openvino")
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    logits, features = classifier.outputs(patches)
    assert ((logits > classifier.doubt) == (exact[0] > classifier.doubt)).all()
    assert features.shape == exact[1].shape and [watch.tally.name for watch in classifier.cascade.watches] == ["int8"]
    quick = classifier.cascade.levels[0].run
    one_by_one = np.concatenate([quick([patch])[0] for patch in patches])
    assert quick(patches)[0].tolist() == one_by_one.tolist(), "no score depends on its batch"
    again = Classifier(resnet, device="cpu", precision="int8", decision=decision)
    again.add_int8(patches[:4], weights, 1)
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert again.cascade.levels[0].run(patches)[0].tolist() == one_by_one.tolist(), "nor on threads"


@pytest.mark.parametrize(("there", "runs", "builds"), [(["openvino", "nncf"], True, True), (["openvino"], True, False),
                                                       (["nncf"], False, False)])  # fmt: skip
def test_what_is_installed(monkeypatch, there, runs, builds):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name in there)
    assert (is_installed(), is_installed(builder=True)) == (runs, builds)


@pytest.mark.parametrize(("machine", "system", "capabilities", "fast"), [
    ("x86_64", "Linux", {"avx512_vnni": True}, True), ("AMD64", "Windows", {"avx_vnni": True, "avx2": True}, True),
    ("x86_64", "Linux", {"avx2": True, "avx512_vnni": False}, True), ("x86_64", "Linux", {"avx2": False}, False),
    ("arm64", "Darwin", {}, True),
])  # fmt: skip
def test_which_cpus_are_fast_at_bytes(monkeypatch, machine, system, capabilities, fast):
    monkeypatch.setattr("platform.machine", lambda: machine)
    monkeypatch.setattr("platform.system", lambda: system)
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: capabilities)
    assert has_fast_int8() is fast


def test_an_arm_server_tells_by_its_features(monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    monkeypatch.setattr("platform.system", lambda: "Linux")
    cpuinfo = Path("/proc/cpuinfo")
    assert has_fast_int8() is (cpuinfo.is_file() and "asimddp" in cpuinfo.read_text())


@pytest.mark.parametrize(("system", "variable", "default"), [
    ("linux", "XDG_CACHE_HOME", ".cache"), ("win32", "LOCALAPPDATA", "AppData/Local"),
])  # fmt: skip
def test_where_models_lie_that_cannot_lie_beside_their_weights(monkeypatch, tmp_path, system, variable, default):
    monkeypatch.setattr("sys.platform", system)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv(variable, raising=False)
    assert openvino_models._user_cache() == tmp_path / default / "em-patch-classifier"
    monkeypatch.setenv(variable, str(tmp_path / "elsewhere"))
    assert openvino_models._user_cache() == tmp_path / "elsewhere/em-patch-classifier"
