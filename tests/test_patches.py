"""utils/patches.py: the tile grid; dictionaries that run no code."""

import pickle
import subprocess
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.dictionaries import load_meta, load_patches, save_patches
from utils.patches import EDGES, Box, default_min_side, patch_boxes, tiles, too_small

sides = st.integers(1, 2000)
crops = st.integers(1, 512)


@given(sides, crops)
def test_shifted_tiles_are_whole_and_in_place(side, crop):
    spans = tiles(side, crop)
    assert len(spans) == (1 if side <= crop else max(1, int(side / crop + 0.5)))
    assert all(stop - start == min(crop, side) for start, stop in spans)
    assert all(start >= 0 and stop <= side for start, stop in spans)
    assert all(start == i * crop for i, (start, _) in enumerate(spans[:-1]))


@given(sides, crops)
def test_kept_and_dropped_edges(side, crop):
    kept, dropped = tiles(side, crop, "keep"), tiles(side, crop, "drop")
    assert all(a[1] == b[0] for a, b in pairwise(kept))
    assert set(dropped) <= set(kept)
    assert all(stop - start == min(crop, side) for start, stop in dropped)


@pytest.mark.parametrize(
    ("side", "expected"),
    [
        (335, [(0, 224)]),
        (336, [(0, 224), (112, 336)]),
        (223, [(0, 223)]),
        (448, [(0, 224), (224, 448)]),
        (559, [(0, 224), (224, 448)]),
        (560, [(0, 224), (224, 448), (336, 560)]),
    ],
)
def test_half_a_crop_decides(side, expected):
    assert tiles(side, 224) == expected


@given(sides, crops, st.sampled_from(EDGES), st.integers(0, 600))
def test_no_tile_is_shorter_than_wanted(side, crop, edges, min_side):
    assert tiles(side, crop, edges, min_side) == [(a, b) for a, b in tiles(side, crop, edges) if b - a >= min_side]


@given(st.tuples(sides, sides), crops.filter(lambda crop: crop >= 16), st.sampled_from(EDGES))
def test_an_image_without_patches_is_too_small(shape, crop, edges):
    half = default_min_side(crop)
    boxes = patch_boxes(shape, crop, edges, half)
    assert all(2 * min(box.y1 - box.y0, box.x1 - box.x0) >= crop for box in boxes)
    assert bool(boxes) == (not too_small(shape, half)) == (2 * min(shape) >= crop)


def test_why_an_image_is_too_small():
    assert too_small((40, 900), 112) == "40 x 900 pixels are too small for a patch (--min-side 112)"
    assert too_small((40, 90, 900), 112) == "40 x 90 x 900 voxels are too small for a patch (--min-side 112)"
    assert not too_small((40, 112, 112), 112)
    assert not too_small((1, 1), 0)


def test_a_shorter_tile_at_the_end():
    assert tiles(560, 224, "keep") == [(0, 224), (224, 448), (448, 560)]
    assert tiles(560, 224, "drop") == [(0, 224), (224, 448)]
    assert (default_min_side(224), default_min_side(225)) == (112, 113)


def test_unknown_edges():
    with pytest.raises(ValueError, match="'wrap' is none of"):
        tiles(10, 3, "wrap")


def test_boxes_go_row_by_row():
    assert patch_boxes((448, 300), 224)[1] == Box(224, 448, 0, 224)


@pytest.fixture
def patches(rng):
    return [rng.integers(0, 256, shape, dtype=np.uint8) for shape in ((8, 8), (8, 8), (5, 8))]


def test_dictionary_round_trip(tmp_path, patches):
    path = tmp_path / "group.pkl"
    names = ["a", "b", "c"]
    save_patches(path, names, iter(patches), hashes=np.arange(3, dtype=np.uint64), meta={"crop": 8})
    for content in (load_patches(path), pickle.loads(path.read_bytes())):
        assert content["names"] == names
        assert all(np.array_equal(a, b) for a, b in zip(content["patches"], patches, strict=True))
        assert content["meta"] == {"crop": 8}
        assert content["hashes"].tolist() == [0, 1, 2]
    assert load_meta(path) == {"crop": 8}


def test_empty_dictionary(tmp_path):
    save_patches(tmp_path / "e.pkl", [], [])
    assert load_patches(tmp_path / "e.pkl")["patches"] == []
    assert load_meta(tmp_path / "e.pkl") == {}


def test_wrong_count_writes_nothing(tmp_path, patches):
    with pytest.raises(ValueError, match="zip"):
        save_patches(tmp_path / "x.pkl", ["a", "b"], patches)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("protocol", range(2, 6))
def test_dictionaries_of_older_scripts_load(tmp_path, patches, protocol):
    path = tmp_path / "old.pkl"
    stacked = np.stack(patches[:2])
    for old in (stacked, list(stacked), tuple(stacked), np.asfortranarray(stacked)):
        path.write_bytes(pickle.dumps({"names": np.array(["a", "b"]).tolist(), "patches": old, "x": 1.5}, protocol))
        content = load_patches(path)
        assert all(np.array_equal(a, b) for a, b in zip(content["patches"], stacked, strict=True))
        assert load_meta(path) == {}


class Attack:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return subprocess.check_call, (["touch", str(self.target)],)


@pytest.mark.parametrize("where", ["names", "patches", "meta", "whole"])
def test_a_pickle_that_carries_code_is_refused_by_name(tmp_path, patches, where):
    attack = Attack(tmp_path / "owned")
    content = attack if where == "whole" else {"names": ["a"], "patches": patches[:1], where: [attack]}
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(ValueError, match=r"refused: it asks for subprocess\.check_call"):
        load_patches(tmp_path / "evil.pkl")
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    "opcodes",
    [b"cbuiltins\neval\n(S'1'\ntR.", b"cos\nsystem\n(S'true'\ntR.", b"cnumpy\nload\n.", b"cnumpy\nndarray.tofile\n."],
)
def test_other_globals_are_refused(tmp_path, opcodes):
    (tmp_path / "evil.pkl").write_bytes(opcodes)
    with pytest.raises(ValueError, match="refused: it asks for"):
        load_patches(tmp_path / "evil.pkl")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not a readable"),
        (b"text", "not a readable"),
        (pickle.dumps([1, 2]), "expected a dict"),
        (pickle.dumps({"names": ["a"], "patches": []}), "1 names for 0 patches"),
        (pickle.dumps({"names": ["a"], "patches": [np.zeros((2, 2))]}), "expected a 2D array of uint8"),
        (pickle.dumps({"names": ["a"], "patches": ["x"]}), "is str"),
    ],
)
def test_other_files_are_a_sentence(tmp_path, content, reason):
    (tmp_path / "x.pkl").write_bytes(content)
    with pytest.raises(ValueError, match=reason):
        load_patches(tmp_path / "x.pkl")


def test_cut_short(tmp_path, patches):
    save_patches(tmp_path / "x.pkl", ["a", "b", "c"], patches)
    (tmp_path / "x.pkl").write_bytes((tmp_path / "x.pkl").read_bytes()[:150])
    with pytest.raises(ValueError, match="not a readable patch dictionary"):
        load_patches(tmp_path / "x.pkl")
