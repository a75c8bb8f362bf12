"""What is to be reconstructed: every patch meets its volume's header, and the choice is made, before any work."""

import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from utils.files import safe_name
from utils.jobs import Job, describe, refuse_shared_targets
from utils.names import dataset_of, format_name_subvolume, parse_roi
from utils.parallel import ordered_map
from utils.reconstruction.kept_patches import KeptPatch
from utils.reconstruction.overlap import Box3D, seeded_order, without_overlap
from utils.reconstruction.subvolumes import Shape, Subvolume, box_of, why_outside, window
from utils.reconstruction.volume_index import VolumeIndex
from utils.reconstruction.write import VolumeGroup
from utils.sources import VolumeSource

# Headers read at once: over a network each one is a wait.
LOOKS = 8


@dataclass(frozen=True)
class Choice:
    """What decides which subvolumes there are.

    Attributes
    ----------
    slices : int
    pad : bool
        Whether a subvolume may reach beyond its volume.
    most_overlap : float, optional
        Share of a subvolume that another may cover.
    limit : int, optional
        How many are taken.
    seed : int
        Of the order in which they are taken.
    """

    slices: int
    pad: bool = False
    most_overlap: float | None = None
    limit: int | None = None
    seed: int = 0


@dataclass
class Plan:
    """Groups of subvolumes, and what became of the other patches.

    Attributes
    ----------
    groups : list of VolumeGroup
    border : list of Subvolume
        Those that would reach beyond their volume.
    missing : Counter
        Patches by the names of volumes that are nowhere.
    overlapping, refused : int
        Patches left out because of an overlap; patches that fail before any work.
    """

    groups: list[VolumeGroup] = field(default_factory=list)
    border: list[Subvolume] = field(default_factory=list)
    missing: Counter[str] = field(default_factory=Counter)
    overlapping: int = 0
    refused: int = 0

    def chosen(self) -> list[Subvolume]:
        """All subvolumes that are to exist."""
        return [subvolume for group in self.groups for subvolume in group.wanted]


@dataclass(frozen=True)
class Look:
    """A volume's header: its shape and whether it streams, or the reason why it cannot be read."""

    source: VolumeSource
    shape: Shape
    streams: bool = True
    reason: str = ""


def make_plan(
    patches: Sequence[KeptPatch], index: VolumeIndex, choice: Choice, savedir: Path, suffix: str, processes: int
) -> Plan:
    """Find each patch's volume and choose what to reconstruct.

    Raises
    ------
    UsageError
        If two patches would become one file.
    """
    plan = Plan()
    by_volume: defaultdict[str, list[KeptPatch]] = defaultdict(list)
    for patch in patches:
        by_volume[patch.where.source].append(patch)
    found = {name: index.find(name) for name in sorted(by_volume)}
    plan.missing = Counter({name: len(by_volume[name]) for name, source in found.items() if source is None})
    looks = look_at([source for source in found.values() if source is not None])
    possible: list[Subvolume] = []
    refused: dict[str, dict[str, str]] = {}
    for look in looks:
        own = by_volume[look.source.name]
        refused[look.source.name] = why_not = refuse(own, look)
        plan.refused += len(own) if look.reason else len(why_not)
        for patch in own if not look.reason else ():
            if str(patch.path) not in why_not:
                subvolume = subvolume_of(patch, choice.slices, look.shape, savedir, suffix)
                fits = subvolume.first >= 0 and subvolume.stop <= look.shape[patch.where.axis or 0]
                (possible if fits or choice.pad else plan.border).append(subvolume)
    refuse_shared_targets([Job(subvolume.patch.path, subvolume.target) for subvolume in possible])
    chosen, plan.overlapping = choose(possible, choice)
    plan.groups = group(chosen, looks, refused, processes)
    return plan


def refuse(patches: Sequence[KeptPatch], look: Look) -> dict[str, str]:
    """What cannot be made whatever is tried, with its reason: all of an unreadable volume, patches outside of it."""
    if look.reason:
        return {str(look.source): look.reason}
    reasons = {str(patch.path): why_outside(patch.where, look.shape) for patch in patches}
    return {path: reason for path, reason in reasons.items() if reason}


def look_at(sources: Sequence[VolumeSource]) -> list[Look]:
    """Read the headers of volumes, several at once; what they lack is said when they are worked on."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return list(ordered_map(_look, sources, min(LOOKS, len(sources))))


def _look(source: VolumeSource) -> Look:
    try:
        with source.open() as volume:
            return Look(source, volume.shape, volume.streams)
    except (OSError, ValueError) as error:
        return Look(source, (0, 0, 0), reason=describe(error))


def subvolume_of(patch: KeptPatch, slices: int, shape: Shape, savedir: Path, suffix: str) -> Subvolume:
    """The slices around a patch, and the file that they become."""
    where, axis = patch.where, patch.where.axis or 0
    first, stop = window(where.first, slices)
    name = format_name_subvolume(where.source, axis, first, stop, shape[axis], where.box)
    return Subvolume(patch, first, stop, savedir / safe_name(dataset_of(where.source)) / f"{name}{suffix}")


def choose(possible: Iterable[Subvolume], choice: Choice) -> tuple[list[Subvolume], int]:
    """Take subvolumes in a seeded order, none that overlaps another too much, as many as are wished for.

    Returns
    -------
    chosen : list of Subvolume
    overlapping : int
        How many were passed by because of an overlap.
    """
    ordered = sorted(possible, key=lambda subvolume: seeded_order(subvolume.patch.name, choice.seed))
    free: Iterable[bool] = [True] * len(ordered)
    if choice.most_overlap is not None:
        free = without_overlap(map(placed, ordered), choice.most_overlap)
    chosen: list[Subvolume] = []
    overlapping = 0
    for subvolume, takes in zip(ordered, free, strict=False):
        if len(chosen) == choice.limit:
            break
        chosen += [subvolume] if takes else []
        overlapping += not takes
    return chosen, overlapping


def placed(subvolume: Subvolume) -> tuple[str, Box3D]:
    """Where a subvolume lies, and in what: regions cropped from one dataset share the dataset's coordinates."""
    where = subvolume.patch.where
    box = box_of(where, subvolume.first, subvolume.stop)
    try:
        dataset, region = parse_roi(where.source)
    except ValueError:
        return where.source, box
    z, y, x = ((a + origin, b + origin) for (a, b), (origin, _) in zip(box, region, strict=True))
    return dataset, (z, y, x)


def group(
    chosen: Sequence[Subvolume], looks: Sequence[Look], refused: dict[str, dict[str, str]], processes: int
) -> list[VolumeGroup]:
    """Subvolumes by volume, in memory order.

    A group is spread over all processes when it is more than one process's share of the work, or its volume has to be
    decoded whole and is large: several such side by side might not fit in memory.
    """
    by_volume: defaultdict[str, list[Subvolume]] = defaultdict(list)
    for subvolume in chosen:
        by_volume[subvolume.patch.where.source].append(subvolume)
    return [
        VolumeGroup(
            look.source,
            tuple(sorted(wanted, key=lambda s: (box_of(s.patch.where, s.first, s.stop), s.target.name))),
            refused[look.source.name],
            spread=len(wanted) * processes > len(chosen) or (not look.streams and look.source.is_large()),
        )
        for look in looks
        if (wanted := by_volume[look.source.name]) or refused[look.source.name]
    ]
