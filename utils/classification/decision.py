"""What a training learnt about its own scores, stored beside the weights: threshold, calibration, and what is familiar.

A network's raw output is neither a probability nor a decision. ``{weights}.decision.json`` holds what makes it both,
fitted on patches that the network had not seen; weights without one decide at 0.5 on their raw output.
"""

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from utils.files import sha256_of, write_whole
from utils.foreign_text import parse_json

SCHEMA = "patch classifier decision 2"
# The first release measured familiarity another way, by what it stored under other names.
OLDER = "patch classifier decision 1"
ARRAYS = ("weights", "biases")
LARGEST_SIDE = 4096


@dataclass(frozen=True)
class Familiarity:
    """How far heads disagree that each learnt without a part of the experiments: where data decide, they agree."""

    weights: np.ndarray  # shape (k, f), of linear heads on the network's features
    biases: np.ndarray  # shape (k,)
    limit: float  # a dataset whose mean distance is larger shows something else than the network was trained on

    def distances(self, features: np.ndarray) -> np.ndarray:
        """Deviation of what the heads say of each patch.

        Parameters
        ----------
        features : ndarray, shape (n, f)

        Returns
        -------
        ndarray, shape (n,)
            From 0 to 0.5.
        """
        return np.asarray(_sigmoid(features @ self.weights.T + self.biases).std(axis=1))


@dataclass(frozen=True)
class Decision:
    """From a network's output to a score and a decision."""

    threshold: float = 0.5  # patches that score above are kept
    # The calibrated score is the sigmoid of scale x logit + bias: 0.5 means even odds.
    scale: float = 1.0
    bias: float = 0.0
    familiarity: Familiarity | None = None
    aim: str = ""  # what the threshold was chosen for, in words
    # Of the patches that a ResNet34 learnt from and is asked about, if it is not the published 224.
    side: int | None = None

    def scores(self, logits: np.ndarray) -> np.ndarray:
        """Calibrated scores of logits.

        Parameters
        ----------
        logits : ndarray, shape (n,)

        Returns
        -------
        ndarray, shape (n,)
            From 0 to 1.
        """
        return _sigmoid(self.scale * logits + self.bias)

    def logit_at(self, score: float) -> float:
        """The network's output that has this score; infinite for 0 and 1."""
        if not 0 < score < 1:
            return np.inf if score >= 1 else -np.inf
        return float((np.log(score) - np.log1p(-score) - self.bias) / self.scale)

    def is_unfamiliar(self, distances: np.ndarray) -> bool:
        """Whether a dataset, by its patches' distances, shows what the network was not trained on.

        Parameters
        ----------
        distances : ndarray, shape (n,)
        """
        if self.familiarity is None or len(distances) == 0:
            return False
        return bool(np.mean(distances) > self.familiarity.limit)


UNFITTED = Decision()


@dataclass(frozen=True)
class Examined:
    """What a classifier says of patches."""

    scores: np.ndarray  # shape (n,), 0 to 1
    distances: np.ndarray  # shape (n,), from the familiar; NaN where none is known


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -60, 60))))


def unfamiliar_line(dataset: str) -> str:
    """What is said of a dataset that shows what the network was not trained on."""
    return f"{dataset}: unlike anything the model was trained on; look at {dataset}.png, or label 50 patches"


def decision_path(weights: Path) -> Path:
    """Where the decision of a weights file lies."""
    return weights.with_name(f"{weights.name.removesuffix('.pth')}.decision.json")


def save_decision(weights: Path, digest: str, decision: Decision) -> None:
    """Write the decision that belongs to a weights file with this SHA-256."""
    content: dict[str, Any] = {
        "schema": SCHEMA,
        "weights_sha256": digest,
        "threshold": decision.threshold,
        "aim": decision.aim,
        "calibration": {"scale": decision.scale, "bias": decision.bias},
    }
    if decision.side is not None:
        content["side"] = decision.side
    if (known := decision.familiarity) is not None:
        arrays = {name: _packed(getattr(known, name)) for name in ARRAYS}
        content["familiarity"] = {"limit": known.limit, **arrays}
    write_whole(decision_path(weights), json.dumps(content, indent=1) + "\n")


def read_decision(weights: Path) -> Decision:
    """Read what lies beside a weights file; `UNFITTED` when nothing does.

    Raises
    ------
    ValueError
        If it is damaged, of a later schema, or belongs to other weights.
    """
    path = decision_path(weights)
    if not path.is_file():
        return UNFITTED
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
        if (schema := content["schema"]) not in (SCHEMA, OLDER):
            raise ValueError(f"its schema is {schema!r}, of which this program knows nothing")
        owner = str(content["weights_sha256"])
        calibration, known, familiarity = content["calibration"], content.get("familiarity"), None
        if known is not None and schema != OLDER:
            arrays = {name: _unpacked(known[name]) for name in ARRAYS}
            familiarity = Familiarity(**arrays, limit=float(known["limit"]))
            if not np.isfinite(familiarity.distances(np.zeros((1, arrays["weights"].shape[1])))).all():
                raise ValueError("what is familiar holds no usable numbers")
        threshold, scale, bias = (float(v) for v in (content["threshold"], calibration["scale"], calibration["bias"]))
        side = content.get("side")
        decision = Decision(threshold, scale, bias, familiarity, str(content["aim"]), side and int(side))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: not a classifier's decision ({error}); remove it to decide at 0.5") from error
    if not (0 <= decision.threshold <= 1 and 0 < decision.scale < np.inf and np.isfinite(decision.bias)):
        raise ValueError(f"{path}: no usable threshold or calibration: {threshold}, {scale}, {bias}")
    if decision.side is not None and not 0 < decision.side <= LARGEST_SIDE:
        raise ValueError(f"{path}: no usable side of patches: {decision.side}")
    if owner != sha256_of(weights):
        raise ValueError(f"{path}: belongs to other weights than {weights.name}; remove it to decide at 0.5")
    return decision


def _packed(array: np.ndarray) -> dict[str, Any]:
    return {"shape": list(array.shape), "float32": base64.b64encode(array.astype("<f4").tobytes()).decode()}


def _unpacked(stored: dict[str, Any]) -> np.ndarray:
    values = np.frombuffer(base64.b64decode(stored["float32"], validate=True), "<f4")
    return values.reshape(stored["shape"]).astype(np.float32)
