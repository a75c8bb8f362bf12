"""A disk that fills costs what does not fit, in a sentence; with room again the same command makes the same results."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile

import cleanup2d
import patchify2d
import patchify3d
from conftest import results, smooth_volume

SMALL, LARGE = "400k", "64m"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of its own, too small for what is made."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SMALL}", "none", str(place)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Eight groups of one image of noise, 256 kB each."""
    pixels = np.random.default_rng(0).integers(0, 60000, (8, 512, 256), dtype=np.uint16)
    for index, image in enumerate(pixels):
        (tmp_path / "images" / f"g{index}").mkdir(parents=True)
        tifffile.imwrite(tmp_path / "images" / f"g{index}" / "a.tif", image)
    return tmp_path / "images"


@pytest.fixture
def volumes(tmp_path: Path) -> Path:
    """Two volumes whose patches hold more than the disk."""
    for index in range(2):
        (tmp_path / "volumes").mkdir(exist_ok=True)
        tifffile.imwrite(tmp_path / "volumes" / f"v{index}.tif", smooth_volume((64, 128, 128), seed=index), imagej=True)
    return tmp_path / "volumes"


COMMANDS = {
    cleanup2d: ("images", ["-o"]),
    patchify2d: ("images", []),
    patchify3d: ("volumes", ["-cs", "64", "-d", "0", "--seed", "1"]),
}


@pytest.mark.parametrize("script", COMMANDS, ids=lambda script: script.__name__)
def test_what_does_not_fit_fails_by_name(script, disk, tmp_path, request, capfd):
    kind, options = COMMANDS[script]
    source = request.getfixturevalue(kind)

    def run(into: Path) -> int:
        words = [*options, into] if options[-1:] == ["-o"] else [into, *options]
        return script.main(list(map(str, [source, *words])))

    assert run(disk / "out") == 1
    said = capfd.readouterr().err
    assert ("No space left on device" in said or "is the disk full?" in said) and "Traceback" not in said
    assert not [path for path in disk.rglob("*") if ".part" in path.name or path.name.endswith(".lock")]
    subprocess.run(["mount", "-o", f"remount,size={LARGE}", str(disk)], check=True)
    assert run(disk / "out") == run(tmp_path / "whole") == 0
    assert results(disk / "out") == results(tmp_path / "whole")
