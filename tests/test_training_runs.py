"""Whole trainings as jobs: a fold's table, what folds together teach, what is written beside the weights."""

import io
import json
from contextlib import redirect_stderr
from dataclasses import replace

import numpy as np
import pytest
import torch

from tiny_training import labelled
from utils.classification.decision import read_decision
from utils.classification.models import build_model
from utils.files import sha256_of
from utils.jobs import Job
from utils.training import runs
from utils.training.bank import Bank
from utils.training.folds import read_folds
from utils.training.heads import with_head
from utils.training.labels import read_labelled
from utils.training.recipe import LITE
from utils.training.runs import save_training, stored, summarize_folds, train_without
from utils.training.setting import Aim, Setting


@pytest.fixture(scope="module")
def setting(tmp_path_factory):
    """12 patches of three sources; an epoch of the smallest network."""
    data = read_labelled(labelled(tmp_path_factory.mktemp("labelled"))).subset(np.arange(12))
    recipe = replace(LITE, epochs=1, side=32, batch_size=6)
    torch.set_num_threads(1)
    return Setting(recipe, data, np.arange(12) // 4 % 2, None, "cpu", half=True, quiet=True)


@pytest.fixture(scope="module")
def tables(setting, tmp_path_factory):
    """The tables of two folds."""
    folder = tmp_path_factory.mktemp("folds")
    folds = {str(i): np.flatnonzero(setting.groups == i) for i in range(2)}
    found = []
    for name in folds:
        job = Job(name, folder / f"{name}.csv")
        with redirect_stderr(io.StringIO()) as err:
            said = train_without(replace(setting, quiet=name == "1"), folds, job, folder / f"{name}.csv")
        assert said.startswith("accuracy 0.") or said == "accuracy 1.000"
        assert (f"0: {len(folds['0'])} patches, {said}\n" in err.getvalue()) is (name == "0")
        assert not list(folder.glob("*.checkpoint.pth"))
        found.append(job.target)
    return found


def test_each_fold_judges_what_it_left_out(setting, tables):
    seen = read_folds(tables, setting.data)
    assert seen.fold_of.tolist() == setting.groups.tolist() and np.isfinite(seen.logits).all()
    assert (seen.distances >= 0).all() and (seen.distances <= 0.5).all()


def test_folds_together(setting, tables, tmp_path):
    said = summarize_folds(tmp_path, setting, tables, "two folds")
    figures = json.loads((tmp_path / "two_folds.json").read_text())
    assert (tmp_path / "suspects.csv").is_file() and (tmp_path / "suspects.png").is_file()
    assert set(figures) == {"pooled", "raw", "sources"} and 0 <= figures["pooled"]["auroc"] <= 1
    assert set(figures["sources"]) == set(setting.data.sources) and all(name in said for name in figures["sources"])


@pytest.mark.parametrize("way", ["folds", "held"])
def test_what_a_training_leaves(setting, tables, tmp_path, way):
    held = np.arange(4) if way == "held" else np.empty(0, int)
    wish = Aim(recall=0.9) if way == "folds" else Aim()
    job = Job("all", tmp_path / "w.pth")
    (tmp_path / "suspects.csv").touch()  # of a former training
    said = save_training(setting, held, tables if way == "folds" else [], wish, job, job.target)
    title = {"folds": "2 folds, out of fold", "held": "validation"}[way]
    assert said.startswith(f"{title}: AUROC 0.") or said.startswith(f"{title}: AUROC 1.")
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["judged on"] == title and len(metrics["epochs"]) == 1
    assert metrics["patches"] == {"training": 12 - len(held), "validation": len(held)}
    assert metrics["recipe"]["side"] == 32 and (tmp_path / "history.csv").is_file()
    assert metrics["validation sources"] == sorted({setting.data.sources[i] for i in held})
    assert metrics["threshold for"].startswith("recall 0.9: ") is (way == "folds")
    decision = read_decision(job.target)
    assert decision.threshold == metrics["threshold"] and (decision.familiarity is not None) is (way == "folds")
    state = torch.load(job.target, weights_only=True)
    assert {values.dtype for values in state.values() if values.is_floating_point()} == {torch.float16}
    assert json.loads((tmp_path / "w.decision.json").read_text())["weights_sha256"] == sha256_of(job.target)
    assert not (tmp_path / "checkpoint.pth").exists()
    assert (tmp_path / "suspects.csv").exists() is (way == "folds")


def test_how_weights_are_written():
    state = {"w": torch.ones(2), "n": torch.ones(2, dtype=torch.long)}
    assert stored(state, False)["w"].dtype == torch.float32
    assert (stored(state, True)["w"].dtype, stored(state, True)["n"].dtype) == (torch.float16, torch.long)


def test_where_a_bank_was_looked_at_only_the_head_is_taught(setting, tmp_path):
    start, rng = build_model("lite").state_dict(), np.random.default_rng(0)
    bank = Bank(rng.normal(0, 1, (12, 384)).astype(np.float32), np.arange(12) % 2.0, np.arange(12))
    told = []
    state, rows = runs._trained(
        replace(setting, start=start, bank=bank), np.arange(2), None, tmp_path / "c.pth", told.append
    )
    assert {name for name in state if not torch.equal(state[name], start[name])} == {"fc.weight", "fc.bias"}
    expected = with_head(start, bank.without(np.arange(2)))[0]
    assert rows == told and torch.equal(state["fc.weight"], expected["fc.weight"])


def test_what_an_experiment_is(setting):
    assert runs._experiments(setting).tolist() == np.unique(setting.data.sources, return_inverse=True)[1].tolist()
    bare = replace(setting, data=replace(setting.data, sources=()))
    assert runs._experiments(bare) is setting.groups


def test_thresholds_for_a_wish():
    scores, good = np.array([0.1, 0.4, 0.6, 0.9]), np.array([False, True, False, True])
    assert runs._threshold(scores, good, Aim()) == (0.5, "")
    threshold, aim = runs._threshold(scores, good, Aim(recall=1.0))
    assert threshold < 0.4 and aim == "recall 1: 1.0000 of 4 patches not trained on"
    threshold, aim = runs._threshold(scores, good, Aim(precision=1.0))
    assert 0.6 <= threshold < 0.9 and aim.startswith("precision 1: 1.0000")
