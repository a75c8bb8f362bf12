"""Fixtures that several test files share, and the scripts as modules."""

import argparse
import gc
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

os.environ["HYPOTHESIS_NO_PLUGINS"] = "1"  # trio's, for one: it loads all of trio
from hypothesis import settings

# Thousands of tests are collected once and stay: to look through them for garbage again and again takes minutes.
gc.disable()

ROOT = Path(__file__).resolve().parents[1]
SCRIPT_FOLDERS = ("", "preprocess", "scraping", "3d", "collection")
for folder in SCRIPT_FOLDERS:
    sys.path.insert(0, str(ROOT / folder))

# A script without -p takes all CPUs that it may use; a test that wants processes asks for them.
os.environ["SLURM_CPUS_PER_TASK"] = "1"

# `make test` draws the same examples every time; `make fuzz` explores, by a seed that it prints.
settings.register_profile("suite", max_examples=40, deadline=None, derandomize=True)
settings.register_profile(
    "fuzz", max_examples=int(os.environ.get("EXAMPLES", "1000")), deadline=None, print_blob=True, database=None
)
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "suite")
settings.load_profile(PROFILE)
FUZZED = PROFILE == "fuzz"
only_fuzzed = pytest.mark.skipif(not FUZZED, reason="make fuzz runs it")

# A file is one worker's. These are the long ones: begun last, they would leave the other workers idle.
LONG_FIRST = ("test_pipeline", "test_train_patch_classifier", "test_pipeline_real", "test_export")
# Files that load networks are one worker's, too: torch, scikit-learn and matplotlib take each process seconds.
NETWORKS = """
    train_patch_classifier classify_patches classifier folding loop bank weights first_weights familiarity slimming
    figures batches second_look training_report state_files openvino_models models lite_net cascade calibration
    heads labels folds split augment training_runs sheets
"""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One more than there are CPUs: tests wait for processes and servers."""
    return 1 + (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """A worker for each file, and one for all files of `NETWORKS`."""
    from xdist.scheduler import LoadFileScheduling

    together = {f"tests/test_{name}.py" for name in NETWORKS.split()}

    class Scheduling(LoadFileScheduling):  # type: ignore[misc]  # its types are unknown
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return "networks" if file in together else file

    return Scheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first; the others as they come."""
    rank = {name: place for place, name in enumerate(LONG_FIRST)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(rank)))


def pytest_collection_finish(session: pytest.Session) -> None:
    """What is there now is no garbage."""
    gc.freeze()
    gc.enable()


def pytest_terminal_summary(terminalreporter):
    """Say how much was disturbed and damaged: what tests of faults recorded, whichever process ran them."""
    reports = [report for found in terminalreporter.stats.values() for report in found]
    calls = [report for report in reports if getattr(report, "when", "") == "call"]
    said = Counter(pair for report in calls for pair in report.user_properties)
    for (kind, what), count in sorted(said.items()):
        terminalreporter.write_line(f"{kind}: {count} {what}")


DATA = ROOT.parent / "shared" / "data"


@pytest.fixture
def real_data() -> Path:
    """Real EM files beside the project; tests that need them skip where they are absent."""
    if not DATA.is_dir():
        pytest.skip("no real data beside the project")
    return DATA


@pytest.fixture
def fresh_hosts() -> None:
    """Nothing is known of the hosts that other tests asked."""
    from utils.ngff.access import HOSTS

    HOSTS.forget()


@pytest.fixture(scope="module")
def lite() -> dict:
    """The bundled network's weights."""
    from utils.classification.state_files import load_weights
    from utils.classification.weights import LITE

    return load_weights(LITE)


@pytest.fixture(scope="module")
def resnet() -> dict:
    """Weights of the published network's shape, seeded."""
    import torch

    from utils.classification.models import build_model

    torch.manual_seed(0)
    return build_model("resnet34").state_dict()


