"""Montages: one page per dataset with the first, middle and last slice of its stacks."""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

from utils.components import by_key
from utils.contact_sheet import Section, Tile, evenly, save_sheet
from utils.contrast import to_uint8
from utils.files import natural_key, stem
from utils.jobs import Job
from utils.results import Scope
from utils.volumes import open_volume

# Stacks on a page; more would be too small to look at.
MOST_STACKS = 48


@dataclass(frozen=True)
class StacksOfDataset:
    """The stacks that a montage shows: of more than fit, some at even steps."""

    dataset: str
    shown: tuple[Path, ...]
    count: int

    def __str__(self) -> str:
        return self.dataset


def montage_jobs(stacks: Sequence[Path], scope: Scope) -> list[Job]:
    """A job for each dataset: the folder of a stack."""
    jobs = []
    there = [path for path in sorted(stacks, key=natural_key) if path.exists()]
    for name, paths in by_key(there, attrgetter("parent.name")).items():
        shown = evenly(paths, MOST_STACKS)
        recipe = scope.recipe({path.name: (path,) for path in shown}, {"stacks": len(paths)})
        jobs.append(Job(StacksOfDataset(name, tuple(shown), len(paths)), scope.folder / f"{name}.png", recipe))
    return jobs


def draw_montage(job: Job, scratch: Path) -> str:
    """Draw the montage of one dataset."""
    stacks: StacksOfDataset = job.source
    tiles = [tile for path in stacks.shown for tile in three_slices(path)]
    heading = f"{stacks}: {len(stacks.shown)} of {stacks.count} stacks; first, middle and last slice"
    save_sheet(scratch, [Section(heading, tiles)])
    return f"{len(stacks.shown)} stacks"


def three_slices(path: Path) -> list[Tile]:
    """The first, middle and last slice of a stack; the caption runs below all three."""
    with open_volume(path) as volume:
        stack = to_uint8(volume[:], "minmax")
    caption = stem(path).rpartition("-LOC-")[2]
    return [Tile(stack[0], caption), Tile(stack[len(stack) // 2], ""), Tile(stack[-1], "")]
