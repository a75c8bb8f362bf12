"""utils/dictionaries.py: written and read in memory of a batch, their meta found without the patches."""

import subprocess
import sys

import numpy as np
import pytest

from conftest import ROOT, on_linux
from made_dictionary import NAMES, PATCHES, write_dictionary
from utils.dictionaries import load_meta, load_patches


@pytest.fixture
def path(tmp_path):
    return write_dictionary(tmp_path / "a.pkl")


def test_meta_is_found_at_the_end(path):
    content = bytearray(path.read_bytes())
    content[:100] = bytes(100)
    path.write_bytes(content)
    assert load_meta(path) == {"crop": 50}
    with pytest.raises(ValueError, match="not a readable patch dictionary"):
        load_patches(path)


def test_a_whole_dictionary(path):
    content = load_patches(path)
    assert (list(content), content["names"]) == (["hashes", "meta", "names", "patches"], NAMES)
    for patch, expected in zip(content["patches"], PATCHES, strict=True):
        np.testing.assert_array_equal(patch, expected)


@pytest.mark.parametrize("length", [0, 10, None, 2**63])
def test_a_footer_that_lies(path, length):
    """It leads to no pickle, to the whole dictionary, which is no meta, or before the file."""
    content = path.read_bytes()[:-16]
    path.write_bytes(content + (len(content) if length is None else length).to_bytes(8, "big") + b"patchdic")
    if length in (None, 2**63):
        assert load_meta(path) == {"crop": 50}  # the pickle itself still has it
    else:
        with pytest.raises(ValueError, match="patch dictionary"):
            load_meta(path)


PEAK = """
import sys
sys.path.insert(0, {root!r})
from pathlib import Path
from utils.dictionaries import save_patches
from utils.patch_file import PatchFile
import numpy as np
path, names = Path({path!r}), [str(i) for i in range(6000)]
if {write}:
    save_patches(path, names, (np.full((224, 224), int(name) % 255, np.uint8) for name in names))
else:
    with PatchFile(path) as file:
        found = [int(patch[0, 0]) for batch in file.batches(16 << 20) for patch in batch.patches]
    assert found == [int(name) % 255 for name in names]
print(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])
"""


@on_linux
def test_memory_is_that_of_a_batch(tmp_path):
    peaks = []
    for write in (True, False):
        code = PEAK.format(root=str(ROOT), path=str(tmp_path / "a.pkl"), write=write)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout) >> 10)
    assert (tmp_path / "a.pkl").stat().st_size > 300e6
    assert max(peaks) < 120  # MB
