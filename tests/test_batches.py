"""utils/training/batches.py: what a batch holds, by seed, epoch and step alone."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from utils.training import batches
from utils.training.augment import heavy, mild, published
from utils.training.batches import BatchRule, _draw_weights
from utils.training.labels import Labelled

SOURCES = ("a",) * 16 + ("b",) * 4
GOOD = np.arange(20) % 4 == 0
PATCHES = tuple(np.random.default_rng(i).integers(0, 256, (24, 24)).astype(np.uint8) for i in range(20))
DATA = Labelled(tuple(Path(f"{i}.png") for i in range(20)), PATCHES, GOOD, SOURCES)


def rule(**changes) -> BatchRule:
    return replace(BatchRule(size=8, side=16, generated=0.25, augmentation="published", seed=3), **changes)


@pytest.mark.parametrize(("generated", "labelled", "steps"), [(0.0, 8, 2), (0.25, 6, 3), (0.5, 4, 5), (1.0, 1, 20)])
def test_a_batch_is_labelled_patches_and_generated_ones(generated, labelled, steps):
    assert (rule(generated=generated).labelled, rule(generated=generated).steps(20)) == (labelled, steps)
    assert rule(generated=generated).steps(1) == 1


def test_the_published_order_has_every_patch_once_then_begins_again():
    order = rule().order(DATA, 0)
    assert len(order) == 18 and len(set(order.tolist())) == 18
    longer = rule(generated=0.0, size=16).order(DATA, 0)
    assert len(longer) == 16
    again = rule(size=40, generated=0.0).order(DATA, 0)
    assert len(again) == 40 and sorted(again[:20]) == list(range(20)) and (again[:20] == again[20:]).all()


def test_an_order_depends_on_seed_and_epoch_alone():
    for augmentation in ("published", "heavy"):
        own = rule(augmentation=augmentation)
        np.testing.assert_array_equal(own.order(DATA, 1), own.order(DATA, 1))
        assert (own.order(DATA, 1) != own.order(DATA, 2)).any()
        assert (own.order(DATA, 1) != rule(augmentation=augmentation, seed=4).order(DATA, 1)).any()


@pytest.mark.parametrize(("generated", "good"), [(0.0, 0.45), (0.25, 0.6), (0.5, 0.75), (1.0, 0.5)])
def test_classes_are_balanced_with_what_is_generated(generated, good):
    weights = _draw_weights(DATA, generated)
    assert weights.sum() == pytest.approx(1) and weights[GOOD].sum() == pytest.approx(good)


def test_small_sources_count_for_more_than_their_size():
    weights = _draw_weights(DATA, 0.0)
    bad_a, bad_b = weights[1], weights[17]
    assert bad_b / bad_a == pytest.approx(2.0)  # roots of 16 and 4
    same = _draw_weights(Labelled(DATA.paths, PATCHES, GOOD, ()), 0.0)
    assert same[1] == pytest.approx(same[17])


@pytest.mark.parametrize("epoch", range(6))
def test_labelled_patches_are_augmented_as_asked_for(epoch):
    for name, augment in (("published", published), ("mild", mild), ("heavy", heavy)):
        own = rule(augmentation=name)
        order = own.order(DATA, epoch)
        how = {} if name == "published" else {"informative": bool(GOOD[order[0]])}
        expected = augment(np.random.default_rng([3, epoch, 1]), PATCHES[order[0]], 16, **how)
        np.testing.assert_array_equal(own.batch(DATA, order, epoch, 0)[0][0], expected.astype(np.float32))


@pytest.mark.parametrize("augmentation", ["published", "mild", "heavy"])
def test_batches_are_made_in_the_order_asked_for(augmentation):
    own = rule(augmentation=augmentation)
    order = own.order(DATA, 0)
    patches, labels, indices = own.batch(DATA, order, 0, 1)
    assert patches.shape == (8, 16, 16) and patches.dtype == labels.dtype == np.float32
    assert indices[:6].tolist() == order[6:12].tolist()
    assert labels[:6].tolist() == GOOD[order[6:12]].tolist()
    assert patches.min() >= 0 and patches.max() <= 255
    assert all(
        index == -1 or (GOOD[index] and label == 0) for index, label in zip(indices[6:], labels[6:], strict=True)
    )
    for mine, other in zip(own.batch(DATA, order, 0, 1), (patches, labels, indices), strict=True):
        np.testing.assert_array_equal(mine, other)
    assert (own.batch(DATA, order, 0, 0)[0] != patches).any()


def test_a_quarter_of_what_is_generated_is_tissue():
    own = rule(size=80, generated=0.9)
    labels, indices = own.batch(DATA, own.order(DATA, 0), 0, 0)[1:]
    generated = labels[own.labelled :]
    assert len(generated) == 72 and 0.15 < generated.mean() < 0.35
    assert (indices[own.labelled :][generated == 1] == -1).all()


@pytest.mark.parametrize("name", ["mild", "heavy"])
def test_what_is_ruined_is_an_informative_patch_and_remembered_where_it_shows(monkeypatch, name):
    """Good patches are augmented as such before they are ruined; of some nothing is left."""
    augmented, touched = [], []
    augment, ruin = getattr(batches, name), batches.uninformative

    def note(rng, patch, side, *, informative):
        (index,) = [i for i, own in enumerate(PATCHES) if own is patch]
        augmented.append((index, informative))
        return augment(rng, patch, side, informative=informative)

    def note_ruin(rng, patch):
        ruined, shows = ruin(rng, patch)
        touched.append(shows)
        return ruined, shows

    monkeypatch.setattr(batches, name, note)
    monkeypatch.setattr(batches, "uninformative", note_ruin)
    own = rule(size=60, generated=0.9, augmentation=name)
    order = own.order(DATA, 0)
    labels, indices = own.batch(DATA, order, 0, 0)[1:]
    labelled, victims = augmented[: own.labelled], augmented[own.labelled :]
    assert labelled == [(i, bool(GOOD[i])) for i in order[: own.labelled]]
    assert all(informative and GOOD[index] for index, informative in victims) and len(victims) == len(touched) > 30
    ruined = indices[own.labelled :][labels[own.labelled :] == 0]
    assert ruined.tolist() == [i if shows else -1 for (i, _), shows in zip(victims, touched, strict=True)]
    assert set(touched) == {True, False}
