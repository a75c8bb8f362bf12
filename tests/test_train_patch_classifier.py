"""train_patch_classifier.py: both kinds of lists, the split, resuming, what is written, and clear errors."""

import csv
import json
import shutil
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import classify_patches
import train_patch_classifier
from conftest import results, wrong_defaults
from tiny_training import TINY, labelled, table, train
from utils.classification.classifier import Classifier, _published_size
from utils.classification.decision import read_decision
from utils.classification.models import build_model, detect_arch, prepare
from utils.classification.state_files import load_weights
from utils.classification.weights import LITE as LITE_WEIGHTS
from utils.dictionaries import save_patches
from utils.training.augment import heavy, published
from utils.training.batches import BatchRule
from utils.training.labels import read_labelled
from utils.training.recipe import LITE, PUBLISHED, recipe_for
from utils.training.synthetic.negatives import uninformative

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def labels(tmp_path_factory) -> Path:
    """72 small patches of 6 sources."""
    return labelled(tmp_path_factory.mktemp("labelled"))


@pytest.fixture(scope="module")
def start(tmp_path_factory) -> Path:
    """Weights to begin with."""
    path = tmp_path_factory.mktemp("start") / "start.pth"
    torch.manual_seed(3)
    torch.save(build_model("lite").state_dict(), path)
    return path


@pytest.fixture(scope="module")
def trained(labels, start, tmp_path_factory) -> Path:
    """What a training of all layers leaves."""
    folder = tmp_path_factory.mktemp("trained")
    assert train(labels, folder, "--init", start, "--unfreeze", "all") == 0
    return folder


def changed(folder: Path, start: Path) -> set[str]:
    """The parts of a network that a training changed."""
    end, begin = load_weights(folder / "patch_quality_classifier_nn.pth"), load_weights(start)
    return {k.split(".")[0] for k in end if not torch.equal(end[k], begin[k].to(end[k].dtype))}


def test_good_path_from_a_table(labels, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("utils.training.split.FEWEST_OF_A_CLASS", 10)
    out = tmp_path / "out"
    assert train_patch_classifier.main([str(labels), str(out), *TINY, "--validation", "0.3", "--seed", "2"]) == 0
    assert set(results(out)) == {
        "patch_quality_classifier_nn.pth",
        "patch_quality_classifier_nn.decision.json",
        "metrics.json",
        "history.csv",
        "roc_curve.png",
        "confusion_matrix.png",
        "worst_errors.png",
    }
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["patches"] == {"training": 48, "validation": 24} and metrics["recipe"]["seed"] == 2
    assert len(metrics["epochs"]) == 2 and {"loss", "accuracy", "validation_auroc"} <= metrics["epochs"][0].keys()
    assert sum(map(sum, metrics["confusion"])) == 24 == sum(v["good"] + v["bad"] for v in metrics["by source"].values())
    said = capsys.readouterr().err
    assert "epoch 1/2: loss" in said and "validation auroc" in said
    with (out / "history.csv").open() as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "2"]
    for picture in out.glob("*.png"):
        with Image.open(picture) as image:
            assert image.size[0] > 100


def test_folds_judge_every_patch_and_choose_the_threshold(labels, tmp_path, capsys):
    """Labels too few to hold any out: folds judge by themselves, and what all networks contradict is listed."""
    options = [*TINY, "--epochs", "1", "--validation", "0.15", "--target-recall", "0.9"]
    codes = [
        train_patch_classifier.main([str(labels), str(tmp_path), *options, "--shard", f"{k}/9"]) for k in range(1, 10)
    ]
    said = capsys.readouterr()
    assert codes == [0] * 9 and "3 folds" not in said.err.replace("of 3 folds are for other shares", "")
    assert "of 3 folds are for other shares to make" in said.err and said.out.count("trainings: 1 done") == 1
    tables = sorted((tmp_path / "folds").glob("*.csv"))
    assert [table.name for table in tables] == [f"fold{k}of3.csv" for k in (1, 2, 3)]
    rows = [row for table in tables for row in csv.DictReader(table.read_text().splitlines())]
    assert sum(row["left_out"] == "1" for row in rows) == 72 and len(rows) == 3 * 72
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["judged on"] == "3 folds, out of fold" and metrics["patches"] == {"training": 72, "validation": 0}
    assert set(metrics["by source"]) == {"s0", "s1", "s2"} and metrics["auroc interval"][0] <= metrics["auroc"]
    decision = read_decision(tmp_path / "patch_quality_classifier_nn.pth")
    assert decision.threshold == metrics["threshold"] and decision.aim.startswith("recall 0.9: ")
    kept = metrics["confusion"][1]
    assert kept[1] / sum(kept) >= 0.9
    assert decision.familiarity is not None and np.isfinite(decision.familiarity.limit)
    with (tmp_path / "suspects.csv").open() as file:
        assert csv.DictReader(file).fieldnames == ["path", "label", "score", "against", "folds"]
    assert (tmp_path / "suspects.png").exists()
    options = [*TINY, "--epochs", "1", "--validation", "0"]
    assert train_patch_classifier.main([str(labels), str(tmp_path), *options, "--update", "--prune"]) == 0
    assert "folds: 0 done, 0 done before, 3 without their input removed, 0 failed\n" in capsys.readouterr().out
    assert not [*tmp_path.glob("folds/*.csv"), *tmp_path.glob("suspects.*")]


