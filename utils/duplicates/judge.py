"""The judgement over a collection: first what leaks, then what is there twice."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from utils.duplicates.decisions import Rows, key_of, remembered
from utils.duplicates.dictionary_index import Dictionary
from utils.duplicates.excluded import Excluded
from utils.duplicates.greedy import Representatives, as_rows, find_duplicates
from utils.duplicates.index_file import VERSION
from utils.duplicates.inverted_file import cell_count
from utils.duplicates.leaks import ExcludedWindows, as_row, find_leaks
from utils.parallel import one_blas_thread
from utils.records.duplicates import Duplicate


@dataclass(frozen=True)
class ComparisonOptions:
    """What decides the table, beside the patches and the excluded images."""

    similarity: float
    deep: bool
    within: bool


def judge(
    dictionaries: Sequence[Dictionary],
    excluded: Sequence[Excluded],
    options: ComparisonOptions,
    *,
    threads: int = 1,
    step: Callable[[], None] = lambda: None,
) -> list[Duplicate]:
    """All patches to leave out, each once; `dictionaries` in order of preference.

    Excluded patches represent nothing: what resembles them is found in the excluded images by itself, or is another
    tissue. `step` is called after every dictionary.
    """
    leaks = Leaks(excluded, options, threads)
    representatives = Representatives(dictionaries, options.similarity, within=options.within)
    basis = [VERSION, options.similarity, options.within, cell_count(int(representatives.starts[-1]))]
    rows: list[Duplicate] = []
    chain = key_of(basis)
    for which, dictionary in enumerate(dictionaries):
        with one_blas_thread():
            leaked = leaks.of(dictionary)
            # Everything before decides: when nothing of it changed, the decision stands.
            chain = key_of(chain, dictionary.label, dictionary.digest, [row for row, _ in leaked])
            found = _duplicates(representatives, which, leaked, chain, threads)
        rows += [duplicate for _, duplicate in [*leaked, *found]]
        step()
    return rows


def _duplicates(representatives: Representatives, which: int, leaked: Rows, key: str, threads: int) -> Rows:
    """The duplicates of one dictionary; those of its patches that are none become representatives."""
    dictionary = representatives.dictionaries[which]
    left_out = np.zeros(len(dictionary), bool)
    left_out[[row for row, _ in leaked]] = True
    asked = False

    def decide() -> Rows:
        nonlocal asked
        asked = True
        found = find_duplicates(representatives, which, left_out, threads=threads)
        rows = as_rows(representatives, which, found)
        return [(row, duplicate) for (row, _), duplicate in zip(found, rows, strict=True)]

    rows = remembered(dictionary.path, "duplicates", key, decide)
    if not asked:
        left_out[[row for row, _ in rows]] = True
        representatives.add(which, np.flatnonzero(~left_out))
    return rows


class Leaks:
    """Leaks of dictionaries; the windows of excluded images are gathered when the first dictionary needs them."""

    def __init__(self, excluded: Sequence[Excluded], options: ComparisonOptions, threads: int) -> None:
        self._excluded = excluded
        self._options = options
        self._threads = threads
        self._windows: ExcludedWindows | None = None
        sources = [[each.name, each.index.meta["source"][2]] for each in excluded]
        self._key = key_of(VERSION, options.similarity, options.deep, sources)

    def of(self, dictionary: Dictionary) -> Rows:
        """The patches of a dictionary that show what an excluded image shows."""
        if not self._excluded:
            return []
        key = key_of(self._key, dictionary.label, dictionary.digest)
        return remembered(dictionary.path, "leaks", key, lambda: self._find(dictionary))

    def _find(self, dictionary: Dictionary) -> Rows:
        if self._windows is None:
            self._windows = ExcludedWindows(self._excluded, self._options.similarity, deep=self._options.deep)
        found = find_leaks(self._windows, dictionary, threads=self._threads)
        return [(row, as_row(self._windows, dictionary, row, leak)) for row, leak in found]
