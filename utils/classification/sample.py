"""A sample of a collection's patches: the same for the same dictionaries, whatever is done of them already."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import xxhash

from utils.patch_file import PatchFile

LEAST_OF_EACH = 16
MOST_BYTES = 256 << 20
# Building and measuring takes some 100 CPU s; each patch in int8 then takes some 60 ms less.
WORTH_A_MODEL = 2000


def sample_patches(dictionaries: Sequence[Path], count: int) -> list[np.ndarray]:
    """Patches of many dictionaries, in an order of chance.

    Dictionaries that cannot be read give none: their own job says so.

    Parameters
    ----------
    dictionaries : sequence of Path
    count : int
        How many, if there are as many, and if they take no more than `MOST_BYTES` bytes.

    Returns
    -------
    list of ndarray of uint8, shape (h, w)
    """
    chosen, size = [], 0
    for path in sorted(dictionaries, key=_draw):
        # Twice the even share: some dictionaries are small, and some cannot be read.
        for patch in _some(path, max(LEAST_OF_EACH, -(-2 * count // len(dictionaries)))):
            chosen.append(patch)
            size += patch.nbytes
        if len(chosen) >= count or size > MOST_BYTES:
            break
    order = np.random.default_rng(0).permutation(len(chosen))
    return [chosen[i] for i in order[:count]]


def are_worth_a_model(dictionaries: Iterable[Path]) -> bool:
    """Whether dictionaries hold so many patches that an int8 model saves more time than it takes to build."""
    left = WORTH_A_MODEL
    for path in dictionaries:
        try:
            with PatchFile(path) as file:
                left -= len(file)
        except (ValueError, OSError):
            continue
        if left <= 0:
            return True
    return False


def _some(path: Path, count: int) -> Iterator[np.ndarray]:
    try:
        with PatchFile(path) as file:
            drawn = np.random.default_rng(_draw(path)).permutation(len(file))[:count]
            for i in sorted(int(i) for i in drawn):
                yield from file.read([i])
    except (ValueError, OSError):
        return


def _draw(path: Path) -> int:
    return int(xxhash.xxh3_64_intdigest(path.name.encode("utf-8", "surrogateescape")))
