"""examples/slurm_array.sh, run as SLURM runs it: a copy of the script, with the variables of a job array."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT, smooth_volume, visible
from utils.formats.writers import write_nrrd

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")


def sbatch(folder: Path, tasks: int) -> list[subprocess.CompletedProcess[str]]:
    """What `sbatch --array=1-TASKS` does, one task after another."""
    script = shutil.copy(ROOT / "examples" / "slurm_array.sh", folder / "slurm_script")
    done = []
    for task in range(1, tasks + 1):
        variables = {
            "SLURM_SUBMIT_DIR": str(ROOT),
            "SLURM_ARRAY_TASK_ID": str(task),
            "SLURM_ARRAY_TASK_COUNT": str(tasks),
            "SLURM_ARRAY_TASK_MIN": "1",
            "SLURM_CPUS_PER_TASK": "1",
            "PYTHON": sys.executable,
        }
        command = ["bash", str(script), "in", "out"]
        environment = os.environ | variables
        done.append(subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True))
    return done


def test_the_tasks_of_an_array_do_everything_once(tmp_path):
    """Each classifies what it has cut itself; a volume that fails is the exit code of its task alone."""
    (tmp_path / "in").mkdir()
    names = ("cortex", "liver", "retina")
    for seed, name in enumerate(names):
        write_nrrd(tmp_path / "in" / f"{name}.nrrd", smooth_volume((4, 224, 224), seed=seed), (10.0, 10.0, 10.0))
    (tmp_path / "in" / "bad.nrrd").write_bytes(b"NRRD0005\ntype: uint8\n")
    done = sbatch(tmp_path, 2)
    assert sorted(task.returncode for task in done) == [0, 1], [task.stderr for task in done]
    assert [("bad.nrrd: " in task.stderr) == (task.returncode == 1) for task in done] == [True, True]
    counts = [int(line.split()[1]) for task in done for line in task.stdout.splitlines() if line.startswith("volumes:")]
    assert sorted(counts) == [1, 2]
    assert {f"{name}.csv" for name in names} <= set(visible(tmp_path / "out" / "filtered"))
