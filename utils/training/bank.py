"""A bank of augmented patches as a frozen body sees them: looked at once, learnt from by every fold.

Each remembers which labelled patch it was made of; a fold takes those that its left-out patches had no part in. The
bank is written in parts, so that a run that ends goes on from the last one.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from utils.classification.classifier import Classifier
from utils.classification.state_files import State
from utils.files import atomic_path
from utils.reading import DAMAGE
from utils.training.batches import BatchRule
from utils.training.labels import Labelled

# Whole patches are seen as they are.
SIDE = 224


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
    """

    features: np.ndarray
    labels: np.ndarray
    origins: np.ndarray

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
        return Bank(self.features[chosen], self.labels[chosen], self.origins[chosen])


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
    labels or by another body.

    Raises
    ------
    ValueError
        If there are such parts, and they are not to be made anew, or damaged ones.
    """
    labels = [(path.as_posix(), bool(good)) for path, good in zip(data.paths, data.good, strict=True)]
    digest = hashlib.sha256(repr((rule, labels)).encode())
    for name in sorted(start.keys() - {"fc.weight", "fc.bias"}):
        digest.update(start[name].cpu().numpy().tobytes())
    mark = digest.hexdigest()
    body = Classifier(start, device=device, precision="fp32", views=1)
    parts = []
    for epoch in range(-(-count // (rule.steps(len(data)) * rule.size))):
        path = folder / f"part{epoch + 1}.npz"
        if not path.exists() or (update and _read_part(path)[0] != mark):
            _make_part(path, mark, rule, data, epoch, body)
        made_by, *arrays = _read_part(path)
        if made_by != mark:
            raise ValueError(f"{path} was made with other options or labels; delete it, or use another folder")
        parts.append(arrays)
    return Bank(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _make_part(path: Path, mark: str, rule: BatchRule, data: Labelled, epoch: int, body: Classifier) -> None:
    """Draw an epoch of batches, and look at them."""
    order = rule.order(data, epoch)
    batches = [rule.batch(data, order, epoch, step) for step in range(rule.steps(len(data)))]
    images, labels, origins = (np.concatenate(column) for column in zip(*batches, strict=True))
    features = body.outputs(list(np.clip(np.round(images), 0, 255).astype(np.uint8)))[1]
    with atomic_path(path) as scratch, scratch.open("wb") as file:
        np.savez(file, mark=mark, features=features, labels=labels, origins=origins)


def _read_part(path: Path) -> list[np.ndarray]:
    """Its mark, features, labels and origins."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return [stored[name] for name in ("mark", "features", "labels", "origins")]
    except (*DAMAGE, ValueError, BadZipFile) as error:
        raise ValueError(f"{path} is damaged ({error}); delete it") from error
