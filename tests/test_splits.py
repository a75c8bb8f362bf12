"""utils/collection/splits.py: what belongs together stays together, and shares are kept by names alone."""

from argparse import ArgumentTypeError

import pytest

from utils.collection.splits import (
    OTHER_SEEDS,
    Pair,
    assign,
    crossing,
    image_of,
    position,
    read_pairs,
    seed_that_fills,
    split_shares,
    tied,
)
from utils.records.duplicates import Duplicate, save_duplicates

SHARES = {"train": 0.8, "val": 0.1, "test": 0.1}
NAMES = [f"d{i}" for i in range(400)]


def groups(*names: str, **known) -> list[list[str]]:
    facts = {"sources": {}, "rows": {}, "pairs": []} | known
    return tied(names, **facts)[0]


def test_nothing_known_ties_nothing():
    assert groups("a", "b") == [["a"], ["b"]]


def test_duplicates_sources_urls_and_levels_tie():
    assert groups("a", "b", "c", pairs=[Pair("p", "c", "q", "a")]) == [["a", "c"], ["b"]]
    assert groups("a", "b", "c", sources={"a": {"u"}, "b": {"v"}, "c": {"u", "v"}}) == [["a", "b", "c"]]
    assert groups("a", "b", "c", rows={"a": {"url": "u"}, "b": {"url": "u"}, "c": {"url": ""}}) == [["a", "b"], ["c"]]
    assert groups("fly_s0", "fly_s2", "fly2_s0") == [["fly2_s0"], ["fly_s0", "fly_s2"]]


def test_empty_urls_and_strangers_tie_nothing():
    assert groups("a", "b", rows={"a": {"url": ""}, "b": {}}, pairs=[Pair("p", "a", "q", "stranger")]) == [["a"], ["b"]]


def test_what_is_not_exported_ties_what_is():
    pairs = [Pair("p", "a", "q", "x_s1"), Pair("r", "c", "s", "x_s1"), Pair("t", "b", "u", "y")]
    found, reasons = tied(["a", "b", "c", "x_s0"], {}, {}, pairs)
    assert found == [["a", "c", "x_s0"], ["b"]]
    assert reasons == {"near-duplicate patches": 2, "levels of one image": 1}


def test_reasons_are_counted():
    _, reasons = tied(["a", "b"], {}, {}, [Pair("p", "a", "q", "b"), Pair("r", "b", "s", "a")])
    assert reasons == {"near-duplicate patches": 2}


def test_a_group_stands_where_its_smallest_hash_stands():
    assert position(0, ["a", "b"]) == min(position(0, ["a"]), position(0, ["b"]))
    assert position(0, ["a"]) != position(1, ["a"]) and 0 <= position(0, ["a"]) < 1


def test_shares_are_kept_and_adding_datasets_moves_none():
    found = assign([[name] for name in NAMES], SHARES, 0)
    counts = [sum(split == name for split in found.values()) for name in SHARES]
    assert 290 <= counts[0] <= 350 and all(20 <= count <= 60 for count in counts[1:])
    assert {name: found[name] for name in NAMES[:50]} == assign([[name] for name in NAMES[:50]], SHARES, 0)
    together = assign([NAMES[:3]], SHARES, 0)
    assert len(set(together.values())) == 1


def test_rounding_leaves_nothing_out():
    assert assign([["a"]], {"train": 0.0, "val": 0.0}, 0) == {"a": "val"}


def test_pairs_are_those_between_datasets(tmp_path):
    def row(name, dictionary, other, its_dictionary):
        return Duplicate(name, dictionary, other, its_dictionary, 0.9, 0.9, "same")

    save_duplicates(tmp_path / "a.csv", [
        row("p", "2d/fly", "q", "2d/bee"), row("p", "2d/fly", "q", "2d/fly"), row("r", "3d/fly", "s", "2d/fly"),
        row("t", "2d/fly", "0_0", "excluded:e.png"), row("u", "2d/bee", "9_9", "excluded:e.png"),
        row("v", "2d/bee", "0_0", "excluded:other.png"),
    ])  # fmt: skip
    assert read_pairs([tmp_path / "a.csv"]) == [Pair("p", "fly", "q", "bee"), Pair("t", "fly", "u", "bee")]


def test_the_seed_found_comes_nearest_to_the_shares():
    few, sizes = [[name] for name in NAMES[:5]], dict(zip(NAMES, (10, 300, 20, 40, 80), strict=False))
    off = {}
    for seed in range(OTHER_SEEDS):
        split_of = assign(few, SHARES, seed)
        counts = {split: sum(sizes[name] for name in split_of if split_of[name] == split) for split in SHARES}
        if all(counts.values()):
            off[seed] = sum(abs(counts[split] / 450 - share) for split, share in SHARES.items())
    assert seed_that_fills(few, SHARES, sizes) == min(off, key=off.__getitem__)


def test_a_seed_is_found_by_which_no_split_is_empty():
    few = [[name] for name in NAMES[:5]]
    sizes = dict.fromkeys(NAMES[:5], 10)
    seed = seed_that_fills(few, SHARES, sizes)
    assert seed is not None and set(assign(few, SHARES, seed).values()) == set(SHARES)
    assert seed_that_fills(few[:2], SHARES, sizes) is None
    assert seed_that_fills(few, SHARES, {"d0": 10}) is None
    many = [str(n) for n in range(1000)]
    assert seed_that_fills([[name] for name in many], SHARES, dict.fromkeys(many, 1)) is None  # any seed fills all


def test_pairs_that_cross_are_told():
    split_of = {"a": "train", "b": "val", "c": "train"}
    across, within = Pair("p", "a", "q", "b"), Pair("p", "a", "q", "c")
    assert crossing([across, within, Pair("p", "a", "q", "elsewhere"), Pair("p", "else", "q", "b")], split_of) == [
        across
    ]
    assert crossing([across], {"a": "train", "b": "val"}) == [across]


def test_shares_are_read():
    assert split_shares("train=.9, val=.05,test=.05") == {"train": 0.9, "val": 0.05, "test": 0.05}
    assert split_shares("all=1") == {"all": 1.0}


@pytest.mark.parametrize(
    "text", ["", "train", "train=x", "train=0,val=1", "train=1.5", "train=.5,train=.5", "a b=1", "=1", "train=-1"]
)
def test_shares_that_are_none(text):
    with pytest.raises(ArgumentTypeError, match="expected names and shares"):
        split_shares(text)


def test_shares_add_up():
    with pytest.raises(ArgumentTypeError, match=r"the shares add up to 0\.95, not to 1"):
        split_shares("train=.9,val=.05")


def test_levels_show_the_same_image():
    assert (image_of("fly_s2"), image_of("fly_s"), image_of("fly")) == ("fly", "fly_s", "fly")
