"""A dictionary classified: the scores of its patches, which of them are kept, the table that says so."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from utils.classification.accounts import Account
from utils.classification.background import prefetched
from utils.classification.decision import Examined
from utils.classification.kept_files import kept_files
from utils.classification.shared_names import refuse_shared_files
from utils.files import safe_name
from utils.jobs import Job, WorkResult
from utils.patch_file import PatchFile
from utils.records.duplicates import LeftOut
from utils.records.recipes import load_record
from utils.records.scores import KEPT, LOW_SCORE, Score, read_scores, save_distances, save_scores
from utils.records.standing import same_but_for

if TYPE_CHECKING:
    from utils.classification.classifier import Classifier

# Options that decide what is kept, and how, but no score.
NO_SCORE = {"threshold", "without", "compression"}
# Patches that are read and written at a time where scores are known.
STORED = 256
NO_ONE: Mapping[Path, str] = MappingProxyType({})


class _StoredScores:
    """Gives scores of a table, in its order, and no distances; asked as a `Classifier` is."""

    at_once, is_aside, changes, account = STORED, False, 0, Account()

    def __init__(self, scores: np.ndarray, weights: str | None) -> None:
        self.left, self.weights = scores, weights

    def examine(self, patches: Sequence[np.ndarray]) -> Examined:
        scores, self.left = np.split(self.left, [len(patches)])
        return Examined(scores, np.full(len(scores), np.nan))


def classify_dictionary(
    network: "Callable[[], Classifier]",
    job: Job,
    scratch: Path,
    *,
    threshold: float,
    left_out: LeftOut | None = None,
    compression: str = "none",
    shared: Mapping[Path, str] = NO_ONE,
) -> WorkResult:
    """Score one dictionary, write its kept patches and its CSV, which becomes the job's target.

    The next patches are read, and TIFFs are written, while the network works (on a GPU those before are decided, too);
    of a dictionary of any size a few batches are in memory. Where only the threshold or what is left out has changed,
    the scores are those of the CSV that is there, and no network is asked for. What is in `left_out` is not kept,
    whatever its score; the CSV then says why each patch was kept or not. A dictionary in `shared` fails with the reason
    that stands there; see `shared_names`.

    Returns
    -------
    WorkResult
        How many were kept, the scorer's `Account`, and the weights that the scores come from.

    Raises
    ------
    ValueError
        If names cannot become file names, or two patches would share one.
    """
    safe_name(job.target.stem)
    if reason := shared.get(Path(job.source)):
        raise ValueError(reason)
    reasons = left_out.reasons(Path(job.source)) if left_out else {}
    with PatchFile(Path(job.source)) as file:
        refuse_shared_files(file.names)
        if gone := reasons.keys() - set(file.names):
            warnings.warn(f"{len(gone)} patches to be left out are not in it, one is {min(gone)}", stacklevel=2)
        stored = _stored_scores(job, file.names)
        scorer = network() if stored is None else stored
        before_all = scorer.account
        while True:
            with kept_files(job.target, file.meta, compression) as kept:
                before, rows, distances = scorer.changes, [], []
                parts = _scored(scorer, file)
                # Of a CPU's network nothing is gained, and an interrupt would wait for its batch.
                for part in prefetched(parts) if scorer.is_aside else parts:
                    rows += (decided := [_decided(*s, threshold, reasons.get(s[0])) for s in part.scored])
                    kept.add(decided, part.patches)
                    distances.append(part.distances)
                if scorer.changes == before:
                    kept.commit()
                    break
    if stored is None:
        save_distances(job.target, np.concatenate([[], *distances]))
    save_scores(scratch, rows, reasons=left_out is not None)
    said = f"{sum(row.kept for row in rows)} of {len(rows)} patches kept"
    made_by = {"weights": scorer.weights} if scorer.weights else {}
    return WorkResult(said, account=scorer.account.since(before_all), options=made_by)


class _Part(NamedTuple):
    """Some patches of a dictionary: names with scores, pixels, and distances."""

    scored: list[tuple[str, float]]
    patches: list[np.ndarray]
    distances: np.ndarray


def _scored(scorer: "Classifier | _StoredScores", file: PatchFile) -> Iterator[_Part]:
    """All patches with their scores; the next are read meanwhile."""
    for batch in prefetched(file.batches(count=scorer.at_once)):
        seen = scorer.examine(batch.patches)
        yield _Part(list(zip(batch.names, map(float, seen.scores), strict=True)), batch.patches, seen.distances)


def _decided(name: str, score: float, threshold: float, left_out: str | None) -> Score:
    if left_out:
        return Score(name, score, False, left_out)
    kept = score > threshold
    return Score(name, score, kept, KEPT if kept else LOW_SCORE)


def _stored_scores(job: Job, names: Sequence[str]) -> _StoredScores | None:
    """The scores of a table that is there, where everything that decides them is the same; None where it is not."""
    with suppress(ValueError, OSError):
        record = load_record(job.target)
        if record is None or job.recipe is None or not same_but_for(job.recipe, job.target, record, NO_SCORE):
            return None
        rows = list(read_scores(job.target))
        if [row.name for row in rows] == list(names):
            return _StoredScores(np.array([row.score for row in rows]), record.options.get("weights"))
    return None
