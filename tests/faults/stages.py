"""Every stage on small inputs, as a command that can be disturbed and given again."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from conftest import ROOT, results

# Seconds that anything may take after its signal, and that its children may outlive it.
LIMIT = 60.0
EXIT_CODES = {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130}
TINY = "--side 32 --batch-size 8 --epochs 2 --device cpu"


@dataclass(frozen=True)
class Stage:
    """A script with its arguments.

    Attributes
    ----------
    command : str
        {in}: the generated inputs; {made}: what undisturbed runs of other stages made; {out}: this run's own folder.
    copy : str
        A folder of inputs that {out} is a copy of, for what works in place.
    parallel : bool
        Whether it has several jobs to give to ``-p`` processes.
    dask : bool
    """

    command: str
    copy: str = ""
    parallel: bool = True
    dask: bool = True


STAGES = {
    "cleanup2d": Stage("preprocess/cleanup2d.py {in}/2d -o {out}"),
    "cleanup2d in place": Stage("preprocess/cleanup2d.py {out}", copy="2d"),
    "patchify2d": Stage("patchify2d.py {in}/2d {out} -cs 32 --dedupe"),
    "vid2stack": Stage("preprocess/vid2stack.py {in}/video -o {out}"),
    "mrc2byte": Stage("preprocess/mrc2byte.py {in}/3d -o {out}"),
    "mrc2byte in place": Stage("preprocess/mrc2byte.py {out}", copy="3d"),
    "binvol": Stage("preprocess/binvol.py {in}/3d -o {out}"),
    "binvol in place": Stage("preprocess/binvol.py {out} --inplace", copy="3d"),
    "ngff_download": Stage("scraping/ngff_download.py {in}/remote/sample.zarr {out} -gb 0.0003 -cs 32"),
    "crop_rois": Stage("scraping/crop_rois_from_volume.py {in}/3d {out} -gb 0.00007 -cs 24 --min-size-gb 0.00004"),
    "patchify3d": Stage("patchify3d.py {in}/3d {out} -cs 32"),
    "classify": Stage("classify_patches.py {made}/patchify3d {out} --weights lite --threshold 0", dask=False),
    "reconstruct3d": Stage("3d/reconstruct3d.py {made}/classify -vd {in}/3d -sd {out} -nz 3 --limit 3 --flipbook gif"),
    "dedupe": Stage(
        "collection/dedupe_collection.py {out} -o {out}/../table/duplicates.csv", copy="../made/patchify3d"
    ),
    "report": Stage(
        "collection/report.py {in}/collection/filtered {in}/collection/patches -o {out} --title faults", dask=False
    ),
    "export webdataset": Stage(
        "collection/export.py {in}/collection/filtered -o {out} --title faults --format webdataset --shard-size 40",
        dask=False,
    ),
    "export parquet": Stage(
        "collection/export.py {in}/collection/filtered -o {out} --title faults --format parquet", dask=False
    ),
    "export imagefolder": Stage(
        "collection/export.py {in}/collection/filtered -o {out} --title faults --format imagefolder", dask=False
    ),
    "export zarr": Stage(
        "collection/export.py {in}/collection/filtered -o {out} --title faults --format zarr", dask=False
    ),
    "train": Stage("train_patch_classifier.py {in}/labels.csv {out} --arch lite " + TINY, parallel=False, dask=False),
    "train folds": Stage(
        "train_patch_classifier.py {in}/labels.csv {out} --arch lite --folds 2 " + TINY, parallel=False, dask=False
    ),
}


@dataclass(frozen=True)
class Ended:
    """What became of a run: its exit code, what it said, how long it took, its peak memory in bytes."""

    code: int
    said: str
    seconds: float
    peak: int


@dataclass
class Zygote:
    """The process that forks scripts (zygote.py)."""

    folder: Path
    _said: int = 0

    @cached_property
    def _process(self) -> subprocess.Popen[str]:
        script = Path(__file__).with_name("zygote.py")
        pipe = subprocess.PIPE
        process = subprocess.Popen([sys.executable, str(script)], stdin=pipe, stdout=pipe, text=True)
        assert process.stdout and process.stdout.readline() == "ready\n"
        return process

    def run(self, command: list[str], number: int = 0, after: float = 600.0, **environment: str) -> Ended:
        """Run a script; send it a signal after some seconds, unless it has ended.

        Raises
        ------
        AssertionError
            If it, or a process that it started, is there a minute after its end or its signal.
        """
        log = self.folder / "log"
        request = {"argv": command, "log": str(log), "signal": int(number), "after": after, "limit": LIMIT}
        process = self._process
        assert process.stdin and process.stdout
        process.stdin.write(json.dumps({**request, "environment": environment}) + "\n")
        process.stdin.flush()
        answer: dict[str, Any] = json.loads(process.stdout.readline())
        said = log.read_text(errors="replace")
        assert not answer["hung"], f"{command} outlived its signal by {LIMIT} s: {said}"
        wait_for_orphans(answer["pid"])
        return Ended(answer["code"], log.read_text(errors="replace"), answer["seconds"], answer["peak"])

    def close(self) -> None:
        """End the process."""
        if "_process" in self.__dict__:
            assert self._process.stdin and self._process.stdout
            self._process.stdin.close()
            self._process.stdout.close()
            self._process.wait(LIMIT)


def wait_for_orphans(session: int) -> None:
    """Wait until nobody is left of a session; a minute at most."""
    deadline = time.monotonic() + LIMIT
    while alive := members(session):
        assert time.monotonic() < deadline, f"processes {alive} outlived their parent {session}"
        time.sleep(0.02)


def members(session: int) -> list[int]:
    """Processes of a session that are no zombies (Linux)."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, its = entry.read_text().rpartition(")")[2].split()[:4]
        except (OSError, ValueError):
            continue
        if int(its) == session and state != "Z":
            found.append(int(entry.parent.name))
    return found


