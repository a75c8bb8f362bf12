"""The training loop: seeded, resumable, with weights that even out and an average that forgets the start."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tiny_training import labelled
from utils.classification.models import build_model
from utils.training.labels import Labelled, read_labelled
from utils.training.loop import Progress, _average, _class_weights, _keep_better, _optimizer, _set_rate, _train_mode
from utils.training.loop import train as fit
from utils.training.recipe import LITE, PUBLISHED

RECIPE = replace(LITE, epochs=2, side=32, batch_size=16)


@pytest.fixture(scope="module")
def labels(tmp_path_factory) -> Path:
    """72 small patches of 6 sources."""
    torch.set_num_threads(1)
    return labelled(tmp_path_factory.mktemp("labelled"))


def few(labels):
    return read_labelled(labels).subset(np.arange(0, 72, 5))


def test_training_stops_when_validation_gets_no_better(labels):
    data = read_labelled(labels).subset(np.arange(0, 72, 3))
    _, history = fit(replace(RECIPE, epochs=8, patience=1, lr=1e-9), data, data, None, None)
    assert 2 <= len(history) < 8


def test_class_weights_even_out_the_loss(labels):
    data = read_labelled(labels)
    few = data.subset(np.concatenate([np.flatnonzero(data.good)[:9], np.flatnonzero(~data.good)[:27]]))
    weights = _class_weights(replace(PUBLISHED, class_weights="balanced"), few)
    assert weights.tolist() == pytest.approx([2 / 3, 2])
    assert _class_weights(PUBLISHED, few).tolist() == [1, 1]


def test_going_on_from_a_checkpoint_gives_the_same(labels, tmp_path):
    data, reported = few(labels), []
    whole, rows = fit(RECIPE, data, None, None, None, report=reported.append)
    assert reported == rows and [row["epoch"] for row in rows] == [1, 2]
    assert all(0 < row["loss"] < 5 and 0 <= row["accuracy"] <= 1 for row in rows)
    checkpoint = tmp_path / "c.pth"

    def stop(row):
        if row["epoch"] == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(RECIPE, data, None, None, checkpoint, report=stop)
    again, more = fit(RECIPE, data, None, None, checkpoint)
    assert more == rows and all(torch.equal(again[name], whole[name]) for name in whole)
    with pytest.raises(ValueError, match=r"was made with other seed; repeat the options it was made with"):
        fit(replace(RECIPE, seed=5), data, None, None, checkpoint)
    with pytest.raises(ValueError, match="other train"):
        fit(RECIPE, data.subset(np.arange(9)), None, None, checkpoint)
    with pytest.raises(ValueError, match="other train"):  # the same files, whose pixels are others
        fit(RECIPE, replace(data, patches=data.patches[::-1]), None, None, checkpoint)
    with pytest.raises(ValueError, match="other init"):
        fit(RECIPE, data, None, build_model("lite").state_dict(), checkpoint)
    kept, damaged = checkpoint.read_bytes(), b"PK"
    checkpoint.write_bytes(damaged)
    with pytest.raises(ValueError, match=r"c\.pth is damaged; delete it"):
        fit(RECIPE, data, None, None, checkpoint)
    for content in (kept, damaged):
        checkpoint.write_bytes(content)
        anew = fit(replace(RECIPE, epochs=1, seed=5), data, None, None, checkpoint, update=True)[1]
        assert [row["epoch"] for row in anew] == [1] and anew[0]["loss"] != rows[0]["loss"]


def test_a_loss_that_is_no_number_ends_a_training(labels):
    with pytest.raises(ValueError, match=r"epoch 2: the loss is no number any longer; try a smaller --lr than 1e\+30"):
        fit(replace(RECIPE, lr=1e30, schedule="constant"), few(labels), None, None, None)


def test_seed_and_schedule_decide(labels):
    once = replace(RECIPE, epochs=1, batch_size=8, seed=1)
    recipes = (once, replace(once, seed=2), replace(once, schedule="constant"))
    one, *others = (fit(recipe, few(labels), None, None, None)[0]["fc.weight"] for recipe in recipes)
    assert not any(torch.equal(one, other) for other in others)


def test_the_best_epoch_is_kept():
    now = Progress(0, {}, {"w": torch.ones(1)}, {}, {}, (-1.0, 0.0))
    nothing = Labelled((), (), np.zeros(0, bool), ())
    _keep_better(PUBLISHED, now, nothing, {}, "cpu")
    assert now.best["w"] == 1 and now.best is not now.averaged
    now.averaged["w"] += 1
    assert now.best["w"] == 1  # a copy


def test_rates_rise_and_fall():
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 1.0)

    def rate(step, schedule="cosine"):
        _set_rate(replace(RECIPE, lr=0.1, schedule=schedule), optimizer, step, 100)
        return optimizer.param_groups[0]["lr"]

    assert rate(0) == pytest.approx(0.02) and rate(4) == pytest.approx(0.1 * 0.5 * (1 + np.cos(np.pi * 0.04)))
    assert rate(50) == pytest.approx(0.05) and rate(99) < 1e-4 and rate(50, "constant") == 0.1


def test_a_young_average_forgets_the_start():
    averaged = {"w": torch.zeros(1), "n": torch.zeros(1, dtype=torch.long)}
    recipe = replace(RECIPE, average=0.9)
    _average(recipe, averaged, {"w": torch.ones(1), "n": torch.tensor([7])}, 0)
    assert averaged["w"] == pytest.approx(0.9) and averaged["n"] == 7  # decay 1 / 10
    averaged["w"][:] = 0
    _average(recipe, averaged, {"w": torch.ones(1), "n": torch.tensor([8])}, 10**6)
    assert averaged["w"] == pytest.approx(0.1)


@pytest.mark.parametrize(("decay", "kind"), [(0.0, torch.optim.Adam), (0.1, torch.optim.AdamW)])
def test_what_is_trained(decay, kind):
    model, recipe = build_model("lite"), replace(PUBLISHED, arch="lite", weight_decay=decay)
    wanted = {name: recipe.trains(name) for name, _ in model.named_children()}
    assert type(_optimizer(recipe, model)) is kind and wanted["fc"] and not all(wanted.values())
    for name, child in model.named_children():
        assert {parameter.requires_grad for parameter in child.parameters()} <= {wanted[name]}
    _train_mode(recipe, model)
    assert {name: child.training for name, child in model.named_children()} == wanted
