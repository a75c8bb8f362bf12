"""What an export is to hold: which patches, in which split and which shard; decided before a pixel is touched."""

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from utils.collection.export_formats import SHARD_FILES, one_size
from utils.collection.inventory import Part, by_dataset
from utils.collection.pixels import patch_size
from utils.collection.places import Sample
from utils.collection.provenance import Provenance
from utils.collection.selection import Rules, Selection, balanced, choose
from utils.collection.shards import Rows, Shard, dataset_folders, mixed_shards
from utils.collection.splits import Pair, assign, crossing, seed_that_fills, tied
from utils.outcomes import collecting


@dataclass
class ExportPlan:
    """What is to be written."""

    kind: str
    shards: list[Shard]
    split_of: dict[str, str]  # dataset -> split
    groups: list[list[str]]  # datasets that stay together
    rows: dict[str, dict[str, str]]  # dataset -> its free columns
    # What the card says of the export, and what the user is to be told besides.
    notes: list[str]
    warnings: list[str]
    failures: dict[str, str]  # path -> reason, of tables and patches that cannot be exported
    kept: int
    side: tuple[int, int] = (0, 0)

    @property
    def splits(self) -> list[str]:
        """The splits that hold patches, in the order in which they were asked for."""
        return list(dict.fromkeys(shard.split for shard in self.shards))


def plan_export(
    parts: Sequence[Part], provenance: Provenance, pairs: Sequence[Pair], args: argparse.Namespace
) -> ExportPlan:
    """Decide everything by the options of export.py, without touching a pixel."""
    selection = choose(parts, Rules(args.cap, args.cap_volume, args.min_gap_nm, args.seed))
    plan = ExportPlan(args.format, [], {}, [], {}, [], selection.warnings, selection.failures, selection.kept)
    if args.format == "zarr":
        _of_one_size(selection, plan)
    owners = by_dataset(parts)
    if pairs and not any({pair.dataset, pair.other_dataset} & owners.keys() for pair in pairs):
        plan.warnings.append("--duplicates names no dataset that is here: is it the table of another collection?")
    plan.rows = {dataset: provenance.of(dataset, owners[dataset]) for dataset in selection.samples}
    _split(selection, plan, pairs, args)
    samples = balanced(selection.samples, args.balance) if args.balance else selection.samples
    by_split: dict[str, list[Sample]] = {split: [] for split in args.split}
    for dataset, chosen in samples.items():
        by_split[plan.split_of[dataset]] += chosen
    names = list(dict.fromkeys(name for row in plan.rows.values() for name in row))
    rows = partial(Rows, free={d: {name: row.get(name, "") for name in names} for d, row in plan.rows.items()})
    if args.format == "imagefolder":
        plan.shards = dataset_folders(by_split, rows)
    else:
        plan.shards = mixed_shards(
            by_split, rows, args.shard_size, SHARD_FILES[args.format], even=args.format != "zarr"
        )
    return plan


def _of_one_size(selection: Selection, plan: ExportPlan) -> None:
    """Leave out of a Zarr array what has another size than most patches, or none."""
    sizes: dict[Path, tuple[int, int]] = {}
    for sample in (sample for chosen in selection.samples.values() for sample in chosen):
        with collecting(plan.failures, sample.path):
            sizes[sample.path] = patch_size(sample.path)
    if not sizes:
        return
    plan.side = one_size(Counter(sizes.values()))
    if others := sum(size != plan.side for size in sizes.values()):
        side = " x ".join(map(str, plan.side))
        plan.warnings.append(f"{others} patches are not of {side}, as most are; left out of zarr")
    for dataset, chosen in list(selection.samples.items()):
        selection.samples[dataset] = [sample for sample in chosen if sizes.get(sample.path) == plan.side]
        if not selection.samples[dataset]:
            del selection.samples[dataset]


def _split(selection: Selection, plan: ExportPlan, pairs: Sequence[Pair], args: argparse.Namespace) -> None:
    """Put every dataset into a split, check that nothing of one tissue stands in two, and say so."""
    addresses = {d: {s.source for s in chosen if "://" in s.source} for d, chosen in selection.samples.items()}
    plan.groups, why = tied(selection.samples, addresses, plan.rows, pairs)
    plan.split_of = assign(plan.groups, args.split, args.seed)
    if len(args.split) == 1:
        return
    if apart := crossing(pairs, plan.split_of):
        raise RuntimeError(f"{apart[0].name} and {apart[0].other} show the same tissue and would come apart")
    note = f"Split by dataset: {len(plan.groups)} groups of {len(selection.samples)} datasets"
    if together := sum(len(group) for group in plan.groups if len(group) > 1):
        reasons = ", ".join(f"{count} by {reason}" for reason, count in sorted(why.items()))
        note += f"; {together} datasets are tied to others ({reasons})"
    if args.duplicates:
        note += f"; checked: none of {len(pairs)} pairs of near-duplicates between datasets crosses a split"
    else:
        plan.warnings.append("no --duplicates: datasets that share tissue under other names are not known to the split")
    plan.notes.append(f"{note}.")
    _say_empty(selection, plan, args)


def _say_empty(selection: Selection, plan: ExportPlan, args: argparse.Namespace) -> None:
    empty = [split for split in args.split if split not in plan.split_of.values()]
    if empty and plan.split_of:
        sizes = {dataset: len(chosen) for dataset, chosen in selection.samples.items()}
        seed = seed_that_fills(plan.groups, args.split, sizes)
        hint = f"--seed {seed} fills all" if seed is not None else "there are too few datasets"
        plan.warnings.append(f"no dataset falls into {', '.join(empty)} (chance decides, by name and seed); {hint}")
