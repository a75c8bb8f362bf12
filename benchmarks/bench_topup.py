"""How the work of a dataset grows with its cubes: a first run, a run that only looks, and a top-up by another seed.

A generated OME-Zarr of one level is sampled from disk: CPU seconds of N cubes, of the same command again, and of half
as many more by another seed; then all of that for 2 N. Linear work takes twice as long. Files that are looked up and
listings of the output folder are counted, too.

Example:
    python benchmarks/bench_topup.py --cubes 2000
"""

import argparse
import contextlib
import io
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "scraping")]
from utils.argument_types import positive_int
from utils.cli import make_parser, run_script

CROP = 8
calls: Counter[str] = Counter()


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; see the module's docstring."""
    parser = make_parser(__doc__)
    parser.add_argument("--cubes", type=positive_int, default=2000, metavar="N", help="cubes of the first run (2000)")
    return run_script(measure, parser, argv)


def measure(args: argparse.Namespace) -> int:
    """Sample N and 2 N cubes, look again, and top up."""
    sys.addaudithook(count)
    for cubes in (args.cubes, 2 * args.cubes):
        with tempfile.TemporaryDirectory() as folder:
            took = [f"{cpu:.2f} s CPU, {listed} listings of the folder" for cpu, listed in rounds(Path(folder), cubes)]
        print(f"{cubes} cubes: first {took[0]}; again {took[1]}; {cubes // 2} more by another seed {took[2]}")
    return 0


def count(event: str, arguments: tuple[Any, ...]) -> None:
    """Count the listings of folders."""
    if event in ("os.listdir", "os.scandir"):
        calls[Path(str(arguments[0])).name] += 1


def rounds(folder: Path, cubes: int) -> list[tuple[float, int]]:
    """CPU seconds and listings of the output folder of three runs."""
    make_image(folder / "a.zarr", 2 * cubes)
    return [sample(folder, *run) for run in ((cubes, 0), (cubes, 0), (cubes + cubes // 2, 1))]


def make_image(path: Path, boxes: int) -> None:
    """Write noise of about so many boxes."""
    import numpy as np

    from ngff_images import write_ome_zarr

    side = CROP * round(boxes ** (1 / 3) + 1)
    voxels = np.random.default_rng(0).integers(1, 250, (side,) * 3, dtype=np.uint8)
    write_ome_zarr(path, [voxels], sizes=[(8.0,) * 3], chunk=64)


def sample(folder: Path, cubes: int, seed: int) -> tuple[float, int]:
    """CPU seconds and listings of one run of ngff_download."""
    import ngff_download

    budget = (cubes + 0.5) * CROP**3 / 1e9
    argv = [str(folder / "a.zarr"), str(folder / "out"), "-cs", str(CROP), "-gb", str(budget), "--seed", str(seed)]
    calls.clear()
    used = time.process_time()
    with contextlib.redirect_stdout(io.StringIO()):
        code = ngff_download.main([*argv, "--workers", "2"])
    took = time.process_time() - used
    made = len(list((folder / "out").glob("*-ROI-*")))
    if code or made != cubes:
        raise ValueError(f"{made} cubes are there, expected {cubes} (exit code {code})")
    return took, calls["out"] - 1  # the count above


if __name__ == "__main__":
    raise SystemExit(main())
