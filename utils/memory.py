"""How much memory decoding may take, and what compressed bytes can hold at most: told before anything is allocated.

And what becomes of memory that is free again.
"""

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from utils.settings import MAX_GB, choose

SHARE = 0.75
# Numbers of glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
BLOCK, SPARE = 32 << 20, 128 << 20
_PAGES = Path("/proc/self/statm")
_CGROUPS = Path("/sys/fs/cgroup")
# Bytes that one stored byte can stand for at most. Deflate: 258 bytes in 2 bits. LZW: 3,838 bytes in 12 bits.
# PackBits: 128 bytes in two. zstd: a block of 128 KiB in 4 bytes. LZMA and bzip2: measured on zeros, doubled.
EXPANSION = {
    "raw": 1, **dict.fromkeys(("deflate", "gzip", "zlib"), 1032), "lzw": 2560, "packbits": 64, "zstd": 32768,
    "lzma": 16384, "bzip2": 1 << 21,
}  # fmt: skip


@contextmanager
def limited_to(gigabytes: float | None) -> Iterator[None]:
    """Within, decoding may take so many gigabytes, in child processes, too; None leaves what the environment says."""
    before = os.environ.get(MAX_GB)
    choose(MAX_GB, before if gigabytes is None else repr(float(gigabytes)))
    try:
        yield
    finally:
        choose(MAX_GB, before)


def limit_bytes() -> int:
    """What decoding may take: ``--max-gb``, or three quarters of the memory there is."""
    try:
        return int(float(os.environ[MAX_GB]) * 1e9)
    except (KeyError, ValueError, OverflowError):
        return int(SHARE * total_bytes())


@cache
def total_bytes() -> int:
    """The memory of the machine, or of the control group (container, job) that this process is in."""
    try:
        machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not on Windows
        machine = 8 << 30
    return min([machine, *_group_limits()])


def used_bytes() -> int:
    """The memory that this process has in use; 0 where only the system knows."""
    try:
        return int(_PAGES.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def require(nbytes: int, what: str) -> None:
    """Refuse what would take more memory at its peak than decoding may; `what` it is ("the image") says the message.

    Raises
    ------
    ValueError
    """
    limit = limit_bytes()
    if nbytes > limit:
        raise ValueError(
            f"{what} takes {nbytes / 1e9:.4g} GB of memory to decode; {limit / 1e9:.4g} GB are allowed (--max-gb)"
        )


def require_possible(nbytes: int, stored: int, encoding: str, what: str) -> None:
    """Refuse a claim that the stored bytes cannot hold, however well they are compressed.

    The header promises `nbytes`, `stored` are there. Encodings that `EXPANSION` does not have are without bound.

    Raises
    ------
    ValueError
    """
    most = EXPANSION.get(encoding)
    if most is not None and nbytes > (stored + 64) * most:
        raise ValueError(
            f"the header promises {nbytes} bytes of {what}, more than {stored} bytes of {encoding} data can hold: "
            "cut short or damaged"
        )


def _group_limits(membership: Path = Path("/proc/self/cgroup")) -> list[int]:
    """Limits of this process's control group and of those above it (version 2, or the memory part of version 1)."""
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        _, controllers, place = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        root = _CGROUPS / "memory" if controllers else _CGROUPS
        name = "memory.limit_in_bytes" if controllers else "memory.max"
        group = root / place.lstrip("/")
        found += [
            limit
            for folder in [group, *group.parents]
            if folder.is_relative_to(root) and (limit := _number(folder / name)) is not None
        ]
    return found


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # not there, or "max"
        return None


def retain_freed(block: int = BLOCK, spare: int = SPARE, *, one_heap: bool = False) -> bool:
    """Have freed memory serve again, where glibc would give it back to the system each time.

    From the system memory comes page by page, each cleared first: 7 % of `patchify3d.py`'s time on a large volume, a
    third of the lite network's on a CPU. Kept are blocks of up to so many bytes, and so many spare ones at the end of
    the heap; with `one_heap` threads begun later share it, whose own hold 64 MB. Returned is whether it could be had.
    """
    adjust = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if adjust is None:
        return False
    if one_heap:
        adjust(_ARENA_MAX, 1)
    # Some versions of glibc take no more than BLOCK.
    return bool(adjust(_TRIM_THRESHOLD, spare)) and any(adjust(_MMAP_THRESHOLD, size) for size in (block, BLOCK))
