"""Levels of precision, from quick to exact: each computes again what the one before cannot decide."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from utils.classification.accounts import Tally
from utils.classification.margins import LEAST, MOST, ROUND, STABLE, Watch, is_audited, margin_of
from utils.redaction import say

Outputs = tuple[np.ndarray, np.ndarray]
Network = Callable[[Sequence[np.ndarray]], Outputs]  # logits (n,) and features (n, f) of patches


@dataclass(frozen=True)
class Precision:
    """One precision: its name, and what gives logits (n,) and features (n, f) of patches."""

    name: str
    run: Network


class Cascade:
    """Logits whose decisions at a threshold, the logit `doubt`, are those of the last level.

    Levels come from quick to exact; one alone is used as it is. `changes` tells how often a margin was widened: what
    was decided before may deserve another look.
    """

    def __init__(self, levels: Sequence[Precision], doubt: float) -> None:
        # Without a threshold to be near to, nothing is doubtful.
        self.levels = list(levels if np.isfinite(doubt) else levels[:1])
        self.doubt, self.changes = doubt, 0
        self.exact = self.levels[-1]
        self.watches: list[Watch] = []
        self._ended: list[Watch] = []

    @property
    def is_measured(self) -> bool:
        """Whether every quick level has its margin."""
        return len(self.watches) == len(self.levels) - 1

    def measure(self, patches: Sequence[np.ndarray]) -> bool:
        """Measure the margins on patches, on more of them until they are stable; False if there are too few.

        Parameters
        ----------
        patches : sequence of ndarray of uint8, shape (h, w)
        """
        if self.is_measured:
            return True
        logits = np.empty((len(self.levels), 0))
        margins = np.array([])
        for start in range(0, min(len(patches), MOST), ROUND):
            part = patches[start : start + ROUND]
            logits = np.hstack([logits, [level.run(part)[0] for level in self.levels]])
            before, margins = margins, np.array([margin_of(quick, logits[-1], self.doubt) for quick in logits[:-1]])
            if logits.shape[1] >= LEAST and (margins <= STABLE * before).all():
                break
        if logits.shape[1] < LEAST:
            return False
        self.watches = [Watch(Tally(x.name), self.doubt, float(m)) for x, m in zip(self.levels, margins, strict=False)]
        return True

    def __call__(self, patches: Sequence[np.ndarray]) -> Outputs:
        """Logits and features of patches, decided as the exact level does."""
        if not len(patches) or not self.measure(patches):
            return self.exact.run(patches)
        while True:
            logits, features, level_of = self._decided(patches)
            if self._passes(patches, logits, level_of):
                break
        for i, watch in enumerate(self.watches):
            watch.count(seen=int((level_of >= i).sum()), again=int((level_of > i).sum()))
        return logits, features

    def tallies(self) -> list[Tally]:
        """What became of the patches of every quick level so far."""
        return [watch.tally for watch in (*self._ended, *self.watches)]

    def _decided(self, patches: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        logits, features = self.levels[0].run(patches)
        level_of = np.zeros(len(patches), int)
        for i, watch in enumerate(self.watches):
            doubtful = [int(k) for k in np.flatnonzero((level_of == i) & watch.doubtful(logits))]
            if doubtful:
                logits[doubtful] = self.levels[i + 1].run([patches[k] for k in doubtful])[0]
                level_of[doubtful] = i + 1
        return logits, features, level_of

    def _passes(self, patches: Sequence[np.ndarray], logits: np.ndarray, level_of: np.ndarray) -> bool:
        """Audit a sample of what quick levels decided; what fails widens its margin, or ends its level."""
        sample = [k for k, patch in enumerate(patches) if level_of[k] < len(self.watches) and is_audited(patch)]
        if not sample:
            return True
        exact, levels, quick = self.exact.run([patches[k] for k in sample])[0], level_of[sample], logits[sample]
        failed = [
            watch for i, watch in enumerate(self.watches) if not watch.passes(quick[levels == i], exact[levels == i])
        ]
        for watch in failed:
            self._widened(watch)
        return not failed

    def _widened(self, watch: Watch) -> None:
        self.changes += 1
        what = f"computes again what lies within {watch.margin:.3g} of the threshold"
        if watch.tally.given_up:
            place = self.watches.index(watch)
            del self.watches[place], self.levels[place]
            self._ended.append(watch)
            what = f"is not used any longer; {self.levels[0].name} takes its place"
        say(f"{watch.tally.name} strayed from {self.exact.name} in an audit: it now {what}")
