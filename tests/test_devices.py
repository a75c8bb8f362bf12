"""utils/classification/devices.py: GPUs are shared out among the processes of a machine."""

import pytest

from utils.classification import devices
from utils.classification.devices import VISIBLE, gpus, take_one_gpu, workers_for
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
