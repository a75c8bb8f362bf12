"""Time classification on a GPU: the bare forward, the classifier in memory, and the script from file to file.

The script judges the same dictionaries by one and by more processes that share the GPU; of its time that of a run over
the first patches of each, which is start-up and contact sheets, is taken away. The weights are those of
`bench_classify`; about half of the patches are kept. Needs --patches times 75 kB on the disk of --folder.

Example:
    python benchmarks/bench_gpu.py --patches 262144 --folder /dev/shm
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]
from bench_classify import fitted_resnet, generated

from utils.argument_types import existing_dir, positive_int
from utils.cli import make_parser, run_script
from utils.dictionaries import save_records

DICTIONARIES = 32
FEW = 64 * DICTIONARIES
# Different patches; the others are these, shifted.
DRAWN = 1024
BATCH, TIMES = 512, 40


def main(argv: Sequence[str] | None = None) -> int:
    """Print patches per second."""
    parser = make_parser(__doc__)
    parser.add_argument("--patches", type=positive_int, default=1 << 18)
    parser.add_argument("--folder", type=existing_dir, help="where to write (the system's temporary folder)")
    parser.add_argument("--processes", type=positive_int, nargs="+", default=[1, 4, 8])
    parser.add_argument("--only-script", action="store_true", help="not the classifier in memory")
    parser.add_argument("--compiled", action="store_true", help="the bare forward by torch.compile, too")
    return run_script(measure, parser, argv)


def measure(args: argparse.Namespace) -> int:
    """Bare, in memory, and from file to file."""
    import torch

    patches, kinds = generated(DRAWN)
    state = fitted_resnet(patches, kinds)
    print(torch.cuda.get_device_name(), f"torch {torch.__version__}", flush=True)
    bare = bare_forward(state, patches, args.compiled)
    if not args.only_script:
        in_memory(state, patches, bare)
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        folder = Path(name)
        torch.save(state, folder / "weights.pth")
        write(folder / "few", patches, FEW)
        write(folder / "many", patches, args.patches)
        for processes in args.processes:
            few, many = (script(folder, part, processes) for part in ("few", "many"))
            rate = (args.patches - FEW) / (many - few)
            print(
                f"script, -p {processes}: {args.patches} patches in {many:.1f} s, {FEW} in {few:.1f} s; "
                f"{rate:.0f} patches/s between, {rate / bare:.2f} of the bare forward",
                flush=True,
            )
    return 0


def bare_forward(state: dict[str, Any], patches: Sequence[np.ndarray], compiled: bool) -> float:
    """Patches per second of the network alone in half precision, its input on the GPU already."""
    import torch

    from utils.classification.classifier import Classifier

    classifier = Classifier(state, device="cuda", precision="fp16")
    body, head = classifier._bodies[torch.float16], classifier.head
    stack = torch.from_numpy(np.stack(patches[:BATCH])).cuda()

    def forward(gray: torch.Tensor) -> torch.Tensor:
        x = gray.unsqueeze(1).half().contiguous(memory_format=torch.channels_last)
        logits: torch.Tensor = head(body(x).float())
        return logits

    with torch.inference_mode():
        eager = timed(forward, stack)
        print(f"bare forward, fp16, batches of {BATCH}: {eager:.0f} patches/s", flush=True)
        if compiled:
            start = time.perf_counter()
            quick = torch.compile(forward)
            quick(stack)
            torch.cuda.synchronize()
            start = time.perf_counter() - start
            print(f"bare forward, compiled: {timed(quick, stack):.0f} patches/s, {start:.1f} s to compile", flush=True)
    return eager


def timed(forward: Callable[[Any], Any], stack: Any) -> float:
    """Patches per second, the first few apart."""
    import torch

    for _ in range(5):
        forward(stack)
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(TIMES):
        forward(stack)
    torch.cuda.synchronize()
    return TIMES * len(stack) / (time.perf_counter() - start)


def in_memory(state: dict[str, Any], patches: list[np.ndarray], bare: float) -> None:
    """The classifier with patches that are in memory, in every precision."""
    from utils.classification.classifier import Classifier
    from utils.classification.state_files import load_weights
    from utils.classification.weights import LITE

    for name, weights in (("resnet34", state), ("lite", load_weights(LITE))):
        exact = np.empty(0)
        for precision in ("fp32", "bf16", "fp16", "auto"):
            classifier = Classifier(weights, device="cuda", precision=precision)
            classifier.measure(patches[:512])
            many = patches * (2 if precision == "fp32" or name == "lite" else 16)
            scores = classifier.scores(patches)
            start = time.perf_counter()
            for i in range(0, len(many), classifier.at_once):
                classifier.scores(many[i : i + classifier.at_once])
            rate = len(many) / (time.perf_counter() - start)
            if precision == "fp32":
                exact = scores
            equal = float(np.mean((scores > 0.5) == (exact > 0.5)))
            beside = f", {rate / bare:.2f} of the bare forward" if name == "resnet34" and precision != "fp32" else ""
            said = [tally.summary() for tally in classifier.cascade.tallies()]
            print(
                f"{name} {precision}: {rate:.0f} patches/s{beside}; {equal:.4f} of decisions as fp32", *said, flush=True
            )


def write(folder: Path, patches: Sequence[np.ndarray], count: int) -> None:
    """So many patches in all dictionaries."""
    folder.mkdir()
    each = count // DICTIONARIES
    for k in range(DICTIONARIES):
        records = (
            (f"v{k:02d}-LOC-0_{i:05d}", np.roll(patches[(7 * i + k) % len(patches)], i // DRAWN + k))
            for i in range(each)
        )
        save_records(folder / f"v{k:02d}.pkl", records)


def script(folder: Path, part: str, processes: int) -> float:
    """Seconds of classify_patches over a part."""
    out = folder / f"{part}-out"
    shutil.rmtree(out, ignore_errors=True)
    options = ["--weights", str(folder / "weights.pth"), "--device", "cuda", "-p", str(processes)]
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, str(ROOT / "classify_patches.py"), str(folder / part), str(out), *options],
        check=True,
        capture_output=True,
        text=True,
    )
    seconds = time.perf_counter() - start
    if part == "many":
        print(*(line for line in done.stdout.splitlines() if "equal" in line), flush=True)
    return seconds


if __name__ == "__main__":
    raise SystemExit(main())
