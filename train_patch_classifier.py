"""Train the network that tells informative EM patches from uninformative ones.

Reads labelled patches from two .npy arrays (image paths; good, bad or none) or from one CSV with the columns path,
label and perhaps source. Writes patch_quality_classifier_nn.pth, which classify_patches.py takes by --weights,
metrics.json, an ROC curve, a confusion matrix and the worst errors. The same command goes on from the last finished
epoch.

Example:
    python train_patch_classifier.py labels.csv trained
    python train_patch_classifier.py paths.npy labels.npy trained --arch lite
"""

import utils.interrupts  # noqa: F401 - first: a signal during the other imports ends in one line

# isort: split
import argparse
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from utils.cli import (
    UsageError,
    add_run_options,
    existing_file,
    fraction,
    make_parser,
    output_dir,
    positive_float,
    positive_int,
    run_script,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Train, or score every source by a network that did not see it."""
    return run_script(train_command, parse_options(), argv)


def parse_options() -> argparse.ArgumentParser:
    """The command line."""
    parser = make_parser(__doc__)
    parser.add_argument("labels", nargs="+", type=existing_file, help="LABELS.csv, or PATHS.npy LABELS.npy")
    parser.add_argument("save", type=output_dir, help="folder to write to")
    parser.add_argument("--arch", choices=("resnet34", "lite"), default="resnet34", help="network (default resnet34)")
    parser.add_argument(
        "--init", metavar="imagenet|random|PATH", help="weights to begin with (default imagenet; lite: random)"
    )
    recipe = parser.add_argument_group("recipe (the published one by default; lite has its own)")
    recipe.add_argument("--epochs", type=positive_int, help="default 30; lite: 90")
    recipe.add_argument("--batch-size", type=positive_int, help="default 64")
    recipe.add_argument("--lr", type=positive_float, help="learning rate of Adam, default 1e-3; lite: 4e-3")
    recipe.add_argument("--generated", type=fraction, help="share of generated patches, default 0; lite: 1/3")
    recipe.add_argument("--augmentation", choices=("published", "heavy"), help="default published; lite: heavy")
    recipe.add_argument("--side", type=positive_int, help="side of training patches, default 224; lite: 112")
    recipe.add_argument("--seed", type=int, default=0, help="seed of every random choice (default 0)")
    parser.add_argument(
        "--validation", type=fraction, default=0.15, help="share held out; 0 trains on everything (default 0.15)"
    )
    parser.add_argument(
        "--together", action="append", default=[], metavar="A,B", help="sources that count as one (may be repeated)"
    )
    parser.add_argument(
        "--leave-one-source-out", action="store_true", help="instead, score each source by training on the others"
    )
    parser.add_argument("--half", action="store_true", help="store the weights as fp16, at half the size")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto")
    add_run_options(parser, dask=False)
    return parser


def train_command(args: argparse.Namespace) -> int:
    """Read the labels and do what was asked."""
    from utils.classification.classifier import pick_device
    from utils.jobs import Job, Run, run_jobs
    from utils.results import Scope
    from utils.training.runs import first_weights, leave_out, save_training, summarize_left_out, with_options

    options = {k: getattr(args, k) for k in ("epochs", "batch_size", "lr", "generated", "augmentation", "side", "seed")}
    recipe = with_options(args.arch, options)
    data, grouped = labelled(args)
    device = pick_device(args.device)
    run, scope = Run.of(args), Scope("train_patch_classifier", args.labels[0].parent, args.save)
    inputs = {**{path.name: (path,) for path in args.labels}, "patches": tuple(data.paths)}
    if not args.leave_one_source_out:
        target = args.save / "patch_quality_classifier_nn.pth"
        start = None if target.exists() and not args.update else first_weights(args.init, args.arch)
        options = {"share": args.validation, "half": args.half, "device": device, "quiet": args.quiet}
        work = partial(save_training, recipe, grouped, start, **options)
        asked = {"arch": args.arch, "init": args.init, "validation": args.validation, "half": args.half}
        made_from = scope.recipe(inputs, {**asked, **options_of(recipe)})
        return run_jobs(work, [Job(args.labels[0], target, made_from)], run, noun="trainings")
    folder = args.save / "leave_one_source_out"
    made_from = scope.recipe(inputs, {"arch": args.arch, "init": args.init, **options_of(recipe)})
    jobs = [Job(source, folder / f"{source}.csv", made_from) for source in sorted(set(grouped.sources))]
    if len(jobs) < 2:
        raise UsageError(f"{args.labels[0]}: --leave-one-source-out needs a column 'source' with at least two sources")
    work = partial(leave_out, recipe, grouped, first_weights(args.init, args.arch), device=device, quiet=args.quiet)
    code = run_jobs(work, jobs, run, noun="sources")
    if code == 0:
        print(summarize_left_out(args.save, data, [job.target for job in jobs]))
    return code


def options_of(recipe: Any) -> dict[str, Any]:
    """A training recipe as the recipe of a result takes it."""
    return {name.replace("_", "-"): value for name, value in asdict(recipe).items()}


def labelled(args: argparse.Namespace):
    """The labelled patches that the command line names, and the same with sources that count as one."""
    from utils.training.labels import read_labelled

    if len(args.labels) > 2 or (len(args.labels) == 1 and args.labels[0].suffix.lower() != ".csv"):
        raise UsageError("expected LABELS.csv SAVE, or PATHS.npy LABELS.npy SAVE")
    try:
        data = read_labelled(*args.labels)
        return data, data.merged([group.split(",") for group in args.together])
    except (OSError, ValueError) as error:
        raise UsageError(str(error)) from error


if __name__ == "__main__":
    raise SystemExit(main())
