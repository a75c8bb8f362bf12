"""utils/options.py: options that the patch stages share."""

import argparse

import pytest

from utils.cli import UsageError
from utils.options import (
    PatchOptions,
    add_dataset,
    add_dedupe_options,
    add_patch_options,
    add_recursive,
    dedupe_rule,
    refuse_own_folder,
    use_dataset,
)
from utils.settings import DATASET, settings


def parsed(*argv: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    for add in (add_patch_options, add_dedupe_options, add_recursive, add_dataset):
        add(parser)
    parser.set_defaults(seed=5)
    return parser.parse_args(argv)


def test_defaults():
    args = parsed()
    assert (args.crop_size, args.min_side, args.edges, args.contrast) == (224, None, "shift", "percentile")
    assert (args.hash, args.hash_size, args.distance) == ("dhash", 8, 12)
    assert (args.stretch, args.keep_labels, args.recursive, args.dataset) == (False, False, False, None)


@pytest.mark.parametrize("name", ["-d", "--distance", "--min-distance"])
def test_the_distance_has_its_older_name(name):
    assert parsed(name, "0").distance == 0


@pytest.mark.parametrize("argv", [["-cs", "0"], ["-hs", "0"], ["-d", "-1"], ["--min-side", "-1"], ["--edges", "x"]])
def test_what_cannot_be_meant_is_refused(argv):
    with pytest.raises(SystemExit, match="2"):
        parsed(*argv)


@pytest.mark.parametrize(
    ("argv", "side"), [([], 112), (["-cs", "225"], 113), (["--min-side", "0"], 0), (["--min-side", "224"], 224)]
)
def test_the_shortest_side(argv, side):
    assert PatchOptions.of(parsed(*argv)).min_side == side


def test_what_a_recipe_says():
    said = {"crop-size": 224, "min-side": None, "edges": "shift", "contrast": "percentile", "stretch": False}
    assert PatchOptions.of(parsed()).options() == {**said, "keep-labels": False}
    assert PatchOptions.of(parsed("--min-side", "9", "--stretch")).options()["min-side"] == 9


def test_no_side_is_longer_than_the_crop():
    with pytest.raises(UsageError, match=r"^--min-side 65 is more than --crop-size 64: no patch is that large$"):
        PatchOptions.of(parsed("-cs", "64", "--min-side", "65"))


def test_whash_has_powers_of_two():
    for size in ("1", "8", "16"):
        dedupe_rule(parsed("--hash", "whash", "-hs", size))
    rule = dedupe_rule(parsed("--hash", "phash", "-hs", "12", "-d", "3"))
    assert rule == {"hash": "phash", "hash_size": 12, "distance": 3, "seed": 5}
    with pytest.raises(UsageError, match="power of 2, not -hs 12"):
        dedupe_rule(parsed("--hash", "whash", "-hs", "12"))


def test_a_dataset_is_used_and_recorded():
    assert use_dataset(parsed("--dataset", "em")) == {"dataset": "em"} and settings()[DATASET] == "em"
    assert use_dataset(parsed()) == {} and DATASET not in settings()


def test_copies_do_not_go_where_their_originals_are(tmp_path):
    refuse_own_folder(argparse.Namespace(dir=tmp_path, output=None))
    refuse_own_folder(argparse.Namespace(dir=tmp_path, output=tmp_path / "new"))
    with pytest.raises(UsageError, match="-o names DIR itself"):
        refuse_own_folder(argparse.Namespace(dir=tmp_path, output=tmp_path / "new" / ".."))
