"""Time the classifier on this machine against a plain fp32 loop with the older script's transform, in one run.

For both networks and every precision that is quick here: patches per second, how many times the loop's rate that is,
how many decisions are those of the loop, and what was computed again and audited. Without --weights the ResNet34 has
random convolutions, calibrated batch norms and a head fitted to tell two kinds of generated patches apart, so that its
logits spread as a trained network's do; timing does not depend on the weights.

Example:
    python benchmarks/bench_classify.py --patches 512 --threads 1
    python benchmarks/bench_classify.py --weights trained.pth --dictionary patches.pkl
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from utils.argument_types import existing_file, positive_int
from utils.cli import make_parser, run_script

SPREAD = 4.0
CHUNK = 256


def main(argv: Sequence[str] | None = None) -> int:
    """Print a table of precisions."""
    parser = make_parser(__doc__)
    parser.add_argument("--patches", type=positive_int, default=256)
    parser.add_argument("--threads", type=positive_int, default=1)
    parser.add_argument("--weights", type=existing_file, help="of a ResNet34 that was trained")
    parser.add_argument("--dictionary", type=existing_file, help="patches to take instead of generated ones")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto")
    return run_script(compare, parser, argv)


def compare(args: argparse.Namespace) -> int:
    """Score the same patches at every precision."""
    import torch

    from utils.classification.devices import use_threads
    from utils.classification.precisions import pick_device
    from utils.classification.state_files import load_weights
    from utils.classification.weights import LITE
    from utils.patch_file import PatchFile

    torch.set_num_threads(args.threads)
    patches, kinds = generated(args.patches)
    resnet = load_weights(args.weights) if args.weights else fitted_resnet(patches, kinds)
    if args.dictionary:
        with PatchFile(args.dictionary) as file:
            patches = file.read(range(min(len(file), args.patches)))
    print(f"{len(patches)} patches on {pick_device(args.device)}, {args.threads} threads")
    start = time.perf_counter()
    exact = older_loop(resnet, patches)
    loop = len(patches) / (time.perf_counter() - start)
    print(f"resnet34  plain fp32 loop {loop:7.1f} patches/s")
    use_threads(args.threads)  # which the older loop knew nothing of
    for precision in precisions_of(pick_device(args.device)):
        print_row("resnet34", args, precision, resnet, patches, exact, loop)
    # Of these patches nearly all are in doubt, and are looked at six times.
    for name, views in (("lite", None), ("lite once", 1)):
        print_row(name, args, "fp32", load_weights(LITE), patches, None, loop, views)
    return 0


def precisions_of(device: str) -> list[str]:
    """Those that are worth a try on a device."""
    from utils.classification.precisions import NAMES, pick_dtype, uses_int8

    half = NAMES[pick_dtype("auto", device, "resnet34")]
    return [
        "fp32",
        *([half, "auto"] if half != "fp32" else []),
        *(["int8"] if uses_int8("auto", device, "resnet34") else []),
    ]


def print_row(
    name: str,
    args: argparse.Namespace,
    precision: str,
    state: dict[str, Any],
    patches: list[np.ndarray],
    exact: Any,
    loop: float,
    views: int | None = None,
) -> None:
    """Time one precision, its set-up apart, and compare its decisions with the loop's logits."""
    from utils.classification.classifier import Classifier
    from utils.classification.devices import share_threads
    from utils.classification.precisions import pick_device

    start = time.perf_counter()
    threads = share_threads(args.threads) if pick_device(args.device) == "cpu" else 1
    classifier = Classifier(state, device=args.device, precision=precision, views=views, threads=threads)
    if precision == "int8":
        add_int8(classifier, state, patches, args.threads)
    classifier.measure(patches)
    classifier.scores(patches[:32])
    ready = time.perf_counter()
    scores = np.concatenate([classifier.scores(patches[i : i + CHUNK]) for i in range(0, len(patches), CHUNK)])
    speed = len(patches) / (time.perf_counter() - ready)
    agree = "" if exact is None else f", {np.mean((scores > 0.5) == (exact > 0)):.4f} of decisions its own"
    print(f"{name:9} {precision:5} {speed:7.1f} patches/s, {speed / loop:5.2f} times the loop{agree}", end="")
    print(f"; set-up {ready - start:.1f} s", *(tally.summary() for tally in classifier.cascade.tallies()), sep="; ")


def add_int8(classifier: Any, state: dict[str, Any], patches: list[np.ndarray], threads: int) -> None:
    """The int8 model of a network, built anew on patches."""
    import torch

    from utils.classification.openvino_models import CALIBRATION

    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "weights.pth"
        torch.save(state, weights)
        classifier.add_int8(patches[:CALIBRATION], weights, threads)


def older_loop(state: dict[str, Any], patches: Sequence[np.ndarray]) -> np.ndarray:
    """Logits as a script of the older kind gets them: three channels, normalised one by one, plain fp32 batches."""
    import cv2
    import torch

    from utils.classification.models import IMAGENET_MEAN, IMAGENET_STD, loaded_model

    model, logits = loaded_model("resnet34", state, "weights").eval(), []
    mean, std = np.array(IMAGENET_MEAN, np.float32), np.array(IMAGENET_STD, np.float32)
    with torch.no_grad():
        for start in range(0, len(patches), 32):
            images = [cv2.cvtColor(cv2.resize(p, (224, 224)), cv2.COLOR_GRAY2RGB) for p in patches[start : start + 32]]
            batch = np.stack([((image / np.float32(255) - mean) / std).transpose(2, 0, 1) for image in images])
            logits.append(model(torch.from_numpy(batch)).squeeze(1).numpy())
    return np.concatenate(logits)


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


def fitted_resnet(patches: Sequence[np.ndarray], kinds: np.ndarray) -> dict[str, Any]:
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
