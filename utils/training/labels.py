"""Labelled patches for training: reading the lists, and splitting by source."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tokenize import TokenError
from zipfile import BadZipFile

import numpy as np

from utils.contrast import to_uint8
from utils.images import read_gray
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

    def subset(self, chosen: np.ndarray) -> "Labelled":
        """The patches at these indices."""
        sources = tuple(self.sources[i] for i in chosen) if self.sources else ()
        return Labelled(
            tuple(self.paths[i] for i in chosen), tuple(self.patches[i] for i in chosen), self.good[chosen], sources
        )

    def merged(self, groups: Sequence[Sequence[str]]) -> "Labelled":
        """The same patches, the sources of each group counted as one, named ``a+b``.

        Raises
        ------
        ValueError
            If a group names a source that is not there.
        """
        names = {name: "+".join(group) for group in groups for name in group}
        unknown = sorted(names.keys() - set(self.sources))
        if unknown:
            known = ", ".join(sorted(set(self.sources))) or "none"
            raise ValueError(f"no patch has the source {unknown[0]!r}; there are {known}")
        return replace(self, sources=tuple(names.get(source, source) for source in self.sources))


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
    patches = tuple(_read_patch(path) for path in paths)
    return Labelled(paths, patches, good, tuple(sources[i] for i in used) if sources else ())


def split_by_source(data: Labelled, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Choose about `share` of the patches for validation, whole sources where sources are known.

    Returns
    -------
    train, validation : ndarrays of int
        Indices; both hold both classes. Without sources, or when no choice of them does so, patches are drawn
        one by one from each class (the latter with a warning, since validation then flatters).
    """
    rng = np.random.default_rng([seed, 15])
    everything = np.arange(len(data))
    if share == 0:
        return everything, everything[:0]
    if data.sources:
        names = np.array(data.sources)
        chosen = _sources_to_hold_out(names, data.good, share, rng)
        if chosen:
            held = np.isin(names, chosen)
            return everything[~held], everything[held]
        warnings.warn("no choice of whole sources has both classes on both sides: split by patch instead", stacklevel=2)
    parts = [rng.permutation(everything[data.good == kind]) for kind in (True, False)]
    counts = [max(1, round(share * len(part))) for part in parts]
    held = np.sort(np.concatenate([part[:n] for part, n in zip(parts, counts, strict=True)]))
    return np.setdiff1d(everything, held), held


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


# What numpy throws at a damaged array or archive.
_DAMAGED = (
    ValueError,
    EOFError,
    SyntaxError,
    TypeError,
    LookupError,
    ArithmeticError,
    MemoryError,
    BadZipFile,
    TokenError,
)


def _strings(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            array = np.asarray(np.load(file, allow_pickle=False))
    except _DAMAGED as error:
        hint = "; save it as strings: np.save(path, array.astype(str))" if "Object" in str(error) else ""
        raise ValueError(f"{path}: not a .npy array of strings{hint}") from error
    return [str(value) for value in array.ravel()]


def _located(folder: Path, name: str) -> Path:
    beside = folder / name
    return Path(name) if not beside.is_file() and Path(name).is_file() else beside


def _read_patch(path: Path) -> np.ndarray:
    try:
        return to_uint8(read_gray(path))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error


def _check_enough(good: np.ndarray, rows: int) -> None:
    if len(good) < FEWEST_LABELS:
        raise ValueError(f"{len(good)} patches of {rows} are labelled good or bad; at least {FEWEST_LABELS} are needed")
    if good.all() or not good.any():
        kind, other = ("good", "bad") if good.all() else ("bad", "good")
        raise ValueError(f"all {len(good)} labels are {kind!r}; some {other!r} ones are needed as well")


def _sources_to_hold_out(names: np.ndarray, good: np.ndarray, share: float, rng: np.random.Generator) -> list[str]:
    """Of many random choices of sources, the one nearest to `share` with both classes on both sides.

    Most sources hold one class only: where as many as make up `share` do not have both, more are taken.
    """
    best, best_gap = [], np.inf
    unique = np.unique(names)
    for _ in range(300):
        order = rng.permutation(unique)
        sizes = np.cumsum([(names == name).sum() for name in order]) / len(names)
        for count in range(int(np.abs(sizes - share).argmin()) + 1, len(order)):
            gap = abs(sizes[count - 1] - share)
            if gap >= best_gap:
                break
            held = np.isin(names, order[:count])
            if _both(good[held]) and _both(good[~held]):
                best, best_gap = [str(name) for name in order[:count]], gap
                break
    return best if best_gap < max(0.2, share) else []


def _both(good: np.ndarray) -> bool:
    return bool(good.any() and not good.all())
