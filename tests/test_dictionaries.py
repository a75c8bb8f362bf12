"""utils/dictionaries.py: written and read in memory of a batch, their meta found without the patches."""

import pickle
import subprocess
import sys

import numpy as np
import pytest

from conftest import ROOT, on_linux
from made_dictionary import STACK, write_dictionary
from utils.dictionaries import load_meta, load_patches, save_patches


@pytest.fixture
def path(tmp_path):
    return write_dictionary(tmp_path / "a.pkl")


def test_names_that_numpy_holds(tmp_path):
    for names in (np.array(["a", "bc"]), list(np.array(["a", "bc"])), ("a", "bc")):
        (tmp_path / "a.pkl").write_bytes(pickle.dumps({"names": names, "patches": STACK[:2]}))
        assert load_patches(tmp_path / "a.pkl")["names"] == ["a", "bc"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"names": 3, "patches": []}, "names are no list of strings but int"),
        ({"names": [3], "patches": STACK[:1]}, "names are no list of strings"),
        ({"names": "a", "patches": STACK[:1]}, "names are no list of strings but str"),
        ({"names": np.arange(3), "patches": STACK[:3]}, "names are no list of strings"),
        ({"names": [], "patches": 3}, "its patches are int"),
        ({"names": [], "patches": STACK[0]}, r"its patches are an array of shape \(40, 50\)"),
        ({"names": [], "patches": [], "meta": 3}, "its meta is int"),
        ({"names": ["a"], "patches": [np.zeros((0, 5), np.uint8)]}, r"patch 'a' is uint8 \(0, 5\)"),
        ({"names": ["a"], "patches": [np.float64(3)]}, "patch 'a' is float64"),
        ({"names": ["a"], "patches": STACK[:1] > 3}, "patch 'a' is bool"),
        ({"names": ["a"], "patches": STACK[:1].astype(np.uint16)}, r"patch 'a' is uint16 \(40, 50\)"),
    ],
)
def test_what_is_no_dictionary(tmp_path, content, reason):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(content))
    for read in (load_patches, load_meta):
        with pytest.raises(ValueError, match=reason):
            read(tmp_path / "a.pkl")


def test_arrays_anywhere_in_meta_are_read(tmp_path):
    meta = {"unit": {"sizes": np.arange(3), "of": [np.float32(2), (np.arange(2),)]}}
    save_patches(tmp_path / "a.pkl", ["a"], [np.zeros((2, 2), np.uint8)], meta=meta)
    found = load_meta(tmp_path / "a.pkl")["unit"]
    assert found["sizes"].tolist() == [0, 1, 2] and found["of"][0] == 2 and found["of"][1][0].tolist() == [0, 1]


def test_meta_is_found_at_the_end(path):
    content = bytearray(path.read_bytes())
    content[:100] = bytes(100)
    path.write_bytes(content)
    assert load_meta(path) == {"crop": 50}
    with pytest.raises(ValueError, match="not a readable patch dictionary"):
        load_patches(path)


@pytest.mark.parametrize("length", [0, 10, 2**63])
def test_a_footer_that_lies(path, length):
    path.write_bytes(path.read_bytes()[:-16] + length.to_bytes(8, "big") + b"patchdic")
    if length == 2**63:
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
