"""What is to be reconstructed: every patch meets its volume's header, and the choice is made, before any work."""

import hashlib
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path

from utils.axes import TakenBoxes, Triple
from utils.components import by_key
from utils.files import safe_name
from utils.names import dataset_of, format_name_subvolume, in_dataset
from utils.outcomes import Job, describe
from utils.parallel import ordered_map
from utils.reconstruction.subvolumes import Subvolume, VolumeGroup, why_outside, window
from utils.records.kept_patch import KeptPatch
from utils.results import without_clashes
from utils.sources import VolumeSource
from utils.volume_index import VolumeIndex

# Headers read at once: over a network each one is a wait.
HEADERS = 8


@dataclass(frozen=True)
class Rules:
    """What decides which subvolumes there are."""

    slices: int
    pad: bool = False  # a subvolume may reach beyond its volume
    most_overlap: float | None = None  # share of a subvolume that another may cover
    limit: int | None = None  # how many are taken of each dataset
    limit_total: int | None = None  # how many in all
    seed: int = 0  # of the order in which they are taken


@dataclass
class ReconstructionPlan:
    """Groups of subvolumes, and what became of the other patches, counted by the names of their volumes."""

    groups: list[VolumeGroup] = field(default_factory=list)
    border: list[Subvolume] = field(default_factory=list)  # those that would reach beyond their volume
    missing: Counter[str] = field(default_factory=Counter)  # their volume is nowhere
    ambiguous: Counter[str] = field(default_factory=Counter)  # there are several volumes of the name
    overlapping: Counter[str] = field(default_factory=Counter)  # left out because of an overlap
    refused: Counter[str] = field(default_factory=Counter)  # fail before any work

    def chosen(self) -> list[Subvolume]:
        """All subvolumes that are to exist."""
        return [subvolume for group in self.groups for subvolume in group.wanted]

    def of_volumes(self, owns: Callable[[str], bool]) -> "ReconstructionPlan":
        """The part of the plan that is about some volumes, told by their names."""

        def own(counts: Counter[str]) -> Counter[str]:
            return Counter({name: count for name, count in counts.items() if owns(name)})

        return ReconstructionPlan(
            [group for group in self.groups if owns(group.source.name)],
            [subvolume for subvolume in self.border if owns(subvolume.patch.where.source)],
            *map(own, (self.missing, self.ambiguous, self.overlapping, self.refused)),
        )


@dataclass(frozen=True)
class VolumeHeader:
    """A volume's header: its shape and whether it streams, or the reason why it cannot be read."""

    source: VolumeSource
    shape: Triple
    streams: bool = True
    reason: str = ""


def make_plan(
    patches: Sequence[KeptPatch], index: VolumeIndex, rules: Rules, savedir: Path, suffix: str, processes: int
) -> ReconstructionPlan:
    """Find each patch's volume and choose what to reconstruct; patches that would become one file fail, all of them."""
    plan = ReconstructionPlan()
    by_volume = by_key(patches, attrgetter("where.source"))
    for name in sorted(by_volume.keys() & index.shared.keys()):
        plan.ambiguous[f"{name} ({', '.join(map(str, index.shared[name]))})"] = len(by_volume[name])
    found = {name: index.find(name) for name in sorted(by_volume) if name not in index.shared}
    plan.missing = Counter({name: len(by_volume[name]) for name, source in found.items() if source is None})
    headers = _read_headers([source for source in found.values() if source is not None])
    possible: list[Subvolume] = []
    refused: dict[str, dict[str, str]] = {}
    for header in headers:
        name, own = header.source.name, by_volume[header.source.name]
        if header.reason:
            refused[name], plan.refused[name] = {str(header.source): header.reason}, len(own)
            continue
        outside = {patch: why for patch in own if (why := why_outside(patch.where, header.shape))}
        refused[name], plan.refused[name] = {str(p.path): why for p, why in outside.items()}, len(outside)
        for patch in own:
            if patch not in outside:
                subvolume = _subvolume_of(patch, rules.slices, header.shape, savedir, suffix)
                fits = subvolume.first >= 0 and subvolume.stop <= header.shape[patch.where.axis or 0]
                (possible if fits or rules.pad else plan.border).append(subvolume)
    alone, clashes = without_clashes([Job(subvolume, subvolume.target) for subvolume in possible])
    for clash in clashes:
        name = clash.job.source.patch.where.source
        refused[name] |= dict(clash.failures)
        plan.refused[name] += 1
    chosen, plan.overlapping = choose([job.source for job in alone], rules)
    plan.groups = group(chosen, headers, refused, processes)
    return plan


