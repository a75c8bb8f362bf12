"""Whole trainings as jobs: one per fold that is left out, and the one that writes a weights file."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from utils.classification.classifier import Classifier
from utils.classification.decision import Decision, Familiarity, save_decision
from utils.classification.state_files import State
from utils.files import safe_name, sha256_of, write_whole
from utils.jobs import Job
from utils.redaction import say
from utils.training.calibration import calibrate, threshold_for
from utils.training.familiarity import known_from, known_from_bank, left_out_parts, limit_for
from utils.training.figures import by_experiment, confusion, pooled, scores_of, table_of
from utils.training.folds import OutOfFold, doubts_of, read_folds, write_fold
from utils.training.heads import with_head
from utils.training.labels import Labelled, has_both
from utils.training.loop import Rows, train
from utils.training.report import discard_suspects, report_epoch, save_history, save_pictures, save_suspects
from utils.training.setting import Aim, Setting


def train_without(setting: Setting, folds: Mapping[str, np.ndarray], job: Job, scratch: Path) -> str:
    """Train without one fold, and write what the network says of all patches.

    Parameters
    ----------
    setting : Setting
    folds : mapping of ndarray of int, shape (k,)
        The indices that each fold leaves out, by name.
    job : Job
        Its source is a fold's name, its target the table.
    scratch : Path

    Raises
    ------
    ValueError
        If all good labels, or all bad ones, are in the fold.
    """
    torch.set_num_threads(1)
    data, left = setting.data, folds[str(job.source)]
    if not has_both(known := np.delete(data.good, left)):
        kind = "good" if known.any() else "bad"
        raise ValueError(f"without it all labels are {kind!r}: nothing tells a network what the others look like")
    checkpoint = job.target.with_name(f"{safe_name(job.target.stem)}.checkpoint.pth")
    state, _ = _trained(setting, left, None, checkpoint)
    logits, features = _outputs(setting, stored(state, True))
    distances = _known(setting, features, left).distances(features)
    out = np.isin(np.arange(len(data)), left)
    write_fold(scratch, zip(data.paths, data.good, out, logits, distances, strict=True))
    checkpoint.unlink(missing_ok=True)
    right = float(np.mean((logits[left] > 0) == data.good[left]))
    if not setting.quiet:
        say(f"{job.source}: {len(left)} patches, accuracy {right:.3f}")
    return f"accuracy {right:.3f}"


def summarize_folds(folder: Path, setting: Setting, tables: Sequence[Path], title: str) -> str:
    """Pool what all folds say of what they left out: `title`.json, pictures, suspects; returns a table to print."""
    seen = read_folds(tables, setting.data)
    decision, figures, scores = _judge_folds(setting, seen, Aim())
    name = title.replace(" ", "_")
    _save_json(folder / f"{name}.json", figures)
    data = setting.data
    save_pictures(folder, data, scores, title)
    save_suspects(folder, data, doubts_of(seen, data.good, decision))
    return table_of(figures["sources"], figures["pooled"])


# The decision that patches teach which a network had not seen, their figures, and their scores.
Judgement = tuple[Decision, dict[str, Any], np.ndarray]


def _judge_folds(setting: Setting, seen: OutOfFold, aim: Aim) -> Judgement:
    """Judge by all patches; each fold is scored by a calibration that was fitted on the other folds."""
    good, groups = setting.data.good, setting.groups
    weights = 1 / np.sqrt(np.bincount(groups)[groups])
    scores = np.empty(len(good))
    for fold in np.unique(seen.fold_of):
        own = seen.fold_of == fold
        others = ~own if has_both(good[~own]) else np.ones(len(good), bool)
        scores[own] = _calibrated(seen.logits[others], good[others], weights[others]).scores(seen.logits[own])
    decision = _calibrated(seen.logits, good, weights)
    return _judged(setting, np.arange(len(good)), seen.logits, scores, decision, aim)


def _judge_held(setting: Setting, held: np.ndarray, logits: np.ndarray, aim: Aim) -> Judgement:
    """Judge by patches held out; calibration and figures share them, so both flatter."""
    decision = _calibrated(logits, setting.data.good[held])
    return _judged(setting, held, logits, decision.scores(logits), decision, aim)


def _calibrated(logits: np.ndarray, good: np.ndarray, weights: np.ndarray | None = None) -> Decision:
    scale, bias = calibrate(logits, good, weights)
    return Decision(scale=scale, bias=bias)


def _judged(
    setting: Setting, rows: np.ndarray, logits: np.ndarray, scores: np.ndarray, calibrated: Decision, aim: Aim
) -> Judgement:
    data, good = setting.data, setting.data.good[rows]
    threshold, reached = _threshold(scores, good, aim)
    figures = {
        "pooled": pooled(scores, good, setting.groups[rows], setting.recipe.seed),
        "raw": scores_of(Decision().scores(logits), good),
        "sources": by_experiment(scores, good, np.array(data.sources or ("",) * len(data))[rows]),
    }
    return replace(calibrated, threshold=threshold, aim=reached), figures, scores


def _threshold(scores: np.ndarray, good: np.ndarray, aim: Aim) -> tuple[float, str]:
    if aim.recall is None and aim.precision is None:
        return 0.5, ""
    threshold, reached = threshold_for(scores, good, recall=aim.recall, precision=aim.precision)
    word, wanted = ("recall", aim.recall) if aim.recall is not None else ("precision", aim.precision)
    return threshold, f"{word} {wanted:g}: {reached:.4f} of {len(good)} patches not trained on"


def save_training(setting: Setting, held: np.ndarray, tables: Sequence[Path], aim: Aim, job: Job, scratch: Path) -> str:
    """Train, judge, and write everything beside the job's target, which comes last.

    Parameters
    ----------
    setting : Setting
    held : ndarray of int, shape (m,)
        Indices held out for validation; empty when folds judge, or nothing does.
    tables : sequence of Path
        What folds said (`train_without`); then everything is trained on.
    aim : Aim
    job : Job
    scratch : Path
    """
    folder, data = job.target.parent, setting.data
    validation = data.subset(held) if len(held) else None
    checkpoint = folder / "checkpoint.pth"
    state, history = _trained(setting, held, validation, checkpoint, partial(report_epoch, setting, folder))
    state = stored(state, setting.half)
    logits, features = _outputs(setting, state)
    discard_suspects(folder)
    if tables:
        seen = read_folds(tables, data)
        decision, figures, scores = _judge_folds(setting, seen, aim)
        decision = replace(decision, familiarity=_limited(setting, features, seen))
        save_suspects(folder, data, doubts_of(seen, data.good, decision))
        title, rows = f"{len(tables)} folds, out of fold", np.arange(len(data))
    elif validation is not None:
        decision, figures, scores = _judge_held(setting, held, logits[held], aim)
        title, rows = "validation", held
    else:
        decision, scores = Decision(), Decision().scores(logits)
        figures, rows = {"pooled": scores_of(scores, data.good)}, np.arange(len(data))
        title = "training (nothing held out)"
    judged = data.subset(rows)
    save_pictures(folder, judged, scores, title)
    save_history(folder / "history.csv", history)
    judgement = decision, figures, scores
    _save_json(folder / "metrics.json", _metrics(setting, title, judged.good, judgement, history, held))
    torch.save(state, scratch)
    save_decision(job.target, sha256_of(scratch), replace(decision, side=setting.recipe.decision().side))
    checkpoint.unlink(missing_ok=True)
    total = figures["pooled"]
    return f"{title}: AUROC {total['auroc']:.4f}, accuracy {total['accuracy']:.4f}"


def _trained(
    setting: Setting,
    left_out: np.ndarray,
    validation: Labelled | None,
    checkpoint: Path,
    report: Callable[[dict[str, float]], None] = lambda row: None,
) -> tuple[State, Rows]:
    """Train on all patches but these: a head alone where the body is frozen and has looked, else by epochs."""
    if setting.bank is not None and setting.start is not None:
        state, history = with_head(setting.start, setting.bank.without(left_out))
        report(history[0])
        return state, history
    train_set = setting.data.subset(np.setdiff1d(np.arange(len(setting.data)), left_out))
    where, again = setting.device, setting.update
    return train(
        setting.recipe, train_set, validation, setting.start, checkpoint, device=where, update=again, report=report
    )


def stored(state: State, half: bool) -> State:
    """Weights as they are written: on the CPU, perhaps as fp16."""
    return {k: v.cpu().half() if half and v.is_floating_point() else v.cpu() for k, v in state.items()}


def _experiments(setting: Setting) -> np.ndarray:
    """Number of each patch's source, where sources are known."""
    sources = setting.data.sources
    return np.unique(sources, return_inverse=True)[1] if sources else setting.groups


