"""Killed, terminated or interrupted at any instant: the same command goes on; nothing is lost, wrong or left over."""

import os
import random
import shutil
import signal
import stat
import subprocess
import sys

import pytest
from stages import EXIT_CODES, LIMIT, STAGES, Ended, Place, faults, litter

from conftest import FUZZED, ROOT

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for orphans in /proc")

# A round is up to four signals to one stage, then the same command undisturbed. `make test` disturbs these once.
QUICK = ("cleanup2d in place", "mrc2byte in place", "patchify3d", "export imagefolder", "ngff_download")
ROUNDS = -(-int(os.environ.get("EXAMPLES", "1000")) // 200) if FUZZED else 1
MOST_SIGNALS = 4 if FUZZED else 2
DONE_AT_ONCE = "the same command goes on from here"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    with faults(tmp_path_factory.mktemp("faults")) as there:
        yield there


@pytest.fixture(scope="module")
def cluster():
    """The address of a Dask cluster of two workers."""
    code = (
        "import sys\nfrom distributed import LocalCluster\nif __name__ == '__main__':\n"
        " with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as c:\n"
        "  print(c.scheduler_address, flush=True)\n  sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        yield process.stdout.readline().strip()
        process.stdin.close()


@pytest.mark.fuzz
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("turn", range(ROUNDS))
@pytest.mark.parametrize("name", STAGES if FUZZED else QUICK)
def test_a_signal_costs_nothing(place, tmp_path, request, record_property, name, turn):
    chance = random.Random(f"{request.config.getoption('--hypothesis-seed')} {name} {turn}")
    undisturbed, out = place.ready(name), tmp_path / "out"
    share = ways(name, chance, request)
    for _ in range(chance.randint(1, MOST_SIGNALS)):
        number = chance.choice(list(EXIT_CODES))
        after = chance.uniform(0, 1.05) * undisturbed.seconds
        print(f"{name} {turn}: {number.name} after {after:.3f} s, {' '.join(share)}")
        of_the_dead = set(litter(tmp_path))
        ended = place.run(name, out, *share, number=number, after=after)
        if check_signalled(ended, number, undisturbed.code):
            assert number == signal.SIGKILL or set(litter(tmp_path)) <= of_the_dead
            record_property("signals", number.name)
    again = place.run(name, out, *share)
    assert "Traceback" not in again.said, again.said
    assert again.code == undisturbed.code, again.said
    assert place.results(out) == place.results(place.made / name)
    assert litter(tmp_path) == []


def ways(name: str, chance: random.Random, request) -> tuple[str, ...]:
    """In one process mostly, in four, or on a cluster."""
    stage, drawn = STAGES[name], chance.random()
    if not FUZZED or drawn < 0.75 or not stage.parallel:
        return ("-p", "1")
    if drawn < 0.9 or not stage.dask:
        return ("-p", "4")
    return ("--dask", request.getfixturevalue("cluster"))


def check_signalled(ended: Ended, number: signal.Signals, code: int) -> bool:
    """Whether the signal came before the end; it then shows in the exit code and one line."""
    assert ended.code in (code, EXIT_CODES[number]), (ended.code, ended.said)
    if number != signal.SIGKILL:  # workers of a parent that was killed may say that it is gone
        assert "Traceback" not in ended.said, ended.said
        assert ended.said.count(DONE_AT_ONCE) == (ended.code == EXIT_CODES[number]), ended.said
    return ended.code == EXIT_CODES[number]


def test_runs_at_once_make_everything_once(place, tmp_path):
    place.ready("binvol")
    command = [sys.executable, *place.command("binvol", tmp_path / "out")]
    at_once = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for _ in range(3)]
    done = 0
    for process in at_once:
        said, _ = process.communicate(timeout=LIMIT)
        assert process.returncode == 0 and "Traceback" not in said, said
        done += int(said.split("volumes: ")[1].split(" done")[0])
    assert done == len(place.results(tmp_path / "out"))
    assert place.results(tmp_path / "out") == place.results(place.made / "binvol")
    assert litter(tmp_path) == []


READ_ONLY = ("cleanup2d", "binvol in place", "patchify3d", "export webdataset", "report", "dedupe")


@pytest.mark.parametrize("name", READ_ONLY)
def test_a_read_only_folder_is_a_sentence(place: Place, tmp_path, name):
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    read_only = not os.access(tmp_path, os.W_OK)
    tmp_path.chmod(stat.S_IRWXU)
    if not read_only:
        pytest.skip("nothing is read-only for this user")
    place.ready(name)
    out = tmp_path / "out"
    if STAGES[name].copy:  # what works in place has its inputs there
        shutil.copytree(place.base / "in" / STAGES[name].copy, out, ignore=shutil.ignore_patterns(".*"))
    out.mkdir(exist_ok=True)
    out.chmod(stat.S_IRUSR | stat.S_IXUSR)
    refused = place.run(name, out)
    assert refused.code == 1 and "Permission denied" in refused.said and "Traceback" not in refused.said
