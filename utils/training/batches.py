"""Batches for training: labelled patches, augmented, and generated ones; each depends on seed, epoch and step alone."""

from dataclasses import dataclass

import numpy as np

from utils.training.augment import exposure, heavy, heavy_picture, mild, published
from utils.training.labels import Labelled
from utils.training.synthetic.negatives import uninformative
from utils.training.synthetic.tissue import tissue

# Of the generated patches this share is tissue, which is informative.
TISSUE = 0.25


@dataclass(frozen=True)
class BatchRule:
    """How batches are made of labelled and generated patches.

    Attributes
    ----------
    size : int
        Patches in a batch.
    side : int
        Side of the patches in pixels.
    generated : float
        Share of the batch that is generated: uninformative patches, and some tissue.
    augmentation : str
        ``published`` (every patch once per epoch), or ``mild`` or ``heavy`` (patches are drawn so that classes are
        balanced and small sources count for more than their size).
    seed : int
    """

    size: int
    side: int
    generated: float
    augmentation: str
    seed: int

    @property
    def labelled(self) -> int:
        """Labelled patches in a batch."""
        return max(1, self.size - round(self.size * self.generated))

    def steps(self, patches: int) -> int:
        """Batches in an epoch over so many labelled patches."""
        return max(1, round(patches / self.labelled))

    def order(self, data: Labelled, epoch: int) -> np.ndarray:
        """Indices of an epoch's labelled patches, in order; depends on the seed and the epoch alone.

        Returns
        -------
        ndarray of int, shape (m,)
        """
        rng = np.random.default_rng([self.seed, epoch, 0])
        count = self.steps(len(data)) * self.labelled
        if self.augmentation != "published":
            return rng.choice(len(data), count, p=_draw_weights(data, self.generated))
        return np.resize(rng.permutation(len(data)), count)

    def batch(
        self, data: Labelled, order: np.ndarray, epoch: int, step: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Make one batch.

        Parameters
        ----------
        data : Labelled
        order : ndarray of int, shape (m,)
        epoch, step : int

        Returns
        -------
        patches, labels : ndarray of float32, shapes (n, side, side) and (n,)
            Gray values 0 to 255; 1 good, 0 bad.
        origins : ndarray of int, shape (n,)
            Index of the labelled patch that each was made of; -1 of what is drawn.
        """
        rng = np.random.default_rng([self.seed, epoch, 1 + step])
        examples: list[tuple[np.ndarray, float, int]] = []
        for i in order[step * self.labelled : (step + 1) * self.labelled]:
            good = bool(data.good[i])
            examples.append((self._augmented(rng, data.patches[i], good), float(good), int(i)))
        pool = np.flatnonzero(data.good)
        for _ in range(self.size - self.labelled):
            if rng.random() < TISSUE:
                examples.append((heavy_picture(rng, tissue(rng, self.side)), 1.0, -1))
                continue
            victim = int(rng.choice(pool))
            ruined, touched = uninformative(rng, self._augmented(rng, data.patches[victim], True))
            examples.append((exposure(rng, ruined), 0.0, victim if touched else -1))
        images, labels, origins = zip(*examples, strict=True)
        return np.stack(images).astype(np.float32), np.array(labels, np.float32), np.array(origins)

    def _augmented(self, rng: np.random.Generator, patch: np.ndarray, good: bool) -> np.ndarray:
        if self.augmentation == "published":
            return published(rng, patch, self.side)
        augment = heavy if self.augmentation == "heavy" else mild
        return augment(rng, patch, self.side, informative=good)


def _draw_weights(data: Labelled, generated: float) -> np.ndarray:
    """Probability of each patch: root of its source's size shared among the source, good ones half of the batch."""
    names = np.array(data.sources or ("",) * len(data))
    _, inverse, counts = np.unique(names, return_inverse=True, return_counts=True)
    weights = 1 / np.sqrt(counts[inverse])
    good_share = min(0.75, 0.45 / (1 - generated)) if generated < 1 else 0.5
    weights[data.good] *= good_share / weights[data.good].sum()
    weights[~data.good] *= (1 - good_share) / weights[~data.good].sum()
    return np.asarray(weights / weights.sum())
