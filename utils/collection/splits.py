"""Splits of a collection by dataset, such that nothing of one tissue stands on two sides."""

from argparse import ArgumentTypeError
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import accumulate
from pathlib import Path

from utils.components import connected
from utils.names import dataset_of, parse_level, parsed
from utils.records.duplicates import Duplicate, read_duplicates
from utils.records.scores import EXCLUDED

# Seeds among which a better one is looked for when a split is left empty.
OTHER_SEEDS = 200


@dataclass(frozen=True)
class Pair:
    """Two patches that show the same tissue, each with its dataset: a row of duplicates.csv."""

    name: str
    dataset: str
    other: str
    other_dataset: str


def read_pairs(tables: Iterable[Path]) -> list[Pair]:
    """Pairs between datasets: near-duplicates, and patches that show the same excluded image.

    Raises
    ------
    ValueError
        If a table is none of duplicates.
    """
    pairs = []
    seen: dict[str, Duplicate] = {}
    for row in (row for table in tables for row in read_duplicates(table)):
        if row.reason == EXCLUDED:
            first = seen.setdefault(row.its_dictionary, row)
            other, its_dictionary = first.name, first.dictionary
        else:
            other, its_dictionary = row.duplicate_of, row.its_dictionary
        ends = dataset_of(Path(row.dictionary).name), dataset_of(Path(its_dictionary).name)
        if ends[0] != ends[1]:
            pairs.append(Pair(row.name, ends[0], other, ends[1]))
    return pairs


def tied(
    datasets: Iterable[str],
    sources: Mapping[str, set[str]],
    rows: Mapping[str, Mapping[str, str]],
    pairs: Sequence[Pair],
) -> tuple[list[list[str]], Counter[str]]:
    """Datasets that must not come apart: the smallest sets that no tie leaves, and how many ties there are by why.

    Ties by all that is known: duplicates, levels of an image, one address, one ``url`` in datasets.csv (`rows`).

    Two may be tied by a third one of which nothing is exported: it stands in `pairs` only, and in no group.
    `sources` are the addresses (URLs) that each dataset was cut from, as its dictionaries remember them. File names
    tell nothing: many folders have an ``image_1.tif``.
    """
    known = set(datasets)
    ends = {end for pair in pairs for end in (pair.dataset, pair.other_dataset)}
    place = {dataset: i for i, dataset in enumerate(sorted(known | ends))}
    urls = {dataset: {rows.get(dataset, {}).get("url", "")} for dataset in place}
    ties = [
        *((pair.dataset, pair.other_dataset, "near-duplicate patches") for pair in pairs),
        *_alike({dataset: {image_of(dataset)} for dataset in place}, "levels of one image"),
        *_alike(sources, "one volume"),
        *_alike(urls, "one url"),
    ]
    ties = [tie for tie in ties if tie[0] != tie[1]]
    group_of = connected(len(place), ((place[a], place[b]) for a, b, _ in ties))
    groups: defaultdict[int, list[str]] = defaultdict(list)
    for dataset in sorted(known):
        groups[group_of[place[dataset]]].append(dataset)
    together = {group for group, inside in groups.items() if len(inside) > 1}
    return list(groups.values()), Counter(reason for a, _, reason in ties if group_of[place[a]] in together)


def image_of(dataset: str) -> str:
    """A dataset's name without the level of a multiscale image: levels show the same tissue.

    >>> image_of("fly_s2"), image_of("fly")
    ('fly', 'fly')
    """
    return (parsed(parse_level, dataset) or (dataset, 0))[0]


def _alike(values: Mapping[str, Iterable[str]], reason: str) -> Iterator[tuple[str, str, str]]:
    """Ties of datasets that have a value in common; empty ones say nothing."""
    first: dict[str, str] = {}
    for dataset in sorted(values):
        for value in sorted(filter(None, values[dataset])):
            yield first.setdefault(value, dataset), dataset, reason


def position(seed: int, group: Iterable[str]) -> float:
    """Where datasets that stay together fall in 0..1: where the one of them with the smallest hash falls.

    It depends on their names alone, so that adding other datasets moves nothing.
    """
    return min(
        int.from_bytes(blake2b(f"split {seed}\0{name}".encode("utf-8", "surrogatepass"), digest_size=7).digest(), "big")
        / 2**56
        for name in group
    )


def assign(groups: Iterable[Sequence[str]], shares: Mapping[str, float], seed: int) -> dict[str, str]:
    """The split of each dataset, those of a group together, by the shares of the splits, which add up to 1."""
    found, names = {}, list(shares)
    for group in groups:
        at = position(seed, group)
        inside = (name for name, end in zip(shares, accumulate(shares.values()), strict=True) if at < end)
        found.update(dict.fromkeys(group, next(inside, names[-1])))
    return found


def seed_that_fills(
    groups: Sequence[Sequence[str]], shares: Mapping[str, float], sizes: Mapping[str, int]
) -> int | None:
    """The seed by which no split is empty and patches come nearest to the shares; None if none does."""
    total = sum(sizes.values())
    best: tuple[float, int] | None = None
    for seed in range(OTHER_SEEDS if len(groups) < 1000 else 0):
        counts: Counter[str] = Counter()
        for dataset, split in assign(groups, shares, seed).items():
            counts[split] += sizes.get(dataset, 0)
        if all(counts[split] for split in shares):
            off = sum(abs(counts[split] / total - share) for split, share in shares.items())
            best = min(best or (off, seed), (off, seed))
    return best[1] if best else None


def crossing(pairs: Iterable[Pair], split_of: Mapping[str, str]) -> list[Pair]:
    """Pairs whose ends would stand in different splits: none, if the ties held."""
    known = (pair for pair in pairs if {pair.dataset, pair.other_dataset} <= split_of.keys())
    return [pair for pair in known if split_of[pair.dataset] != split_of[pair.other_dataset]]


def split_shares(text: str) -> dict[str, float]:
    """Argument type: ``train=.9,val=.05,test=.05``.

    Raises
    ------
    ArgumentTypeError
        If it is no list of names and shares that add up to 1.
    """
    shares: dict[str, float] = {}
    for piece in text.split(","):
        name, equals, share = piece.partition("=")
        name = name.strip()
        try:
            value = float(share)
        except ValueError:
            value = -1
        if not equals or not name.isidentifier() or not 0 < value <= 1 or name in shares:
            raise ArgumentTypeError(f"{text!r}: expected names and shares, such as train=.9,val=.05,test=.05")
        shares[name] = value
    if abs(sum(shares.values()) - 1) > 1e-6:
        raise ArgumentTypeError(f"{text!r}: the shares add up to {sum(shares.values()):g}, not to 1")
    return shares
