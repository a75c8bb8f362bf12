#!/usr/bin/env python3
"""Train the network that tells informative EM patches from uninformative ones.

Reads labelled patches from two .npy arrays (image paths; good, bad or none) or from one CSV with the columns path,
label and perhaps source; relative paths are looked for in the table's own folder, then in the current one. Writes
patch_quality_classifier_nn.pth, which classify_patches.py takes by --weights, with its threshold and calibration beside
it, metrics.json, history.csv, an ROC curve, a confusion matrix, the worst errors and, from folds, suspects.csv: labels
that no network agrees with. The same command goes on from the last finished epoch.

Example:
    python train_patch_classifier.py labels.csv trained
    python train_patch_classifier.py paths.npy labels.npy trained --arch lite --folds 5 --target-recall 0.99
"""

import utils.interrupts  # noqa: F401 - first: a signal during the other imports ends in one line

# isort: split
import argparse
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from utils.argument_types import existing_file, fraction, natural_int, output_dir, positive_float, positive_int
from utils.cli import UsageError, add_run_options, as_usage_errors, make_parser, run_script
from utils.files import expanded
from utils.redaction import say

if TYPE_CHECKING:
    from utils.records.recipes import Recipe
    from utils.results import Scope
    from utils.training.recipe import TrainingRecipe
    from utils.training.setting import Judging, Setting

TARGET = "patch_quality_classifier_nn.pth"
FOLDS = 5
# Options that decide what comes out, beside the training recipe's.
ASKED = ("init", "validation", "folds", "target_recall", "target_precision", "half")


def main(argv: Sequence[str] | None = None) -> int:
    """Train, or score every source by a network that did not see it."""
    return run_script(train_command, parse_options(), argv)


def parse_options() -> argparse.ArgumentParser:
    """The command line."""
    parser = make_parser(__doc__)
    parser.add_argument("labels", nargs="+", type=existing_file, help="LABELS.csv, or PATHS.npy LABELS.npy")
    parser.add_argument("save", type=output_dir, help="folder to write to")
    parser.add_argument("--arch", choices=("resnet34", "lite"), default="resnet34", help="network (default resnet34)")
    start = "weights to begin with (default imagenet; lite: lite, the bundled ones)"
    parser.add_argument("--init", metavar="imagenet|random|lite|PATH", help=start)
    recipe = parser.add_argument_group("recipe (the published one by default; lite has its own)")
    unfreeze = (
        "what is trained: everything, the last stage and the head, or the head (default layer4; lite: head; "
        "from random weights: all)"
    )
    recipe.add_argument("--unfreeze", choices=("all", "layer4", "head"), help=unfreeze)
    epochs = "default 30, from random weights 60; lite: 1 for the head, else 90"
    recipe.add_argument("--epochs", type=positive_int, help=epochs)
    recipe.add_argument("--batch-size", type=positive_int, help="default 64; ResNet34 from random weights: 32")
    recipe.add_argument("--lr", type=positive_float, help="learning rate of Adam, default 1e-3; lite: 4e-3")
    patience = "stop after so many epochs without a better one (default 10, from random weights 20; lite: 0, never)"
    recipe.add_argument("--patience", type=natural_int, help=patience)
    recipe.add_argument("--class-weights", choices=("none", "balanced"), help="weights of the loss (default none)")
    recipe.add_argument("--generated", type=fraction, help="share of generated patches, default 0; all of lite: 1/3")
    augmentation = "default published; lite: mild, all of it: heavy"
    recipe.add_argument("--augmentation", choices=("published", "mild", "heavy"), help=augmentation)
    sides = (
        "side of training patches, default 224, to which a ResNet34 will bring what it is asked about, too; lite: "
        "224 for the head, else 96"
    )
    recipe.add_argument("--side", type=positive_int, help=sides)
    recipe.add_argument("--bank", type=positive_int, help="patches that lite's head learns from (default 4000)")
    recipe.add_argument("--seed", type=natural_int, default=0, help="seed of every random choice (default 0)")
    judging = parser.add_argument_group("judging (by whole experiments: sources, and what overlaps them)")
    validation = (
        "share held out to choose the best epoch (default 0.15); where no choice of experiments could judge, "
        "folds do; 0 trains on everything and judges nothing"
    )
    judging.add_argument("--validation", type=fraction, default=0.15, help=validation)
    judging.add_argument("--folds", type=natural_int, help="judge every patch by one of N networks that did not see it")
    together = "sources that count as one (may be repeated)"
    judging.add_argument("--together", action="append", default=[], metavar="A,B", help=together)
    leave_one_source_out = "only judge: score each source by training on the others"
    judging.add_argument("--leave-one-source-out", action="store_true", help=leave_one_source_out)
    aim = judging.add_mutually_exclusive_group()
    aim.add_argument("--target-recall", type=fraction, help="threshold that keeps this share of the good ones")
    aim.add_argument("--target-precision", type=fraction, help="threshold above which this share is good")
    parser.add_argument("--log", choices=("tensorboard",), help="events too (requirements-tensorboard.txt)")
    parser.add_argument("--half", action="store_true", help="store the weights as fp16, at half the size")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto")
    add_run_options(parser, dask=False)
    return parser


