"""A bank of augmented patches with what a teacher sees in each: made once, learnt from by every fold.

The teacher costs more than the network that learns from it. So its patches are drawn once, and each remembers which
labelled patch it was made of: a fold takes those that its left-out patches had no part in.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from utils.files import atomic_path
from utils.training.batches import BatchRule
from utils.training.labels import Labelled
from utils.training.teacher import Teacher


@dataclass(frozen=True)
class Bank:
    """Augmented and generated patches, indexed alike.

    Attributes
    ----------
    images : ndarray of uint8, shape (n, side, side)
    labels : ndarray of float32, shape (n,)
        1 good, 0 bad.
    origins : ndarray of int, shape (n,)
        Index of the labelled patch that it was made of; -1 for what is drawn.
    targets : ndarray of float16, shape (n, f)
        The teacher's features.
    """

    images: np.ndarray
    labels: np.ndarray
    origins: np.ndarray
    targets: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def without(self, left_out: np.ndarray) -> "Bank":
        """What these labelled patches had no part in."""
        chosen = np.flatnonzero(~np.isin(self.origins, left_out))
        return Bank(self.images[chosen], self.labels[chosen], self.origins[chosen], self.targets[chosen])

    def spread(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and deviation of the targets, float32; deviations are at least a little."""
        values = self.targets.astype(np.float32)
        return values.mean(axis=0), values.std(axis=0) + 0.02


def make_bank(path: Path, rule: BatchRule, data: Labelled, count: int, teacher: Teacher) -> Bank:
    """Read a bank, or make it: `count` patches, drawn as `rule` draws batches.

    Raises
    ------
    ValueError
        If the bank that is there was made by another rule or from other labels.
    """
    mark = repr((rule, count, [(p.as_posix(), bool(g)) for p, g in zip(data.paths, data.good, strict=True)]))
    if path.exists():
        return _read(path, mark)
    parts: list[tuple[np.ndarray, ...]] = []
    order = rule.order(data, 0)
    steps = max(1, len(order) // rule.labelled)
    for batch in range(-(-count // rule.size)):
        epoch, step = divmod(batch, steps)
        order = rule.order(data, epoch) if step == 0 else order
        images, labels, origins = rule.drawn(data, order, epoch, step)
        bytes_ = np.clip(np.round(images), 0, 255).astype(np.uint8)
        parts.append((bytes_, labels, origins, teacher.features(bytes_)))
    bank = Bank(*(np.concatenate(column)[:count] for column in zip(*parts, strict=True)))
    with atomic_path(path) as scratch, scratch.open("wb") as file:
        np.savez(file, mark=mark, **vars(bank))
    return bank


def _read(path: Path, mark: str) -> Bank:
    with np.load(path, allow_pickle=False) as stored:
        if str(stored["mark"]) != mark:
            raise ValueError(f"{path} was made with other options or labels; delete it, or use another folder")
        return Bank(*(stored[name] for name in ("images", "labels", "origins", "targets")))
