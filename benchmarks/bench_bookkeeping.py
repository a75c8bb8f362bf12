"""What the bookkeeping of a collection costs as its datasets grow: everything but the pixels, which are stubs.

N files stand for the volumes of N datasets. Two stages run over them as the real ones do, by the same listings,
recipes, records, locks, scores and tables: one writes a patch dictionary of two small patches per volume, the next one
a table of scores per dictionary. Each then runs once more with nothing to do, as one share of sixteen, and with the
inputs' dates changed. CPU milliseconds per dataset, peak memory, and what lies on the disk at the end are printed.

Example:
    python benchmarks/bench_bookkeeping.py --datasets 1000 10000 100000
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from utils.argument_types import positive_int
from utils.cli import make_parser, run_script
from utils.dictionaries import load_meta, save_records
from utils.files import list_files, stem
from utils.jobs import Job, Run, run_jobs
from utils.names import format_name_3d
from utils.patch_file import PatchFile
from utils.patches import Box
from utils.records.scores import Score, read_scores, save_scores
from utils.results import Scope, list_orphans
from utils.sources import volume_sources

PATCH = np.arange(64, dtype=np.uint8).reshape(8, 8)
OPTIONS = {"crop-size": 224, "axes": [0, 1, 2], "hash": "dhash", "distance": 12, "seed": 0}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print a table; see the module's docstring."""
    parser = make_parser(__doc__)
    parser.add_argument("--datasets", type=positive_int, nargs="+", default=[1000, 10_000], metavar="N")
    parser.add_argument(
        "--in", dest="folder", type=Path, help="where to write (default: the folder for temporary files)"
    )
    return run_script(measure, parser, argv)


def measure(args: argparse.Namespace) -> int:
    """Each number of datasets in a process of its own: the peak of memory is its own, too."""
    if os.environ.get("EM_ONE_ROUND"):
        one_round(args.folder, args.datasets[0])
        return 0
    print("| datasets | what | CPU ms each | CPU s | peak MB |\n|---|---|---|---|---|", flush=True)
    for count in args.datasets:
        with tempfile.TemporaryDirectory(dir=args.folder) as folder:
            command = [sys.executable, __file__, "--datasets", str(count), "--in", folder]
            subprocess.run(command, check=True, env={**os.environ, "EM_ONE_ROUND": "1"})
    return 0


def one_round(folder: Path, count: int) -> None:
    """All steps over so many datasets, a row of the table for each."""
    volumes, patches, scores = (folder / name for name in ("volumes", "patches", "filtered"))
    make_volumes(volumes, count)
    cut, judge = partial(cut_all, volumes, patches), partial(judge_all, patches, scores)
    steps: dict[str, Callable[[], object]] = {
        "volumes listed": lambda: volume_sources(str(volumes)),
        "stage 1": cut,
        "stage 1 again": cut,
        "stage 2": judge,
        "stage 2 again": judge,
        "1 of 16 shards of both": lambda: max(cut(shard=(1, 16)), judge(shard=(1, 16))),
        "results without their input looked for": lambda: list_orphans(Scope("cut", volumes, patches), set()),
        "dictionaries' meta and all scores read": lambda: read_all(patches, scores),
        "stage 1 where all dates changed": partial(cut_anew, volumes, cut),
    }
    for what, step in steps.items():
        used = time.process_time()
        if step() == 1:
            raise ValueError(f"{what}: jobs failed")
        cpu = time.process_time() - used
        print(f"| {count} | {what} | {cpu / count * 1e3:.2f} | {cpu:.1f} | {peak_mb():.0f} |", flush=True)
    say_disk(folder, count)


def make_volumes(folder: Path, count: int) -> None:
    """Files that stand for volumes."""
    folder.mkdir(parents=True)
    for index in range(count):
        (folder / f"dataset{index:07d}.nrrd").write_bytes(b"NRRD0004\n%d" % index)


def cut_all(volumes: Path, patches: Path, shard: tuple[int, int] | None = None) -> int:
    """As patchify3d does, but for the pixels."""
    sources, _ = volume_sources(str(volumes))
    scope = Scope("cut", volumes, patches)
    jobs = [
        Job(source, patches / f"{source.name}.pkl", scope.recipe(source.inputs(), {**OPTIONS, **source.options()}))
        for source in sources
    ]
    return run_jobs(cut_one, jobs, Run(quiet=True, shard=shard), scope=scope)


def cut_one(job: Job, scratch: Path) -> str:
    """A dictionary of two patches of the volume."""
    Path(job.source.address).read_bytes()
    names = [format_name_3d(job.source.name, 0, index, 10, Box(0, 0, 224, 224)) for index in (0, 9)]
    meta = {"source": job.source.address.name, "shape": (10, 224, 224), "voxel_size": (8.0, 8.0, 8.0), **OPTIONS}
    save_records(scratch, ((name, PATCH) for name in names), meta=meta)
    return "2 patches"


def judge_all(patches: Path, scores: Path, shard: tuple[int, int] | None = None) -> int:
    """As classify_patches does, but for the network and the kept patches."""
    scope = Scope("judge", patches, scores)
    jobs = [
        Job(path, scores / f"{stem(path)}.csv", scope.recipe({path.name: (path,)}, {"threshold": 0.5}))
        for path in list_files(patches, {".pkl"})
    ]
    return run_jobs(judge_one, jobs, Run(quiet=True, shard=shard), scope=scope)


def judge_one(job: Job, scratch: Path) -> str:
    """The scores of a dictionary's patches."""
    with PatchFile(job.source) as file:
        patches = zip(file.names, file.read(range(len(file))), strict=True)
        rows = [Score(name, float(patch.mean()) / 255, True, "") for name, patch in patches]
    save_scores(scratch, rows)
    return "2 kept"


def read_all(patches: Path, scores: Path) -> None:
    """As the report does to know what there is."""
    for path in list_files(patches, {".pkl"}):
        load_meta(path)
    for path in list_files(scores, {".csv"}):
        list(read_scores(path))


def cut_anew(folder: Path, cut: Callable[[], int]) -> int:
    """After a copy that keeps no dates: the content decides."""
    for path in folder.iterdir():
        os.utime(path, (1, 1))
    return cut()


def peak_mb() -> float:
    """Peak memory of this process so far."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def say_disk(folder: Path, count: int) -> None:
    """Files and bytes of everything."""
    found = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    each = f"{len(found) / count:.2f} files and {sum(found) / count:.0f} bytes each"
    print(f"| {count} | on the disk: {each} | | | |", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
