"""Duplicates within a collection: each patch is compared with those that are kept, the preferred ones first."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from utils.duplicates.dictionary_index import Dictionary
from utils.duplicates.embedding import view_name, view_of
from utils.duplicates.verify import NOTHING, SIMILARITY, Agreement, compare, compare_sizes, sizes_of
from utils.duplicates.view_file import ViewFile
from utils.parallel import ordered_map
from utils.records.duplicates import Duplicate

# Pairs whose codes are less alike are not looked at: copies shifted by 8 of 224 pixels have .81 and more.
ALIKE = 0.7
# The most alike that are compared pixel by pixel, for each patch, and how many of those that are as alike as NEAR: what
# an edge or a mask divides resembles much. A match like CERTAIN ends it.
MOST = 6
MOST_NEAR = 12
NEAR = 0.8
CERTAIN = 0.9
# Sides of patches: the least that are compared, and how much their ratio may differ.
LEAST_SIDE = 56
RATIO = 1.1
CHUNK = 512
# Pairs of codes in memory before all but the most alike of each patch go.
PAIRS = 1 << 18

Pairs = tuple[np.ndarray, ...]  # place, owner, view, cosine: (m,) each
_NO_PAIRS: Pairs = (*(np.zeros(0, np.int64) for _ in range(3)), np.zeros(0, np.float32))


@dataclass(frozen=True)
class Match:
    """A patch that shows what another shows: the other's number, how alike, and how it is turned."""

    owner: int
    view: int
    agreement: Agreement


class Representatives:
    """Patches that are kept so far, by running number, and the search among them."""

    def __init__(
        self, dictionaries: Sequence[Dictionary], similarity: float = SIMILARITY, *, within: bool = False
    ) -> None:
        self.dictionaries = dictionaries  # in order of preference; their patches are numbered through
        self.similarity = similarity  # the least mean correlation of tiles
        # Patches of one dictionary are compared too: what a patch matches may itself turn out to be a duplicate, so
        # that all its matches are needed.
        self.within = within
        self.starts = np.cumsum([0, *map(len, dictionaries)])
        self.kept = np.zeros(self.starts[-1], bool)
        self._file = ViewFile(int(self.starts[-1]))

    def where(self, owner: int) -> tuple[Dictionary, int]:
        """Dictionary and row of a number."""
        which = int(np.searchsorted(self.starts, owner, side="right")) - 1
        return self.dictionaries[which], owner - int(self.starts[which])

    def add(self, which: int, rows: np.ndarray) -> None:
        """Keep patches of a dictionary: later ones are compared with them.

        Parameters
        ----------
        which : int
            The dictionary's place.
        rows : ndarray of int, shape (k,)
        """
        owners = self.starts[which] + rows
        self.kept[owners] = True
        self._file.add(np.asarray(self.dictionaries[which].index["codes"])[rows], owners)

    def matches(self, which: int, rows: np.ndarray) -> list[list[Match]]:
        """For each patch those that show the same, verified, the most alike first.

        Parameters
        ----------
        which : int
            The dictionary's place.
        rows : ndarray of int, shape (k,)
        """
        candidates = zip(rows.tolist(), self._candidates(which, rows), strict=True)
        return [self._verified(which, row, found) for row, found in candidates]

    def _candidates(self, which: int, rows: np.ndarray) -> list[list[tuple[int, int]]]:
        """(owner, view) of the kept patches whose codes are most alike, for each row."""
        codes = np.asarray(self.dictionaries[which].index["codes"])[rows]
        # Of thousands of copies, as of a film that stands still, the few most alike are enough.
        parts, count, least = [_NO_PAIRS], 0, np.full(len(rows), ALIKE, np.float32)
        for place, owner, view, cosine in self._file.search(codes, ALIKE):
            usable = self.kept[owner] & (owner < self.starts[which] + rows[place]) & (cosine >= least[place])
            parts.append((place[usable], owner[usable], view[usable], cosine[usable]))
            count += len(parts[-1][0])
            if count > PAIRS:
                parts, count = [_most_alike(parts, least)], 0
        found: list[list[tuple[int, int]]] = [[] for _ in rows]
        place, owner, view, cosine = _most_alike(parts, least)
        most = np.where(cosine >= NEAR, MOST_NEAR, MOST)
        for p, o, v, m in zip(*(column.tolist() for column in (place, owner, view, most)), strict=True):
            if len(found[p]) < m:
                found[p].append((o, v))
        return found

    def _verified(self, which: int, row: int, candidates: list[tuple[int, int]]) -> list[Match]:
        matches: list[Match] = []
        if not candidates:
            return matches
        patch = sizes_of(self.dictionaries[which].patch(row))
        for owner, view in candidates:
            dictionary, its_row = self.where(owner)
            agreement = compare_views(dictionary.patch(its_row), [view_of(size, view) for size in patch])
            if agreement.holds(self.similarity):
                matches.append(Match(owner, view, agreement))
                if agreement.similarity >= CERTAIN and not self.within:
                    break
        return sorted(matches, key=lambda match: (-match.agreement.similarity, match.owner))


