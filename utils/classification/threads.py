"""Threads and memory of the networks' library."""

import os

from utils.memory import retain_freed

# What one layer leaves serves the next.
LAYER = 1 << 30


def use_threads(count: int | None = None) -> None:
    """Load torch, to compute with so many threads (else with as many as there are processors).

    They sleep while they wait for each other: threads that spin, as is the default, take the processors from one
    another on a machine that does something else too (594 patches by two threads: 12 CPU s, asleep 5).
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when the library is loaded
    retain_freed(LAYER, LAYER)
    import torch

    if count is not None:
        torch.set_num_threads(count)
