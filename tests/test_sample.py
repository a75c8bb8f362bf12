"""utils/classification/sample.py: patches of many dictionaries."""

import numpy as np

from conftest import noise_patches
from utils.classification.sample import sample_patches
from utils.dictionaries import save_patches


def test_a_sample_is_the_same_whatever_the_order(tmp_path):
    paths = [tmp_path / f"{name}.pkl" for name in "abc"]
    for seed, path in enumerate(paths):
        save_patches(path, [f"{path.stem}{i}" for i in range(40)], noise_patches(40, 8, seed))
    (tmp_path / "broken.pkl").write_bytes(b"no pickle")
    drawn = sample_patches([*paths, tmp_path / "broken.pkl"], 50)
    again = sample_patches([tmp_path / "broken.pkl", *reversed(paths)], 50)
    assert len(drawn) == 50 and all(np.array_equal(a, b) for a, b in zip(drawn, again, strict=True))
    other = sample_patches(paths, 50, seed=1)
    assert not all(np.array_equal(a, b) for a, b in zip(drawn, other, strict=True))
    assert len({patch.tobytes() for patch in sample_patches(paths, 1000)}) == 120 and sample_patches([], 5) == []
