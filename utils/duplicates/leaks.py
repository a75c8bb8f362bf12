"""Leaks: patches that show the same tissue as an excluded image, at any offset, view and polarity, at three scales."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from utils.duplicates.deep import DeepPoints
from utils.duplicates.dictionary_index import Dictionary
from utils.duplicates.embedding import RELATIVE_VIEWS, VIEWS, view_name
from utils.duplicates.excluded import Excluded
from utils.duplicates.inverted_file import InvertedFile
from utils.duplicates.keypoints import BLOCK, LEVELS, find_windows, view_matrix
from utils.duplicates.placement import Placement, Votes, place_patch, view_of_matrix
from utils.duplicates.verify import REACH, SIMILARITY, Agreement
from utils.parallel import ordered_map
from utils.records.duplicates import EXCLUDED_MARK, Duplicate

# Windows whose codes are less alike do not vote; a place needs FEW votes, or one like CERTAIN.
ALIKE = 0.9
FEW = 2
CERTAIN = 0.97
# At another scale one of two pictures is blurred, and blurred ones agree by chance: so much more is asked of them. The
# highest of unrelated pictures was .51 there, against .26 at the same scale; copies have .72 and more.
SCALED = 0.15
# Cells that each window looks into: of its patch's many votes a few are enough.
PROBED = 8
# Ways of laying a patch into one image.
KINDS = len(VIEWS) * 2 * len(LEVELS)
_MATRICES = np.stack([view_matrix(view) for view in range(len(VIEWS))])
# The places that are compared pixel by pixel, for each patch, and its windows, the strongest: enough that those of half
# of it, or of a corner, are among them.
MOST = 24
WINDOWS = 64
CHUNK = 128


@dataclass(frozen=True)
class Leak:
    """Where a patch was found in an excluded image."""

    source: int
    plane: int
    placement: Placement
    agreement: Agreement


class ExcludedWindows:
    """The windows of all excluded images, and the search among them: about 90 bytes a window."""

    def __init__(self, sources: Sequence[Excluded], similarity: float = SIMILARITY, *, deep: bool = False) -> None:
        self.sources = sources
        self.similarity = similarity
        self._plane_starts = np.cumsum([0, *(len(source) for source in sources)])
        self._starts = np.cumsum([0, *(source.index.rows("codes") for source in sources)])
        self._file = InvertedFile(int(self._starts[-1]))
        for source, start in zip(sources, self._starts.tolist(), strict=False):
            codes = np.asarray(source.index["codes"])
            self._file.add(codes, np.arange(start, start + len(codes)))
        self._planes = self._gathered("owners", np.int64)
        for which, start in enumerate(self._starts[:-1].tolist()):
            self._planes[start : self._starts[which + 1]] += self._plane_starts[which]
        self._levels = self._gathered("levels", np.uint8)
        self._views = self._gathered("views", np.uint8)
        self._places = self._gathered("places", np.float32).reshape(-1, 2)
        self._deep = self._deep_points() if deep else None

    def _deep_points(self) -> DeepPoints:
        planes = self._gathered("deep_owners", np.int64)
        ends = np.cumsum([source.index.rows("deep_codes") for source in self.sources])
        planes += self._plane_starts[np.searchsorted(ends, np.arange(len(planes)), side="right")]
        codes, frames = self._gathered("deep_codes", np.int8), self._gathered("deep_frames", np.float32)
        return DeepPoints(codes, frames, planes)

    def _gathered(self, name: str, dtype: type) -> np.ndarray:
        return np.concatenate([np.asarray(source.index[name]) for source in self.sources], dtype=dtype)

    def find(self, patches: Sequence[np.ndarray]) -> list[Leak | None]:
        """Where each patch lies in an excluded image; None for those that lie in none that could be found.

        Parameters
        ----------
        patches : sequence of ndarray of uint8, shape (h, w)
        """
        found: list[Leak | None] = [None] * len(patches)
        tried: list[list[tuple[int, np.ndarray]]] = [[] for _ in patches]
        votes, matrices = self._votes(patches)
        for patch, group in votes.places(FEW, CERTAIN):
            kind, middle = int(votes.kinds[group[0]]), np.median(votes.middles[group], axis=0)
            if len(tried[patch]) >= MOST or found[patch] is not None or _is_among(tried[patch], kind, middle):
                continue
            tried[patch].append((kind, middle))
            found[patch] = self._judged(patches[patch], Placement(kind // KINDS, matrices[group[0]], middle))
        if (deep := self._deep) is None:
            return found
        return [
            leak or next(filter(None, (self._judged(patch, place) for place in deep.placements(patch))), None)
            for leak, patch in zip(found, patches, strict=True)
        ]

    def _judged(self, patch: np.ndarray, placement: Placement) -> Leak | None:
        """A leak when the patch's pixels agree with the image's at a placement."""
        which = int(np.searchsorted(self._plane_starts, placement.plane, side="right")) - 1
        plane = placement.plane - int(self._plane_starts[which])
        agreement = place_patch(patch, self.sources[which].pixels(plane), placement)
        extra = 0.0 if 0.95 < placement.scale < 1.05 else min(SCALED, max(0.0, 0.85 - self.similarity))
        return Leak(which, plane, placement, agreement) if agreement.holds(self.similarity + extra) else None

    def _votes(self, patches: Sequence[np.ndarray]) -> tuple[Votes, np.ndarray]:
        """Pairs of alike windows, and the matrix that each pair lays its patch by."""
        windows = [find_windows(patch, BLOCK, most=WINDOWS, doubts=True) for patch in patches]
        patch_of = np.repeat(np.arange(len(patches)), [len(each.codes) for each in windows])
        codes = np.concatenate([each.codes for each in windows])
        views = np.concatenate([each.views for each in windows]).astype(np.int64)
        middles = np.array([patch.shape for patch in patches]).reshape(-1, 2) / 2
        places = np.concatenate([each.places for each in windows]).reshape(-1, 2)
        probe, owner, cosine = self._file.pairs(codes, ALIKE, probed=PROBED)
        turn = RELATIVE_VIEWS[views[probe] % 8, self._views[owner] % 8]  # takes the patch to the image
        matrices = _MATRICES[turn] * (np.array(LEVELS)[self._levels[owner]] / BLOCK)[:, np.newaxis, np.newaxis]
        to_middle = middles[patch_of[probe]] - places[probe]
        middle = self._places[owner] + np.einsum("nij,nj->ni", matrices, to_middle)
        inverted = (views[probe] >= 8) != (self._views[owner] >= 8)
        kinds = ((self._planes[owner] * len(LEVELS) + self._levels[owner]) * 2 + inverted) * len(VIEWS) + turn
        windows_at = places[probe] @ np.array([1 << 16, 1])
        return Votes(patch_of[probe], windows_at, kinds, middle, cosine), matrices


def _is_among(tried: Sequence[tuple[int, np.ndarray]], kind: int, middle: np.ndarray) -> bool:
    """Whether a place was looked at: comparing registers within `REACH` pixels of it."""
    return any(kind == other and np.abs(middle - place).max() < REACH / 2 for other, place in tried)


def find_leaks(windows: ExcludedWindows, dictionary: Dictionary, *, threads: int = 1) -> list[tuple[int, Leak]]:
    """The patches of a dictionary that show what an excluded image shows: (row, Leak)."""

    def work(start: int) -> list[Leak | None]:
        rows = range(start, min(start + CHUNK, len(dictionary)))
        return windows.find([dictionary.patch(row) for row in rows])

    found = [leak for part in ordered_map(work, range(0, len(dictionary), CHUNK), threads) for leak in part]
    return [(row, leak) for row, leak in enumerate(found) if leak is not None]


def as_row(windows: ExcludedWindows, dictionary: Dictionary, row: int, leak: Leak) -> Duplicate:
    """A leak as a row of the table; ``orientation`` says how the patch is turned, and its scale where it is not 1."""
    source = windows.sources[leak.source]
    place = source.place(leak.plane, leak.placement.box(dictionary.shape(row)))
    return Duplicate(
        *(dictionary.names[row], dictionary.label, place, EXCLUDED_MARK + source.name),
        *(leak.agreement.similarity, leak.agreement.correlation, orientation(leak)),
    )


def orientation(leak: Leak) -> str:
    """How a patch lies in an excluded image: ``rot90``, ``same inverted, scale 2``, ``turned by 34 degrees``."""
    view = view_of_matrix(leak.placement.matrix)
    inverted = leak.agreement.correlation < 0
    scale = leak.placement.scale
    if view is None:
        row, column = leak.placement.matrix[:, 1]
        text = f"turned by {np.degrees(np.arctan2(-row, column)):.0f} degrees" + (" inverted" if inverted else "")
    else:
        text = view_name(view, inverted=inverted)
    return text if abs(scale - 1) < 0.02 else f"{text}, scale {scale:.2g}"