def test_the_bundled_body_gets_a_new_head(labels, tmp_path, capsys):
    options = ["--init", "lite", "--side", "48", "--bank", "32", "--folds", "3"]
    assert train(labels, tmp_path / "out", *options) == 0
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["recipe"]["unfreeze"] == "head" and metrics["recipe"]["bank"] == 32
    new, old = load_weights(tmp_path / "out" / "patch_quality_classifier_nn.pth"), load_weights(LITE_WEIGHTS)
    changed = {name for name in new if not torch.equal(new[name], old[name].to(new[name].dtype))}
    assert changed == {"fc.weight", "fc.bias", "window_fc.weight", "window_fc.bias"}
    (tmp_path / "out" / "patch_quality_classifier_nn.pth").unlink()
    assert train(labels, tmp_path / "out", *options, "--seed", "3") == 2
    assert "part1.npz was made with other options" in capsys.readouterr().err
    wished = [*options, "--target-recall", "0.9"]
    assert train(labels, tmp_path / "out", *wished) == 1  # its folds were judged without a wish
    assert "folds was made with other options or labels; --update" in capsys.readouterr().err
    assert train(labels, tmp_path / "new", "--init", tmp_path / "gone.pth") == 2
    assert "gone.pth: no such weights file" in capsys.readouterr().err
    assert train(labels, tmp_path / "new", "--init", "imagenet") == 2
    assert "--init imagenet is for ResNet34" in capsys.readouterr().err
    assert train(labels, tmp_path / "new", "--unfreeze", "all", "--bank", "9", "--init", "lite") == 2
    assert "--bank is for the lite network" in capsys.readouterr().err


