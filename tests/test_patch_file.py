"""utils/patch_file.py: patches straight from the file, in batches and by index."""

import pickle

import numpy as np
import pytest

from made_dictionary import NAMES, PATCHES, STACK, write_dictionary
from utils.dictionaries import load_meta, load_patches, save_patches
from utils.patch_file import PatchFile


@pytest.fixture
def path(tmp_path):
    return write_dictionary(tmp_path / "a.pkl")


def test_names_and_patches_by_index(path):
    with PatchFile(path) as file:
        assert (len(file), file.names, file.meta) == (25, NAMES, {"crop": 50})
        np.testing.assert_array_equal(file.extra["hashes"], np.arange(25))
        assert file.shape(1) == (41, 50)
        for found, index in zip(file.read([24, 3, 3]), [24, 3, 3], strict=True):
            np.testing.assert_array_equal(found, PATCHES[index])
            found[:] = 0  # what was read is the caller's own
    np.testing.assert_array_equal(load_patches(path)["patches"][3], PATCHES[3])


@pytest.mark.parametrize(
    ("options", "sizes"),
    [({}, [25]), ({"count": 10}, [10, 10, 5]), ({"nbytes": 6150}, [3] * 8 + [1]), ({"nbytes": 1}, [1] * 25)],
)
def test_batches_are_bounded_and_in_order(path, options, sizes):
    with PatchFile(path) as file:
        batches = list(file.batches(**options))
    assert [len(batch.patches) for batch in batches] == sizes
    assert [name for batch in batches for name in batch.names] == NAMES
    assert all(map(np.array_equal, [patch for batch in batches for patch in batch.patches], PATCHES))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("layout", ["rows", "tuple", "transposed", "turned", "stacked", "stacked and turned"])
def test_dictionaries_of_older_scripts(tmp_path, protocol, layout):
    patches = {
        "rows": list(STACK), "tuple": tuple(STACK), "transposed": [patch.T for patch in STACK], "stacked": STACK,
        "turned": STACK.transpose(0, 2, 1), "stacked and turned": np.asfortranarray(STACK),
    }[layout]  # fmt: skip
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"names": NAMES[:7], "patches": patches}, protocol))
    with PatchFile(tmp_path / "a.pkl") as file:
        assert file.meta == {} and file.names == NAMES[:7]
        assert all(map(np.array_equal, file.read(range(7)), patches))
        assert np.array_equal(file.read([5])[0], patches[5])
        assert_bytes_at_offset(file, 5)
        if layout in ("rows", "stacked"):
            assert (file.offset(5) is not None) == (protocol > 2)


def assert_bytes_at_offset(file, index):
    """Where the bytes of a patch are said to lie as they are, they do."""
    if (start := file.offset(index)) is not None:
        patch = file.read([index])[0]
        assert file.path.read_bytes()[start : start + patch.size] == patch.tobytes()


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


def test_a_file_that_shrinks_is_a_sentence(path):
    with PatchFile(path) as file:
        path.write_bytes(path.read_bytes()[:5000])
        with pytest.raises(ValueError, match="became shorter"):
            file.read([20])


def test_a_batch_must_fit_into_memory(path, monkeypatch):
    monkeypatch.setenv("EM_MAX_GB", "0.00005")
    with pytest.raises(ValueError, match="patch dictionary"), PatchFile(path):
        pass
    monkeypatch.setenv("EM_MAX_GB", "0.01")
    with PatchFile(path) as file, pytest.raises(ValueError, match=r"a batch of patches takes 0\.0\d+ GB"):
        file.read([0] * 10_000)