@pytest.fixture
def indexed(tmp_path: Path):
    """The job of an index of two patches, done."""
    from tissue import cut, dictionary, texture
    from utils.duplicates.dictionary_index import index_dictionary, index_path
    from utils.jobs import Job

    image = texture(6)
    patches = {"a": cut(image, 0, 0), "b": cut(image, 200, 64)}
    path = dictionary(tmp_path / "d" / "fly.pkl", patches, voxel_size=(9, 4, 3))
    job = Job(path, index_path(path))
    assert index_dictionary(job) == "2 patches"
    return job


@pytest.fixture
def rng() -> np.random.Generator:
    """A seeded generator."""
    return np.random.default_rng(7)


@pytest.fixture
def run_script(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a script in a process of its own, from another folder."""

    def run(script: str, *args: object, **options) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(ROOT / script), *map(str, args)]
        environment = {**os.environ, **options.pop("env", {})}
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, **options)

    return run


def wrong_defaults(parser: argparse.ArgumentParser) -> dict[str, object]:
    """Defaults of options whose help names another."""
    said = {action.dest: re.search(r"\(default ([\w.]+)", action.help or "") for action in parser._actions}
    defaults = {name: parser.get_default(name) for name in said}
    return {
        name: value
        for name, value in defaults.items()
        if isinstance(value, int | float) and (found := said[name]) and float(found[1]) != value
    }


def visible(folder: Path) -> list[str]:
    """Names in a folder, sorted, without hidden ones: records of results, locks."""
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def results(folder: Path) -> dict[str, bytes]:
    """Every file's content by its path in a folder; hidden ones and what lies in hidden folders left out."""
    files = {path.relative_to(folder): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {
        inner.as_posix(): path.read_bytes()
        for inner, path in files.items()
        if not any(part.startswith(".") for part in inner.parts)
    }


def noise_patches(count: int, side: int = 224, seed: int = 0) -> np.ndarray:
    """Patches of noise: uint8 of shape (count, side, side)."""
    return np.random.default_rng(seed).integers(0, 256, (count, side, side)).astype(np.uint8)


def smooth_volume(shape: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    """A uint8 volume of soft blobs: neighbouring slices are alike, distant ones are not."""
    from scipy.ndimage import zoom

    coarse = np.random.default_rng(seed).random([side // 8 + 2 for side in shape])
    fine = zoom(coarse, [side / n for side, n in zip(shape, coarse.shape, strict=True)], order=1)
    return (fine[: shape[0], : shape[1], : shape[2]] * 255).astype(np.uint8)


def overwrite_header(path: Path, places: dict[str, tuple[int | float, ...]]) -> Path:
    """Put 4-byte numbers at byte offsets of a file: ``{"at_152": (1146047817, 1)}``."""
    with path.open("r+b") as f:
        for place, numbers in places.items():
            f.seek(int(place.removeprefix("at_")))
            kind = np.float32 if any(isinstance(n, float) for n in numbers) else np.int32
            f.write(np.array(numbers, kind).tobytes())
    return path


def peak_memory(module: str, *args: object) -> int:
    """Peak memory in bytes, as Linux counts it, of a process that runs a script's main, which must return 0."""
    code = PEAK_MEMORY.format(root=str(ROOT), module=module, args=list(map(str, args)))
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    exit_code, kilobytes = printed.split()[-2:]
    assert exit_code == "0"
    return int(kilobytes) << 10


PEAK_MEMORY = """
import importlib, sys
sys.path.insert(0, {root!r})
code = importlib.import_module({module!r}).main({args!r})
print(code, open("/proc/self/status").read().split("VmHWM:")[1].split()[0])
"""
on_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the peak memory as Linux counts it")


@pytest.fixture
def lock_folder(monkeypatch):
    """Make a folder one that may not be looked into, as `chmod 000` does for all but root."""
    listed, locked = os.scandir, set()

    def refuse(path=".", *args):
        if Path(os.fsdecode(path)) in locked:
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path, *args)

    monkeypatch.setattr(os, "scandir", refuse)
    return locked.add
