"""Montages: one page per dataset with the first, middle and last slice of its stacks."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from utils.contact_sheet import Section, Tile, read_note, save_sheet
from utils.contrast import to_uint8
from utils.files import natural_key, stem
from utils.jobs import Job
from utils.volumes import open_volume

# Stacks on a page; more would be too small to look at.
MOST_STACKS = 48


@dataclass(frozen=True, eq=False)
class StacksOfDataset:
    """The stacks that a montage shows."""

    dataset: str
    stacks: tuple[Path, ...]

    def __str__(self) -> str:
        return self.dataset

    def note(self) -> str:
        """Stored in the montage: tells whether it shows these stacks."""
        return hashlib.sha256(
            "\n".join(path.name for path in self.stacks).encode("utf-8", "surrogateescape")
        ).hexdigest()


def montage_jobs(stacks: Sequence[Path], savedir: Path) -> list[Job]:
    """A job for each dataset (the folder of a stack) whose montage does not show its stacks as they are now."""
    by_folder: defaultdict[str, list[Path]] = defaultdict(list)
    for path in sorted(stacks, key=natural_key):
        if path.exists():
            by_folder[path.parent.name].append(path)
    jobs = [Job(StacksOfDataset(name, tuple(paths)), savedir / f"{name}.png") for name, paths in by_folder.items()]
    return [job for job in jobs if read_note(job.target) != job.source.note()]


def draw_dataset(job: Job) -> str:
    """Draw the montage of one dataset; of more stacks than fit, some at even steps."""
    paths = job.source.stacks
    shown = paths
    if len(paths) > MOST_STACKS:
        shown = tuple(paths[round(i * (len(paths) - 1) / (MOST_STACKS - 1))] for i in range(MOST_STACKS))
    tiles = [tile for path in shown for tile in three_slices(path)]
    heading = f"{job.source}: {len(shown)} of {len(paths)} stacks; first, middle and last slice"
    save_sheet(job.target, [Section(heading, tiles)], note=job.source.note())
    return f"{len(shown)} stacks"


def three_slices(path: Path) -> list[Tile]:
    """The first, middle and last slice of a stack; the caption runs below all three."""
    with open_volume(path) as volume:
        stack = to_uint8(volume[:], "minmax")
    caption = stem(path).rpartition("-LOC-")[2]
    indices = (0, len(stack) // 2, len(stack) - 1)
    return [Tile(stack[index], text) for index, text in zip(indices, (caption, "", ""), strict=True)]
