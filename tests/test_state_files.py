"""Weights files: refused by name where they hold more than weights, are damaged, or fit no network."""

import os
import zlib
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import pytest
import torch

from utils import memory
from utils.classification.models import build_model
from utils.classification.state_files import _gist, digest_of, load_weights, read_state
from utils.classification.weights import LITE


class Attack:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


def test_code_in_a_weights_file_is_refused_by_name_and_not_run(tmp_path):
    path, marker = tmp_path / "attack.pth", tmp_path / "ran"
    torch.save({"layer4.2.conv2.weight": Attack(marker)}, path)
    with pytest.raises(ValueError, match="refused") as error:
        load_weights(path)
    assert "posix.mkdir" in str(error.value) or "nt.mkdir" in str(error.value)
    assert not marker.exists()


def test_wrong_shapes_missing_and_unknown_layers(tmp_path):
    state = build_model("lite").state_dict()
    path = tmp_path / "x.pth"
    for change, words in (
        (
            {**state, "fc.weight": torch.zeros(1000, 1024)},
            r"fc.weight has the shape \(1000, 1024\), expected \(1, 384\)",
        ),
        ({k: v for k, v in state.items() if k != "fc.bias"}, r"1 missing \(first: fc.bias\)"),
        ({**state, "extra": torch.zeros(1)}, r"1 unknown \(first: extra\)"),
        ({"conv.weight": torch.zeros(1)}, r"x\.pth: fits neither network"),
        ([1, 2], "plain dict of tensors"),
    ):
        torch.save(change, path)
        with pytest.raises(ValueError, match=words):
            load_weights(path)


def test_what_is_read_is_what_was_saved(tmp_path):
    state = build_model("lite").state_dict()
    torch.save(state, tmp_path / "a.pth")
    loaded = load_weights(tmp_path / "a.pth")
    assert loaded.keys() == state.keys() and all(torch.equal(loaded[name], state[name]) for name in state)


@pytest.mark.parametrize(
    ("said", "gist"),
    [
        (
            "Weights only load failed. WeightsUnpickler error: Unsupported\n  operand 149 Please file",
            "Unsupported operand 149",
        ),
        ("x" * 300, "x" * 200),
        ("bad magic. Check the documentation of torch.load", "bad magic."),
        ("WeightsUnpickler error: Unsupported global: GLOBAL os.system was not", "it asks for os.system"),
    ],
)
def test_the_gist_of_what_torch_says(said, gist):
    assert _gist(ValueError(said)) == gist


@pytest.mark.parametrize(
    "content", [b"", b"<html>", b"PK\x03\x04 cut off", bytes(range(256)) * 9, LITE.read_bytes()[:5000]]
)
def test_files_that_are_no_weights(tmp_path, content):
    path = tmp_path / "x.pth"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"x\.pth: "):
        load_weights(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(tmp_path, value):
    state = build_model("lite").state_dict()
    name = next(iter(state))
    state[name].view(-1)[3] = value
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(ValueError, match=f"1 layers hold values that are not finite, the first is {name}"):
        load_weights(tmp_path / "a.pth")


@pytest.mark.parametrize(
    "values",
    [
        torch.empty(2, device="meta"),
        torch.zeros(2, dtype=torch.complex64),
        torch.zeros(2, dtype=torch.float8_e4m3fn),
        torch.eye(2).to_sparse(),
    ],
)
def test_layers_without_plain_numbers_are_refused(tmp_path, values):
    torch.save({"fc.weight": values}, tmp_path / "w.pth")
    with pytest.raises(ValueError, match=r"1 layers hold no plain real numbers, the first is fc\.weight"):
        read_state(tmp_path / "w.pth")


def test_one_changed_byte_is_noticed_and_parameters_are_values(tmp_path):
    path = tmp_path / "w.pth"
    torch.save({"fc.weight": torch.nn.Parameter(torch.ones(999))}, path)
    assert not read_state(path)["fc.weight"].requires_grad
    content = bytearray(path.read_bytes())
    content[content.index(torch.ones(9).numpy().tobytes())] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"w\.pth: damaged: the content of w/data/0 is not what its checksum says"):
        read_state(path)
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        archive.writestr("w/data.pkl", bytes(999))
    path.write_bytes(path.read_bytes().replace(zlib.compress(bytes(999), wbits=-15), b"\xff" * 11))
    with pytest.raises(ValueError, match=r"w\.pth: not a readable weights file"):
        read_state(path)


def test_weights_must_fit_into_memory_unpacked(tmp_path):
    with ZipFile(tmp_path / "w.pth", "w", ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(10_000_000))
    with memory.limited_to(0.001), pytest.raises(ValueError, match=r"the weights file takes 0\.01 GB .*--max-gb"):
        read_state(tmp_path / "w.pth")


def test_a_digest_tells_types_shapes_and_values_apart():
    zeros = [torch.zeros(2, dtype=kind) for kind in (torch.float32, torch.bfloat16, torch.int32)]
    states = [{"a": value} for value in (*zeros, torch.ones(2), torch.zeros(1, 2), torch.tensor(0))]
    assert len({digest_of(state) for state in states}) == len(states)
    assert digest_of({"a": zeros[0], "b": zeros[1]}) == digest_of({"b": zeros[1], "a": zeros[0].clone()})
