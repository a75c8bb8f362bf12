"""Dictionaries of one dataset that hold patches of one name: their TIFFs would be one file."""

import contextlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

from utils.components import by_key
from utils.dictionaries import load_meta
from utils.files import safe_name, stem_of_file
from utils.names import dataset_of
from utils.patch_file import PatchFile

# Dictionaries that a sentence names.
MOST_NAMES = 3


def shared_names(dictionaries: Iterable[Path]) -> dict[Path, str]:
    """The dictionaries that would share a kept patch's file with another one, each with the reason.

    Most datasets have one dictionary, and those of its regions come from volumes of different names: nothing of these
    is read but their meta. What cannot be read fails by itself, later.
    """
    reasons: dict[Path, str] = {}
    for paths in by_key(dictionaries, lambda path: dataset_of(stem_of_file(path)).casefold()).values():
        for alike in _of_one_source(paths) if len(paths) > 1 else ():
            reasons |= _reasons(alike)
    return reasons


def _of_one_source(paths: Sequence[Path]) -> Iterator[list[Path]]:
    """Dictionaries that may hold one name: of one volume, or of images, whatever their group is called."""
    by_source: defaultdict[str, list[Path]] = defaultdict(list)
    for path in paths:
        with contextlib.suppress(OSError, ValueError):
            meta = load_meta(path)
            by_source[f"volume {meta.get('source')}" if "shape" in meta else ""].append(path)
    return (alike for alike in by_source.values() if len(alike) > 1)


def _reasons(paths: Sequence[Path]) -> dict[Path, str]:
    """Why each of some dictionaries cannot be classified beside the others."""
    holders: defaultdict[str, dict[Path, str]] = defaultdict(dict)
    for path in paths:
        with contextlib.suppress(OSError, ValueError), PatchFile(path) as file:
            for name in file.names:
                holders[name.casefold()][path] = name
    reasons: dict[Path, str] = {}
    for same in holders.values():
        for path in same if len(same) > 1 else ():
            reasons.setdefault(path, _sentence(path, same))
    return reasons


def _sentence(path: Path, same: Mapping[Path, str]) -> str:
    others = list(islice((other.name for other in same if other != path), MOST_NAMES))
    more = f" and {len(same) - 1 - len(others)} more" if len(same) - 1 > len(others) else ""
    folder = dataset_of(stem_of_file(path))
    return (
        f"its patch {same[path]!r} would share a file of the folder {folder} with that of {', '.join(others)}{more}; "
        "rename one of them"
    )


def refuse_shared_files(names: Iterable[str]) -> None:
    """Refuse names within one dictionary that are no file names, or that meet on some file system.

    Raises
    ------
    ValueError
    """
    seen: dict[str, str] = {}
    for name in names:
        folded = safe_name(name).casefold()
        if folded in seen:
            raise ValueError(f"two patches would share a file: {seen[folded]!r} and {name!r}")
        seen[folded] = name
