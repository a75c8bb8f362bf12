"""Recipes: everything that decides the result of a training, besides the labels."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from utils.classification.decision import Decision
from utils.classification.models import SIDES
from utils.training.bank import SIDE as BANK_SIDE
from utils.training.batches import BatchRule

# What is trained, by the names of a network's first layers; None is everything.
LAST_STAGE = {"resnet34": ("layer4", "fc"), "lite": ("stage6", "fc")}


@dataclass(frozen=True)
class TrainingRecipe:
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
        ``published``, ``mild`` or ``heavy``.
    class_weights : str
        ``none``, or ``balanced``: good and bad patches weigh as much in the loss, however many there are.
    seed : int
    bank : int
        Patches that a frozen body looks at once, for the head to learn from; 0 draws new ones for every epoch.
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

    def batches(self) -> BatchRule:
        """How this recipe makes its batches."""
        return BatchRule(self.batch_size, self.side, self.generated, self.augmentation, self.seed)

    def decision(self) -> Decision:
        """What is known of the decision before there are scores: the size of the patches that it is about."""
        return Decision(side=self.side if self.arch == "resnet34" and self.side != SIDES[self.arch] else None)

    def trains(self, layer: str) -> bool:
        """Whether a layer, by the first part of its name, is trained; what is frozen keeps its statistics too."""
        if self.unfreeze == "all":
            return True
        return layer in (LAST_STAGE[self.arch] if self.unfreeze == "layer4" else ("fc",))


# As published: eLife 65894, "patch filtering".
PUBLISHED = TrainingRecipe(
    *("resnet34", "layer4", 30, 64, 1e-3, 10, "constant", 0.0, 0.99, SIDES["resnet34"], 0.0, "published", "none", 0)
)
LITE = TrainingRecipe("lite", "all", 90, 64, 4e-3, 0, "cosine", 0.02, 0.99, SIDES["lite"], 1 / 3, "heavy", "none", 0)
RECIPES = {"resnet34": PUBLISHED, "lite": LITE}
# From random weights a few hundred patches teach a ResNet34 only in more steps, of fewer patches (MODEL_CARD.md).
FROM_RANDOM = {"epochs": 60, "batch_size": 32, "patience": 20}
# The lite network's body stays as it is; its head is fitted at once.
BANK = 4000
# A network's last stage sees a patch with this side as one pixel.
REDUCED = 32


def recipe_for(arch: str, init: str | None, options: Mapping[str, Any]) -> TrainingRecipe:
    """A network's own recipe, with those of the options, attributes of `TrainingRecipe`, that are not None.

    Raises
    ------
    ValueError
        If random layers (init ``random``) would stay as they are, a bank is asked for where the body is trained, or
        a batch would be one pixel.
    """
    given = {k: v for k, v in options.items() if v is not None}
    if init == "random":
        if given.get("unfreeze", "all") != "all":
            raise ValueError(f"--init random with --unfreeze {given['unfreeze']} would keep the other layers random")
        given = (FROM_RANDOM if arch == "resnet34" else {}) | given | {"unfreeze": "all"}
    recipe = RECIPES[arch]
    if arch == "lite" and given.setdefault("unfreeze", "head") == "head":
        recipe = replace(recipe, bank=BANK, side=BANK_SIDE, epochs=1, augmentation="mild", generated=0.0)
    elif "bank" in given:
        raise ValueError("--bank is for the lite network with --unfreeze head; else patches are drawn for every epoch")
    recipe = replace(recipe, **given)
    if recipe.batch_size == 1 and recipe.side <= REDUCED and recipe.unfreeze != "head":
        raise ValueError(f"--batch-size 1 with --side {recipe.side} leaves batch norms one value: raise either")
    return recipe
