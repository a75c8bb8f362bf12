"""Which GPU of a machine each of its processes takes; asked of the system, without torch."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from utils.settings import place

VISIBLE, DEVICES = "CUDA_VISIBLE_DEVICES", Path("/dev")
# So many processes keep a GPU busy: while it computes for one, others read, decide and write.
SHARING = 12
_DEVICE = re.compile(r"nvidia(\d+)")


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
