"""The training loop: seeded, one checkpoint per epoch, resumable with the same result."""

import math
import pickle
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from utils.classification.background import prefetched
from utils.classification.classifier import Classifier
from utils.classification.models import build_model, prepare
from utils.classification.state_files import State, digest_of
from utils.files import atomic_path
from utils.reading import DAMAGE
from utils.training.figures import scores_of
from utils.training.labels import Labelled
from utils.training.recipe import TrainingRecipe

Rows = list[dict[str, float]]
Mark = dict[str, Any]


@dataclass
class Progress:
    """Where a training stands: what a checkpoint holds."""

    epoch: int
    model: State
    averaged: State
    optimizer: dict[str, Any]
    best: State
    best_rank: tuple[float, float]
    since_best: int = 0
    history: Rows = field(default_factory=list)


def train(
    recipe: TrainingRecipe,
    train_set: Labelled,
    validation: Labelled | None,
    start: State | None,
    checkpoint: Path | None,
    *,
    device: str = "cpu",
    update: bool = False,
    report: Callable[[dict[str, float]], None] = lambda row: None,
) -> tuple[State, Rows]:
    """Train a network, or go on from its checkpoint, written after every epoch; the weights kept, and figures.

    Training begins with `start`, or with random weights (seeded); with `update` also where there is a checkpoint of
    another recipe, other labels or another start. Without validation the last running average of the weights is kept,
    else that of the epoch with the best validation AUROC.

    Raises
    ------
    ValueError
        If there is such a checkpoint without `update`, or a damaged one; if the loss grows beyond numbers.
    """
    torch.manual_seed(recipe.seed)
    torch.backends.cudnn.allow_tf32 = False  # as where its networks judge, which training does after every epoch
    model = build_model(recipe.arch)
    if start is not None:
        model.load_state_dict(start)
    model.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = _optimizer(recipe, model)
    mark = _fingerprint(recipe, train_set, validation, start)
    now = _resume(checkpoint, mark, model, optimizer, update) or _begin(model, optimizer)
    for epoch in range(now.epoch, recipe.epochs):
        if 0 < recipe.patience <= now.since_best:
            break
        row = _one_epoch(recipe, model, now.averaged, optimizer, train_set, epoch, device)
        _keep_better(recipe, now, validation, row, device)
        now.epoch, now.model, now.optimizer = epoch + 1, _copied(model.state_dict()), optimizer.state_dict()
        now.history.append(row)
        if checkpoint is not None:
            _save(checkpoint, now, mark)
        report(row)
    return now.best, now.history


def _one_epoch(
    recipe: TrainingRecipe,
    model: nn.Module,
    averaged: State,
    optimizer: Optimizer,
    data: Labelled,
    epoch: int,
    device: str,
) -> dict[str, float]:
    _train_mode(recipe, model)
    totals: defaultdict[str, float] = defaultdict(float)
    rule, weights = recipe.batches(), _class_weights(recipe, data)
    steps, order = rule.steps(len(data)), rule.order(data, epoch)
    for step, batch in enumerate(prefetched(rule.batch(data, order, epoch, step) for step in range(steps))):
        images, labels = (torch.from_numpy(part) for part in batch[:2])
        _set_rate(recipe, optimizer, epoch * steps + step, recipe.epochs * steps)
        x = prepare(images.to(device), recipe.arch).contiguous(memory_format=torch.channels_last)
        y = labels.to(device)
        logits = model(x).squeeze(1)
        loss = nn.functional.binary_cross_entropy_with_logits(logits, y, weight=weights[labels.long()].to(device))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        _average(recipe, averaged, model.state_dict(), epoch * steps + step)
        totals["loss"] += float(loss.detach()) * len(y)
        totals["accuracy"] += int(((logits.detach() > 0) == (y > 0.5)).sum())
        totals["count"] += len(y)
    if not math.isfinite(totals["loss"]):
        raise ValueError(f"epoch {epoch + 1}: the loss is no number any longer; try a smaller --lr than {recipe.lr:g}")
    count = totals.pop("count")
    return {"epoch": epoch + 1, **{name: value / count for name, value in totals.items()}}