def train_command(args: argparse.Namespace) -> int:
    """Read the labels and do what was asked.

    Raises
    ------
    UsageError
        If what --log needs is not installed.
    """
    from utils.classification.devices import use_threads

    use_threads()
    from utils.parallel import gathered_warnings
    from utils.training.runs import summarize_folds

    recipe, init = chosen_recipe(args)
    if args.log and not find_spec("tensorboard"):
        raise UsageError("--log tensorboard needs: pip install -r requirements-tensorboard.txt")
    with gathered_warnings() as said:
        setting = read_setting(args, recipe)
        judging = judging_plan(args, setting)
    for sentence in said:
        say(f"{args.labels[0]}: warning: {sentence}")
    tables: list[Path] = []
    if args.leave_one_source_out or args.update or not (args.save / TARGET).exists():
        setting = with_start(args, setting, init)
        code, tables = train_folds(args, setting, judging)
        if code == 0 and (open_folds := sum(not table.exists() for table in tables)):
            if not args.quiet:
                say(f"{open_folds} of {len(tables)} folds are for other shares to make; whichever ends last goes on")
            return 0
        if code == 0 and args.leave_one_source_out:
            print(summarize_folds(args.save, setting, tables, "leave one source out"))
        if code or args.leave_one_source_out:
            return code
    return train_final(args, setting, judging, tables)


def chosen_recipe(args: argparse.Namespace) -> "tuple[TrainingRecipe, str]":
    """The network's recipe with the options that were given, and what its weights begin with."""
    from utils.training.recipe import TrainingRecipe, recipe_for

    init = args.init or {"resnet34": "imagenet", "lite": "lite"}[args.arch]
    options = {field.name: getattr(args, field.name, None) for field in fields(TrainingRecipe)}
    with as_usage_errors(ValueError):
        return recipe_for(args.arch, init, options), init


def read_setting(args: argparse.Namespace, recipe: "TrainingRecipe") -> "Setting":
    """The labelled patches that the command line names, the groups that judging keeps together, and how to train.

    Raises
    ------
    UsageError
        If the lists are none.
    """
    from utils.classification.precisions import pick_device
    from utils.training.labels import read_labelled
    from utils.training.overlaps import overlapping_pairs
    from utils.training.setting import Setting
    from utils.training.split import group_patches

    if len(args.labels) > 2 or (len(args.labels) == 1 and args.labels[0].suffix.lower() != ".csv"):
        raise UsageError("expected LABELS.csv SAVE, or PATHS.npy LABELS.npy SAVE")
    with as_usage_errors():
        data = read_labelled(*args.labels)
        sources = data.joined_sources([group.split(",") for group in args.together])
    groups = group_patches(sources, len(data))
    groups = group_patches(sources, len(data), overlapping_pairs(data.patches, groups))
    how = {name: getattr(args, name) for name in ("half", "quiet", "log", "update")}
    return Setting(recipe, data, groups, None, pick_device(args.device), **how)


