"""A second look at patches that the lite network is not sure of: turned, and by windows of half its size.

Patches near even odds are where most of its errors lie. There, the mean with a quarter turn and the best of four
windows know better than one look: judged by experiments and kinds of things left out (MODEL_CARD.md).
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

# Logits nearer to 0 are looked at again; over the last FADE of it the second look counts less and less, so that no
# score jumps.
DOUBT, FADE = 4.0, 1.0
TURNS = 2
# So many of the four windows count: those that see most.
BEST = 2
# Patches looked at together: so many, or fewer large ones, which bounds the memory.
PART, PART_BYTES = 64, 64 << 20

Outputs = tuple[np.ndarray, np.ndarray]


def look_twice(run: Callable[[Sequence[np.ndarray]], Outputs], patches: Sequence[np.ndarray]) -> Outputs:
    """Logits and features of patches; those in doubt are looked at again, of which only their logits know.

    Parameters
    ----------
    run : callable
        Gives logits (n,) and features (n, f) of patches.
    patches : sequence of ndarray of uint8, shape (h, w)

    Returns
    -------
    logits, features : ndarray, shapes (n,) and (n, f)
    """
    logits, features = run(patches)
    doubtful = np.flatnonzero(np.abs(logits) < DOUBT)
    largest = max((2 * patches[int(i)].nbytes for i in doubtful), default=1)
    step = max(1, min(PART, PART_BYTES // largest))
    for part in (doubtful[start : start + step] for start in range(0, len(doubtful), step)):
        looks = [look for i in part for look in further_looks(patches[i])]
        seen = run(looks)[0].reshape(len(part), -1)
        logits[part] = combined(np.column_stack([logits[part], seen]))
    return logits, features


def further_looks(patch: np.ndarray) -> Iterator[np.ndarray]:
    """A quarter turn of a patch, and windows of half its height and width in its corners.

    Parameters
    ----------
    patch : ndarray of uint8, shape (h, w)

    Yields
    ------
    ndarray of uint8, shapes (w, h) and (h / 2, w / 2)
    """
    for turn in range(1, TURNS):
        yield np.ascontiguousarray(np.rot90(patch, turn))
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
    logits: np.ndarray = first + weight * (again - first)
    return logits
