"""What more runs, and more workers of a Dask cluster, are worth: times of the same work by one and by two.

Two processes of plain arithmetic come first: how much this machine has for a second process at the moment. Then 40
volumes by one run of patchify3d and by two at once over one output; jobs of next to nothing here and over Dask; and one
large volume on one and on two workers of one thread each. Scheduler and workers are real processes, outside the
checkout. CPU seconds of the workers stand beside: on a machine with other work they tell more than the clock. Where
there are fewer cores than processes, --share leaves each worker a part of a core (root, Linux control groups): then
they can be compared by the clock, as if each had a slower core to itself.

Example:
    python benchmarks/bench_cluster.py --side 1536 --jobs 2000
    python benchmarks/bench_cluster.py --only large --share 0.4
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from uuid import uuid4

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "benchmarks")]
import numpy as np
from bench_patchify3d import make_volume

from clusters import cpu_seconds, scheduler, worker
from utils.argument_types import positive_float, positive_int
from utils.cli import make_parser, run_script
from utils.jobs import Job, Run, run_jobs
from utils.volumes import open_volume

# The period that control groups account by, unless told otherwise.
PERIOD_US = 100_000
BUSY = "x = 0\nfor i in range(15_000_000): x += i"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; see the module's docstring."""
    parser = make_parser(__doc__)
    parser.add_argument("--volumes", type=positive_int, default=40, metavar="N", help="small volumes (40)")
    parser.add_argument("--jobs", type=positive_int, default=2000, metavar="N", help="small jobs (2000)")
    parser.add_argument("--side", type=positive_int, default=1536, metavar="N", help="of the large volume (1536)")
    parser.add_argument("--only", choices=("volumes", "jobs", "large"), help="leave out the others")
    parser.add_argument(
        "--share", type=positive_float, metavar="X", help="of a core for each worker of the large volume"
    )
    return run_script(measure, parser, argv)


def measure(args: argparse.Namespace) -> int:
    """One after another, each beside what the machine has to give."""
    with tempfile.TemporaryDirectory() as folder:
        for name, work, size in (
            ("volumes", share_volumes, args.volumes),
            ("jobs", small_jobs, args.jobs),
            ("large", partial(large_volume, share=args.share), args.side),
        ):
            if args.only in (None, name):
                say_machine()
                work(Path(folder) / name, size)
    return 0


def say_machine() -> None:
    """How long two busy processes take beside one."""
    one, two = (at_once([[sys.executable, "-c", BUSY]] * count) for count in (1, 2))
    print(f"this machine: two busy processes at once take {two / one:.2f} times as long as one", flush=True)


def at_once(commands: Sequence[Sequence[str]]) -> float:
    """Seconds until all of several commands have ended."""
    begun = time.perf_counter()
    running = [subprocess.Popen(command) for command in commands]
    if codes := [process.returncode for process in running if process.wait()]:
        raise ValueError(f"a command ended with {codes}")
    return time.perf_counter() - begun


def share_volumes(folder: Path, count: int) -> None:
    """Volumes of 256^3 by one run, and by two over one output."""
    volumes = folder / "volumes"
    volumes.mkdir(parents=True)
    make_volume(volumes / "v0.nrrd", 256, "uint8")
    for index in range(1, count):
        (volumes / f"v{index}.nrrd").symlink_to("v0.nrrd")
    command = partial(patchify, volumes)
    with counted() as one_cpu:
        one = at_once([command(folder / "one")])
    with counted() as two_cpu:
        two = at_once([command(folder / "two")] * 2)
    print(f"{count} volumes: one run {one:.1f} s, two at once over one output both within {two:.1f} s:")
    print(f"    {two / one:.2f} of the time, {two_cpu[0] / 2 / one_cpu[0]:.2f} of the CPU seconds each", flush=True)


def patchify(volumes: Path, out: Path, *options: str) -> list[str]:
    """The command line of one run in one process."""
    return [sys.executable, str(ROOT / "patchify3d.py"), str(volumes), str(out), "-p", "1", "--quiet", *options]


@contextmanager
def counted() -> Iterator[list[float]]:
    """CPU seconds of the children that end within."""
    import resource

    found: list[float] = []
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    yield found
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    found.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def nothing(_job: Job) -> None:
    """A job's work that is none."""


