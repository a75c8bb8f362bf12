"""What was decided about a dictionary, kept beside its index until something that it depends on changes."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any

from utils.duplicates.dictionary_index import index_path
from utils.files import atomic_path
from utils.records.duplicates import Duplicate

Rows = list[tuple[int, Duplicate]]


def key_of(*parts: Any) -> str:
    """A digest of everything that a decision depends on."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def remembered(dictionary: Path, kind: str, key: str, decide: Callable[[], Rows]) -> Rows:
    """The rows that were decided under a key, or what `decide` says now.

    Parameters
    ----------
    dictionary : Path
    kind : str
        ``leaks`` or ``duplicates``: what of the dictionary was decided.
    key : str
        From `key_of`.
    """
    path = index_path(dictionary).with_name(f"{index_path(dictionary).name}.{kind}.json")
    known = _read(path, key)
    if known is not None:
        return known
    rows = decide()
    with atomic_path(path) as scratch:
        scratch.write_text(json.dumps({"key": key, "rows": _plain(rows)}), encoding="utf-8")
    return rows


def _plain(rows: Sequence[tuple[int, Duplicate]]) -> list[list[Any]]:
    return [[row, *astuple(duplicate)] for row, duplicate in rows]


def _read(path: Path, key: str) -> Rows | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["key"] != key:
            return None
        return [(int(row), Duplicate(*fields)) for row, *fields in content["rows"]]
    except (OSError, ValueError, KeyError, TypeError):
        return None
