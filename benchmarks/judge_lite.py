"""Judge the bundled lite network by labelled patches that it has not seen, and store what it is familiar with.

Prints accuracy and AUROC by source, and the share of good patches kept at a tenth of the contrast, as 12-bit data
through --contrast dtype, and after a blur of 1 px. With --seen the distance of every source from the training patches
is told: of a training source from all others, and of each source here. --write stores what is familiar beside the
weights.

Example:
    python benchmarks/judge_lite.py unseen/labels.csv --seen seen/labels.csv
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from utils.cli import existing_file, make_parser, positive_int, run_script

Change = Callable[[np.ndarray], np.ndarray]


def main(argv: Sequence[str] | None = None) -> int:
    """Print tables."""
    parser = make_parser(__doc__)
    parser.add_argument("labels", type=existing_file, help="CSV of patches that the network has not seen")
    parser.add_argument("--seen", type=existing_file, help="CSV of those that it was trained on")
    parser.add_argument("--views", type=int, choices=(1, 8), default=1)
    parser.add_argument("--threads", type=positive_int, default=1)
    parser.add_argument("--sheet", type=Path, metavar="PNG", help="draw the 24 worst errors of each class")
    parser.add_argument("--write", action="store_true", help="store what is familiar beside the weights")
    return run_script(judge, parser, argv)


def judge(args: argparse.Namespace) -> int:
    """Score, tell, and perhaps store."""
    import torch

    from utils.classification.classifier import Classifier, load_weights
    from utils.classification.weights import LITE
    from utils.training.labels import read_labelled
    from utils.training.report import save_worst

    torch.set_num_threads(args.threads)
    classifier = Classifier(load_weights(LITE), device="cpu", views=args.views)
    data = read_labelled(args.labels)
    logits, features = classifier.outputs(data.patches)
    tell_figures(classifier.decision.scores(logits), data)
    if args.sheet:
        save_worst(args.sheet, data.paths, data.patches, data.good, classifier.decision.scores(logits))
    tell_changes(classifier, data)
    if args.seen:
        seen = read_labelled(args.seen)
        familiarity = tell_distances(seen, classifier.outputs(seen.patches)[1], data, features)
        if args.write:
            store(familiarity)
    return 0


def tell_figures(scores: np.ndarray, data) -> None:
    """By source, with intervals."""
    from utils.training.figures import by_experiment, pooled, table_of
    from utils.training.split import group_patches

    total = pooled(scores, data.good, group_patches(data.sources, len(data)))
    print(table_of(by_experiment(scores, data.good, np.array(data.sources)), total))


def tell_changes(classifier, data) -> None:
    """How many good and how many bad patches are kept after each change."""
    import cv2

    changes: dict[str, Change] = {
        "as they are": lambda patch: patch,
        "a tenth of the contrast": lambda patch: np.round((patch - patch.mean()) * 0.1 + patch.mean()).astype(np.uint8),
        "12 bits as 16": lambda patch: patch // 16,
        "blurred by 1 px": lambda patch: cv2.GaussianBlur(patch, (0, 0), 1),
    }
    for name, change in changes.items():
        kept = classifier.scores([change(patch) for patch in data.patches]) > 0.5
        print(f"{name:24} good kept {kept[data.good].mean():.3f}  bad kept {kept[~data.good].mean():.3f}")


def tell_distances(seen, features: np.ndarray, data, others: np.ndarray):
    """Median distances by source; returns what is familiar, with its limit."""
    from utils.training.familiarity import known_from, limit_for

    names, distances = np.array(seen.sources), np.empty(len(seen))
    for source in sorted(set(names)):
        own = names == source
        distances[own] = known_from(features[~own], seen.good[~own], 0).distances(features[own])
        print(f"seen, left out  {source[:40]:40} distance {np.median(distances[own]):.3f}")
    known = known_from(features, seen.good, 0)
    known = limit_for(known, distances, np.unique(names, return_inverse=True)[1], seen.good)
    far = known.distances(others)
    for source in sorted(set(data.sources)):
        print(f"unseen          {source[:40]:40} distance {np.median(far[np.array(data.sources) == source]):.3f}")
    print(f"limit {known.limit:.3f}")
    return known


def store(familiarity) -> None:
    """Keep the rest of the decision as it is."""
    from utils.classification.decision import read_decision, save_decision
    from utils.classification.weights import LITE, sha256_of

    save_decision(LITE, sha256_of(LITE), replace(read_decision(LITE), familiarity=familiarity))


if __name__ == "__main__":
    raise SystemExit(main())
