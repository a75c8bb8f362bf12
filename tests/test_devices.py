"""utils/classification/devices.py: processes of a machine share its GPUs; threads sleep while they wait."""

import os
import subprocess
import sys

import pytest
import torch

from conftest import only_fuzzed
from utils.classification import devices
from utils.classification.devices import VISIBLE, gpus, share_threads, take_one_gpu, use_threads, workers_for
from utils.memory import retain_freed
from utils.settings import PLACE, place


@pytest.mark.parametrize(
    ("visible", "found"),
    [
        ("0,1,2", ["0", "1", "2"]),
        (" 3 , GPU-a ", ["3", "GPU-a"]),
        ("", []),
        ("-1", []),
        ("1,-1,2", ["1"]),
        ("0,,2", ["0"]),
    ],
)
def test_the_environment_chooses(tmp_path, monkeypatch, visible, found):
    (tmp_path / "nvidia0").touch()
    monkeypatch.setattr(devices, "DEVICES", tmp_path)
    monkeypatch.setenv(VISIBLE, visible)
    assert gpus() == found


def test_what_linux_shows(tmp_path, monkeypatch):
    monkeypatch.setattr(devices, "DEVICES", tmp_path)
    monkeypatch.delenv(VISIBLE, raising=False)
    for name in ("nvidia0", "nvidia3", "nvidiactl", "nvidia-uvm", "nvidia10", "null"):
        (tmp_path / name).touch()
    assert gpus() == ["0", "1", "2"]
    monkeypatch.setattr(devices, "DEVICES", tmp_path / "absent")
    assert gpus() == []


@pytest.mark.parametrize(
    ("device", "processes", "found", "workers"),
    [
        ("cuda", 1, 3, 3),
        ("cuda", 5, 3, 5),
        ("cuda", 64, 3, 36),
        ("cuda", 2, 0, 1),
        ("auto", 1, 3, 1),
        ("auto", 3, 3, 3),
        ("auto", 9, 3, 9),
        ("auto", 90, 3, 12),
        ("auto", 9, 0, 1),
        ("cpu", 9, 3, 1),
        ("mps", 9, 3, 1),
    ],
)
def test_processes_share_gpus(device, processes, found, workers):
    assert workers_for(device, processes, [str(i) for i in range(found)]) == workers


@pytest.mark.parametrize(("number", "own"), [("0", "4"), ("1", "GPU-a"), ("2", "6"), ("4", "GPU-a")])
def test_a_worker_sees_its_own_alone_and_they_take_turns(monkeypatch, number, own):
    monkeypatch.setenv(VISIBLE, "4,GPU-a,6")
    monkeypatch.setenv(PLACE, number)
    for _ in range(2):
        take_one_gpu()
        assert gpus() == [own]


def test_without_any_nothing_is_hidden(monkeypatch):
    monkeypatch.setenv(VISIBLE, "")
    take_one_gpu()
    assert gpus() == []


@pytest.mark.parametrize(("text", "number"), [("3", 3), ("", 0), ("x", 0)])
def test_places(monkeypatch, text, number):
    monkeypatch.setenv(PLACE, text)
    assert place() == number
    monkeypatch.delenv(PLACE)
    assert place() == 0


PAGES = """
import gc, resource
gc.disable()
import numpy as np
from utils.classification.classifier import Classifier
from utils.classification.state_files import load_weights
from utils.classification.devices import use_threads
from utils.classification.weights import LITE

network, patches = Classifier(load_weights(LITE), device="cpu", views=1), np.zeros((32, 96, 96), np.uint8)
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    network.scores(patches)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

for keeps in (False, True):
    if keeps:
        use_threads(1)
    print(min(faults() for _ in range(4)))  # where a layer's memory lies settles within some rounds
assert gc.isenabled() and gc.get_freeze_count() > 100_000
"""


@pytest.mark.fuzz
@only_fuzzed  # what it costs, not what it does
@pytest.mark.skipif(not retain_freed(), reason="no glibc")
def test_memory_that_one_layer_leaves_serves_the_next():
    told = subprocess.run([sys.executable, "-c", PAGES], capture_output=True, text=True, check=True)
    without, kept = map(int, told.stdout.split())
    assert kept < without / 3, "pages that the system cleared"


def test_so_many_threads_that_sleep(monkeypatch):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    before = torch.get_num_threads()
    try:
        use_threads(2)
        assert torch.get_num_threads() == 2
        use_threads(1)
        assert torch.get_num_threads() == 1 and os.environ["OMP_WAIT_POLICY"] == "PASSIVE"
        monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")  # the user's own word
        use_threads()
        assert torch.get_num_threads() == 1 and os.environ["OMP_WAIT_POLICY"] == "ACTIVE"
        for count, parts, each in ((1, 1, 1), (6, 6, 1), (8, 8, 1), (40, 8, 5)):
            assert (share_threads(count), torch.get_num_threads()) == (parts, each)
    finally:
        torch.set_num_threads(before)
