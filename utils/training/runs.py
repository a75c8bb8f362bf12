"""Whole trainings as jobs: one that writes a weights file, and one per source that is left out."""

import csv
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from utils.classification.classifier import Classifier, load_weights
from utils.classification.models import build_model, load_state, torchvision_models
from utils.classification.weights import fetch_cached
from utils.files import atomic_path, safe_name
from utils.jobs import Job
from utils.training.labels import Labelled, split_by_source
from utils.training.loop import State, train
from utils.training.recipe import RECIPES, Recipe
from utils.training.report import confusion, save_pictures, scores_of

IMAGENET = {"resnet34": ("ResNet34_Weights", "resnet34"), "lite": ("ShuffleNet_V2_X0_5_Weights", "shufflenet_v2_x0_5")}


def with_options(arch: str, options: Mapping[str, Any]) -> Recipe:
    """A network's own recipe, with the options that are not None."""
    return replace(RECIPES[arch], **{k: v for k, v in options.items() if v is not None})


def first_weights(init: str | None, arch: str) -> State | None:
    """The weights that a training begins with; None for random ones.

    Raises
    ------
    OSError, ValueError
        If they cannot be fetched or read, or belong to another network.
    """
    if init is None:
        init = "imagenet" if arch == "resnet34" else "random"
    if init == "random":
        return None
    if init == "imagenet":
        return _imagenet_weights(arch)
    path = Path(init).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such weights file; --init takes imagenet, random or a path")
    state = load_weights(path)
    load_state(build_model(arch), state, str(path))
    return {k: v.float() if v.is_floating_point() else v for k, v in state.items()}


def save_training(
    recipe: Recipe,
    data: Labelled,
    start: State | None,
    job: Job,
    scratch: Path,
    *,
    share: float,
    half: bool,
    device: str,
    quiet: bool,
) -> str:
    """Train on one set of labels and write everything beside the job's target, which comes last."""
    folder = job.target.parent
    kept, held = split_by_source(data, share, recipe.seed)
    train_set, validation = data.subset(kept), data.subset(held)
    checkpoint = folder / "checkpoint.pth"
    report = (lambda row: None) if quiet else _print_row(recipe.epochs)
    state, history = train(recipe, train_set, validation, start, checkpoint, device=device, report=report)
    state = _stored(state, half)
    judged, title = (validation, "validation") if len(validation) else (train_set, "training (nothing held out)")
    scores = Classifier(state, device=device, precision="fp32").scores(judged.patches)
    figures = scores_of(scores, judged.good)
    save_pictures(folder, judged.paths, judged.patches, judged.good, scores, title)
    metrics = {
        "recipe": asdict(recipe),
        "judged on": title,
        **figures,
        "confusion": confusion(scores, judged.good),
        "patches": {"training": len(train_set), "validation": len(validation)},
        "validation sources": sorted(set(validation.sources)),
        "epochs": history,
    }
    _save_json(folder / "metrics.json", metrics)
    torch.save(state, scratch)
    checkpoint.unlink(missing_ok=True)
    return f"{title}: AUROC {figures['auroc']:.4f}, accuracy {figures['accuracy']:.4f}"


def leave_out(
    recipe: Recipe, data: Labelled, start: State | None, job: Job, scratch: Path, *, device: str, quiet: bool
) -> str:
    """Train without one source and write the scores of its patches."""
    torch.set_num_threads(1)
    source = str(job.source)
    held = np.array([name == source for name in data.sources])
    train_set, left = data.subset(np.flatnonzero(~held)), data.subset(np.flatnonzero(held))
    checkpoint = job.target.with_name(f"{safe_name(source)}.checkpoint.pth")
    state, _ = train(recipe, train_set, None, start, checkpoint, device=device)
    scores = Classifier(_stored(state, True), device=device, precision="fp32").scores(left.patches)
    with scratch.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("path", "good", "score"))
        rows.writerows((p.as_posix(), int(g), s) for p, g, s in zip(left.paths, left.good, scores, strict=True))
    checkpoint.unlink(missing_ok=True)
    figures = scores_of(scores, left.good)
    if not quiet:
        print(f"{source}: {len(left)} patches, accuracy {figures['accuracy']:.3f}", file=sys.stderr, flush=True)
    return f"accuracy {figures['accuracy']:.3f}"


def summarize_left_out(folder: Path, data: Labelled, tables: Sequence[Path]) -> str:
    """Pool the scores of all left-out sources: leave_one_source_out.json, pictures, and a table to print."""
    scored: dict[str, float] = {}
    for table in tables:
        with table.open(newline="") as file:
            scored.update({row["path"]: float(row["score"]) for row in csv.DictReader(file)})
    scores = np.array([scored[path.as_posix()] for path in data.paths])
    sources = np.array(data.sources)
    lines, figures = [], {}
    for source in sorted(set(data.sources)):
        chosen = sources == source
        own = scores_of(scores[chosen], data.good[chosen])
        # Most sources hold one class only; against all patches of the other class there is always a figure.
        rest = chosen | (data.good != data.good[chosen].mean().round().astype(bool))
        against = scores_of(scores[rest], data.good[rest])["auroc"]
        good, bad = int(data.good[chosen].sum()), int((~data.good[chosen]).sum())
        figures[source] = {"good": good, "bad": bad, "accuracy": own["accuracy"], "auroc": against}
        lines.append(f"{source:40} {good:4} good {bad:4} bad  accuracy {own['accuracy']:.3f}  AUROC {against:.4f}")
    pooled = scores_of(scores, data.good)
    _save_json(folder / "leave_one_source_out.json", {"pooled": pooled, "sources": figures})
    save_pictures(folder, data.paths, data.patches, data.good, scores, "leave one source out")
    lines.append(f"{'pooled':40} {len(data)} patches  accuracy {pooled['accuracy']:.4f}  AUROC {pooled['auroc']:.4f}")
    return "\n".join(lines)


def imagenet_url(arch: str) -> str:
    """Where torchvision keeps a network's ImageNet weights."""
    return getattr(torchvision_models(), IMAGENET[arch][0]).IMAGENET1K_V1.url


def _imagenet_weights(arch: str) -> State:
    """Fetch torchvision's ImageNet weights and fit them to one output (and, for lite, one channel)."""
    models, url = torchvision_models(), imagenet_url(arch)

    def check(path: Path) -> State:
        state = torch.load(path, map_location="cpu", weights_only=True)
        load_state(getattr(models, IMAGENET[arch][1])(weights=None), state, str(path))
        return state

    path = fetch_cached([url], url.rsplit("/", 1)[-1], check, instead="begin with --init random or --init PATH")
    state = check(path)
    model = build_model(arch)
    fresh = model.state_dict()
    if arch == "lite":
        state["conv1.0.weight"] = state["conv1.0.weight"].sum(1, keepdim=True)
    return {k: fresh[k] if k.startswith("fc.") else v for k, v in state.items()}


def _stored(state: State, half: bool) -> State:
    return {k: v.cpu().half() if half and v.is_floating_point() else v.cpu() for k, v in state.items()}


def _print_row(epochs: int):
    def report(row: dict[str, float]) -> None:
        figures = [f"{name.replace('_', ' ')} {value:.4f}" for name, value in row.items() if name != "epoch"]
        print(f"epoch {row['epoch']}/{epochs}: {', '.join(figures)}", file=sys.stderr, flush=True)

    return report


def _save_json(path: Path, content: Mapping[str, Any]) -> None:
    with atomic_path(path) as scratch:
        scratch.write_text(json.dumps(content, indent=1) + "\n")
