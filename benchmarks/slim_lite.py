"""Make the body of the lite network: EfficientNet-Lite0 slimmed, then taught to see the same (slimming.py).

Takes labelled patches for their looks only. Writes weights whose head says nothing yet; fit it by
train_patch_classifier.py LABELS.csv SAVE --arch lite --init OUT. Needs requirements-teacher.txt.

Example:
    python benchmarks/slim_lite.py seen/labels.csv body.pth
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from utils.argument_types import existing_file, positive_float, positive_int
from utils.cli import make_parser, run_script

if TYPE_CHECKING:
    import torch

DRAWN_SIDE = 128
SIDES = (96, 96, 112, 128)
# Of the images this share are photographs.
PHOTOGRAPHS = 0.4
FIRST = 400


def main(argv: Sequence[str] | None = None) -> int:
    """Draw images, slim, follow."""
    parser = make_parser(__doc__)
    parser.add_argument("labels", type=existing_file, help="CSV of patches to learn the looks of")
    parser.add_argument("out", type=Path, help="weights to write")
    parser.add_argument("--images", type=positive_int, default=3000)
    parser.add_argument("--steps", type=positive_int, default=1500)
    parser.add_argument("--batch-size", type=positive_int, default=32)
    parser.add_argument("--rate", type=positive_float, default=1e-3)
    return run_script(make_body, parser, argv)


def make_body(args: argparse.Namespace) -> int:
    """Write the body's weights."""
    import torch
    from slimming import follow, padded_as_published, published_body, slimmed

    from utils.classification.folding import fold_batch_norms
    from utils.classification.lite_net import LiteNet
    from utils.training.runs import stored

    published = published_body()
    images = drawn(args.labels, args.images)
    print(f"{len(images)} images", flush=True)
    rng = np.random.default_rng(1)
    first = next(batches(images, rng, FIRST))
    student = slimmed(published, first)
    teacher = padded_as_published(cast(LiteNet, fold_batch_norms(published)))

    def report(step: int, loss: float, body: LiteNet) -> None:
        if step % 50 == 0 or step == args.steps:
            print(f"step {step}/{args.steps}: distance {loss:.4f}", flush=True)
            torch.save(stored(body.state_dict(), True), args.out)

    follow(student, teacher, batches(images, rng, args.batch_size), args.steps, args.rate, report)
    return 0


def drawn(labels: Path, count: int) -> np.ndarray:
    """Augmented labelled patches, generated ones, and windows of photographs: uint8, shape (count, 128, 128)."""
    from photographs import photographs, window

    from utils.training.augment import exposure
    from utils.training.batches import BatchRule
    from utils.training.labels import read_labelled

    data, pictures = read_labelled(labels), list(photographs().values())
    rule = BatchRule(50, DRAWN_SIDE, 0.4, "heavy", 7)
    images: list[np.ndarray] = []
    for epoch in range(count):
        images += list(rule.batch(data, rule.order(data, epoch), epoch, 0)[0])
        rng = np.random.default_rng([7, epoch])
        for _ in range(round(rule.size * PHOTOGRAPHS / (1 - PHOTOGRAPHS))):
            images.append(exposure(rng, window(rng, pictures, DRAWN_SIDE)))
        if len(images) >= count:
            break
    return np.clip(np.round(np.stack(images)), 0, 255).astype(np.uint8)


def batches(images: np.ndarray, rng: np.random.Generator, size: int) -> "Iterator[torch.Tensor]":
    """Prepared batches without end: flipped, turned, and cut anew; of the network's side."""
    import torch

    from utils.classification.models import SIDES as NETWORK_SIDES
    from utils.classification.models import standardized

    side = NETWORK_SIDES["lite"]
    while True:
        chosen = images[rng.integers(0, len(images), size)]
        part = int(rng.choice(SIDES))
        y, x = rng.integers(0, DRAWN_SIDE - part + 1, 2)
        chosen = np.rot90(chosen[:, y : y + part, x : x + part], int(rng.integers(4)), (1, 2))
        chosen = chosen[:, :, ::-1] if rng.random() < 0.5 else chosen
        stack = torch.from_numpy(np.ascontiguousarray(chosen)).unsqueeze(1).float()
        stack = torch.nn.functional.interpolate(stack, (side, side), mode="bilinear", antialias=True)
        yield standardized(stack).contiguous(memory_format=torch.channels_last)


if __name__ == "__main__":
    raise SystemExit(main())
