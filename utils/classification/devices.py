"""What a process takes of a machine: a GPU, asked of the system, without torch; threads, and memory that it keeps."""

import gc
import os
import re
from collections.abc import Sequence
from pathlib import Path

from utils.memory import retain_freed
from utils.settings import place

VISIBLE, DEVICES = "CUDA_VISIBLE_DEVICES", Path("/dev")
# So many processes keep a GPU busy: while it computes for one, others read, decide and write.
SHARING = 12
# Parts of the patches that are looked at side by side on a CPU: Python hands over to so many threads in time.
SIDE_BY_SIDE = 8
_DEVICE = re.compile(r"nvidia(\d+)")
# Bytes that are kept: what one layer leaves serves the next.
LAYER = 1 << 30


def gpus() -> list[str]:
    """CUDA's names of the GPUs that this process may use: as its environment says, or all that Linux shows."""
    if VISIBLE in os.environ:
        chosen = [name.strip() for name in os.environ[VISIBLE].split(",")]
        ends = [index for index, name in enumerate(chosen) if name in ("", "-1")]  # CUDA stops there
        return chosen[: min(ends, default=len(chosen))]
    try:
        found = [match[1] for name in os.listdir(DEVICES) if (match := _DEVICE.fullmatch(name))]  # noqa: PTH208
    except OSError:
        return []
    return [str(index) for index in range(len(found))]  # CUDA counts what is there from 0


def workers_for(device: str, processes: int, found: Sequence[str]) -> int:
    """How many processes of this machine classify: one with all threads on a CPU; at least one for each GPU.

    ``cuda`` takes all GPUs that were `found`, ``auto`` one of them; more than `SHARING` processes make none busier.

    >>> workers_for("cuda", 16, ["0", "1"]), workers_for("auto", 3, ["0", "1"]), workers_for("cpu", 3, ["0"])
    (16, 3, 1)
    """
    count = {"cuda": len(found), "auto": min(len(found), 1)}.get(device, 0)
    return max(1, count, min(processes, SHARING * count))


def take_one_gpu() -> None:
    """See no other GPU than this worker's own (workers take them in turn), before CUDA is asked for anything."""
    if found := gpus():
        os.environ[VISIBLE] = found[place() % len(found)]


def use_threads(count: int | None = None) -> None:
    """Load torch, to compute with so many threads (else with as many as there are processors).

    They sleep while they wait for each other: threads that spin, as is the default, take the processors from one
    another on a machine that does something else too (594 patches by two threads: 12 CPU s, asleep 5). What torch makes
    when it is loaded is no garbage: to look through it, then and at the end, takes a quarter of the time of loading it.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when the library is loaded
    retain_freed(LAYER, LAYER, one_heap=True)
    gc.disable()
    try:
        import torch
    finally:
        gc.freeze()
        gc.enable()

    if count is not None:
        torch.set_num_threads(count)


def share_threads(count: int) -> int:
    """How many parts of the patches to look at side by side with so many threads, which torch's layers then share.

    Threads that each do another part do not wait for one another in every layer: on two cores of a machine that is busy
    elsewhere the lite network does 280 patches/s where layers on both did 47, on a quiet one 1,030 and 950.

    >>> share_threads(1)
    1
    """
    import torch

    parts = min(count, SIDE_BY_SIDE)
    torch.set_num_threads(count // parts)
    return parts
