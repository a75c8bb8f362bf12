"""How fast, and in how much memory, cubes of a remote dataset arrive: one at a time against many in flight.

A generated OME-Zarr is served on loopback by a process that waits before every answer, as a distant server does. The
same cubes are fetched with one cube in flight and with many, in one run; peak memory is that of each fetching process.
Beside the seconds stands what cannot be undercut: the answers that are waited for, requests x latency / in flight, and
the CPU's share, which is the fetching process's and the server's CPU seconds over the cores.

Example:
    python benchmarks/bench_ngff_download.py --latency 0.05 --cubes 200
"""

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
from utils.argument_types import positive_float, positive_int
from utils.cli import make_parser, run_script

VOXEL_NM = 8.0
# Requests in flight for each cube in flight, as ngff_download has it.
REQUESTS_PER_WORKER = 8


@dataclass(frozen=True)
class Figures:
    """What one download took: seconds on the clock, CPU seconds of both sides, requests, peak bytes."""

    seconds: float
    cpu: float
    server_cpu: float
    requests: int
    peak: int

    def bound(self, latency: float, workers: int) -> tuple[float, float]:
        """Seconds below which it cannot be: waiting for answers, and the CPU's share."""
        waiting = self.requests * latency / (REQUESTS_PER_WORKER * workers)
        return waiting, (self.cpu + self.server_cpu) / (os.cpu_count() or 1)


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
        results = {workers: fetch(Path(folder), workers, args) for workers in (1, args.workers)}
    report(results, args)
    return 0


def report(results: dict[int, Figures], args: argparse.Namespace) -> None:
    """Print what one cube in flight took, and what many."""
    cube = args.crop_size**3 * (1 if args.dtype == "uint8" else 2)
    print(
        f"{args.cubes} cubes of {args.crop_size}^3 {args.dtype}, chunks of {args.chunk}^3, {args.latency:g} s latency"
    )
    for workers, took in results.items():
        waiting, share = took.bound(args.latency, workers)
        most = 250e6 + workers * cube * 2
        times = took.seconds / max(waiting, share)
        print(
            f"  {workers:2d} in flight: {took.seconds:6.2f} s, {times:.1f} times the larger of {waiting:.2f} s waiting "
            f"({took.requests} requests)\n    and {share:.2f} s CPU ({took.cpu:.2f} + the server's "
            f"{took.server_cpu:.2f}); peak memory {took.peak / 1e6:.0f} MB (bound {most / 1e6:.0f} MB)"
        )
    print(f"  {results[1].seconds / results[args.workers].seconds:.1f} times faster")


def fetch(folder: Path, workers: int, args: argparse.Namespace) -> Figures:
    """One download in a process of its own, from a server of its own."""
    method = multiprocessing.get_context("spawn")
    told, done = method.Queue(), method.Event()
    server = method.Process(target=serve, args=(str(folder), args.latency, told, done), daemon=True)
    server.start()
    try:
        seconds, cpu, peak = download(told.get(timeout=60), folder / f"out{workers}", workers, args)
        done.set()
        server_cpu, requests = told.get(timeout=60)
        return Figures(seconds, cpu, server_cpu, requests, peak)
    finally:
        server.terminate()


def download(url: str, out: Path, workers: int, args: argparse.Namespace) -> tuple[float, float, int]:
    """Seconds, CPU seconds and peak bytes of one download."""
    budget = (args.cubes + 0.5) * args.crop_size**3 / 1e9
    argv = [f"{url}/data.zarr", str(out), "-cs", str(args.crop_size), "-gb", str(budget), "--workers", str(workers)]
    here = str(Path(__file__).parent)
    code = f"import sys; sys.path.insert(0, {here!r}); import bench_ngff_download as b; b.child({argv!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found = len(list(out.glob("*-ROI-*.nrrd")))
    if found != args.cubes:
        raise ValueError(f"{found} cubes arrived, expected {args.cubes}: {done.stderr}")
    seconds, cpu, peak = json.loads(done.stdout.splitlines()[-1])
    return seconds, cpu, peak


def child(argv: list[str]) -> None:
    """Download, then print seconds and CPU seconds (without the interpreter's start) and peak bytes."""
    sys.path.insert(0, str(ROOT / "scraping"))
    import ngff_download

    started, used = time.perf_counter(), time.process_time()
    ngff_download.main(argv)
    print(json.dumps([time.perf_counter() - started, time.process_time() - used, peak_bytes()]))


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


def serve(folder: str, latency: float, told: "multiprocessing.Queue[Any]", done: Event) -> None:
    """Serve a folder; at the end tell the CPU seconds that it took and how many requests there were."""
    from loopback import serving

    with serving(Path(folder), latency=latency) as server:
        used = time.process_time()
        told.put(server.url)
        done.wait()
        told.put((time.process_time() - used, len(server.log)))
        server.released.wait()


if __name__ == "__main__":
    raise SystemExit(main())