def test_tensorboard_events_are_optional(labels, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("train_patch_classifier.find_spec", lambda name: None)
    assert train(labels, tmp_path, "--log", "tensorboard") == 2
    assert "requirements-tensorboard.txt" in capsys.readouterr().err


def test_random_layers_are_never_frozen(labels, tmp_path, capsys):
    assert recipe_for("resnet34", "random", {}).unfreeze == "all"
    assert recipe_for("resnet34", "imagenet", {}).unfreeze == "layer4"
    assert recipe_for("lite", "random", {"unfreeze": "all"}).unfreeze == "all"
    assert recipe_for("lite", "own.pth", {"unfreeze": "head"}).unfreeze == "head"
    assert train(labels, tmp_path, "--init", "random", "--unfreeze", "head") == 2
    assert "--unfreeze head" in capsys.readouterr().err


def test_all_layers_are_trained_and_nothing_is_held_out(trained, start):
    assert changed(trained, start) == {k.split(".")[0] for k in load_weights(start)}
    metrics = json.loads((trained / "metrics.json").read_text())
    assert metrics["patches"] == {"training": 72, "validation": 0} and "nothing held out" in metrics["judged on"]


def test_arrays_give_a_model_that_classify_takes(labels, start, tmp_path):
    """Of a last stage and a head, as fp16."""
    with labels.open() as file:
        rows = list(csv.DictReader(file))
    np.save(tmp_path / "paths.npy", np.array([str(labels.parent / row["path"]) for row in rows]))
    np.save(tmp_path / "labels.npy", np.array([row["label"] for row in rows]))
    out = tmp_path / "out"
    options = ["--half", "--init", start, "--unfreeze", "layer4", "--epochs", "1"]
    assert train(tmp_path / "paths.npy", tmp_path / "labels.npy", out, *options) == 0
    assert changed(out, start) == {"stage6", "fc"}
    weights = out / "patch_quality_classifier_nn.pth"
    assert weights.stat().st_size < 1_000_000
    save_patches(tmp_path / "in" / "a.pkl", ["p"], np.zeros((1, 224, 224), np.uint8))
    assert classify_patches.main([str(tmp_path / "in"), str(tmp_path / "c"), "--weights", str(weights)]) == 0


def test_paths_may_count_from_the_current_folder(labels, tmp_path, monkeypatch):
    monkeypatch.chdir(labels.parent)
    (tmp_path / "elsewhere.csv").write_bytes(labels.read_bytes())
    assert len(read_labelled(tmp_path / "elsewhere.csv")) == 72


def test_second_run_skips(labels, trained, tmp_path, capsys):
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    before = (tmp_path / "patch_quality_classifier_nn.pth").read_bytes()
    assert train(labels, tmp_path, "--seed", "5") == 0
    assert "done before" not in capsys.readouterr().err
    assert (tmp_path / "patch_quality_classifier_nn.pth").read_bytes() == before


def test_killed_training_ends_like_an_unbroken_one(labels, start, trained, tmp_path):
    options = ["--init", str(start), "--unfreeze", "all"]
    arguments = [str(labels), str(tmp_path / "killed"), *TINY, "--quiet", *options]
    script = f"""
        import os, signal, sys
        sys.path.insert(0, {str(ROOT)!r})
        from utils.classification.devices import use_threads
        use_threads(1)
        import utils.training.loop, train_patch_classifier
        save = utils.training.loop._save
        def killed(*args):
            save(*args)
            os.kill(os.getpid(), signal.SIGKILL)
        utils.training.loop._save = killed
        train_patch_classifier.main({arguments!r})
    """
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    assert (tmp_path / "killed" / "checkpoint.pth").exists()
    assert train(labels, tmp_path / "killed", *options) == 0
    folders = (tmp_path / "killed", trained)
    states = [load_weights(folder / "patch_quality_classifier_nn.pth") for folder in folders]
    assert all(torch.equal(states[0][k], states[1][k]) for k in states[0])
    for name in ("metrics.json", "roc_curve.png", "confusion_matrix.png", "worst_errors.png"):
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()


def test_checkpoint_of_other_options_is_refused(labels, tmp_path, capsys):
    mark = {"progress": {}, "mark": {"epochs": 99}}
    tmp_path.joinpath("out").mkdir()
    torch.save(mark, tmp_path / "out" / "checkpoint.pth")
    assert train(labels, tmp_path / "out") == 1
    assert "was made with other" in capsys.readouterr().err


def test_leave_one_source_out(labels, tmp_path, capsys):
    assert train(labels, tmp_path, "--leave-one-source-out", "--together", "s0,s1", "--epochs", "1") == 0
    assert "pooled" in capsys.readouterr().out
    figures = json.loads((tmp_path / "leave_one_source_out.json").read_text())
    assert set(figures["sources"]) == {"s0", "s1", "s2"} and 0 <= figures["pooled"]["auroc"] <= 1
    assert (tmp_path / "worst_errors.png").exists() and not list(tmp_path.glob("*.pth"))
    assert train(labels, tmp_path, "--leave-one-source-out", "--together", "s0,s1", "--epochs", "1") == 0
    tables = list((tmp_path / "leave_one_source_out").glob("*.csv"))
    assert {table.name for table in tables} == {"s0+s1.csv", "s2.csv"}


def test_imagenet_weights_that_cannot_be_fetched(labels, tmp_path, capsys, monkeypatch):
    from functools import partial

    from utils.classification.download import RetryPolicy

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    one_try = partial(RetryPolicy, sleep=lambda seconds: None, attempts=1)
    monkeypatch.setattr("utils.classification.weights.RetryPolicy", one_try)
    monkeypatch.setattr("utils.training.first_weights.imagenet_url", lambda: "http://127.0.0.1:9/resnet34-b627a593.pth")
    assert train_patch_classifier.main([str(labels), str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert "resnet34-b627a593.pth" in said and str(tmp_path / "torch") in said and "--init random" in said


def test_bad_usage(labels, tmp_path, capsys):
    assert train(table(tmp_path / "in", [], ("file", "mark")), tmp_path / "out") == 2
    assert "expected path,label[,source]" in capsys.readouterr().err
    np.save(tmp_path / "a.npy", np.array(["x"] * 70))
    np.save(tmp_path / "b.npy", np.array(["good"] * 71))
    assert train(tmp_path / "a.npy", tmp_path / "b.npy", tmp_path / "out") == 2
    assert "70 paths, but" in capsys.readouterr().err
    assert train(tmp_path / "a.npy", tmp_path / "out") == 2
    assert train(labels, tmp_path / "out", "--folds", "1") == 2
    assert "--folds 1 would leave nothing" in capsys.readouterr().err
    for unjudged in ("--quiet", "--leave-one-source-out"):
        assert train(labels, tmp_path / "out", "--target-recall", "0.9", unjudged) == 2
        assert "choose a threshold by --folds" in capsys.readouterr().err
    assert train(labels, tmp_path / "out", "--together", "s0,nowhere") == 2
    assert "'nowhere'" in capsys.readouterr().err
    assert train(labels, tmp_path / "out", "--leave-one-source-out", "--together", "s0,s1,s2") == 2
    assert "needs a column 'source' with two or more" in capsys.readouterr().err
    assert wrong_defaults(train_patch_classifier.parse_options()) == {}
    with pytest.raises(SystemExit, match="2"):
        train(tmp_path / "missing.csv", tmp_path / "out")


def test_published_recipe():
    assert (PUBLISHED.arch, PUBLISHED.unfreeze, PUBLISHED.epochs) == ("resnet34", "layer4", 30)
    assert (PUBLISHED.batch_size, PUBLISHED.lr, PUBLISHED.side) == (64, 1e-3, 224)
    assert (PUBLISHED.augmentation, PUBLISHED.generated) == ("published", 0)


def test_the_published_recipe_at_another_size(labels, tmp_path):
    """The last stage and the head are trained; what is asked is brought to the size that was learnt at."""
    torch.manual_seed(3)
    start = build_model("resnet34").state_dict()
    torch.save(start, tmp_path / "start.pth")
    options = ["--arch", "resnet34", "--side", "32", "--epochs", "1", "--init", str(tmp_path / "start.pth")]
    assert train_patch_classifier.main([str(labels), str(tmp_path), *options, "--quiet", "--validation", "0"]) == 0
    weights = tmp_path / "patch_quality_classifier_nn.pth"
    end = load_weights(weights)
    assert detect_arch(end) == "resnet34"
    changed = {k.split(".")[0] for k in end if not torch.equal(end[k], start[k])}
    assert changed == {"layer4", "fc"}
    assert read_decision(weights).side == 32
    assert (PUBLISHED.decision().side, replace(LITE, side=32).decision().side) == (None, None)
    patch = np.random.default_rng(0).integers(0, 256, (80, 80), np.uint8)
    model = build_model("resnet34")
    model.load_state_dict(end)
    small = torch.from_numpy(_published_size(patch, 32))[None]
    with torch.inference_mode():
        expected = model.eval()(prepare(small, "resnet34")).item()
    asked = Classifier(end, device="cpu", precision="fp32", decision=read_decision(weights))
    assert asked.outputs([patch])[0][0] == pytest.approx(expected, abs=1e-4)


def test_augmentation_and_batches(labels):
    rng = np.random.default_rng(0)
    patch = np.full((30, 60), 100, np.uint8)
    for image in (
        published(rng, patch, 40),
        heavy(rng, patch, 40, informative=True),
        uninformative(rng, np.zeros((40, 40), np.float32))[0],
    ):
        assert image.shape == (40, 40)
    data = read_labelled(labels)
    rule = BatchRule(12, 32, 1 / 3, "heavy", 0)
    order = rule.order(data, 3)
    first, again = (rule.batch(data, order, 3, 1) for _ in range(2))
    assert np.array_equal(first[0], again[0]) and first[0].shape == (12, 32, 32)
    assert set(first[1][8:]) <= {0, 1} and first[0].min() >= 0 and first[0].max() <= 255
    assert sorted(BatchRule(12, 32, 0, "published", 0).order(data, 0)) == list(range(72))
    assert LITE.generated == pytest.approx(1 / 3)
