"""Which share of a job array the task is that runs this process, by what its scheduler says."""

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

# What a scheduler's own command may take to answer.
ANSWER_SECONDS = 60


@dataclass(frozen=True)
class Variables:
    """A scheduler's environment variables: the task's; where it tells, the first's, the last's, their step, count."""

    task: str
    first: str = ""
    last: str = ""
    step: str = ""
    count: str = ""


SLURM = Variables(
    *("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_MAX", "SLURM_ARRAY_TASK_STEP"),
    count="SLURM_ARRAY_TASK_COUNT",
)
GRID_ENGINE = Variables("SGE_TASK_ID", "SGE_TASK_FIRST", "SGE_TASK_LAST", "SGE_TASK_STEPSIZE")
LSF = Variables("LSB_JOBINDEX", "", "LSB_JOBINDEX_END", "LSB_JOBINDEX_STEP")
# Whoever submits may say the number of tasks where `qstat` cannot be asked: qsub -J 1-16 -v PBS_ARRAY_COUNT=16
PBS = Variables("PBS_ARRAY_INDEX", count="PBS_ARRAY_COUNT")


def share_of_task(environment: Mapping[str, str] | None = None) -> tuple[int, int]:
    """The share of this task: the I-th of N, counted from 1, wherever the array begins and whatever its step.

    Raises
    ------
    ValueError
        If there is no job array here, or its tasks cannot be counted.
    """
    said = os.environ if environment is None else environment
    for variables in (SLURM, GRID_ENGINE, LSF, PBS):
        task = _number(said, variables.task)
        if task is None or (variables is LSF and task == 0):  # LSF calls what is no array task 0
            continue
        if variables is PBS and (tasks := _pbs_tasks(said.get("PBS_ARRAY_ID", ""))):
            return _place(task, tasks), len(tasks)
        return _share(task, variables, said)
    looked_for = ", ".join(variables.task for variables in (SLURM, GRID_ENGINE, LSF, PBS))
    raise ValueError(f"no job array here (looked for {looked_for}); say I/N")


def _number(said: Mapping[str, str], name: str) -> int | None:
    text = said.get(name, "")
    return int(text) if text.isdecimal() else None


def _share(task: int, variables: Variables, said: Mapping[str, str]) -> tuple[int, int]:
    """By first, last and step; a count that these do not give tells of gaps."""
    last, count = (_number(said, name) for name in (variables.last, variables.count))
    first, step = _number(said, variables.first), _number(said, variables.step)
    first = 1 if first is None else first
    if not step:
        step = (last - first) // (count - 1) if last is not None and count and count > 1 else 1
    if last is None and count is None:
        raise ValueError(f"{variables.task} is {task}, but nothing says of how many: say I/N")
    if last is None:
        last = first + ((count or 1) - 1) * step
    tasks = range(first, last + 1, step)
    if count is not None and count != len(tasks):
        raise ValueError(f"the {count} tasks of this array, {first} to {last}, have gaps between them: say I/N")
    return _place(task, tasks), len(tasks)


def _place(task: int, tasks: "range | list[int]") -> int:
    if task not in tasks:
        raise ValueError(f"task {task} is none of this array's, {tasks[0]} to {tasks[-1]}: say I/N")
    return tasks.index(task) + 1


def _pbs_tasks(array: str) -> list[int]:
    """The tasks of a PBS array, which its environment does not tell; empty where `qstat` does not either."""
    try:
        answer = subprocess.run(["qstat", "-f", array], capture_output=True, text=True, timeout=ANSWER_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return []
    found = re.search(r"array_indices_submitted = ([\d,:-]+)", answer.stdout)
    return [task for part in found[1].split(",") for task in _expanded(part)] if found else []


def _expanded(part: str) -> range:
    """The tasks of ``5``, ``1-16`` or ``0-30:2``."""
    span, _, step = part.partition(":")
    first, _, last = span.partition("-")
    return range(int(first), int(last or first) + 1, int(step or 1))
