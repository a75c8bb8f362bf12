"""Recipes: everything that decides the result of a training, besides the labels."""

from dataclasses import dataclass

from utils.classification.models import SIDES
from utils.training.batches import BatchRule


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the result of a training, besides the labels.

    Attributes
    ----------
    arch : str
        ``resnet34`` or ``lite``.
    frozen : bool
        Train the last stage and the head only (resnet34).
    epochs, batch_size, lr : int, int, float
    schedule : str
        ``constant`` or ``cosine`` (warm-up, then a cosine to 0).
    weight_decay : float
    average : float
        Decay of the running average of the weights that is kept as the result; 0 keeps the weights themselves.
    side : int
        Side of the training patches in pixels.
    generated : float
        Share of each batch that is generated.
    augmentation : str
        ``published`` or ``heavy``.
    seed : int
    """

    arch: str
    frozen: bool
    epochs: int
    batch_size: int
    lr: float
    schedule: str
    weight_decay: float
    average: float
    side: int
    generated: float
    augmentation: str
    seed: int

    def batches(self) -> BatchRule:
        """How this recipe makes its batches."""
        return BatchRule(self.batch_size, self.side, self.generated, self.augmentation, self.seed)


# FACTS of the published recipe: eLife 65894, "patch filtering".
PUBLISHED = Recipe("resnet34", True, 30, 64, 1e-3, "constant", 0.0, 0.0, SIDES["resnet34"], 0.0, "published", 0)
# Smaller patches than at inference: a random crop magnifies, so objects look as large as in a whole patch.
LITE = Recipe("lite", False, 90, 64, 4e-3, "cosine", 0.02, 0.99, 112, 1 / 3, "heavy", 0)
RECIPES = {"resnet34": PUBLISHED, "lite": LITE}