def _known(setting: Setting, features: np.ndarray, left_out: np.ndarray) -> Familiarity:
    """What is known of all patches but these: as the bank shows them where there is one, else as they are."""
    experiments, seed = _experiments(setting), setting.recipe.seed
    if setting.bank is None:
        kept = np.setdiff1d(np.arange(len(setting.data)), left_out)
        return known_from(features[kept], setting.data.good[kept], experiments[kept], seed)
    return known_from_bank(setting.bank, experiments, left_out, seed)


def _limited(setting: Setting, features: np.ndarray, seen: OutOfFold) -> Familiarity:
    """What is known of all patches, and its limit by left-out experiments.

    A frozen body's features learnt from no label: any source can be left out of what is known. Else folds say it.
    """
    known, good, distances = _known(setting, features, np.empty(0, int)), setting.data.good, seen.distances.copy()
    if setting.bank is None:
        return limit_for(known, distances, setting.groups, good)
    experiments = _experiments(setting)
    for part in left_out_parts(experiments, setting.recipe.seed):
        if has_both(good[~part]):
            distances[part] = _known(setting, features, np.flatnonzero(part)).distances(features[part])
    return limit_for(known, distances, experiments, good)


def _metrics(
    setting: Setting, title: str, good: np.ndarray, judgement: Judgement, history: Rows, held: np.ndarray
) -> dict[str, Any]:
    decision, figures, scores = judgement
    return {
        "recipe": asdict(setting.recipe),
        "judged on": title,
        **figures["pooled"],
        "confusion": confusion(scores, good, decision.threshold),
        "threshold": decision.threshold,
        "threshold for": decision.aim,
        "calibration": {"scale": decision.scale, "bias": decision.bias},
        "by source": figures.get("sources", {}),
        "patches": {"training": len(setting.data) - len(held), "validation": len(held)},
        "validation sources": sorted({setting.data.sources[i] for i in held} if setting.data.sources else ()),
        "epochs": history,
    }


def _outputs(setting: Setting, state: State) -> tuple[np.ndarray, np.ndarray]:
    asked = Classifier(state, device=setting.device, precision="fp32", decision=setting.recipe.decision())
    return asked.outputs(setting.data.patches)


def _save_json(path: Path, content: Mapping[str, Any]) -> None:
    write_whole(path, json.dumps(content, indent=1) + "\n")
