"""Time the classifier on this machine, and compare half precision with fp32.

Patches per second of both networks at each precision, and how far half precision moves logits and decisions. The
ResNet34 has random convolutions, calibrated batch norms and a head fitted to tell two kinds of generated patches apart,
so that its logits spread as a trained network's do; timing does not depend on the weights.

Example:
    python benchmarks/bench_classify.py --patches 128 --threads 1
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from utils.cli import make_parser, positive_int, run_script

SPREAD = 4.0


def main(argv: Sequence[str] | None = None) -> int:
    """Print a table of precisions."""
    parser = make_parser(__doc__)
    parser.add_argument("--patches", type=positive_int, default=128)
    parser.add_argument("--threads", type=positive_int, default=1)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto")
    return run_script(compare, parser, argv)


def compare(args: argparse.Namespace) -> int:
    """Score the same patches at every precision."""
    import torch

    from utils.classification.classifier import MARGIN, Classifier, load_weights
    from utils.classification.weights import LITE

    torch.set_num_threads(args.threads)
    patches, kinds = generated(args.patches)
    for name, state in (("resnet34", fitted_resnet(patches, kinds)), ("lite", load_weights(LITE))):
        full = None
        for precision in ("fp32", "bf16", "fp16", "auto"):
            if precision == "fp16" and args.device in ("auto", "cpu") and not torch.cuda.is_available():
                continue
            classifier = Classifier(state, device=args.device, precision=precision)
            classifier.scores(patches[:32])
            start = time.perf_counter()
            scores = classifier.scores(patches)
            speed = len(patches) / (time.perf_counter() - start)
            logits = classifier._outputs(patches, classifier.dtype)[0]
            full = (logits, scores) if full is None else full
            moved = np.abs(logits - full[0]).max()
            agree = np.mean((scores > 0.5) == (full[1] > 0.5))
            print(f"{name:9} {precision:5} {speed:7.1f} patches/s  logits moved {moved:.4f}  decisions {agree:.4f}")
    print(f"logits of ResNet34 spread by {SPREAD}; auto computes again what lies within {MARGIN} of the threshold")
    return 0


def generated(count: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Patches (224, 224) uint8 of smooth random fields, and whether each is a fine one."""
    import cv2

    rng = np.random.default_rng(0)
    kinds = rng.random(count) < 0.5
    patches = []
    for fine in kinds:
        nodes = rng.normal(128, 40, (rng.integers(40, 80) if fine else rng.integers(5, 20),) * 2).astype(np.float32)
        image = cv2.resize(nodes, (224, 224), interpolation=cv2.INTER_CUBIC) + rng.normal(
            0, rng.uniform(1, 15), (224, 224)
        )
        patches.append(np.clip(image, 0, 255).astype(np.uint8))
    return patches, kinds


def fitted_resnet(patches: Sequence[np.ndarray], kinds: np.ndarray) -> dict:
    """A ResNet34 whose logits spread like a trained one's."""
    import torch

    from utils.classification.models import build_model, prepare

    torch.manual_seed(0)
    model = build_model("resnet34")
    x = prepare(torch.from_numpy(np.stack(patches[:64])), "resnet34")
    with torch.inference_mode():
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = None
        model.train()(x)
        head: Any = model.fc
        model.fc = torch.nn.Identity()
        features = model.eval()(x).double()
        centred = features - features.mean(0)
        wanted = torch.from_numpy(np.where(kinds[:64], 1.0, -1.0))
        ridge = centred.T @ centred + 10 * torch.eye(features.shape[1])
        weight = torch.linalg.solve(ridge, centred.T @ wanted)
        weight *= SPREAD / (centred @ weight).std()
        head.weight.copy_(weight[None])
        head.bias.copy_(-(features.mean(0) @ weight)[None])
        model.fc = head
    return {k: v.clone() for k, v in model.state_dict().items()}


if __name__ == "__main__":
    raise SystemExit(main())