def _most_alike(parts: Sequence[Pairs], least: np.ndarray) -> Pairs:
    """The best view of each pair, and of each place as many as may count, the most alike first; `least` rises to these.

    Parameters
    ----------
    parts : sequence of Pairs
    least : ndarray, shape (n,)
        The cosine below which nothing counts any more, by place.
    """
    pairs = [np.concatenate(column) for column in zip(*parts, strict=True)]
    place, owner, view, cosine = pairs
    order = np.lexsort((view, -cosine, owner, place))
    place, owner, view, cosine = (column[order] for column in pairs)
    best = np.flatnonzero(np.diff(place, prepend=-1) | np.diff(owner, prepend=-1))
    best = best[np.lexsort((owner[best], -cosine[best], place[best]))]
    rank = np.arange(len(best)) - np.searchsorted(place[best], place[best])
    count = MOST + MOST_NEAR
    last = best[rank == count - 1]
    least[place[last]] = cosine[last]
    best = best[rank < count]
    return place[best], owner[best], view[best], cosine[best]


def compare_views(first: np.ndarray, second: Sequence[np.ndarray]) -> Agreement:
    """Compare a patch with one of which smaller sizes are at hand: what `sizes_of` gives, or a view of it.

    Both show the same field, whatever their sizes: the larger one is reduced to the smaller.

    Parameters
    ----------
    first : ndarray of uint8, shape (h, w)
    second : sequence of ndarray of uint8, shape (h, w)
    """
    theirs = second[0].shape
    ratio = first.shape[0] * theirs[1] / (first.shape[1] * theirs[0])
    if min(*first.shape, *theirs) < LEAST_SIDE or not 1 / RATIO <= ratio <= RATIO:
        return NOTHING
    if first.shape == theirs:
        return compare_sizes(sizes_of(first), second)
    shape = min(first.shape, theirs)
    return compare(_reduced(first, shape), _reduced(second[0], shape))


def _reduced(patch: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    import cv2

    patch = np.ascontiguousarray(patch)
    return patch if patch.shape == shape else cv2.resize(patch, shape[::-1], interpolation=cv2.INTER_AREA)


def find_duplicates(
    representatives: Representatives, which: int, left_out: np.ndarray, *, threads: int = 1
) -> list[tuple[int, Match]]:
    """The duplicates among the patches of one dictionary; the others become representatives.

    Parameters
    ----------
    representatives : Representatives
        Of the dictionaries before this one.
    which : int
        The dictionary's place.
    left_out : (n,) bool array
        Patches that are neither judged nor kept.
    threads : int

    Returns
    -------
    list of (row, Match)
    """
    rows = np.flatnonzero(~left_out)
    if representatives.within:
        representatives.add(which, rows)
    parts = [rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK)]
    work = partial(representatives.matches, which)
    found = [matches for part in ordered_map(work, parts, threads) for matches in part]
    duplicates = []
    for row, matches in zip(rows.tolist(), found, strict=True):
        alive = [match for match in matches if representatives.kept[match.owner]]
        if alive:
            duplicates.append((row, alive[0]))
            if representatives.within:
                representatives.kept[representatives.starts[which] + row] = False
    if not representatives.within:
        representatives.add(which, np.setdiff1d(rows, [row for row, _ in duplicates]))
    return duplicates


def as_row(representatives: Representatives, which: int, row: int, match: Match) -> Duplicate:
    """A duplicate of one dictionary as a row of the table."""
    mine, (other, its_row) = representatives.dictionaries[which], representatives.where(match.owner)
    turned = view_name(match.view, inverted=match.agreement.correlation < 0)
    return Duplicate(
        *(mine.names[row], mine.label, other.names[its_row], other.label),
        *(match.agreement.similarity, match.agreement.correlation, turned),
    )
