"""The bank: drawn once, looked at once, in parts; a fold learns nothing from what it leaves out."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from utils.classification.classifier import Classifier
from utils.classification.models import build_model
from utils.training.bank import Bank, make_bank
from utils.training.batches import BatchRule
from utils.training.labels import Labelled

RULE = BatchRule(8, 32, 0.5, "heavy", 0)


@pytest.fixture(scope="module")
def start() -> dict:
    torch.manual_seed(0)
    return build_model("lite").state_dict()


def data() -> Labelled:
    rng = np.random.default_rng(0)
    patches = tuple(rng.integers(0, 256, (40, 40)).astype(np.uint8) for _ in range(8))
    return Labelled(tuple(Path(f"{i}.png") for i in range(8)), patches, np.arange(8) % 2 == 0, ("a", "b") * 4)


def equal(one: Bank, other: Bank) -> bool:
    assert one.windows is not None and other.windows is not None
    names = ("features", "labels", "origins")
    pairs = ((one, other), (one.windows, other.windows))
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for a, b in pairs for name in names)


def test_it_goes_on_from_the_last_part(start, tmp_path):
    whole = make_bank(tmp_path / "bank", RULE, data(), 20, start)
    assert len(whole) == 32 == len(whole.features) and set(whole.labels) == {0, 1}
    assert set(whole.origins) <= set(range(-1, 8)) and (whole.origins == -1).any()
    parts = sorted((tmp_path / "bank").iterdir())
    assert [part.name for part in parts] == ["part1.npz", "part2.npz"]
    parts[1].unlink()
    again = make_bank(tmp_path / "bank", RULE, data(), 20, start)
    assert equal(whole, again)


def test_features_are_what_the_body_sees_in_what_the_rule_draws(start, tmp_path, monkeypatch):
    images, labels, origins = RULE.batch(data(), RULE.order(data(), 0), 0, 0)
    images[0, :9], images[1, :9], images[2, :9] = -3.2, 258.7, 0.4
    monkeypatch.setattr(BatchRule, "batch", lambda *_: (images, labels, origins))
    body = Classifier(start, precision="fp32", views=1)
    seen = body.outputs([np.clip(image.round(), 0, 255).astype(np.uint8) for image in images])[1]
    bank = make_bank(tmp_path, RULE, data(), 8, start)
    for part in (slice(0, 8), slice(8, 16)):
        assert np.allclose(bank.features[part], seen, atol=1e-5)
        assert (bank.labels[part] == labels).all() and (bank.origins[part] == origins).all()


def test_windows_of_what_is_sparse_and_of_what_was_covered(start, tmp_path):
    patches = tuple(np.where(np.arange(40) < 8, patch, 90).astype(np.uint8) for patch in data().patches)
    sparse = replace(data(), patches=patches)
    rule = BatchRule(8, 64, 0.0, "mild", 0)
    whole, order = make_bank(tmp_path, rule, sparse, 8, start), rule.order(sparse, 0)
    windows = whole.windows
    assert windows is not None and windows.features.shape == (len(windows), 384)
    # Every patch of this epoch is sparse, and every third is covered, too.
    assert set(order) <= set(windows.origins) and (len(whole), len(windows)) == (8, 8 + 3)
    assert (windows.labels <= sparse.good[windows.origins]).all() and windows.labels.any()
    left = whole.without(order[:1]).windows
    assert left is not None and set(left.origins) == set(windows.origins) - {order[0]}


def test_a_bank_of_other_labels_or_another_body_is_refused(start, tmp_path):
    make_bank(tmp_path, RULE, data(), 8, start)
    other = {**start, "stem.weight": start["stem.weight"] + 1}
    repainted, elsewhere = replace(data(), patches=data().patches[::-1]), replace(data(), sources=("a",) * 8)
    others = [(RULE, labels, 8, start) for labels in (data().subset(np.arange(7)), repainted, elsewhere)]
    for arguments in (*others, (RULE, data(), 8, other)):
        with pytest.raises(ValueError, match=r"part1\.npz was made with other options or labels"):
            make_bank(tmp_path, *arguments)
    make_bank(tmp_path, RULE, data(), 8, {**start, "fc.bias": start["fc.bias"] + 1})


def test_a_bank_is_made_anew_where_it_is_asked_for(start, tmp_path):
    fewer = data().subset(np.arange(7))
    make_bank(tmp_path / "bank", RULE, data(), 8, start)
    anew = make_bank(tmp_path / "bank", RULE, fewer, 8, start, update=True)
    fresh = make_bank(tmp_path / "fresh", RULE, fewer, 8, start)
    assert equal(anew, fresh)
    before = (tmp_path / "bank" / "part1.npz").stat().st_mtime_ns
    make_bank(tmp_path / "bank", RULE, fewer, 8, start, update=True)
    assert (tmp_path / "bank" / "part1.npz").stat().st_mtime_ns == before


def test_damaged_parts_are_made_again_and_nothing_that_one_holds_is_run(start, tmp_path, capsys):
    whole, part = make_bank(tmp_path, RULE, data(), 8, start), tmp_path / "part1.npz"
    with np.load(part) as stored:
        objects = [{**stored, name: np.array([Path()], object)} for name in ("mark", "labels")]
    contents = (b"", b"PK\3\4 half of a part", b"no part", part.read_bytes()[:-1000], *objects)
    for content, update in zip(contents, (False, True) * 3, strict=True):
        part.write_bytes(content) if isinstance(content, bytes) else np.savez(part, **content)
        assert equal(make_bank(tmp_path, RULE, data(), 8, start, update=update), whole)
        assert f"{part} is damaged (" in capsys.readouterr().err
    assert equal(make_bank(tmp_path, RULE, data(), 8, start), whole)
    assert capsys.readouterr().err == ""


def test_a_fold_learns_nothing_from_what_it_leaves_out(start, tmp_path):
    bank = make_bank(tmp_path, RULE, data(), 20, start)
    left = bank.without(np.array([0, 1, 2]))
    assert not set(left.origins) & {0, 1, 2} and len(left) < len(bank)
    assert (left.origins == -1).sum() == (bank.origins == -1).sum()