def judging_plan(args: argparse.Namespace, setting: "Setting") -> "Judging":
    """What judges a training: folds, or patches held out for validation, or nothing.

    Raises
    ------
    UsageError
        If there are no sources to leave out.
    """
    import numpy as np

    from utils.training.setting import Judging
    from utils.training.split import fold_by_group, group_names, hold_out

    data, groups = setting.data, setting.groups
    has_target = args.target_recall is not None or args.target_precision is not None
    if has_target and (args.leave_one_source_out or not (args.folds or args.validation)):
        raise UsageError("--target-recall and --target-precision choose a threshold by --folds or --validation")
    if args.leave_one_source_out:
        names = group_names(data.sources, groups)
        if not data.sources or len(names) < 2:
            raise UsageError(f"{args.labels[0]}: --leave-one-source-out needs a column 'source' with two or more")
        return Judging({name: np.flatnonzero(groups == k) for k, name in enumerate(names)})
    if args.folds == 1:
        raise UsageError("--folds 1 would leave nothing to learn from; at least 2 are needed")
    if not args.folds:
        held = hold_out(groups, data.good, args.validation, args.seed) if args.validation else ()
        if len(held) or not args.validation:
            return Judging(held=np.array(held, int))
        if not args.quiet:
            say(f"no choice of whole experiments could judge: {FOLDS} folds do; the last epoch is kept")
    folds = fold_by_group(groups, data.good, args.folds or FOLDS, args.seed)
    return Judging({f"fold{k + 1}of{len(folds)}": fold for k, fold in enumerate(folds)})


def with_start(args: argparse.Namespace, setting: "Setting", init: str) -> "Setting":
    """The setting with the weights to begin with and, where only a head is fitted, what their body sees."""
    from utils.training.bank import make_bank
    from utils.training.first_weights import first_weights

    recipe, data = setting.recipe, setting.data
    with as_usage_errors((FileNotFoundError, ValueError)):
        start = first_weights(init, args.arch)
        if start is None or not recipe.bank:
            return replace(setting, start=start)
        folder, device = args.save / "bank", setting.device
        bank = make_bank(folder, recipe.batches(), data, recipe.bank, start, device, update=args.update)
    return replace(setting, start=start, bank=bank)


def train_folds(args: argparse.Namespace, setting: "Setting", judging: "Judging") -> tuple[int, list[Path]]:
    """Train without each fold; returns the exit code and the tables.

    Raises
    ------
    ValueError
        If tables of other options or labels stand where those belong that the final training is to be judged by.
    """
    from utils.jobs import Job, Run, run_jobs
    from utils.records.standing import standing
    from utils.results import list_orphans
    from utils.training.runs import train_without

    folder = args.save / ("leave_one_source_out" if args.leave_one_source_out else "folds")
    recipe, scope = made_from(args, setting), scope_of(args, folder)
    if not judging.folds and not list_orphans(scope, set()):
        return 0, []
    jobs = [Job(name, folder / f"{name}.csv", recipe) for name in judging.folds]
    code = run_jobs(partial(train_without, setting, judging.folds), jobs, Run.of(args), noun="folds", scope=scope)
    if code == 0 and not args.leave_one_source_out and any(standing(recipe, job.target) for job in jobs):
        raise ValueError(f"{folder} was made with other options or labels; --update makes it anew")
    return code, [job.target for job in jobs]


def train_final(args: argparse.Namespace, setting: "Setting", judging: "Judging", tables: Sequence[Path]) -> int:
    """Train the network that is kept, by what the tables of the folds say."""
    from utils.jobs import Job, Run, run_jobs
    from utils.training.runs import save_training
    from utils.training.setting import Aim

    job = Job(args.labels[0], args.save / TARGET, made_from(args, setting))
    work = partial(save_training, setting, judging.held, tables, Aim(args.target_recall, args.target_precision))
    run = Run.of(args)
    # Whatever share made the last of the folds.
    return run_jobs(work, [job], replace(run, shard=None) if tables else run, noun="trainings")


def scope_of(args: argparse.Namespace, folder: Path) -> "Scope":
    """The results of this script in a folder."""
    from utils.results import Scope

    return Scope("train_patch_classifier", args.labels[0].parent, folder)


def made_from(args: argparse.Namespace, setting: "Setting") -> "Recipe":
    """What the results of this command are made from."""
    inputs = {**{path.name: (path,) for path in args.labels}, "patches": tuple(setting.data.paths)}
    if args.init not in (None, "imagenet", "random", "lite"):
        inputs["init"] = (expanded(args.init),)
    asked = {name: getattr(args, name) for name in ASKED}
    options = {**asked, "together": ";".join(args.together), **asdict(setting.recipe)}
    return scope_of(args, args.save).recipe(inputs, {name.replace("_", "-"): value for name, value in options.items()})


if __name__ == "__main__":
    raise SystemExit(main())
