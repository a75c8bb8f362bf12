#!/usr/bin/env python3
"""Keep the informative patches of deduplicated dictionaries: score each patch and write the good ones as TIFFs.

Reads every .pkl in DEDUPE_DIR and writes to SAVE: {dataset}/{patch}.tiff for each patch whose score is above the
threshold, {dictionary}.csv with the score of every patch (written last: it says that a dictionary is done), and
{dataset}.png, a contact sheet of kept, rejected and borderline patches. Dictionaries of one dataset's regions (-ROI-)
share its folder. With --update another --threshold is applied to the scores that are stored: no network is needed.

Example:
    python classify_patches.py deduped filtered
    python classify_patches.py deduped filtered --weights lite --threshold 0.6
"""

import utils.interrupts  # noqa: F401 - first: a signal during the other imports ends in one line

# isort: split
import argparse
import uuid
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from utils.argument_types import existing_file, fraction, input_dir, output_dir, positive_int
from utils.cli import UnavailableError, add_run_options, as_usage_errors, list_inputs, make_parser, run_script
from utils.components import by_key
from utils.files import list_files, sha256_of, stem
from utils.names import dataset_of
from utils.redaction import say

if TYPE_CHECKING:
    from utils.classification.classifier import Classifier
    from utils.classification.decision import Decision
    from utils.classification.state_files import State
    from utils.jobs import Job, Run


def main(argv: Sequence[str] | None = None) -> int:
    """Classify every dictionary that has no CSV yet, then bring the contact sheets up to date."""
    return run_script(classify_command, parse_options(), argv)


def parse_options() -> argparse.ArgumentParser:
    """The command line."""
    parser = make_parser(__doc__)
    parser.add_argument("dedupe_dir", metavar="DEDUPE_DIR", type=input_dir, help="folder of patch dictionaries")
    parser.add_argument("save", metavar="SAVE", type=output_dir, help="folder to write to")
    weights = "the published ResNet34 (fetched once, default), the small model that comes along, or your own"
    parser.add_argument("--weights", default="zenodo", metavar="zenodo|lite|PATH|URL", help=weights)
    parser.add_argument("--sha256", metavar="HEX", help="accept no other weights file than the one with this SHA-256")
    threshold = "keep patches that score above (default: what training chose, or 0.5)"
    parser.add_argument("--threshold", type=fraction, help=threshold)
    views = "8: average over flips and turns, eight times as long; auto: 1, and lite looks again where that helps"
    parser.add_argument("--views", choices=("auto", "1", "8"), default="auto", help=views)
    without = "keep none of these: duplicates.csv of collection/dedupe_collection.py"
    parser.add_argument("--without", type=existing_file, metavar="CSV", help=without)
    compression = "of kept TIFFs; zstd: a tenth smaller"
    parser.add_argument("--compression", choices=("none", "zstd"), default="none", help=compression)
    device = "auto: one GPU if there is one; cuda: all GPUs, shared by -p N processes, at least one each"
    parser.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto", help=device)
    precision = "auto: int8 or half precision where it is faster; auto, int8: doubtful patches once more in fp32"
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16", "fp16", "int8"), default="auto", help=precision)
    parser.add_argument("--batch-size", type=positive_int, help="patches at once (default 32 on a CPU, 256 on CUDA)")
    add_run_options(parser)
    return parser


