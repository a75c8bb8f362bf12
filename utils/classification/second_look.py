"""A second look of the lite network: at patches that it is not sure of, and at those that are mostly empty.

Patches near even odds are where most of its errors lie. There, the mean with a quarter turn and the best of four
windows know better than one look. Cells that fill a fifth of a patch are lost in the whole: there the window decides
that holds most structure, by a head that learnt from such windows, where the weights have one. Both were judged by
experiments and kinds of things left out (MODEL_CARD.md).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice

import numpy as np

from utils.classification.cascade import Network, Outputs

# A patch is looked at as so many blocks a side, at so many pixels a block side: noise and grain average out.
BLOCKS, PIXELS = 16, 7
# A block shows structure when it varies by so much of what the busiest blocks do.
FAINT, BUSIEST = 0.25, 0.95
# Logits nearer to 0 are looked at again; over the last FADE of it the second look counts less and less, so that no
# score jumps.
DOUBT, FADE = 4.0, 1.0
TURNS = 2
# So many of the four windows count: those that see most.
BEST = 2
# A patch of which less shows structure is judged by its densest window; over the first SPARSE_FADE less and less so.
SPARSE, SPARSE_FADE = 0.5, 0.1
# Blocks of that window a side.
WINDOW = 6
# Patches looked at together: so many, or fewer large ones, which bounds the memory.
PART, PART_BYTES = 64, 64 << 20


def look_twice(
    run: Network, patches: Sequence[np.ndarray], window_head: tuple[np.ndarray, float] | None = None
) -> Outputs:
    """Logits and features of patches; those in doubt or with little structure are looked at again, for their logits.

    Parameters
    ----------
    run : callable
        Gives logits (n,) and features (n, f) of patches.
    patches : sequence of ndarray of uint8, shape (h, w)
    window_head : tuple of ndarray, shape (f,), and float, optional
        Weights and bias that make logits of what is seen in the densest windows; by default `run`'s own are taken.

    Returns
    -------
    logits, features : ndarray, shapes (n,) and (n, f)
    """
    logits, features = run(patches)
    sparse, windows = sparse_windows(patches)
    # Where the window alone decides, no other look would count.
    doubtful = np.flatnonzero((np.abs(logits) < DOUBT) & (sparse < 1))
    for part, looks, _ in _looked_again(run, patches, doubtful, further_looks):
        logits[part] = combined(np.column_stack([logits[part], looks]))
    for part, looks, seen in _looked_again(run, windows, np.flatnonzero(sparse), turned):
        if window_head:
            looks = (seen @ window_head[0] + window_head[1]).reshape(looks.shape)
        logits[part] += sparse[part] * (looks.mean(axis=1) - logits[part])
    return logits, features


def _looked_again(
    run: Network,
    patches: Sequence[np.ndarray] | Mapping[int, np.ndarray],
    chosen: np.ndarray,
    looks_at: Callable[[np.ndarray], Iterator[np.ndarray]],
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Indices of some patches (m,), the logits of all looks at them (m, looks), and their features; part by part."""
    largest = max((2 * patches[int(i)].nbytes for i in chosen), default=1)
    step = max(1, min(PART, PART_BYTES // largest))
    for part in (chosen[start : start + step] for start in range(0, len(chosen), step)):
        looks = [look for i in part for look in looks_at(patches[int(i)])]
        logits, features = run(looks)
        yield part, logits.reshape(len(part), -1), features


def sparse_windows(patches: Sequence[np.ndarray]) -> tuple[np.ndarray, dict[int, np.ndarray]]:
    """How much the densest window of each patch counts, and the window itself where it does.

    Parameters
    ----------
    patches : sequence of ndarray of uint8, shape (h, w)

    Returns
    -------
    sparse : ndarray, shape (n,)
        Of `sparseness`.
    windows : dict of ndarray, shape (6 h / 16, 6 w / 16)
        By the index of their patch; views.
    """
    blocks = [structured_blocks(patch) for patch in patches]
    sparse = sparseness(np.array([found.mean() for found in blocks]))
    return sparse, {i: densest_window(patches[i], blocks[i]) for i in np.flatnonzero(sparse).tolist()}


def sparseness(shares: np.ndarray) -> np.ndarray:
    """How much the densest window of a patch counts, from 0 to 1, by the share of it that shows structure.

    Parameters
    ----------
    shares : ndarray, shape (n,)

    Returns
    -------
    ndarray, shape (n,)
        0 where a patch is full, and where nothing in it differs.
    """
    return np.asarray(np.clip((SPARSE - shares) / SPARSE_FADE, 0, 1) * (shares > 0))


def turned(patch: np.ndarray) -> Iterator[np.ndarray]:
    """A patch, and its quarter turn.

    Parameters
    ----------
    patch : ndarray of uint8, shape (h, w)

    Yields
    ------
    ndarray of uint8, shapes (h, w) and (w, h)
    """
    for turn in range(TURNS):
        yield np.ascontiguousarray(np.rot90(patch, turn))


def further_looks(patch: np.ndarray) -> Iterator[np.ndarray]:
    """A quarter turn of a patch, and windows of half its height and width in its corners.

    Parameters
    ----------
    patch : ndarray of uint8, shape (h, w)

    Yields
    ------
    ndarray of uint8, shapes (w, h) and (h / 2, w / 2)
    """
    yield from islice(turned(patch), 1, None)
    (height, width), half = patch.shape, [max(1, side // 2) for side in patch.shape]
    for y, x in np.ndindex(2, 2):
        top, left = (height - half[0]) * y, (width - half[1]) * x
        yield np.ascontiguousarray(patch[top : top + half[0], left : left + half[1]])


def combined(looks: np.ndarray) -> np.ndarray:
    """One logit of all looks at a patch: of turns the mean, of windows the mean of the best.

    Parameters
    ----------
    looks : ndarray, shape (n, 6)
        The first look, then those of `further_looks`.

    Returns
    -------
    ndarray, shape (n,)
    """
    first = looks[:, 0]
    windows = np.sort(looks[:, TURNS:], axis=1)[:, -BEST:]
    again = (looks[:, :TURNS].mean(axis=1) + windows.mean(axis=1)) / 2
    weight = np.clip((DOUBT - np.abs(first)) / FADE, 0, 1)
    return np.asarray(first + weight * (again - first))


def structured_blocks(patch: np.ndarray) -> np.ndarray:
    """Which blocks of a patch show structure; none of a patch of one gray.

    Parameters
    ----------
    patch : ndarray of uint8, shape (h, w)

    Returns
    -------
    ndarray of bool, shape (16, 16)
    """
    import cv2

    side = BLOCKS * PIXELS
    smooth = cv2.GaussianBlur(cv2.resize(patch, (side, side), interpolation=cv2.INTER_AREA), (3, 3), 0)
    centred = smooth.astype(np.float32) - cv2.mean(smooth)[0]
    means, squares = (
        cv2.resize(values, (BLOCKS, BLOCKS), interpolation=cv2.INTER_AREA) for values in (centred, centred**2)
    )
    variances = squares - means**2
    busiest = np.sort(variances, axis=None)[int(BUSIEST * BLOCKS**2)]
    return np.asarray(variances > FAINT**2 * busiest)


def densest_window(patch: np.ndarray, structured: np.ndarray) -> np.ndarray:
    """The window of 6/16 of a patch's height and width that holds most of its structure; the first of several.

    Parameters
    ----------
    patch : ndarray, shape (h, w)
    structured : ndarray of bool, shape (16, 16)
        Of `structured_blocks`.

    Returns
    -------
    ndarray, shape (6 h / 16, 6 w / 16)
        A view.
    """
    held = np.zeros((BLOCKS + 1, BLOCKS + 1), int)
    held[1:, 1:] = structured.cumsum(axis=0).cumsum(axis=1)
    counts = held[WINDOW:, WINDOW:] - held[:-WINDOW, WINDOW:] - held[WINDOW:, :-WINDOW] + held[:-WINDOW, :-WINDOW]
    corner = np.unravel_index(np.argmax(counts), counts.shape)
    starts = [int(at) * side // BLOCKS for at, side in zip(corner, patch.shape, strict=True)]
    sides = [max(1, WINDOW * side // BLOCKS) for side in patch.shape]
    rows, columns = (slice(at, at + side) for at, side in zip(starts, sides, strict=True))
    return patch[rows, columns]
