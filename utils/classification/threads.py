"""Threads and memory of the networks' library."""

import ctypes
import os
import sys

# Numbers of glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_KEPT_BYTES = 1 << 30


def use_threads(count: int | None = None) -> None:
    """Load torch, to compute with so many threads (else with as many as there are processors).

    They sleep while they wait for each other: threads that spin, as is the default, take the processors from one
    another on a machine that does something else too (594 patches by two threads: 12 CPU s, asleep 5).
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when the library is loaded
    keep_memory()
    import torch

    if count is not None:
        torch.set_num_threads(count)


def keep_memory() -> bool:
    """Have what one layer leaves free serve the next, where glibc would give it back to the system each time.

    Large blocks come from the system page by page, each cleared first: a third of the lite network's time on a CPU, a
    tenth of a ResNet34's. Whether it could be had is returned.
    """
    adjust = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if adjust is None:
        return False
    # Some versions of glibc take no more than 32 MiB for the first.
    kept = any(adjust(_MMAP_THRESHOLD, nbytes) for nbytes in (_KEPT_BYTES, 32 << 20))
    return bool(adjust(_TRIM_THRESHOLD, _KEPT_BYTES)) and kept