def classify_command(args: argparse.Namespace) -> int:
    """List, skip what is done, classify, draw."""
    from utils.classification.accounts import Accounts
    from utils.classification.classifying import classify_dictionary
    from utils.classification.decision import UNFITTED, read_decision
    from utils.classification.devices import gpus, workers_for
    from utils.classification.kept_files import discard_table
    from utils.classification.shared_names import shared_names
    from utils.classification.weights import local_path
    from utils.contact_sheet import SHEETS
    from utils.jobs import Run, run_jobs
    from utils.records.duplicates import LeftOut, read_duplicates
    from utils.results import Scope, refuse_nothing_to_do

    dictionaries = list_inputs(args.dedupe_dir, {".pkl"}, "patch dictionaries", args.quiet)
    scope = Scope("classify_patches", args.dedupe_dir, args.save, discard=discard_table)
    wanted = "patch dictionaries (.pkl) in it"
    refuse_nothing_to_do(dictionaries, scope, args.prune, wanted, Scope(SHEETS, args.save, args.save))
    weights = local_path(args.weights)
    with as_usage_errors(ValueError):
        decision = read_decision(weights) if weights.is_file() else UNFITTED
        left_out = LeftOut(read_duplicates(args.without)) if args.without else None
    if left_out and left_out.is_of_others(dictionaries):
        say(f"warning: --without {args.without} names no dictionary of {args.dedupe_dir}")
    threshold = decision.threshold if args.threshold is None else args.threshold
    options = {
        "precision": args.precision,
        "threshold": threshold,
        "views": views_of(args) or "auto",
        "compression": args.compression,
        "calibration": None if decision is UNFITTED else f"{decision.scale:g} {decision.bias:g}",
    }
    if weights.is_file():  # of those that are still to be fetched the work says what they were
        options["weights"] = sha256_of(weights)
    jobs = [
        scope.job(path, f"{stem(path)}.csv", {**options, "without": left_out.digest(path) if left_out else None})
        for path in dictionaries
    ]
    run = Run.of(args)
    workers = 1 if args.dask else workers_for(args.device, args.processes, gpus())
    classifier = LazyClassifier(args, decision, threshold, workers)
    work = partial(
        classify_dictionary,
        classifier,
        threshold=threshold,
        left_out=left_out,
        compression=args.compression,
        shared=shared_names(dictionaries),
    )
    accounts = Accounts(says_networks=not args.quiet and not classifier.is_alone)
    code = run_jobs(
        work, jobs, replace(run, processes=workers), noun="dictionaries", scope=scope, on_account=accounts.add
    )
    for line in accounts.summary() if not args.quiet else []:
        print(line)
    return max(code, draw_sheets(jobs, args.save, threshold, decision, run))


def views_of(args: argparse.Namespace) -> int | None:
    """How many views of a patch --views asks for; None leaves it to the network."""
    return None if args.views == "auto" else int(args.views)


