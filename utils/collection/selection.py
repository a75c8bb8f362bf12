"""The patches of an export: which of the kept ones, and how many of each dataset and volume."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter
from pathlib import Path

import numpy as np

from utils.collection.inventory import Part, by_dataset
from utils.collection.places import Gaps, Sample, key_of, place_of, spread_order
from utils.components import by_key
from utils.outcomes import collecting, reason_of
from utils.reading import refuse_special


@dataclass
class Selection:
    """What is exported of each dataset, what is to be said of it, and what cannot be read (path: reason)."""

    samples: dict[str, list[Sample]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    kept: int = 0
    failures: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Rules:
    """How many patches are taken; 0: no rule."""

    cap: int = 0
    cap_volume: int = 0
    min_gap_nm: float = 0
    seed: int = 0


def choose(parts: Iterable[Part], rules: Rules) -> Selection:
    """Choose among the kept patches of all datasets, one dataset after another.

    A table that cannot be read is a failure, and so are patches of one dataset that have one name (also where case is
    ignored), all of them, and names that are no UTF-8. Groups of images of one name (``1.tif``) are told apart.
    """
    selection = Selection()
    names = _Names()
    readable = [part for part in parts if _can_be_read(part, names, selection.failures)]
    for dataset, own in sorted(by_dataset(readable).items()):
        samples = [sample for part in own for sample in _kept(part, rules.seed, selection, names)]
        if chosen := select(samples, rules, selection.warnings):
            selection.samples[dataset] = chosen
        else:
            selection.warnings.append(f"{dataset}: no kept patches")
    return selection


class _Names:
    """The names of kept patches, in small letters: who has them, and which are had more than once."""

    def __init__(self) -> None:
        self._first: dict[str, Part] = {}
        self._others: dict[tuple[str, str], Part] = {}
        self._repeated: set[str] = set()
        self._shared: set[tuple[str, str]] = set()

    def add(self, part: Part, name: str) -> Part | None:
        """Note a name; another part of the dataset that has it, too."""
        dataset, name = part.dataset.casefold(), name.casefold()
        owner = self._first.setdefault(name, part)
        if owner.dataset.casefold() != dataset:
            self._repeated.add(name)
            owner = self._others.setdefault((dataset, name), part)
        if owner is part:
            return None
        self._shared.add((dataset, name))
        return owner

    def shared(self, part: Part, name: str) -> bool:
        """Whether two parts of the dataset have the name."""
        return (part.dataset.casefold(), name.casefold()) in self._shared

    def repeated(self, name: str) -> bool:
        """Whether several datasets have the name."""
        return name.casefold() in self._repeated


def _can_be_read(part: Part, names: _Names, failures: dict[str, str]) -> bool:
    """Whether a part's table can be read, and its names stand in UTF-8; what it keeps is added to `names`."""
    with collecting(failures, part.table):
        kept = [decision.name for decision in part.decisions() if decision.kept]
        for name in (part.dataset, *kept):
            name.encode()
        for name in kept:
            if owner := names.add(part, name):
                for one, other in ((owner, part), (part, owner)):
                    failures[str(one.table)] = f"keeps {name}, as does {other.table}; names must differ"
        return True
    return False


def _kept(part: Part, seed: int, selection: Selection, names: _Names) -> Iterator[Sample]:
    """The kept patches of a part whose TIFFs are there."""
    try:
        gone, there = 0, _files_in(part.folder, selection.failures)
        source = str(part.meta.get("source") or part.name)
    except OSError as error:  # it may not be looked into
        selection.failures[str(part.folder)] = reason_of(error, part.folder)
        return
    for decision in (decision for decision in part.decisions() if decision.kept):
        selection.kept += 1
        path = part.path(decision.name)
        if path.name not in there:
            gone += str(path) not in selection.failures
        elif not names.shared(part, name := decision.name):
            place, key = place_of(name), key_of(seed, name)
            yield Sample(
                *(name, part.dataset, part.name, source, path, decision.score, place, part.voxel_size, key),
                repeated=names.repeated(name),
            )
    if gone:
        selection.warnings.append(f"{part.table}: {gone} kept patches have no TIFF any more; left out")


def _files_in(folder: Path, failures: dict[str, str]) -> set[str]:
    """Names of the files in a folder; what else is called like a patch (a pipe, a link to itself) is a failure."""
    found = set()
    for path in map(Path, os.scandir(folder)) if folder.is_dir() else ():
        if path.suffix == ".tiff":
            with collecting(failures, path):
                refuse_special(path)
                found.add(path.name)
    return found


def select(samples: Sequence[Sample], rules: Rules, warnings: list[str]) -> list[Sample]:
    """Choose among the patches of one dataset: its volumes in turn, each spread evenly in space."""
    by_volume = by_key(samples, attrgetter("volume"))
    if rules.min_gap_nm and any(s.voxel_size is None and s.place and s.place.axis is not None for s in samples):
        warnings.append(f"{samples[0].dataset}: voxel size missing, so that --min-gap-nm says nothing of its slices")
    volumes = sorted(by_volume, key=lambda volume: (key_of(rules.seed, volume), volume))
    queues = [_of_volume(by_volume[volume], rules) for volume in volumes]
    chosen: list[Sample] = []
    while queues and (not rules.cap or len(chosen) < rules.cap):
        turn = [(queue, one) for queue in queues if (one := next(queue, None)) is not None]
        queues = [queue for queue, _ in turn]
        chosen += [one for _, one in turn]
    return chosen[: rules.cap or None]


def _of_volume(samples: Sequence[Sample], rules: Rules) -> Iterator[Sample]:
    """The patches of one volume in the order in which they are taken."""
    taken, gaps = 0, Gaps(rules.min_gap_nm)
    for sample in _in_space(samples) if rules.cap or rules.cap_volume or rules.min_gap_nm else samples:
        if rules.cap_volume and taken == rules.cap_volume:
            return
        if _admitted(sample, gaps):
            taken += 1
            yield sample


def _in_space(samples: Sequence[Sample]) -> list[Sample]:
    def middle(sample: Sample) -> list[float]:
        if sample.place is None:
            return [0, 0, 0]
        size = sample.voxel_size or (1, 1, 1)
        return [(a + b) / 2 * side for (a, b), side in zip(sample.place.box, size, strict=True)]

    points = np.array([middle(sample) for sample in samples], float).reshape(-1, 3)
    keys = np.array([sample.key for sample in samples], np.uint64)
    return [samples[i] for i in spread_order(points, keys)]


def _admitted(sample: Sample, gaps: Gaps) -> bool:
    place = sample.place
    if place is None or place.axis is None or sample.voxel_size is None:
        return True
    rows, columns = (place.box[i] for i in range(3) if i != place.axis)
    depth = place.box[place.axis][0] * sample.voxel_size[place.axis]
    return gaps.admit((place.volume, place.axis), (*rows, *columns), depth)


def balanced(by_dataset: Mapping[str, Sequence[Sample]], power: float) -> dict[str, list[Sample]]:
    """The same patches with weights by which to sample: of 1 on average, and by dataset in the ratio n ** -power.

    With a power of 1 every dataset is as likely as any other, with .5 as likely as the root of its size.
    """
    raw = {dataset: len(samples) ** -power for dataset, samples in by_dataset.items()}
    total = sum(len(samples) for samples in by_dataset.values())
    mean = sum(raw[d] * len(samples) for d, samples in by_dataset.items()) / max(1, total)
    return {d: [replace(s, weight=float(f"{raw[d] / mean:.6g}")) for s in samples] for d, samples in by_dataset.items()}
