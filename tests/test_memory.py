"""utils/memory.py: what decoding may take, and what compressed bytes can hold."""

import bz2
import lzma
import mmap
import os
import subprocess
import sys
import zlib
from typing import ClassVar

import imagecodecs
import PIL.Image
import pytest

import cleanup2d
from conftest import ROOT
from utils import memory
from utils.settings import MAX_GB, choose


def test_the_default_is_three_quarters_of_what_there_is():
    assert memory.limit_bytes() == int(0.75 * memory.total_bytes())
    assert 1e8 < memory.total_bytes() < 1e14


def test_a_setting_reaches_processes_that_start_later(monkeypatch):
    monkeypatch.delenv(MAX_GB, raising=False)
    choose(MAX_GB, "1.5")
    assert memory.limit_bytes() == 1_500_000_000
    code = "from utils import memory; print(memory.limit_bytes())"
    assert (
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True).stdout == "1500000000\n"
    )
    choose(MAX_GB, None)
    assert memory.limit_bytes() == int(0.75 * memory.total_bytes())


def test_a_control_group_counts(tmp_path, monkeypatch):
    (tmp_path / "cgroup").write_text("5:cpu:/x\n4:cpuset,memory:/job/1\n0::/user/2\n")
    for folder, name, limit in [
        ("memory/job", "memory.limit_in_bytes", "7000"),
        ("user", "memory.max", "9000"),
        ("user/2", "memory.max", "max"),
    ]:
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / name).write_text(limit)
    monkeypatch.setattr(memory, "_CGROUPS", tmp_path)
    assert sorted(memory._group_limits(tmp_path / "cgroup")) == [7000, 9000]
    assert memory._group_limits(tmp_path / "none") == []


def test_of_a_machine_that_does_not_tell_8_gib_are_taken(monkeypatch):
    monkeypatch.setattr(memory, "_group_limits", list)
    monkeypatch.delattr(os, "sysconf")
    assert memory.total_bytes.__wrapped__() == 8 * 2**30


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_what_a_process_uses_grows_with_it(monkeypatch, tmp_path):
    before = memory.used_bytes()
    private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    with mmap.mmap(-1, 1 << 26, flags=private) as held:  # not what an earlier test's objects left
        held.write(b"1" * len(held))
        assert before + len(held) // 2 < memory.used_bytes() < memory.total_bytes()
    monkeypatch.setattr(memory, "_PAGES", tmp_path / "none")
    assert memory.used_bytes() == 0


def test_what_does_not_fit_is_refused_with_both_sizes(monkeypatch):
    monkeypatch.setenv(MAX_GB, "2")
    memory.require(2_000_000_000, "the image")
    with pytest.raises(ValueError, match=r"the image takes 2\.5 GB of memory to decode; 2 GB are allowed \(--max-gb\)"):
        memory.require(2_500_000_000, "the image")


ZEROS = bytes(8_000_000)


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("raw", lambda: ZEROS),
        ("deflate", lambda: zlib.compress(ZEROS, 9)),
        ("bzip2", lambda: bz2.compress(ZEROS)),
        ("lzma", lambda: lzma.compress(ZEROS, preset=9)),
        ("zstd", lambda: imagecodecs.zstd_encode(ZEROS)),
    ],
)
def test_what_is_possible(encoding, pack):
    """Nothing compresses better than zeros do."""
    packed = pack()
    memory.require_possible(len(ZEROS), len(packed), encoding, "voxels")
    assert len(ZEROS) / len(packed) * 300 > memory.EXPANSION[encoding]
    memory.require_possible((len(packed) + 64) * memory.EXPANSION[encoding], len(packed), encoding, "voxels")
    with pytest.raises(ValueError, match=f"more than {len(packed)} bytes of {encoding} data can hold"):
        memory.require_possible((len(packed) + 65) * memory.EXPANSION[encoding], len(packed), encoding, "voxels")
    memory.require_possible(10**15, 1, "jpeg2000", "pixels")


def test_what_pack_bits_hold_is_known_exactly():
    assert memory.EXPANSION["packbits"] * len(imagecodecs.packbits_encode(bytes(12_800))) == 12_800


@pytest.mark.parametrize("processes", ["1", "2"])
def test_the_option_of_every_script(tmp_path, capfd, processes):
    (tmp_path / "in" / "g").mkdir(parents=True)
    for name in "ab":
        PIL.Image.new("L", (2000, 2000), 9).save(tmp_path / "in" / "g" / f"{name}.png")
    run = [str(tmp_path / "in"), "-o", str(tmp_path / "out"), "-p", processes]
    assert cleanup2d.main([*run, "--max-gb", "0.001"]) == 1
    assert "0.001 GB are allowed (--max-gb)" in capfd.readouterr().err
    assert cleanup2d.main([*run, "--max-gb", "1"]) == 0
    with pytest.raises(SystemExit, match="2"):
        cleanup2d.main([*run, "--max-gb", "0"])


def test_the_limit_of_a_run_ends_with_it(monkeypatch):
    monkeypatch.setenv(MAX_GB, "3")
    with memory.limited_to(2):
        assert memory.limit_bytes() == 2_000_000_000
    with memory.limited_to(None):
        assert memory.limit_bytes() == 3_000_000_000
    monkeypatch.delenv(MAX_GB)
    with memory.limited_to(2):
        pass
    assert MAX_GB not in os.environ


def test_raw_bytes_hold_themselves():
    memory.require_possible(10 + 64, 10, "raw", "voxels")
    with pytest.raises(ValueError, match="promises 75 bytes of voxels, more than 10 bytes of raw data can hold"):
        memory.require_possible(10 + 65, 10, "raw", "voxels")


def test_without_glibc_memory_goes_as_it_does(monkeypatch):
    monkeypatch.setattr(memory.sys, "platform", "win32")
    assert not memory.retain_freed()
    monkeypatch.setattr(memory.sys, "platform", "linux")
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: object())
    assert not memory.retain_freed()


def test_what_glibc_is_asked_for(monkeypatch):
    class Library:
        asked: ClassVar = []

        def mallopt(self, number, size):
            self.asked.append((number, size))
            return not (number == -3 and size > memory.BLOCK)

    monkeypatch.setattr(memory.sys, "platform", "linux")
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: Library())
    assert memory.retain_freed() and Library.asked == [(-1, memory.SPARE), (-3, memory.BLOCK)]
    assert memory.retain_freed(1 << 30, 1 << 30), "an older glibc takes less"
    assert Library.asked[2:] == [(-1, 1 << 30), (-3, 1 << 30), (-3, memory.BLOCK)]
    assert memory.retain_freed(one_heap=True) and Library.asked[5] == (-8, 1)