def _read_headers(sources: Sequence[VolumeSource]) -> list[VolumeHeader]:
    """Read the headers of volumes, several at once; what they lack is said when they are worked on."""
    with warnings.catch_warnings(action="ignore"):
        return list(ordered_map(_read_header, sources, min(HEADERS, len(sources))))


def _read_header(source: VolumeSource) -> VolumeHeader:
    try:
        with source.open() as volume:
            return VolumeHeader(source, volume.shape, volume.streams)
    except (OSError, ValueError) as error:
        return VolumeHeader(source, (0, 0, 0), reason=describe(error))


def _subvolume_of(patch: KeptPatch, slices: int, shape: Triple, savedir: Path, suffix: str) -> Subvolume:
    """The slices around a patch, and the file that they become."""
    where, axis = patch.where, patch.where.axis or 0
    first, stop = window(where.first, slices)
    name = format_name_subvolume(where.source, axis, first, stop, shape[axis], where.box)
    return Subvolume(patch, first, stop, savedir / safe_name(dataset_of(where.source)) / f"{name}{suffix}")


def choose(possible: Iterable[Subvolume], rules: Rules) -> tuple[list[Subvolume], Counter[str]]:
    """Take subvolumes in a seeded order, none that overlaps another too much, as many as are wished for.

    With them comes how many were passed by because of an overlap, by the names of their volumes.
    """
    chosen: list[Subvolume] = []
    taken: Counter[str] = Counter()
    boxes: defaultdict[str, TakenBoxes] = defaultdict(TakenBoxes)
    overlapping: Counter[str] = Counter()
    for subvolume in sorted(possible, key=lambda subvolume: seeded_order(subvolume.patch.name, rules.seed)):
        source = subvolume.patch.where.source
        if len(chosen) == rules.limit_total:
            break
        if taken[dataset_of(source)] == rules.limit:
            continue
        if rules.most_overlap is not None:
            space, box = in_dataset(source, subvolume.box)
            if boxes[space].covers(box, rules.most_overlap):
                overlapping[source] += 1
                continue
            boxes[space].add(box)
        chosen.append(subvolume)
        taken[dataset_of(source)] += 1
    return chosen, overlapping


def seeded_order(name: str, seed: int) -> bytes:
    """Sort key of a random order that depends on nothing but names and seed.

    Taking more of an order, or adding names to it, keeps what was chosen before at its place.
    """
    return hashlib.blake2b(f"{seed}:{name}".encode("utf-8", "surrogateescape"), digest_size=16).digest()


def group(
    chosen: Sequence[Subvolume], headers: Sequence[VolumeHeader], refused: dict[str, dict[str, str]], processes: int
) -> list[VolumeGroup]:
    """Subvolumes by volume, in memory order.

    A group is spread over all processes when it is more than one process's share of the work, or its volume has to be
    decoded whole and is large: several such side by side might not fit in memory.
    """
    by_volume = by_key(chosen, attrgetter("patch.where.source"))
    return [
        VolumeGroup(
            header.source,
            tuple(sorted(wanted, key=lambda subvolume: (subvolume.box, subvolume.target.name))),
            refused[header.source.name],
            spread=len(wanted) * processes > len(chosen) or (not header.streams and header.source.is_large()),
        )
        for header in headers
        if (wanted := by_volume.get(header.source.name, [])) or refused[header.source.name]
    ]
