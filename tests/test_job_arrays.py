"""utils/job_arrays.py: every share once, by the variables that schedulers set, wherever an array begins."""

import os
import sys

import pytest

from utils.argument_types import shard
from utils.job_arrays import share_of_task


def slurm(task, first, last, count, step=None):
    names = {"ID": task, "MIN": first, "MAX": last, "COUNT": count, "STEP": step}
    return {f"SLURM_ARRAY_TASK_{name}": str(value) for name, value in names.items() if value is not None}


def grid_engine(task, first, last, step):
    return dict(
        zip(
            ("SGE_TASK_ID", "SGE_TASK_FIRST", "SGE_TASK_LAST", "SGE_TASK_STEPSIZE"),
            map(str, (task, first, last, step)),
            strict=True,
        )
    )


def lsf(task, last, step):
    return {"LSB_JOBINDEX": str(task), "LSB_JOBINDEX_END": str(last), "LSB_JOBINDEX_STEP": str(step)}


@pytest.mark.parametrize(
    "tasks",
    [
        [slurm(task, 1, 16, 16, 1) for task in range(1, 17)],
        [slurm(task, 0, 15, 16, 1) for task in range(16)],  # sbatch --array=0-15
        [slurm(0, 0, 0, 1, 1)],
        [slurm(7, 7, 7, 1)],
        [slurm(task, 0, 4, 2) for task in (0, 4)],
        [slurm(task, 5, 9, 5) for task in range(5, 10)],
        [slurm(task, 0, 30, 16, 2) for task in range(0, 31, 2)],  # --array=0-30:2
        [slurm(task, 3, 11, 5) for task in range(3, 12, 2)],
        [slurm(task, 1, None, 4) for task in range(1, 5)],
        [grid_engine(task, 1, 10, 1) for task in range(1, 11)],
        [grid_engine(task, 2, 10, 4) for task in (2, 6, 10)],  # qsub -t 2-10:4
        [grid_engine(task, 1, 10, 4) for task in (1, 5, 9)],
        [lsf(task, 10, 1) for task in range(1, 11)],
        [lsf(task, 9, 2) for task in (1, 3, 5, 7, 9)],
        [{"PBS_ARRAY_INDEX": str(task), "PBS_ARRAY_COUNT": "3"} for task in (1, 2, 3)],
    ],
)
def test_every_share_is_one_task_s(tasks):
    assert [share_of_task(said) for said in tasks] == [(place, len(tasks)) for place in range(1, len(tasks) + 1)]


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ({}, "no job array here .*SLURM_ARRAY_TASK_ID, SGE_TASK_ID, LSB_JOBINDEX, PBS_ARRAY_INDEX.*; say I/N"),
        ({"SGE_TASK_ID": "undefined"}, "no job array here"),
        ({"LSB_JOBINDEX": "0", "LSB_JOBINDEX_END": "0"}, "no job array here"),
        ({"PBS_ARRAY_INDEX": "3"}, "PBS_ARRAY_INDEX is 3, but nothing says of how many: say I/N"),
        (slurm(1, 1, 9, 5, 1), "the 5 tasks of this array, 1 to 9, have gaps between them: say I/N"),
        (slurm(9, 1, 9, 5, 1), "have gaps"),
        (slurm(8, 1, 9, 5), "task 8 is none of this array's, 1 to 9"),
        ({"PBS_ARRAY_INDEX": "0", "PBS_ARRAY_COUNT": "0"}, "the 0 tasks of this array"),
        ({"PBS_ARRAY_INDEX": "0", "PBS_ARRAY_COUNT": "3"}, "task 0 is none of this array's, 1 to 3"),
    ],
)
def test_what_cannot_be_counted_is_a_sentence(said, sentence):
    with pytest.raises(ValueError, match=sentence):
        share_of_task(said)


@pytest.mark.skipif(os.name == "nt", reason="a stand-in that is a script")
@pytest.mark.parametrize(("array", "tasks"), [("0-6:2", [0, 2, 4, 6]), ("1-3", [1, 2, 3]), ("1,7,9-10", [1, 7, 9, 10])])
def test_pbs_is_asked_how_many_tasks_there_are(tmp_path, monkeypatch, array, tasks):
    answer = f"Job Id: 12[].host\\n    array = True\\n    array_indices_submitted = {array}\\n"
    stand_in = tmp_path / "qstat"
    stand_in.write_text(
        f"#!{sys.executable}\nimport sys\nassert sys.argv[1:] == ['-f', '12[].host']\nprint('{answer}')\n"
    )
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    shares = [share_of_task({"PBS_ARRAY_ID": "12[].host", "PBS_ARRAY_INDEX": str(task)}) for task in tasks]
    assert shares == [(place, len(tasks)) for place in range(1, len(tasks) + 1)]


def test_auto_on_the_command_line(monkeypatch):
    for name, value in slurm(4, 2, 6, 5, 1).items():
        monkeypatch.setenv(name, value)
    assert shard("auto") == (3, 5)
