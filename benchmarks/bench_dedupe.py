"""Growth of collection/dedupe_collection.py: CPU and memory per patch of a collection that is made and added to.

Patches are sums of turned pieces, cut anywhere from a texture whose spectrum falls as that of micrographs, so that any
number of them are unrelated; every twentieth is a turned, noisy copy of another one. Dictionaries of 2,000 patches are
written, judged at first, again, and with one dictionary more.

Example:
    python benchmarks/bench_dedupe.py 10000 30000 100000
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from utils.dictionaries import save_records
from utils.duplicates.embedding import view_of
from utils.names import format_name_2d
from utils.patches import Box
from utils.records.duplicates import read_duplicates

DICTIONARY = 2000
COPIES = 20
PIECES = 5
RNG = np.random.default_rng(0)


def texture(side: int = 4096) -> np.ndarray:
    """A texture of falling spectrum, (side, side) float32."""
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
    spectrum = np.fft.rfft2(RNG.standard_normal((side, side)).astype(np.float32))
    return np.fft.irfft2(spectrum / (frequency + 2 / side)).astype(np.float32)


def unrelated(image: np.ndarray, side: int) -> np.ndarray:
    """A sum of pieces that no other patch has at the same places."""
    found = np.zeros((side, side), np.float32)
    for y, x in RNG.integers(0, len(image) - side, (PIECES, 2)).tolist():
        found += view_of(image[y : y + side, x : x + side], int(RNG.integers(8)))
    patch: np.ndarray = 128 + 45 * (found - found.mean()) / found.std()
    return patch


def records(number: int, image: np.ndarray, side: int, known: list[np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
    """The patches of one dictionary; some of them copies of patches of others."""
    for i in range(DICTIONARY):
        copied = number > 0 and i % COPIES == 0
        if copied:
            noise = RNG.normal(0, 5, (side, side))
            patch = view_of(known[int(RNG.integers(len(known)))], int(RNG.integers(8))) + noise
        else:
            patch = unrelated(image, side)
        patch = np.clip(patch, 0, 255).astype(np.uint8)
        if number == 0 and i < 200:
            known.append(patch)
        name = f"{'copy' if copied else 'own'}{i:06d}"
        yield format_name_2d(name, Box(0, side, 0, side)), patch


# Measures a program in a process of its own: what is started from a large one would count that one's memory.
MEASURE = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)
"""


def run(what: str, folder: Path, table: Path, patches: int) -> None:
    """One run of the script; prints its time, CPU and memory."""
    command = [sys.executable, str(ROOT / "collection" / "dedupe_collection.py"), str(folder), "-o", str(table)]
    start = time.perf_counter()
    measured = [sys.executable, "-c", MEASURE, *command, "-p", "1", "--quiet"]
    said = subprocess.run(measured, check=True, capture_output=True, text=True).stdout.split()
    wall, (cpu, megabytes) = time.perf_counter() - start, map(float, said[-2:])
    print(
        f"  {what}: {wall:.1f} s, {cpu:.1f} s of CPU, {cpu / patches * 1e3:.2f} ms a patch, {megabytes:.0f} MB",
        flush=True,
    )


def main() -> None:
    """Every size after the other, in the same folder: what is there grows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("patches", type=int, nargs="+", help="sizes, ascending")
    parser.add_argument("--side", type=int, default=112)
    parser.add_argument("--in", dest="place", type=Path, metavar="DIR", help="for the stand-ins (default: temporary)")
    args = parser.parse_args()
    image, known, made = texture(), list[np.ndarray](), 0
    with tempfile.TemporaryDirectory(dir=args.place) as scratch:
        folder, table = Path(scratch) / "patches", Path(scratch) / "duplicates.csv"
        folder.mkdir()
        for count in args.patches:
            print(f"{count} patches of {args.side}", flush=True)
            added = 0
            while made * DICTIONARY < count:
                save_records(folder / f"set{made:05d}.pkl", records(made, image, args.side, known))
                made, added = made + 1, added + DICTIONARY
            run(f"{added} of them new", folder, table, added)
            rows = read_duplicates(table)
            copies = sum("copy" in row.name for row in rows)
            print(f"  {copies} of {(made - 1) * DICTIONARY // COPIES} copies found, {len(rows) - copies} others")
            run("again", folder, table, made * DICTIONARY)
            save_records(folder / f"set{made:05d}.pkl", records(made, image, args.side, known))
            made += 1
            run("one dictionary more", folder, table, DICTIONARY)


if __name__ == "__main__":
    main()