class LazyClassifier:
    """Gives the network, loaded when the first dictionary needs it: once in each process that works on dictionaries.

    `workers` is how many of these this machine has for a run without a cluster.
    """

    def __init__(self, args: argparse.Namespace, decision: "Decision", threshold: float, workers: int) -> None:
        self.args, self.decision, self.threshold, self.workers = args, decision, threshold, workers
        self.key = uuid.uuid4().hex

    def __call__(self) -> "Classifier":
        return self._classifier

    @property
    def is_alone(self) -> bool:
        """Whether it is the only one of the run."""
        return self.workers == 1 and not self.args.dask

    def __reduce__(self) -> tuple[object, ...]:
        return _shared_classifier, (self.key, self.args, self.decision, self.threshold, self.workers)

    @cached_property
    def _classifier(self) -> "Classifier":
        """Find or fetch the weights and put the network on its device."""
        from utils.classification.devices import share_threads, take_one_gpu, use_threads

        args = self.args
        if args.device == "cuda" and (args.dask or self.workers > 1):
            take_one_gpu()
        # A cluster's worker has a process for each of its threads.
        threads = 1 if args.dask else max(1, args.processes // self.workers)
        use_threads(threads)
        from utils.classification.classifier import Classifier
        from utils.classification.margins import LEAST, MOST
        from utils.classification.openvino_models import CALIBRATION
        from utils.classification.precisions import pick_device, uses_int8
        from utils.classification.sample import are_worth_a_model, sample_patches

        device = pick_device(args.device)
        path, state = self._weights()
        options = {"precision": args.precision, "batch_size": args.batch_size, "threshold": self.threshold}
        options |= {"decision": self.decision, "views": views_of(args)}
        options |= {"threads": share_threads(threads) if device == "cpu" else 1}
        classifier = Classifier(state, device=device, origin=str(path), **options)
        int8, note = uses_int8(args.precision, device, classifier.arch), ""
        if int8 and args.precision == "auto":
            int8 = are_worth_a_model(self._dictionaries)
        if int8 or not classifier.cascade.is_measured:
            sample = sample_patches(self._dictionaries, MOST + CALIBRATION)
            if int8 and len(sample) < LEAST + CALIBRATION:
                note = f", not int8: building it takes {LEAST + CALIBRATION} patches, here are {len(sample)}"
            elif int8:
                classifier.add_int8(sample[:CALIBRATION], path, threads)
                sample = sample[CALIBRATION:]
            classifier.measure(sample[:MOST])
        classifier.weights = sha256_of(path)
        classifier.network = f"weights {path} ({classifier.arch}) on {classifier.device}{note}"
        if self.is_alone and not args.quiet:
            say(classifier.network)
        return classifier

    @cached_property
    def _dictionaries(self) -> list[Path]:
        """All there are, done or not, so that a run that goes on decides as one that was not stopped."""
        return list_files(self.args.dedupe_dir, {".pkl"})

    def _weights(self) -> "tuple[Path, State]":
        """The weights file and what is in it, read once."""
        from utils.classification.state_files import load_weights
        from utils.classification.weights import find_weights

        states: dict[Path, State] = {}

        def check(path: Path) -> None:
            states[path] = load_weights(path)

        try:
            with as_usage_errors(FileNotFoundError):
                path = find_weights(self.args.weights, check, self.args.sha256)
        except (OSError, ValueError) as error:
            raise UnavailableError(str(error)) from error
        return path, states[path] if path in states else load_weights(path)  # what was fetched had another name


_CLASSIFIERS: dict[str, LazyClassifier] = {}


def _shared_classifier(key: str, *description: Any) -> LazyClassifier:
    """The run's one classifier in this process: every job brings its description, the network stays."""
    if key not in _CLASSIFIERS:
        _CLASSIFIERS[key] = LazyClassifier(*description)
    return _CLASSIFIERS[key]


def draw_sheets(jobs: "Sequence[Job]", folder: Path, threshold: float, decision: "Decision", run: "Run") -> int:
    """Bring the contact sheet of every dataset up to date with its CSVs, and name the unfamiliar datasets."""
    from utils.classification.decision import unfamiliar_line
    from utils.classification.sheets import (
        SHEETS_A_PROCESS,
        SheetSource,
        decided_by,
        draw_dataset,
        made_from,
        unfamiliar_datasets,
    )
    from utils.contact_sheet import SHEETS
    from utils.jobs import Job, run_jobs
    from utils.results import Scope

    by_dataset = by_key(jobs, lambda job: dataset_of(job.target.stem))
    scope = Scope(SHEETS, folder, folder)
    sheets, unfamiliar = [], dict.fromkeys(unfamiliar_datasets(by_dataset, decision))
    for dataset, parts in by_dataset.items():
        done = [part for part in parts if part.target.exists()]
        # In shards whoever finishes a dataset's last dictionary draws it.
        if done and (run.shard is None or len(done) == len(parts)):
            tables, dictionaries = zip(*((part.target, part.source) for part in done), strict=True)
            source = SheetSource(dataset, tables, dictionaries, dataset in unfamiliar, decided_by(tables, threshold))
            options: dict[str, Any] = {"threshold": source.threshold}
            if decision.familiarity is not None:
                options["unfamiliar"] = source.is_unfamiliar
            recipe = scope.recipe({**{table.name: (table,) for table in tables}, **made_from(tables)}, options)
            sheets.append(Job(source, folder / f"{dataset}.png", recipe))
    if not sheets and not run.prune:
        return 0
    run = replace(run, processes=min(run.processes, 1 + len(sheets) // SHEETS_A_PROCESS), update=True, shard=None)
    code = run_jobs(draw_dataset, sheets, run, noun="contact sheets", scope=scope)
    for dataset in unfamiliar:
        say(unfamiliar_line(dataset))
    return code


if __name__ == "__main__":
    raise SystemExit(main())
