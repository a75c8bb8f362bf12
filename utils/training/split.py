"""Which labelled patches judge a network that did not see them: whole experiments, with what overlaps kept together.

A network that saw one half of a mosaic knows the other half. So patches move in groups: those of one source, and the
sources that show the same tissue.
"""

import re
import warnings
from collections.abc import Iterable, Sequence

import numpy as np

from utils.components import connected
from utils.training.labels import has_both

# Fewer patches of either class than this choose a good epoch by luck.
FEWEST_OF_A_CLASS = 20
TRIES = 300
LONGEST_NAME, LONGEST_FILE = 80, 160


def group_patches(sources: Sequence[str], count: int, pairs: Iterable[tuple[int, int]] = ()) -> np.ndarray:
    """Number the groups that patches must not leave: their sources, joined where two patches show the same.

    Parameters
    ----------
    sources : sequence of str
        What each patch was cut from; a patch of unknown source is a group of its own.
    count : int
        Number of patches.
    pairs : iterable of (int, int)
        Indices of patches that overlap or are near-duplicates.

    Returns
    -------
    ndarray of int, shape (count,)
        Numbered from 0 in order of appearance.
    """
    first: dict[str, int] = {}
    alike = [(first.setdefault(source, i), i) for i, source in enumerate(sources) if source]
    return np.array(connected(count, [*alike, *pairs]), int)


def group_names(sources: Sequence[str], groups: np.ndarray) -> list[str]:
    """A name for each group, which may be a file's: its sources, joined, or its first when that would be long.

    Parameters
    ----------
    sources : sequence of str
    groups : ndarray of int, shape (n,)
    """
    names: dict[str, str] = {}
    for group in range(int(groups.max()) + 1):
        own = sorted({sources[int(i)] for i in np.flatnonzero(groups == group)}) if sources else [""]
        joined = "+".join(own)
        name = joined if len(joined) <= LONGEST_NAME else f"{own[0][:LONGEST_NAME]}+{len(own) - 1}more"
        name = _as_file_name(name)
        # Sources differ in case alone, or in what no file's name holds, and some are not known.
        while name.casefold() in names:
            name = f"{name} {group + 1}"
        names[name.casefold()] = name
    return list(names.values())


def _as_file_name(text: str) -> str:
    plain = re.sub(r"[/\\:\0]", "_", text).lstrip(".").encode(errors="surrogateescape")
    return plain[:LONGEST_FILE].decode(errors="ignore") or "unknown"


def hold_out(groups: np.ndarray, good: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Choose whole groups that hold about `share` of the patches, with enough of both classes to choose an epoch by.

    Parameters
    ----------
    groups : ndarray of int, shape (n,)
    good : ndarray of bool, shape (n,)
    share : float
    seed : int

    Returns
    -------
    ndarray of int, shape (m,)
        Indices held out, ascending; empty when no choice of groups leaves both classes on both sides, or
        `FEWEST_OF_A_CLASS` of each to judge by.
    """
    rng = np.random.default_rng([seed, 15])
    best, best_gap = np.empty(0, int), max(0.2, share)
    sizes = np.bincount(groups)
    for _ in range(TRIES):
        order = rng.permutation(len(sizes))
        shares = np.cumsum(sizes[order]) / len(groups)
        for count in range(int(np.abs(shares - share).argmin()) + 1, len(order)):
            gap = abs(shares[count - 1] - share)
            if gap >= best_gap:
                break
            held = np.isin(groups, order[:count])
            if min(good[held].sum(), (~good[held]).sum()) >= FEWEST_OF_A_CLASS and has_both(good[~held]):
                best, best_gap = np.flatnonzero(held), gap
                break
    return best


def fold_by_group(groups: np.ndarray, good: np.ndarray, count: int, seed: int) -> list[np.ndarray]:
    """Deal whole groups into folds so that each holds its part of either class, as nearly as groups allow.

    Parameters
    ----------
    groups : ndarray of int, shape (n,)
    good : ndarray of bool, shape (n,)
    count : int
        Folds wanted; fewer when there are fewer groups.
    seed : int

    Returns
    -------
    list of ndarray of int, shape (k,)
        The indices that each fold leaves out, ascending; together all patches, each once. Where groups are so few that
        some fold would leave one class only to learn from, single patches are dealt instead, with a warning: figures
        then flatter.
    """
    folds = _dealt(groups, good, count, seed)
    if all(has_both(np.delete(good, fold)) for fold in folds):
        return folds
    warnings.warn(
        f"{int(groups.max()) + 1} groups of sources cannot be folded with both classes to learn from: "
        "split by patch instead, so figures flatter",
        stacklevel=2,
    )
    return _dealt(np.arange(len(groups)), good, count, seed)


def _dealt(groups: np.ndarray, good: np.ndarray, count: int, seed: int) -> list[np.ndarray]:
    """Largest groups first, each to the fold that lacks most of what it holds."""
    counts = np.stack([np.bincount(groups, good), np.bincount(groups, ~good)], axis=1)
    wanted = counts.sum(axis=0) / count
    rng = np.random.default_rng([seed, 16])
    order = rng.permutation(len(counts))
    order = order[np.argsort(-(counts[order] / wanted).sum(axis=1), kind="stable")]
    filled = np.zeros((count, 2))
    fold_of = np.zeros(len(counts), int)
    for group in order:
        after = (filled + counts[group]) / wanted
        fold_of[group] = int((after**2 - (filled / wanted) ** 2).sum(axis=1).argmin())
        filled[fold_of[group]] += counts[group]
    folds = [np.flatnonzero(fold_of[groups] == k) for k in range(count)]
    return [fold for fold in folds if len(fold)]
