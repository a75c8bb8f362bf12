"""The judgement over a collection: first what leaks, then what is there twice.

What was decided about a dictionary is kept beside its index until something that it depends on changes.
"""

import hashlib
import json
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from utils.duplicates import greedy, leaks
from utils.duplicates.dictionary_index import Dictionary, index_path
from utils.duplicates.excluded import Excluded
from utils.duplicates.greedy import Representatives, find_duplicates
from utils.duplicates.index_file import VERSION
from utils.duplicates.inverted_file import cell_count
from utils.duplicates.leaks import ExcludedWindows, find_leaks
from utils.files import is_litter, remove, remove_if_empty, write_whole
from utils.foreign_text import json_file
from utils.parallel import one_blas_thread
from utils.records.duplicates import Duplicate

Rows = list[tuple[int, Duplicate]]
# What of a dictionary is decided.
KINDS = ("leaks", "duplicates")


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
    leaks_of = _leaks(excluded, options, threads)
    representatives = Representatives(dictionaries, options.similarity, within=options.within)
    basis = [VERSION, options.similarity, options.within, cell_count(int(representatives.starts[-1]))]
    rows: list[Duplicate] = []
    chain = digest_of(basis)
    for which, dictionary in enumerate(dictionaries):
        with one_blas_thread():
            leaked = leaks_of(dictionary)
            # Everything before decides: when nothing of it changed, the decision stands.
            chain = digest_of(chain, dictionary.label, dictionary.digest, [row for row, _ in leaked])
            found = _duplicates(representatives, which, leaked, chain, threads)
        rows += [duplicate for _, duplicate in [*leaked, *found]]
        step()
    return rows


def _duplicates(representatives: Representatives, which: int, leaked: Rows, key: str, threads: int) -> Rows:
    """The duplicates of one dictionary; those of its patches that are none become representatives."""
    dictionary = representatives.dictionaries[which]
    left_out = np.zeros(len(dictionary), bool)
    left_out[[row for row, _ in leaked]] = True
    if (known := remembered(dictionary.path, "duplicates", key)) is not None:
        left_out[[row for row, _ in known]] = True
        representatives.add(which, np.flatnonzero(~left_out))
        return known
    found = find_duplicates(representatives, which, left_out, threads=threads)
    rows = [(row, greedy.as_row(representatives, which, row, match)) for row, match in found]
    return remember(dictionary.path, "duplicates", key, rows)


def _leaks(excluded: Sequence[Excluded], options: ComparisonOptions, threads: int) -> Callable[[Dictionary], Rows]:
    """Gives the patches of a dictionary that show what an excluded image shows."""
    basis = digest_of(
        VERSION, options.similarity, options.deep, [[e.name, e.index.meta["source"][2]] for e in excluded]
    )

    @cache
    def windows() -> ExcludedWindows:  # gathered when the first dictionary needs them
        return ExcludedWindows(excluded, options.similarity, deep=options.deep)

    def leaks_of(dictionary: Dictionary) -> Rows:
        key = digest_of(basis, dictionary.label, dictionary.digest)
        known = remembered(dictionary.path, "leaks", key) if excluded else []
        if known is not None:
            return known
        found = find_leaks(windows(), dictionary, threads=threads)
        rows = [(row, leaks.as_row(windows(), dictionary, row, leak)) for row, leak in found]
        return remember(dictionary.path, "leaks", key, rows)

    return leaks_of


def remember(dictionary: Path, kind: str, key: str, rows: Rows) -> Rows:
    """Keep the rows of one of `KINDS` that were decided under a key (see `digest_of`); gives them back."""
    plain = [[row, *astuple(duplicate)] for row, duplicate in rows]
    write_whole(_decision_path(index_path(dictionary), kind), json.dumps({"key": key, "rows": plain}))
    return rows


def remembered(dictionary: Path, kind: str, key: str) -> Rows | None:
    """What was decided under this very key; None where nothing was."""
    content = json_file(_decision_path(index_path(dictionary), kind))
    with suppress(ValueError, KeyError, TypeError):
        if content["key"] == key:
            return [(int(row), Duplicate(*fields)) for row, *fields in content["rows"]]
    return None


def digest_of(*parts: Any) -> str:
    """A digest of everything that a decision depends on."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _decision_path(index: Path, kind: str) -> Path:
    return index.with_name(f"{index.name}.{kind}.json")


def discard_indexes(folder: Path, kept: Collection[Path]) -> list[str]:
    """Remove the indexes of a folder, and what was decided by them, but for those that are kept; their names."""
    if not folder.is_dir():
        return []
    paths = {path for index in kept for path in (index, *(_decision_path(index, kind) for kind in KINDS))}
    gone = sorted(path for path in folder.iterdir() if path not in paths and not is_litter(path))
    for path in gone:
        remove(path)
    remove_if_empty(folder)
    return [path.name for path in gone if path.suffix != ".json"]