@dataclass
class Place:
    """Folders of a session: inputs, and results of undisturbed runs, made when they are asked for."""

    base: Path
    zygote: Zygote
    undisturbed: dict[str, Ended] = field(default_factory=dict)

    @property
    def made(self) -> Path:
        """The folder of undisturbed results."""
        return self.base / "made"

    def ready(self, name: str) -> Ended:
        """How the undisturbed run of a stage went; its results are in `made`, those that it needs as well."""
        if name not in self.undisturbed:
            stage = STAGES[name]
            for needed in re.findall(r"(?:\{made\}|/made)/(\w+)", stage.command + " " + stage.copy):
                self.ready(needed)
            ended = self.zygote.run(self.command(name, self.made / name))
            assert ended.code in (0, 1) and "Traceback" not in ended.said, ended.said
            self.undisturbed[name] = ended
        return self.undisturbed[name]

    def command(self, name: str, out: Path, *more: str) -> list[str]:
        """The command line of a stage, its output folder made ready where there is none."""
        stage = STAGES[name]
        if stage.copy and not out.exists():
            shutil.copytree(self.base / "in" / stage.copy, out, ignore=shutil.ignore_patterns(".*"))
        script, *words = stage.command.split()
        places = {"{in}": self.base / "in", "{made}": self.made, "{out}": out}
        for mark, path in places.items():
            words = [word.replace(mark, str(path)) for word in words]
        return [str(ROOT / script), *words, *(more or ("-p", "1"))]

    def run(self, name: str, out: Path, *more: str, number: int = 0, after: float = 600.0) -> Ended:
        """Run a stage, its scratch beside its output; see `Zygote.run`."""
        scratch = out.parent / "tmp"
        scratch.mkdir(exist_ok=True)
        command = self.command(name, out, *more)
        return self.zygote.run(command, number, after, TMPDIR=str(scratch))

    def results(self, out: Path) -> dict[str, bytes]:
        """What a stage wrote, as `conftest.results` tells it."""
        return results(out)


def litter(folder: Path) -> list[str]:
    """Scratch and locks below a folder, and whatever lies in its ``tmp``."""
    left = [path for path in folder.rglob("*") if ".part" in path.name or path.name.endswith(".lock")]
    return [str(path) for path in (*left, *(folder / "tmp").glob("*"))]


@contextmanager
def faults(base: Path) -> Iterator[Place]:
    """A place with inputs, and the process that runs things there."""
    from inputs import make_inputs

    make_inputs(base / "in")
    zygote = Zygote(base)
    try:
        yield Place(base, zygote)
    finally:
        zygote.close()
