"""A bank of augmented patches, and of windows of sparse ones, as a frozen body sees them: learnt from by every fold.

Each remembers which labelled patch it was made of; a fold takes those that its left-out patches had no part in. The
bank is written in parts, so that a run that ends goes on from the last one.
"""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from utils.classification.classifier import Classifier
from utils.classification.second_look import WINDOW, sparse_windows
from utils.classification.state_files import State, digest_of
from utils.files import atomic_path
from utils.reading import DAMAGE
from utils.redaction import say
from utils.training.augment import mostly_covered
from utils.training.batches import BatchRule
from utils.training.labels import Labelled

# Whole patches are seen as they are.
SIDE = 224
# One in so many is covered, too, for its window.
COVERED = 3


@dataclass(frozen=True)
class Bank:
    """What a body sees in augmented and generated patches, indexed alike.

    Attributes
    ----------
    features : ndarray of float32, shape (n, f)
    labels : ndarray of float32, shape (n,)
        1 good, 0 bad.
    origins : ndarray of int, shape (n,)
        Index of the labelled patch that it was made of; -1 for what is drawn.
    windows : Bank, optional
        What it sees in the densest windows of those that are mostly empty, and of others that were covered.
    """

    features: np.ndarray
    labels: np.ndarray
    origins: np.ndarray
    windows: "Bank | None" = None

    def __len__(self) -> int:
        return len(self.labels)

    def without(self, left_out: np.ndarray) -> "Bank":
        """What these labelled patches had no part in.

        Parameters
        ----------
        left_out : ndarray of int, shape (k,)
            Their indices.
        """
        chosen = np.flatnonzero(~np.isin(self.origins, left_out))
        windows = self.windows and self.windows.without(left_out)
        return Bank(self.features[chosen], self.labels[chosen], self.origins[chosen], windows)


def make_bank(
    folder: Path,
    rule: BatchRule,
    data: Labelled,
    count: int,
    start: State,
    device: str = "cpu",
    *,
    update: bool = False,
) -> Bank:
    """Read a bank, or make what is missing of it: at least `count` patches, drawn as `rule` draws batches.

    The body of the network `start` looks. With `update` parts are made anew that were made by another rule, from other
    labels or by another body; damaged ones always are.

    Raises
    ------
    ValueError
        If there are such parts, and they are not to be made anew.
    """
    body_state = {name: values for name, values in start.items() if name not in ("fc.weight", "fc.bias")}
    known = rule, data.digest(), digest_of(body_state), COVERED, WINDOW
    mark = hashlib.sha256(repr(known).encode()).hexdigest()
    body = Classifier(start, device=device, precision="fp32", views=1)
    parts = []
    for epoch in range(-(-count // (rule.steps(len(data)) * rule.size))):
        path = folder / f"part{epoch + 1}.npz"
        parts.append(_read_part(path, mark, update) or _made_part(path, mark, rule, data, epoch, body))
    *columns, windowed = (np.concatenate(column) for column in zip(*parts, strict=True))
    whole, windows = (Bank(*(column[own] for column in columns)) for own in (~windowed, windowed))
    return replace(whole, windows=windows)


def _made_part(
    path: Path, mark: str, rule: BatchRule, data: Labelled, epoch: int, body: Classifier
) -> list[np.ndarray]:
    """Draw an epoch of batches, look at them, and write what is seen; returns it as `_read_part` does."""
    order = rule.order(data, epoch)
    batches = [rule.batch(data, order, epoch, step) for step in range(rule.steps(len(data)))]
    images, labels, origins = (np.concatenate(column) for column in zip(*batches, strict=True))
    rng, chosen = np.random.default_rng([rule.seed, epoch]), order[::COVERED]
    covered, inform = zip(*(mostly_covered(rng, data.patches[i], rule.side) for i in chosen), strict=True)
    patches = list(np.clip(np.round([*images, *covered]), 0, 255).astype(np.uint8))
    labels = np.append(labels, (data.good[chosen] & inform).astype(labels.dtype))
    origins = np.append(origins, chosen)
    windows = sparse_windows(patches)[1]
    looks = [*range(len(images)), *windows]
    features = body.outputs([*patches[: len(images)], *windows.values()])[1]
    windowed = np.arange(len(looks)) >= len(images)
    labels, origins = labels[looks], origins[looks]
    with atomic_path(path) as scratch, scratch.open("wb") as file:
        np.savez(file, mark=mark, features=features, labels=labels, origins=origins, windowed=windowed)
    return [features, labels, origins, windowed]


def _read_part(path: Path, mark: str, update: bool) -> list[np.ndarray] | None:
    """Its columns; None where it is to be made: it is not there, is damaged, or has another mark and goes.

    Raises
    ------
    ValueError
        If its mark is another, and it is not to be made anew.
    """
    if not path.exists():
        return None
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            if stored["mark"] == mark:
                return [stored[name] for name in ("features", "labels", "origins", "windowed")]
    except (*DAMAGE, ValueError, BadZipFile) as error:
        say(f"{path} is damaged ({error}); it is made again")
        return None
    if not update:
        raise ValueError(f"{path} was made with other options or labels; delete it, or use another folder")
    return None
