"""How far a quick computation may be trusted: doubtful patches are told by a margin that is measured, then watched.

The margin belongs to a network, a precision and what is looked at. It is measured on patches that both compute; what
lies nearer to the threshold is computed again; and of the rest a sample is computed again, too, as the run goes on.
"""

from dataclasses import dataclass

import numpy as np
import xxhash

from utils.classification.accounts import Tally

# Patches measured at a time, at least and at most.
ROUND, LEAST, MOST = 64, 128, 512
# The measure is stable when a round more widens it by less than this factor.
STABLE = 1.1
# Multiples of the root mean square and of the largest move near the threshold.
DEVIATIONS, OF_LARGEST = 5.0, 1.5
AUDIT_EVERY = 128
# So many failed audits end a precision's use.
MOST_FAILURES = 3


def margin_of(quick: np.ndarray, exact: np.ndarray, doubt: float) -> float:
    """How near to the threshold a quick logit means nothing, by the half of the patches that lie nearest to it.

    Parameters
    ----------
    quick, exact : ndarray, shape (n,)
        Logits of the same patches.
    doubt : float
        The logit at the threshold.
    """
    nearest = np.argsort(np.abs(exact - doubt), kind="stable")[: max(len(exact) // 2, ROUND // 2)]
    moved = np.abs(quick - exact)[nearest]
    return float(max(DEVIATIONS * np.sqrt(np.mean(moved**2)), OF_LARGEST * moved.max()))


def is_audited(patch: np.ndarray) -> bool:
    """Whether a patch belongs to the sample that is computed exactly: told by its pixels, the same in every run.

    Parameters
    ----------
    patch : ndarray of uint8, shape (h, w)
    """
    return xxhash.xxh3_64_intdigest(np.ascontiguousarray(patch).data, seed=1) % AUDIT_EVERY == 0


@dataclass
class Watch:
    """How far one quick precision is trusted around the threshold, the logit `doubt`, and what became of it so far."""

    tally: Tally
    doubt: float
    margin: float

    def count(self, **more: int) -> None:
        """Add to the tally."""
        self.tally = self.tally.plus(Tally(self.tally.name, **more))

    def doubtful(self, logits: np.ndarray) -> np.ndarray:
        """Which logits lie within the margin, or are no numbers, as where half precision overflows.

        Parameters
        ----------
        logits : ndarray, shape (n,)

        Returns
        -------
        ndarray of bool, shape (n,)
        """
        return ~(np.abs(logits - self.doubt) >= self.margin)

    def passes(self, quick: np.ndarray, exact: np.ndarray) -> bool:
        """Take note of an audit; where a decision differs, or a logit near the margin moved beyond it, widen it.

        Parameters
        ----------
        quick, exact : ndarray, shape (n,)
            Logits of the same patches.
        """
        differ = (quick > self.doubt) != (exact > self.doubt)
        self.count(audited=len(quick), equal=int((~differ).sum()))
        moved = np.abs(quick - exact)
        broken = differ | ((moved > self.margin) & (np.abs(quick - self.doubt) < 2 * self.margin))
        if not broken.any():
            return True
        self.count(failures=1, given_up=int(self.tally.failures + 1 == MOST_FAILURES))
        self.margin = 2 * max(self.margin, float(moved[broken].max()))
        return False
