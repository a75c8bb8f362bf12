"""How fast, and in how much memory, cubes of a remote dataset arrive: one at a time against many in flight.

A generated OME-Zarr is served on loopback by a process that waits before every answer, as a distant server does. The
same cubes are fetched with one cube in flight and with many, in one run; peak memory is that of each fetching process.

Example:
    python benchmarks/bench_ngff_download.py --latency 0.05 --cubes 200
"""

import argparse
import json
import multiprocessing
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
from utils.cli import make_parser, positive_float, positive_int, run_script

VOXEL_NM = 8.0


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; see the module's docstring."""
    parser = make_parser(__doc__)
    parser.add_argument("--latency", type=positive_float, default=0.05, metavar="S", help="before every answer (0.05)")
    parser.add_argument("--side", type=positive_int, default=384, metavar="N", help="side of the dataset (384)")
    parser.add_argument("--crop-size", type=positive_int, default=64, metavar="N", help="side of a cube (64)")
    parser.add_argument("--chunk", type=positive_int, default=32, metavar="N", help="side of a chunk (32)")
    parser.add_argument("--cubes", type=positive_int, default=200, metavar="N", help="cubes to fetch (200)")
    parser.add_argument("--workers", type=positive_int, default=8, metavar="N", help="many in flight (8)")
    parser.add_argument("--dtype", default="uint8", help="of the dataset (uint8)")
    return run_script(measure, parser, argv)


def measure(args: argparse.Namespace) -> int:
    """Serve a dataset, fetch it both ways, print seconds and megabytes."""
    with tempfile.TemporaryDirectory() as folder:
        make_dataset(Path(folder, "data.zarr"), args)
        method = multiprocessing.get_context("spawn")
        ready = method.Queue()
        server = method.Process(target=serve, args=(folder, args.latency, ready), daemon=True)
        server.start()
        url = ready.get(timeout=60)
        try:
            report(url, Path(folder), args)
        finally:
            server.terminate()
    return 0


def report(url: str, folder: Path, args: argparse.Namespace) -> None:
    """Fetch with one cube in flight, then with many."""
    results = {workers: fetch(url, folder / f"out{workers}", workers, args) for workers in (1, args.workers)}
    cube = args.crop_size**3 * (1 if args.dtype == "uint8" else 2)
    print(
        f"{args.cubes} cubes of {args.crop_size}^3 {args.dtype}, chunks of {args.chunk}^3, {args.latency:g} s latency"
    )
    for workers, (seconds, peak) in results.items():
        bound = 250e6 + workers * cube * 2
        print(
            f"  {workers:2d} in flight: {seconds:6.2f} s, peak memory {peak / 1e6:.0f} MB (bound {bound / 1e6:.0f} MB)"
        )
    print(f"  {results[1][0] / results[args.workers][0]:.1f} times faster")


def fetch(url: str, out: Path, workers: int, args: argparse.Namespace) -> tuple[float, int]:
    """Seconds and peak bytes of one download in a process of its own."""
    budget = (args.cubes + 0.5) * args.crop_size**3 / 1e9
    argv = [f"{url}/data.zarr", str(out), "-cs", str(args.crop_size), "-gb", str(budget), "--workers", str(workers)]
    here = str(Path(__file__).parent)
    code = f"import sys; sys.path.insert(0, {here!r}); import bench_ngff_download as b; b.child({argv!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found = len(list(out.glob("*-ROI-*.nrrd")))
    if found != args.cubes:
        raise ValueError(f"{found} cubes arrived, expected {args.cubes}: {done.stderr}")
    seconds, peak = json.loads(done.stdout.splitlines()[-1])
    return seconds, peak


def child(argv: list[str]) -> None:
    """Download, then print seconds (without the interpreter's start) and peak bytes."""
    sys.path.insert(0, str(ROOT / "scraping"))
    import ngff_download

    started = time.perf_counter()
    ngff_download.main(argv)
    print(json.dumps([time.perf_counter() - started, peak_bytes()]))


def peak_bytes() -> int:
    """Peak memory of this process."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would count the memory of the process that started this one
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def make_dataset(path: Path, args: argparse.Namespace) -> None:
    """Write smooth noise with three levels."""
    import numpy as np

    from ngff_images import write_ome_zarr

    rng = np.random.default_rng(0)
    first = rng.integers(1, 250, (args.side,) * 3, dtype=np.uint8).astype(args.dtype)
    levels = [first, first[::2, ::2, ::2], first[::4, ::4, ::4]]
    sizes = [(VOXEL_NM * f,) * 3 for f in (1, 2, 4)]
    write_ome_zarr(path, levels, version="0.5", sizes=sizes, chunk=args.chunk)


def serve(folder: str, latency: float, ready: multiprocessing.Queue) -> None:
    """Serve a folder until terminated."""
    from loopback import serving

    with serving(Path(folder), latency=latency) as server:
        ready.put(server.url)
        server.released.wait()


if __name__ == "__main__":
    raise SystemExit(main())