def _class_weights(recipe: TrainingRecipe, data: Labelled) -> Tensor:
    """What a bad and a good patch weigh in the loss; other augmentations draw both classes alike already."""
    if recipe.class_weights == "none" or recipe.augmentation != "published":
        return torch.ones(2)
    good = float(data.good.mean())
    return torch.tensor([0.5 / (1 - good), 0.5 / good])


def _optimizer(recipe: TrainingRecipe, model: nn.Module) -> torch.optim.Optimizer:
    for name, parameter in model.named_parameters():
        parameter.requires_grad = recipe.trains(name.split(".")[0])
    trained = [p for p in model.parameters() if p.requires_grad]
    if recipe.weight_decay:
        return torch.optim.AdamW(trained, recipe.lr, weight_decay=recipe.weight_decay)
    return torch.optim.Adam(trained, recipe.lr)


def _train_mode(recipe: TrainingRecipe, model: nn.Module) -> None:
    """Frozen stages keep their running statistics too, else they drift away from their weights."""
    model.train()
    for name, child in model.named_children():
        child.train(recipe.trains(name))


def _set_rate(recipe: TrainingRecipe, optimizer: Optimizer, step: int, total: int) -> None:
    rate = recipe.lr
    if recipe.schedule == "cosine":
        warm = max(1, total // 20)
        rate *= min(1.0, (step + 1) / warm) * 0.5 * (1 + math.cos(math.pi * step / total))
    for group in optimizer.param_groups:
        group["lr"] = rate


def _average(recipe: TrainingRecipe, averaged: State, state: State, step: int) -> None:
    # A young average must not remember the random start.
    decay = min(recipe.average, (1 + step) / (10 + step))
    for name, value in state.items():
        if value.is_floating_point():
            averaged[name].lerp_(value, 1 - decay)
        else:
            averaged[name].copy_(value)


def _keep_better(
    recipe: TrainingRecipe, now: Progress, validation: Labelled | None, row: dict[str, float], device: str
) -> None:
    if validation is None or len(validation) == 0:
        now.best = _copied(now.averaged)
        return
    judge = Classifier(now.averaged, device=device, precision="fp32", views=1, decision=recipe.decision())
    scores = judge.scores(validation.patches)
    row.update({f"validation_{k}": v for k, v in scores_of(scores, validation.good).items()})
    rank = (row["validation_auroc"], -row["validation_loss"])
    if rank > tuple(now.best_rank):
        now.best_rank, now.best, now.since_best = rank, _copied(now.averaged), 0
    else:
        now.since_best += 1


def _fingerprint(recipe: TrainingRecipe, train_set: Labelled, validation: Labelled | None, start: State | None) -> Mark:
    held, begun = validation and validation.digest(), start and digest_of(start)
    return {**asdict(recipe), "train": train_set.digest(), "validation": held, "init": begun}


def _begin(model: nn.Module, optimizer: Optimizer) -> Progress:
    state = model.state_dict()
    return Progress(0, _copied(state), _copied(state), optimizer.state_dict(), _copied(state), (-1.0, 0.0))


def _resume(
    checkpoint: Path | None, mark: Mark, model: nn.Module, optimizer: Optimizer, update: bool
) -> Progress | None:
    if checkpoint is None or not checkpoint.exists():
        return None
    try:
        stored = torch.load(checkpoint, map_location="cpu", weights_only=True)
        different = [k for k, v in mark.items() if stored["mark"].get(k) != v]
    except (OSError, ValueError, pickle.UnpicklingError, *DAMAGE) as error:
        if not update:
            raise ValueError(f"{checkpoint} is damaged; delete it (--update does)") from error
        return None
    if different and update:
        return None
    if different:
        raise ValueError(
            f"{checkpoint} was made with other {', '.join(different)}; "
            "repeat the options it was made with, delete it (--update does), or use another folder"
        )
    now = Progress(**stored["progress"])
    model.load_state_dict(now.model)
    optimizer.load_state_dict(now.optimizer)
    device = next(model.parameters()).device
    now.averaged = {k: v.to(device) for k, v in now.averaged.items()}
    return now


def _save(checkpoint: Path, now: Progress, mark: Mark) -> None:
    with atomic_path(checkpoint) as scratch:
        torch.save({"mark": mark, "progress": vars(now)}, scratch)


def _copied(state: State) -> State:
    return {k: v.detach().clone() for k, v in state.items()}
