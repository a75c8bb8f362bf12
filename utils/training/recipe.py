"""Recipes: everything that decides the result of a training, besides the labels."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from utils.classification.models import SIDES
from utils.training.batches import BatchRule

# What is trained, by the names of a network's first layers; None is everything.
LAST_STAGE = {"resnet34": ("layer4", "fc"), "lite": ("stage4", "conv5", "fc")}


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the result of a training, besides the labels.

    Attributes
    ----------
    arch : str
        ``resnet34`` or ``lite``.
    unfreeze : str
        What is trained: ``all``, ``layer4`` (the last stage and the head) or ``head``.
    epochs, batch_size, lr : int, int, float
    patience : int
        Stop when so many epochs have not bettered the validation; 0 never stops.
    schedule : str
        ``constant`` or ``cosine`` (warm-up, then a cosine to 0).
    weight_decay : float
    average : float
        Decay of the running average of the weights, which is what is judged and kept.
    side : int
        Side of the training patches in pixels.
    generated : float
        Share of each batch that is generated.
    augmentation : str
        ``published`` or ``heavy``.
    class_weights : str
        ``none``, or ``balanced``: good and bad patches weigh as much in the loss, however many there are.
    seed : int
    bank : int
        Patches to draw once, with what a teacher sees in each, and learn from in every epoch; 0 draws new ones.
    """

    arch: str
    unfreeze: str
    epochs: int
    batch_size: int
    lr: float
    patience: int
    schedule: str
    weight_decay: float
    average: float
    side: int
    generated: float
    augmentation: str
    class_weights: str
    seed: int
    bank: int = 0

    def batches(self, side: int | None = None) -> BatchRule:
        """How this recipe makes its batches, at another side if one is given."""
        return BatchRule(self.batch_size, side or self.side, self.generated, self.augmentation, self.seed)

    def trains(self, layer: str) -> bool:
        """Whether a layer, by the first part of its name, is trained; what is frozen keeps its statistics too."""
        if self.unfreeze == "all":
            return True
        return layer in (LAST_STAGE[self.arch] if self.unfreeze == "layer4" else ("fc",))


# FACTS of the published recipe: eLife 65894, "patch filtering".
PUBLISHED = Recipe(
    *("resnet34", "layer4", 30, 64, 1e-3, 10, "constant", 0.0, 0.99, SIDES["resnet34"], 0.0, "published", "none", 0)
)
# Smaller patches than at inference: a random crop magnifies, so objects look as large as in a whole patch.
LITE = Recipe("lite", "all", 90, 64, 4e-3, 0, "cosine", 0.02, 0.99, 112, 1 / 3, "heavy", "none", 0)
RECIPES = {"resnet34": PUBLISHED, "lite": LITE}
# With a teacher: a bank of patches, seen this often.
BANK, BANK_EPOCHS = 8000, 6


def recipe_for(arch: str, init: str | None, options: Mapping[str, Any], *, taught: bool = False) -> Recipe:
    """A network's own recipe, with the options that are not None.

    Parameters
    ----------
    arch : str
    init : str, optional
        What the weights begin with; from random ones everything is trained.
    options : mapping
        Attributes of `Recipe`.
    taught : bool
        Whether there is a teacher; the patches are then a bank, of heavily augmented ones.

    Raises
    ------
    ValueError
        If random layers would stay as they are.
    """
    given = {k: v for k, v in options.items() if v is not None}
    if init == "random":
        if given.get("unfreeze", "all") != "all":
            raise ValueError(f"--init random with --unfreeze {given['unfreeze']} would keep the other layers random")
        given["unfreeze"] = "all"
    recipe = RECIPES[arch]
    if taught:
        heavy = {name: getattr(LITE, name) for name in ("generated", "augmentation", "schedule", "weight_decay")}
        recipe = replace(recipe, **heavy, bank=BANK, epochs=BANK_EPOCHS)
    return replace(recipe, **given)
