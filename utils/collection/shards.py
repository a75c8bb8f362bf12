"""The units of an export, each made by itself: shards of mixed patches, or the folder of a dataset."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from utils.collection.ledger import Ledger, digest, unit_name
from utils.collection.pixels import read_patch
from utils.collection.places import Sample
from utils.jobs import SKIPPED, Job, SomeFailed
from utils.outcomes import collecting
from utils.records.fingerprints import glance

# Of the exported bytes: a new number makes every export anew.
VERSION = 1


@dataclass(frozen=True)
class Shard:
    """Patches that are written together."""

    name: str  # of the unit; messages call it so
    split: str
    samples: Sequence[Sample]
    files: tuple[str, ...]  # paths inside the output folder, one per shard or one per patch
    rows: Sequence[Mapping[str, Any]]  # what is said of each sample, by column; the same columns in every row

    def __str__(self) -> str:
        return self.name

    def file_of(self, i: int) -> str:
        """The file that holds sample `i`."""
        return self.files[i] if len(self.files) == len(self.samples) else self.files[0]

    def fingerprint(self, kind: str) -> str:
        """Of all that decides the unit's bytes: rows, and size and times of each TIFF."""
        inputs = [glance([sample.path]) for sample in self.samples]
        repeated = [sample.name for sample in self.samples if sample.repeated]
        return digest(VERSION, kind, self.files, [list(row.items()) for row in self.rows], inputs, *repeated)


@dataclass(frozen=True)
class ReadPatch:
    """A patch of a shard with its pixels."""

    sample: Sample
    row: Mapping[str, Any]
    file: str
    patch: np.ndarray


class Rows(Sequence[Mapping[str, Any]]):
    """What is said of each of some samples, made when it is asked for: at once it would take more than the samples.

    `free` holds the free columns of each dataset.
    """

    def __init__(self, samples: Sequence[Sample], split: str, free: Mapping[str, Mapping[str, str]]) -> None:
        self._samples, self._split = samples, split
        self._free = {dataset: free[dataset] for dataset in {sample.dataset for sample in samples}}

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, i: Any) -> Any:
        sample = self._samples[i]
        return {"split": self._split, **sample.row(self._free[sample.dataset])}


RowsOf = Callable[[Sequence[Sample], str], Sequence[Mapping[str, Any]]]  # of samples of one split
Writer = Callable[[Shard, Iterator[ReadPatch], Path], None]


def readable(shard: Shard, failures: dict[str, str]) -> Iterator[ReadPatch]:
    """The patches of a shard one by one; those that cannot be read are put into `failures` and left out."""
    for i, (sample, row) in enumerate(zip(shard.samples, shard.rows, strict=True)):
        with collecting(failures, sample.path):
            yield ReadPatch(sample, row, shard.file_of(i), read_patch(sample.path))


def slices(count: int, size: int, *, even: bool) -> list[slice]:
    """As few slices as hold at most `size`: of equal length but for one, or all but the last full.

    >>> slices(5, 2, even=True)
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    pieces = -(-count // size)
    bounds = [-(-i * count // pieces) if even else min(i * size, count) for i in range(pieces + 1)] if pieces else []
    return [slice(a, b) for a, b in pairwise(bounds)]


def patches_by_split(shards: Iterable[Shard]) -> Counter[str]:
    """How many patches each split has."""
    return Counter(shard.split for shard in shards for _ in shard.samples)


def mixed_shards(
    samples: Mapping[str, Sequence[Sample]],
    rows: RowsOf,
    size: int,
    file: str,
    *,
    even: bool,
) -> list[Shard]:
    """Shards of each split, the patches of all its datasets in one random order.

    In the name of a file ``{split}``, ``{index}`` and ``{count}`` are filled in. Workers share `even` shards evenly;
    else all but the last are full, as an array's are.
    """
    shards = []
    for split, chosen in samples.items():
        ordered = sorted(chosen, key=lambda sample: (sample.key, sample.name))
        pieces = slices(len(ordered), size, even=even)
        for index, piece in enumerate(pieces):
            inside = ordered[piece]
            name = file.format(split=split, index=index, count=len(pieces))
            shards.append(Shard(unit_name(name.replace("/", "-")), split, inside, (name,), rows(inside, split)))
    return shards


def dataset_folders(samples: Mapping[str, Sequence[Sample]], rows: RowsOf) -> list[Shard]:
    """A folder of pictures for each split and dataset: ``{split}/{dataset}/{name}.png``."""
    shards = []
    for split, chosen in samples.items():
        ordered = sorted(chosen, key=lambda sample: (sample.dataset, sample.name))
        for dataset, own_samples in groupby(ordered, key=lambda sample: sample.dataset):
            inside = list(own_samples)
            files = tuple(f"{split}/{dataset}/{sample.name}.png" for sample in inside)
            shards.append(Shard(unit_name(split, dataset), split, inside, files, rows(inside, split)))
    return shards


def make_shard(out: Path, kind: str, write: Writer, job: Job) -> str:
    """The work of a job whose source is a `Shard`: write it, unless it stands as it would be written.

    Raises
    ------
    SomeFailed
        If patches could not be read; the shard is there without them.
    """
    shard: Shard = job.source
    ledger, fingerprint = Ledger(out), shard.fingerprint(kind)
    if ledger.is_current(shard.name, fingerprint):
        if before := ledger.record(shard.name)["failed"]:
            raise SomeFailed(before)
        return SKIPPED
    failed: dict[str, str] = {}
    with ledger.making(shard.name, shard.files, fingerprint, {"failed": failed}) as scratch:
        for parent in {(scratch / name).parent for name in shard.files}:
            parent.mkdir(parents=True, exist_ok=True)
        write(shard, readable(shard, failed), scratch)
    if failed:
        raise SomeFailed(failed)
    return f"{len(shard.samples)} patches"


def as_made(shard: Shard, ledger: Ledger) -> Shard:
    """A shard without the patches that could not be read when it was made."""
    failed = ledger.record(shard.name).get("failed", {})
    inside = [i for i, sample in enumerate(shard.samples) if str(sample.path) not in failed]
    if len(inside) == len(shard.samples):
        return shard
    files = tuple(shard.files[i] for i in inside) if len(shard.files) == len(shard.samples) > 1 else shard.files
    return replace(shard, files=files, samples=[shard.samples[i] for i in inside], rows=[shard.rows[i] for i in inside])
