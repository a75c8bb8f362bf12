"""Judge the lite network by what it has not seen: a head for each group of sources, fitted without them.

Prints accuracy and AUROC by source; the share of good and bad patches kept as they are, at a tenth of the contrast, as
12-bit data through --contrast dtype, after a blur of 1 px, and where cells fill a fifth of the patch: in one piece (a
square, a disc, a strip) beside padding or resin, or in any shape, slivers too, beside anything (padding, noise,
gradients, grain) or beside resin; and how far each source lies from all others, and from all that are
not of its group. The bank is that of train_patch_classifier.py.

Example:
    python benchmarks/judge_lite.py labels.csv trained --bank 5000 --together leaf,rock --together pancreas,fracture
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from utils.argument_types import existing_dir, existing_file, positive_int
from utils.cli import make_parser, run_script

AS_IT_IS = "as they are"
COVER, SIDE = 0.8, 224
# Resin is brighter than most of a cell (a percentile), and shows a part of the cell's deviation as noise.
RESIN, RESIN_NOISE = 85, 0.2
Cover = Callable[[np.random.Generator], np.ndarray]
Fill = Callable[[np.random.Generator, np.ndarray], np.ndarray]


def main(argv: Sequence[str] | None = None) -> int:
    """Print tables."""
    parser = make_parser(__doc__)
    parser.add_argument("labels", type=existing_file, help="CSV of the patches that the bank was made of")
    parser.add_argument("trained", type=existing_dir, help="folder with the bank")
    parser.add_argument("--bank", type=positive_int, help="as it was given to train_patch_classifier.py")
    parser.add_argument("--together", action="append", default=[], metavar="A,B", help="sources of one kind")
    parser.add_argument("--threads", type=positive_int, default=1)
    parser.add_argument("--sheet", type=Path, metavar="PNG", help="draw the 24 worst errors of each class")
    return run_script(judge, parser, argv)


def judge(args: argparse.Namespace) -> int:
    """Look once, fit a head per fold, tell."""
    import torch

    from utils.training.bank import make_bank
    from utils.training.first_weights import first_weights
    from utils.training.labels import read_labelled
    from utils.training.recipe import recipe_for
    from utils.training.report import save_worst

    torch.set_num_threads(args.threads)
    data, recipe = read_labelled(args.labels), recipe_for("lite", "lite", {"bank": args.bank})
    start = first_weights("lite", "lite")
    assert start is not None
    bank = make_bank(args.trained / "bank", recipe.batches(), data, recipe.bank, start)
    kinds = np.unique(data.joined_sources([group.split(",") for group in args.together]), return_inverse=True)[1]
    scores, features = left_out_scores(start, bank, data, kinds)
    tell_figures(scores[AS_IT_IS], data)
    for name, told in scores.items():
        kept = told > 0.5
        print(f"{name:24} good kept {kept[data.good].mean():.3f}  bad kept {kept[~data.good].mean():.3f}")
    tell_distances(bank, features, data, kinds)
    if args.sheet:
        save_worst(args.sheet, data, scores[AS_IT_IS])
    return 0


def changes() -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """What may happen to a patch, by name."""
    import cv2

    from utils.training.synthetic.negatives import cover_mask, filler

    def covered(patch: np.ndarray, cover: Cover, fill: Fill) -> np.ndarray:
        rng = np.random.default_rng(int(patch.sum()))
        image = cv2.resize(patch, (SIDE, SIDE)).astype(np.float32)
        mask = cover(rng)
        mixed: np.ndarray = np.clip(image * (1 - mask) + fill(rng, image) * mask, 0, 255).round().astype(np.uint8)
        return mixed

    def resin(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
        return rng.normal(np.percentile(image, RESIN), RESIN_NOISE * image.std(), image.shape)

    def plain(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
        gray = rng.choice([0, 255, np.median(image), np.nan])
        return resin(rng, image) if np.isnan(gray) else np.full_like(image, gray)

    def anything(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
        return filler(rng, SIDE)

    def any_shape(rng: np.random.Generator) -> np.ndarray:
        return cover_mask(rng, SIDE, COVER)

    return {
        AS_IT_IS: lambda patch: patch,
        "a tenth of the contrast": lambda patch: np.round((patch - patch.mean()) * 0.1 + patch.mean()).astype(np.uint8),
        "12 bits as 16": lambda patch: patch // 16,
        "blurred by 1 px": lambda patch: cv2.GaussianBlur(patch, (0, 0), 1),
        "a fifth in one piece": lambda patch: covered(patch, all_but_one_piece, plain),
        "a fifth is left": lambda patch: covered(patch, any_shape, anything),
        "a fifth beside resin": lambda patch: covered(patch, any_shape, resin),
    }


def all_but_one_piece(rng: np.random.Generator) -> np.ndarray:
    """What covers all but a square, a disc, or a strip along a side (1), and where the piece is (0)."""
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    left, shape = 1 - COVER, rng.integers(3)
    half = (np.sqrt(left) / 2, np.sqrt(left / np.pi))[shape % 2]
    cy, cx = rng.uniform(half, 1 - half, 2)
    if shape == 2:
        piece: np.ndarray = (y, x, 1 - y, 1 - x)[rng.integers(4)] < left
    elif shape == 1:
        piece = np.hypot(y - cy, x - cx) < half
    else:
        piece = np.maximum(abs(y - cy), abs(x - cx)) < half
    return ~piece


def left_out_scores(
    start: dict[str, Any], bank: Any, data: Any, kinds: np.ndarray
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Calibrated scores by change, of heads that have not seen the kind, calibrated by the other kinds; features."""
    from utils.classification.classifier import Classifier
    from utils.classification.decision import Decision
    from utils.training.calibration import calibrate
    from utils.training.heads import with_head

    good, features = data.good, np.empty((len(data), bank.features.shape[1]))
    logits = {name: np.empty(len(data)) for name in changes()}
    for kind in np.unique(kinds):
        own = np.flatnonzero(kinds == kind)
        network = Classifier(with_head(start, bank.without(own))[0], device="cpu", precision="fp32")
        for name, change in changes().items():
            logits[name][own], seen = network.outputs([change(data.patches[i]) for i in own])
            if name == AS_IT_IS:
                features[own] = seen
    weights = 1 / np.sqrt(np.bincount(kinds)[kinds])
    scores = {name: np.empty(len(data)) for name in logits}
    for kind in np.unique(kinds):
        own = kinds == kind
        scale, bias = calibrate(logits[AS_IT_IS][~own], good[~own], weights[~own])
        for name in scores:
            scores[name][own] = Decision(scale=scale, bias=bias).scores(logits[name][own])
    return scores, features