def small_jobs(folder: Path, count: int) -> None:
    """Seconds per job of next to nothing, in this process and over Dask."""
    jobs = [Job(index, folder / f"{index}.txt") for index in range(count)]
    with scheduler(folder / "s") as address, worker(folder / "w", address, threads=2):
        run_jobs(nothing, jobs[:10], Run(dask=address, quiet=True))  # the workers' children have started once
        for name, run in {"in this process": Run(quiet=True), "over Dask": Run(dask=address, quiet=True)}.items():
            begun, used = time.perf_counter(), time.process_time()
            run_jobs(nothing, jobs, run)
            wall, cpu = time.perf_counter() - begun, time.process_time() - used
            print(f"{count} small jobs {name}: {wall / count * 1e3:.2f} ms each, {cpu / count * 1e3:.2f} ms CPU here")
    sys.stdout.flush()


def make_large(folder: Path, side: int) -> None:
    """A volume of eight parts, each another reflection of one block of tissue."""
    make_volume(folder / "block.nrrd", side // 2, "uint8")
    with open_volume(folder / "block.nrrd") as volume:
        block = volume[:]
    data = folder / "v.raw"
    with data.open("wb") as file:
        for z in (block, block[::-1]):
            for plane in z:
                rows = np.concatenate([plane, plane[:, ::-1]], axis=1)
                file.write(np.concatenate([rows, rows[::-1]]).tobytes())
    header = ["ObjectType = Image", "NDims = 3", f"DimSize = {side} {side} {side}", "ElementType = MET_UCHAR"]
    (folder / "v.mhd").write_text("\n".join([*header, "ElementSpacing = 10 10 10", "ElementDataFile = v.raw", ""]))


@contextmanager
def limited(share: float | None) -> Iterator[Path | None]:
    """A control group whose processes have a share of a core together; None without one."""
    if share is None:
        yield None
        return
    old = Path("/sys/fs/cgroup/cpu")  # version 1 has a tree for each controller
    group = (old if old.is_dir() else old.parent) / f"bench_{uuid4().hex[:8]}"
    group.mkdir()
    try:
        name = "cpu.cfs_quota_us" if old.is_dir() else "cpu.max"
        (group / name).write_text(f"{share * PERIOD_US:.0f}")
        yield group
    finally:
        while (group / "cgroup.procs").read_text():  # the children of a worker end after it
            time.sleep(0.05)
        group.rmdir()


def large_volume(folder: Path, side: int, share: float | None = None) -> None:
    """One volume on one and on two workers of one thread."""
    folder.mkdir()
    # In a process of its own: it takes many times the volume's memory.
    code = f"import bench_cluster as b; b.make_large(b.Path({str(folder)!r}), {side})"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parent)
    took, busy = [], []
    for count in (1, 2):
        with ExitStack() as stack:
            address = stack.enter_context(scheduler(folder / f"s{count}"))
            groups = [stack.enter_context(limited(share)) for _ in range(count)]
            workers = [stack.enter_context(worker(folder / f"w{count}_{index}", address)) for index in range(count)]
            for group, process in zip(groups, workers, strict=True):
                if group:
                    (group / "cgroup.procs").write_text(str(process.pid))
            subprocess.run(patchify(folder / "v.mhd", folder / "none", "--dask", address), check=True)
            before = [cpu_seconds(process.pid) for process in workers]
            with counted() as client:
                took.append(at_once([patchify(folder / "v.mhd", folder / f"out{count}", "--dask", address)]))
            used = [cpu_seconds(process.pid) - start for process, start in zip(workers, before, strict=True)]
        busy.append((client[0], max(used)))
        shown = " + ".join(f"{seconds:.1f}" for seconds in used)
        print(f"{side}^3 on {count} workers: {took[-1]:.1f} s; CPU {shown} s there, {client[0]:.1f} s here")
    (one_here, one_there), (two_here, two_there) = busy
    path = (one_here + one_there) / (two_here + two_there)
    print(f"    {took[0] / took[1]:.2f} times as fast on two; {path:.2f} if client and workers never worked at once")
    if (folder / "out1" / "v.pkl").read_bytes() != (folder / "out2" / "v.pkl").read_bytes():
        raise ValueError("the dictionaries differ")


if __name__ == "__main__":
    raise SystemExit(main())
