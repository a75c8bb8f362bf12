"""What a round of "label, train, look again" gains: the next patches in the order of label_patches.py, or at random.

Labels are simulated: they stand in the tables. A share of the patches is held out; of the others some are labelled at
random, a lite head is fitted to them as train_patch_classifier.py fits it, scores the rest, and the next ones are
labelled: those that are uncertain, or any. Prints errors on the held-out patches after each round, over
many seeds. The body looks once; all heads learn from that bank.

Example:
    python benchmarks/bench_label_loop.py DATA/labelled/labels.csv DATA/labelled_more/labels.csv --first 50 --step 50
"""

import argparse
import csv
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from utils.argument_types import existing_file, output_dir, positive_int
from utils.cli import make_parser, run_script
from utils.collection.label_queue import Item, ordered

ORDERS = ("uncertain", "random")
HELD_OUT = 1 / 3


@dataclass(frozen=True)
class Pool:
    """Labelled patches, what the body sees in them, and the bank of their augmented copies."""

    items: list[Item]
    good: np.ndarray
    features: np.ndarray
    bank: Any
    start: Any

    def logits(self, labelled: np.ndarray) -> np.ndarray:
        """What a head says of all patches that was fitted to some."""
        from utils.training.heads import with_head

        others = np.setdiff1d(np.arange(len(self.good)), labelled)
        state = with_head(self.start, self.bank.without(others))[0]
        logits: np.ndarray = self.features @ state["fc.weight"][0].numpy() + float(state["fc.bias"])
        return logits


def main(argv: Sequence[str] | None = None) -> int:
    """Print a table."""
    parser = make_parser(__doc__)
    parser.add_argument("tables", nargs="+", type=existing_file, help="CSVs with the columns path, label, source")
    parser.add_argument("--first", type=positive_int, default=50, help="labelled at random to begin with (50)")
    parser.add_argument("--step", type=positive_int, default=50, help="labelled in each round (50)")
    parser.add_argument("--rounds", type=positive_int, default=5)
    parser.add_argument("--seeds", type=positive_int, default=20)
    parser.add_argument("--bank", type=positive_int, default=4000, help="augmented patches that heads learn from")
    parser.add_argument("--keep", type=output_dir, metavar="DIR", help="keep the bank here for another run")
    return run_script(simulate, parser, argv)


def simulate(args: argparse.Namespace) -> int:
    """Look once, then every round of every seed."""
    import torch

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        pool = make_pool(args.tables, args.keep or Path(scratch), args.bank)
    print(f"{len(pool.good)} patches of {len({i.dataset for i in pool.items})} datasets, a third held out", flush=True)
    seeds = range(args.seeds)
    errors = {order: np.array([list(rounds(pool, args, order, seed)) for seed in seeds]) for order in ORDERS}
    counts = [args.first + args.step * i for i in range(args.rounds + 1)]
    print("labels   " + "  ".join(f"{count:>11}" for count in counts))
    for order, found in errors.items():
        cells = zip(100 * found.mean(0), 100 * found.std(0, ddof=1) / np.sqrt(len(found)), strict=True)
        print(f"{order:9}" + "  ".join(f"{mean:5.1f} ± {error:3.1f}" for mean, error in cells) + " %")
    better, worse = errors["uncertain"] < errors["random"], errors["uncertain"] > errors["random"]
    shares = zip(better.mean(0)[1:], worse.mean(0)[1:], strict=True)
    print("uncertain is better in " + ", ".join(f"{share:.0%} (worse {other:.0%})" for share, other in shares))
    return 0


def make_pool(tables: Sequence[Path], folder: Path, count: int) -> Pool:
    """Read the patches, and let the body look at them and at their augmented copies."""
    from utils.classification.classifier import Classifier
    from utils.training.bank import make_bank
    from utils.training.first_weights import first_weights
    from utils.training.labels import read_labelled
    from utils.training.recipe import recipe_for

    folder.mkdir(parents=True, exist_ok=True)
    data = read_labelled(joined(tables, folder / "labels.csv"))
    start = first_weights("lite", "lite")
    assert start is not None
    bank = make_bank(folder / "bank", recipe_for("lite", "lite", {"bank": count}).batches(), data, count, start)
    features = Classifier(start, device="cpu", precision="fp32", views=1).outputs(data.patches)[1]
    items = [Item(path.stem, source, path) for path, source in zip(data.paths, data.sources, strict=True)]
    return Pool(items, np.asarray(data.good), features, bank, start)


def joined(tables: Sequence[Path], path: Path) -> Path:
    """One table of all, with whole paths."""
    rows = []
    for table in tables:
        with table.open(newline="", encoding="utf-8") as file:
            rows += [(table.parent.resolve() / r["path"], r["label"], r["source"]) for r in csv.DictReader(file)]
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("path", "label", "source"), *rows])
    return path


def rounds(pool: Pool, args: argparse.Namespace, order: str, seed: int) -> Iterator[float]:
    """The share of errors on the held-out patches after each round; both orders begin alike."""
    shuffled = np.random.default_rng(seed).permutation(len(pool.good))
    held, open_ = np.split(shuffled, [round(HELD_OUT * len(shuffled))])
    labelled, rest = np.split(open_, [args.first])
    for _ in range(args.rounds + 1):
        logits = pool.logits(labelled)
        yield float(((logits[held] > 0) != pool.good[held]).mean())
        scores = 1 / (1 + np.exp(-logits))
        items = [Item(str(i), pool.items[i].dataset, pool.items[i].where, float(scores[i])) for i in rest]
        chosen = [int(item.name) for item in ordered(items, order, threshold=0.5, seed=seed)[: args.step]]
        labelled, rest = np.union1d(labelled, chosen), np.setdiff1d(rest, chosen)


if __name__ == "__main__":
    raise SystemExit(main())
