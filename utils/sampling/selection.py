"""A seeded choice among boxes: uniform or spread evenly, within a budget, without overlaps."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np

from utils.overlap import TakenBoxes
from utils.sampling.rois import Boxes, Roi


def shuffled(rois: Sequence[Roi], seed: int) -> Iterator[Roi]:
    """Yield the boxes in the random order of a seed, the same on every machine.

    Fisher and Yates' shuffle, which remembers only what it has moved: the first boxes of millions cost no more than
    those of a few.
    """
    rng = np.random.default_rng(seed)
    moved: dict[int, int] = {}
    for first in range(len(rois)):
        drawn = int(rng.integers(first, len(rois)))
        yield rois[moved.get(drawn, drawn)]
        moved[drawn] = moved.pop(first, first)


def stratified(boxes: Boxes, seed: int) -> Iterator[Roi]:
    """Yield the boxes in an order of which every beginning is spread evenly over them.

    They are lined up along a curve that keeps neighbours together (Morton's), and drawn by a van der Corput sequence
    with a random digital shift (Owen, 1995, doi:10.1007/978-1-4612-2552-2_19): of any 2^k equal parts of the line, the
    first 2^k draws take one box each.
    """
    count = len(boxes)
    if not count:
        return
    line = np.argsort(_morton(boxes), kind="stable")
    bits = max(1, (count - 1).bit_length())
    shift = int(np.random.default_rng(seed).integers(0, 1 << bits))
    taken = np.zeros(count, bool)
    for draw in range(1 << bits):
        reverse = int(f"{draw:0{bits}b}"[::-1], 2) ^ shift
        place = reverse * count >> bits
        if not taken[place]:
            taken[place] = True
            yield boxes[int(line[place])]


def _morton(boxes: Boxes) -> np.ndarray:
    """Each box's place on Morton's curve: the bits of its indices along z, y and x, interleaved."""
    codes = np.zeros(len(boxes), np.int64)
    for axis, index in enumerate(boxes.grid_indices()):
        for bit in range(20):
            codes |= (index.astype(np.int64) >> bit & 1) << (3 * bit + axis)
    return codes


def within(order: Iterable[Roi], budget: float, kept: Sequence[Roi] = ()) -> list[Roi]:
    """The boxes that fit into `budget` bytes of uint8: those `kept`, then as many as fit from the front of `order`.

    None overlaps another. A larger budget gives the same boxes and more, because the choice stops at the first that
    does not fit.
    """
    chosen = list(kept)
    total = sum(roi.voxels for roi in kept)
    taken = TakenBoxes()
    for roi in kept:
        taken.add(roi)
    for roi in order:
        if taken.covers(roi):
            continue
        total += roi.voxels
        if total > budget:
            break
        chosen.append(roi)
        taken.add(roi)
    return chosen


def settled(
    order: Callable[[], Iterable[Roi]],
    budget: float,
    padding: dict[Roi, str],
    find_padding: Callable[[list[Roi]], Mapping[Roi, str]],
    kept: Sequence[Roi] = (),
) -> list[Roi]:
    """The boxes that fit into `budget` bytes, as `within` chooses them, when those that turn out to be padding are out.

    Parameters
    ----------
    order : callable
        Begins the order in which boxes are drawn.
    padding : dict
        Boxes known to be padding, and what is known of them; takes up those that are found.
    find_padding : callable
        Takes the chosen boxes, and gives those among them that are padding.
    """
    while True:
        chosen = within((roi for roi in order() if roi not in padding), budget, kept)
        found = find_padding(chosen)
        if not found:
            return chosen
        padding.update(found)
