"""What was decided about a dictionary, kept beside its index until something that it depends on changes."""

import hashlib
import json
from collections.abc import Callable, Collection
from dataclasses import astuple
from pathlib import Path
from typing import Any

from utils.duplicates.dictionary_index import index_path
from utils.files import atomic_path, is_litter, remove, remove_if_empty
from utils.json_text import parse_json
from utils.records.duplicates import Duplicate

Rows = list[tuple[int, Duplicate]]
# What of a dictionary is decided.
KINDS = ("leaks", "duplicates")


def key_of(*parts: Any) -> str:
    """A digest of everything that a decision depends on."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def remembered(dictionary: Path, kind: str, key: str, decide: Callable[[], Rows]) -> Rows:
    """The rows of one of `KINDS` that were decided under a key (see `key_of`), or what `decide` says now."""
    path = _decision_path(index_path(dictionary), kind)
    if (known := _read(path, key)) is not None:
        return known
    rows = decide()
    with atomic_path(path) as scratch:
        plain = [[row, *astuple(duplicate)] for row, duplicate in rows]
        scratch.write_text(json.dumps({"key": key, "rows": plain}), encoding="utf-8")
    return rows


def _decision_path(index: Path, kind: str) -> Path:
    return index.with_name(f"{index.name}.{kind}.json")


def discard_indexes(folder: Path, kept: Collection[Path]) -> list[str]:
    """Remove the indexes of a folder, and what was decided by them, but for those that are kept; their names."""
    if not folder.is_dir():
        return []
    names = {path.name for index in kept for path in (index, *(_decision_path(index, kind) for kind in KINDS))}
    gone = sorted(path for path in folder.iterdir() if path.name not in names and not is_litter(path))
    for path in gone:
        remove(path)
    remove_if_empty(folder)
    return [path.name for path in gone if path.suffix != ".json"]


def _read(path: Path, key: str) -> Rows | None:
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
        if content["key"] != key:
            return None
        return [(int(row), Duplicate(*fields)) for row, *fields in content["rows"]]
    except (OSError, ValueError, KeyError, TypeError):
        return None
