"""The same bytes however processes are started, and however many there are."""

import importlib
import json
import multiprocessing
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import FUZZED, ROOT, smooth_volume
from utils.formats.writers import write_nrrd

# Imported by name, as worker processes do: what lives in __main__ could only be found by forked ones.
RUN = """
import importlib, json, multiprocessing, pathlib, sys
method, commands = sys.argv[1], json.loads(sys.argv[2])
sys.path[:0] = sorted({str(pathlib.Path(script).parent) for script, *_ in commands})
if __name__ == "__main__":
    multiprocessing.set_start_method(method)
    sys.exit(any([importlib.import_module(pathlib.Path(script).stem).main(argv) for script, *argv in commands]))
"""
# `make test` takes the one that shares least; the default is what all other tests take.
METHODS = multiprocessing.get_all_start_methods() if FUZZED else ["spawn"]


def run(method, commands):
    argv = [[str(ROOT / script), *map(str, arguments)] for script, *arguments in commands]
    command = [sys.executable, "-c", RUN, method, json.dumps(argv)]
    done = subprocess.run(command, capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr


def content(folder):
    return {p.relative_to(folder): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for group in "ab":
        (folder / group).mkdir()
        for n in range(3):
            values = np.random.default_rng(n).integers(0, 4096, (150, 170)).astype(np.uint16)
            Image.fromarray(values).save(folder / group / f"{n}.png")
    return folder


@pytest.fixture(scope="module")
def volumes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("volumes")
    for n in range(3):
        write_nrrd(folder / f"v{n}.nrrd", smooth_volume((40, 60, 70), n).astype(np.uint16) * 9, (5.0, 5.0, 5.0))
    return folder


@pytest.fixture(scope="module")
def alone(images, volumes, tmp_path_factory):
    """What this process makes of them by itself."""
    folder = tmp_path_factory.mktemp("alone")
    for script, *arguments in commands(images, volumes, folder, 1):
        assert importlib.import_module(Path(script).stem).main(list(map(str, arguments))) == 0
    return content(folder)


def commands(images, volumes, out, processes):
    """Scripts and their arguments."""
    yield "preprocess/cleanup2d.py", images, "-o", out / "clean", "-p", processes
    yield "patchify2d.py", images, out / "2d", "-cs", 64, "--dedupe", "-p", processes
    yield "patchify3d.py", volumes, out / "3d", "-cs", 32, "-p", processes


@pytest.mark.fuzz
@pytest.mark.parametrize("method", METHODS)
def test_same_bytes(method, images, volumes, alone, tmp_path):
    run(method, commands(images, volumes, tmp_path, 2))
    assert content(tmp_path) == alone and len(alone) == 2 * (6 + 2 + 3)  # each with its recipe
