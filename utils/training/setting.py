"""What all trainings of one command share."""

from dataclasses import dataclass, field

import numpy as np

from utils.classification.state_files import State
from utils.training.bank import Bank
from utils.training.labels import Labelled
from utils.training.recipe import TrainingRecipe


@dataclass(frozen=True)
class Setting:
    """What all trainings of one command share.

    Attributes
    ----------
    groups : ndarray of int, shape (n,)
        Patches that stay together, see `utils.training.split`.
    start : state_dict, optional
        Weights to begin with; random ones when None.
    half : bool
        Store weights as fp16.
    log : str, optional
        ``tensorboard`` writes its events too.
    update : bool
        Begin anew where a checkpoint was made with other options, labels or weights.
    bank : Bank, optional
        What the body of `start` sees; then only the head is fitted.
    """

    recipe: TrainingRecipe
    data: Labelled
    groups: np.ndarray
    start: State | None
    device: str
    half: bool
    quiet: bool
    log: str | None = None
    update: bool = False
    bank: Bank | None = None


@dataclass(frozen=True)
class Judging:
    """What judges a training: the patches (indices) that each fold leaves out, or those held out; or neither."""

    folds: dict[str, np.ndarray] = field(default_factory=dict)
    held: np.ndarray = field(default_factory=lambda: np.empty(0, int))


@dataclass(frozen=True)
class Aim:
    """The recall or precision that the threshold should give; 0.5 is the threshold when neither is asked for."""

    recall: float | None = None
    precision: float | None = None
