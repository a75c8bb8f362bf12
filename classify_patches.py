"""Keep the informative patches of deduplicated dictionaries: score each patch and write the good ones as TIFFs.

Reads every .pkl in DEDUPE_DIR and writes to SAVE: {dataset}/{patch}.tiff for each patch whose score is above the
threshold, {dictionary}.csv with the score of every patch (written last: it says that a dictionary is done), and
{dataset}.png, a contact sheet of kept, rejected and borderline patches. Dictionaries of one dataset's regions (-ROI-)
share its folder.

Example:
    python classify_patches.py deduped filtered
    python classify_patches.py deduped filtered --weights lite --threshold 0.6
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from utils.cli import UsageError, existing_dir, fraction, make_parser, output_dir, positive_int, run_script
from utils.files import list_files, safe_name, stem


def main(argv: Sequence[str] | None = None) -> int:
    """Classify every dictionary that has no CSV yet, then bring the contact sheets up to date."""
    return run_script(classify_command, parse_options(), argv)


def parse_options() -> argparse.ArgumentParser:
    """The command line."""
    parser = make_parser(__doc__)
    parser.add_argument("dedupe_dir", metavar="DEDUPE_DIR", type=existing_dir, help="folder of patch dictionaries")
    parser.add_argument("save", metavar="SAVE", type=output_dir, help="folder to write to")
    parser.add_argument(
        "--weights",
        default="zenodo",
        metavar="zenodo|lite|PATH|URL",
        help="the published ResNet34 (fetched once, default), the small model that comes along, or your own",
    )
    parser.add_argument("--sha256", metavar="HEX", help="accept no other weights file than the one with this SHA-256")
    parser.add_argument("--threshold", type=fraction, default=0.5, help="keep patches that score above (default 0.5)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto")
    parser.add_argument(
        "--precision",
        choices=("auto", "fp32", "bf16", "fp16"),
        default="auto",
        help="auto: half precision where it is faster, doubtful patches once more in fp32",
    )
    parser.add_argument("--batch_size", type=positive_int, help="patches at once (default 32 on a CPU, 256 on CUDA)")
    parser.add_argument("-p", "--processes", type=positive_int, metavar="N", help="CPU threads (default: all cores)")
    parser.add_argument("--verbose", action="store_true", help="a line for every dictionary; tracebacks for failures")
    parser.add_argument("--quiet", action="store_true", help="only warnings and failures")
    return parser


def classify_command(args: argparse.Namespace) -> int:
    """List, skip what is done, classify, draw."""
    from utils.jobs import Job, run_jobs

    dictionaries = list_files(args.dedupe_dir, {".pkl"})
    if not dictionaries:
        raise UsageError(f"{args.dedupe_dir}: no patch dictionaries (.pkl) in it")
    jobs = [Job(path, args.save / f"{safe_name(stem(path))}.csv") for path in dictionaries]
    work = classify_work(args, jobs)
    code = run_jobs(work, jobs, noun="dictionaries", verbose=args.verbose, quiet=args.quiet)
    return max(code, draw_sheets(jobs, args.threshold, verbose=args.verbose, quiet=args.quiet))


def classify_work(args: argparse.Namespace, jobs: Sequence):
    """The work of one dictionary; the network is loaded only when there is a dictionary to classify."""
    from utils.classification.kept import classify_dictionary

    paths = [Path(job.source) for job in jobs if not job.target.exists()]
    if not paths:
        return partial(classify_dictionary, None, None, threshold=args.threshold)
    from utils.classification.ahead import ReadAhead
    from utils.dictionaries import load_patches

    return partial(classify_dictionary, load_classifier(args), ReadAhead(load_patches, paths), threshold=args.threshold)


def load_classifier(args: argparse.Namespace):
    """Find or fetch the weights and put the network on its device."""
    import torch

    from utils.classification.classifier import Classifier, load_weights, pick_device
    from utils.classification.weights import find_weights

    if args.processes:
        torch.set_num_threads(args.processes)
    device = pick_device(args.device)
    try:
        path = find_weights(args.weights, load_weights, sha256=args.sha256)
    except FileNotFoundError as error:
        raise UsageError(str(error)) from error
    classifier = Classifier(
        load_weights(path),
        device=device,
        precision=args.precision,
        batch_size=args.batch_size,
        threshold=args.threshold,
        origin=str(path),
    )
    if not args.quiet:
        print(f"weights {path} ({classifier.arch}) on {classifier.device}", file=sys.stderr)
    return classifier


def draw_sheets(jobs: Sequence, threshold: float, *, verbose: bool, quiet: bool) -> int:
    """Bring the contact sheet of every dataset up to date with its CSVs."""
    from utils.classification.kept import draw_dataset, sheet_is_current
    from utils.jobs import Job, run_jobs
    from utils.names import dataset_of

    by_dataset: dict[str, list[Job]] = {}
    for job in jobs:
        if job.target.exists():
            by_dataset.setdefault(dataset_of(job.target.stem), []).append(job)
    folder = jobs[0].target.parent
    sheets = [
        Job(dataset, folder / f"{dataset}.png")
        for dataset, parts in by_dataset.items()
        if not sheet_is_current(folder / f"{dataset}.png", parts)
    ]
    if not sheets:
        return 0
    work = partial(draw_dataset, by_dataset, threshold)
    return run_jobs(work, sheets, noun="contact sheets", verbose=verbose, quiet=quiet, redo=True)


if __name__ == "__main__":
    raise SystemExit(main())
