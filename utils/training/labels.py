"""Labelled patches for training: reading the lists."""

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from zipfile import BadZipFile

import numpy as np

from utils.contrast import to_uint8
from utils.images import read_gray
from utils.outcomes import reason_of
from utils.pickled_arrays import possible_text
from utils.reading import DAMAGE
from utils.table_text import read_rows

FEWEST_LABELS = 64
LABELS = {"good": True, "informative": True, "bad": False, "uninformative": False}
LEFT_OUT = frozenset({"none", "", "nan"})


@dataclass(frozen=True)
class Labelled:
    """Patches with labels, indexed alike.

    Attributes
    ----------
    paths : tuple of Path
    patches : tuple of uint8 arrays, shape (h, w)
    good : ndarray of bool
    sources : tuple of str
        What each patch was cut from; empty when unknown.
    """

    paths: tuple[Path, ...]
    patches: tuple[np.ndarray, ...]
    good: np.ndarray
    sources: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def digest(self) -> str:
        """What tells whether two are the same: the files' names, their pixels, labels and sources."""
        shapes = [patch.shape for patch in self.patches]
        found = hashlib.sha256(repr((self.paths, shapes, self.good.tolist(), self.sources)).encode())
        for patch in self.patches:
            found.update(patch.tobytes())
        return found.hexdigest()

    def subset(self, chosen: np.ndarray) -> "Labelled":
        """The patches at these indices.

        Parameters
        ----------
        chosen : ndarray of int, shape (k,)
        """
        sources = tuple(self.sources[i] for i in chosen) if self.sources else ()
        return Labelled(
            tuple(self.paths[i] for i in chosen), tuple(self.patches[i] for i in chosen), self.good[chosen], sources
        )

    def joined_sources(self, groups: Sequence[Sequence[str]]) -> tuple[str, ...]:
        """The source of each patch, where the sources of a group count as its first.

        Raises
        ------
        ValueError
            If a group names a source that is not there.
        """
        names = {name: group[0] for group in groups for name in group}
        unknown = sorted(names.keys() - set(self.sources))
        if unknown:
            known = ", ".join(sorted(set(self.sources))) or "none"
            raise ValueError(f"no patch has the source {unknown[0]!r}; there are {known}")
        return tuple(names.get(source, source) for source in self.sources)


def read_labelled(table: Path, labels: Path | None = None) -> Labelled:
    """Read labelled patches from one CSV (columns path, label, perhaps source) or from two ``.npy`` arrays.

    Relative paths count from the folder of `table`, or else from the current one. Labels are good,
    bad or none, and none is left out.

    Raises
    ------
    ValueError
        If labels are unknown, too few or all of one class.
    FileNotFoundError
        If patches are missing.
    """
    names, marks, sources = _read_csv(table) if labels is None else _read_arrays(table, labels)
    unknown = sorted({mark for mark in marks if mark not in LABELS and mark not in LEFT_OUT})
    if unknown:
        raise ValueError(f"unknown labels {', '.join(map(repr, unknown[:5]))}; expected good, bad or none")
    used = [i for i, mark in enumerate(marks) if mark in LABELS]
    good = np.array([LABELS[marks[i]] for i in used], bool)
    _check_enough(good, len(marks))
    paths = tuple(_located(table.parent, names[i]) for i in used)
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise FileNotFoundError(f"{len(missing)} of {len(paths)} patches do not exist, the first is {missing[0]}")
    both = {paths[i] for i in np.flatnonzero(good)} & {paths[i] for i in np.flatnonzero(~good)}
    if both:
        warnings.warn(f"labelled both good and bad: {len(both)} of the patches, one is {min(both)}", stacklevel=2)
    patches = tuple(_read_patch(path) for path in paths)
    return Labelled(paths, patches, good, tuple(sources[i] for i in used) if sources else ())


def _read_csv(table: Path) -> tuple[list[str], list[str], list[str]]:
    columns, rows = read_rows(table)
    if not {"path", "label"} <= set(columns):
        raise ValueError(f"{table}: columns are {', '.join(columns) or 'none'}; expected path,label[,source]")
    marks = [row.cells["label"].lower() for row in rows]
    sources = [row.cells["source"] for row in rows] if "source" in columns else []
    return [row.cells["path"] for row in rows], marks, sources


def _read_arrays(paths: Path, labels: Path) -> tuple[list[str], list[str], list[str]]:
    names, marks = (_strings(path) for path in (paths, labels))
    if len(names) != len(marks):
        raise ValueError(f"{paths} holds {len(names)} paths, but {labels} holds {len(marks)} labels")
    return names, [mark.strip().lower() for mark in marks], []


def _strings(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            array = possible_text(np.asarray(np.load(file, allow_pickle=False)).ravel())
    except (*DAMAGE, ValueError, BadZipFile, TokenError) as error:
        hint = "; save it as strings: np.save(path, array.astype(str))" if "Object" in str(error) else ""
        raise ValueError(f"{path}: not a .npy array of strings{hint}") from error
    return [str(value) for value in array]


def _located(folder: Path, name: str) -> Path:
    beside = folder / name
    return Path(name) if not beside.is_file() and Path(name).is_file() else beside


def _read_patch(path: Path) -> np.ndarray:
    try:
        return to_uint8(read_gray(path))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: {reason_of(error, path)}") from error


def has_both(good: np.ndarray) -> bool:
    """Whether there are labels of either kind.

    Parameters
    ----------
    good : ndarray of bool, shape (n,)
    """
    return bool(good.any() and not good.all())


def _check_enough(good: np.ndarray, rows: int) -> None:
    if len(good) < FEWEST_LABELS:
        raise ValueError(f"{len(good)} patches of {rows} are labelled good or bad; at least {FEWEST_LABELS} are needed")
    if not has_both(good):
        kind, other = ("good", "bad") if good.all() else ("bad", "good")
        raise ValueError(f"all {len(good)} labels are {kind!r}; some {other!r} ones are needed as well")
