"""Damaged files of every format: what they held, or a sentence; see damage.py."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from samples import SAMPLES

from conftest import only_fuzzed

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="forks a reader for each file (Linux)")

DAMAGES = max(1, int(os.environ.get("EXAMPLES", "1000")) // 5)
# Found by `make fuzz` and mended, where no test of the room's own holds it: sample, seed and number of the damage.
FOUND = (
    ("image tiff white", "1", 4),  # a division by zero
    ("nifti gzip", "1", 0),  # damaged bytes whose checksum was not looked at, as the three that follow
    ("nifti gzip", "1", 5),
    ("mrc gzip", "1", 2),
    ("png rgba", "7", 21),
    ("scores", "1", 1),  # a row without a score
    ("kept patch", "7", 0),  # a TIFF without a page
    ("zarr 3", "31", 29),  # a fill value, and a shape, that no integer of the library holds
    ("n5", "31", 80),
    ("labels", "7", 10),  # characters that there are not
)


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    """Ask for (sample, seed, numbers); what is wrong comes back."""
    command = [sys.executable, str(Path(__file__).with_name("damage.py")), str(tmp_path_factory.mktemp("damage"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def ask(name: str, seed: str, first: int, stop: int) -> dict:
            process.stdin.write(json.dumps([name, seed, first, stop]) + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        yield ask
        process.stdin.close()


@pytest.mark.fuzz
@only_fuzzed
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", SAMPLES)
def test_damage_is_a_sentence(reader, request, record_property, name):
    found = reader(name, str(request.config.getoption("--hypothesis-seed")), 0, DAMAGES)
    assert found["wrong"] == []
    for _ in range(DAMAGES):
        record_property("damaged files", "read or refused")


@pytest.mark.parametrize(("name", "seed", "number"), FOUND)
def test_found_before(reader, name, seed, number):
    assert reader(name, seed, number, number + 1)["wrong"] == []
