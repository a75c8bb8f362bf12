"""Greedy exemplars of clustered hashes: packed words against boolean arrays, in one run.

The boolean-array method is the usual one: one row of 64 booleans per patch; pick a row, compare it with all that
remain, drop those that match, repeat. Both choose from the same random order and must agree.

Example:
    python benchmarks/bench_exemplars.py 5000 20000 80000 500000
    python benchmarks/bench_exemplars.py --scattered 160000
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from utils.exemplars import exemplars

DISTANCE = 12
# More pairs than this would take booleans minutes.
COMPARED = 10**9


def clustered(count: int) -> np.ndarray:
    """Hashes in clusters of about ten, three bits scattered around each centre: (count, 64) booleans."""
    rng = np.random.default_rng(1)
    bits = (rng.random((max(1, count // 10), 64)) < 0.5)[rng.integers(0, max(1, count // 10), count)]
    for _ in range(3):
        bits[np.arange(count), rng.integers(0, 64, count)] ^= True
    return bits


def boolean_exemplars(bits: np.ndarray, seed: int = 0) -> list[int]:
    """The boolean-array method."""
    order = np.random.default_rng(seed).permutation(len(bits))
    remaining = bits[order]
    kept = []
    while len(order):
        kept.append(int(order[0]))
        apart = np.count_nonzero(remaining != remaining[0], axis=1) > DISTANCE
        order, remaining = order[apart], remaining[apart]
    return sorted(kept)


def scattered(count: int) -> np.ndarray:
    """Hashes of which hardly any two are alike: (count, 64) booleans."""
    return np.random.default_rng(1).random((count, 64)) < 0.5


def main() -> None:
    """Print seconds and ratio for every count asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("counts", type=int, nargs="*", default=[5000, 20000, 80000])
    parser.add_argument("--scattered", action="store_true", help="hashes of which hardly any two are alike")
    args = parser.parse_args()
    for count in args.counts:
        bits = (scattered if args.scattered else clustered)(count)
        hashes = np.packbits(bits, axis=1).view(">u8").astype(np.uint64)
        start = time.process_time()
        kept = exemplars(hashes, DISTANCE)
        packed = time.process_time() - start
        line = f"{count} hashes -> {len(kept)}: packed {packed:.3f} s"
        if len(kept) * count <= COMPARED:
            start = time.process_time()
            same = kept.tolist() == boolean_exemplars(bits)
            boolean = time.process_time() - start
            line += f", boolean {boolean:.2f} s, {boolean / packed:.0f} times faster, "
            line += f"{'same' if same else 'DIFFERENT'} exemplars"
        print(line, flush=True)


if __name__ == "__main__":
    main()