def tell_figures(scores: np.ndarray, data: Any) -> None:
    """By source, with intervals."""
    from utils.training.figures import by_experiment, pooled, table_of
    from utils.training.split import group_patches

    total = pooled(scores, data.good, group_patches(data.sources, len(data)))
    print(table_of(by_experiment(scores, data.good, np.array(data.sources)), total))


def tell_distances(bank: Any, features: np.ndarray, data: Any, kinds: np.ndarray) -> None:
    """Mean distance of each source from what is known of others, and of other kinds alone; and the limit."""
    from utils.training.familiarity import known_from_bank, left_out_parts, limit_for

    experiments = np.unique(data.sources, return_inverse=True)[1]

    def distances(parts: list[np.ndarray]) -> np.ndarray:
        told = np.empty(len(data))
        for part in parts:
            told[part] = known_from_bank(bank, experiments, np.flatnonzero(part), 0).distances(features[part])
        return told

    from_others = distances(left_out_parts(experiments, 0))
    from_kinds = distances([kinds == kind for kind in np.unique(kinds)])
    limit = limit_for(
        known_from_bank(bank, experiments, np.empty(0, int), 0), from_others, experiments, data.good
    ).limit
    print(f"{'mean distance':40} from others  from other kinds  limit {limit:.3f}")
    for source in sorted(set(data.sources)):
        own = np.array(data.sources) == source
        means = [float(told[own].mean()) for told in (from_others, from_kinds)]
        marks = ["unlike" if mean > limit else "" for mean in means]
        print(f"{source[:40]:40} {means[0]:6.3f} {marks[0]:6}  {means[1]:6.3f} {marks[1]}")


if __name__ == "__main__":
    raise SystemExit(main())
