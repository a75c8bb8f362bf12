"""A stage's results in an output folder: their recipes, those that would be one, and those whose input is gone."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from utils.cli import UsageError
from utils.components import by_key
from utils.files import OWN_FOLDER, remove_if_empty
from utils.outcomes import Job, Outcome, failed
from utils.records.recipes import Input, Recipe, discard, orphans


@dataclass(frozen=True)
class Scope:
    """Where a stage looks for results of inputs that are gone."""

    stage: str  # as in the recipes of its results
    root: Path  # the folder that inputs are listed from
    folder: Path  # of the results
    nested: bool = False  # whether they lie in its subfolders, too
    discard: Callable[[Path], None] = discard  # removes one result with all that belongs to it

    def recipe(self, inputs: Mapping[str, Input], options: Mapping[str, Any]) -> Recipe:
        """The recipe of one of its results."""
        return Recipe(self.stage, inputs, options, self.root)

    def job(
        self, source: Any, name: Path | str, options: Mapping[str, Any], inputs: Mapping[str, Input] | None = None
    ) -> Job:
        """The job that makes one of its results of a source, which is its only input, a file, by default."""
        inputs = {source.name: (source,)} if inputs is None else inputs
        return Job(source, self.folder / name, self.recipe(inputs, options))


def without_clashes(jobs: Sequence[Job]) -> tuple[list[Job], list[Outcome]]:
    """Jobs with a target of their own (also where case is ignored), and the failures of those that share one."""
    possible, clashes = [], []
    for group in by_key(jobs, lambda job: str(job.target).casefold()).values():
        if len(group) == 1:
            possible += group
            continue
        for job in group:
            others = ", ".join(str(other.source) for other in group if other is not job)
            clashes.append(failed(job, f"would share {job.target} with {others}; rename or move one of them"))
    return possible, clashes


def possible_work(jobs: Sequence[Job]) -> tuple[list[Job], dict[str, str]]:
    """As `without_clashes`, for a list of what would be done: the failures as `say_failures` takes them."""
    possible, clashes = without_clashes(jobs)
    return possible, dict(failure for clash in clashes for failure in clash.failures)


def refuse_nothing_to_do(inputs: Sized, scope: Scope, prune: bool, wanted: str, *more: Scope) -> None:
    """Refuse to run without input; with ``--prune`` only when there is no result to remove either.

    `more` are of results that are made of the stage's: a run that was killed may have left them alone.

    Raises
    ------
    UsageError
        With what was looked for.
    """
    if inputs or (prune and any(list_orphans(each, set()) for each in (scope, *more))):
        return
    raise UsageError(f"{scope.root}: no {wanted}" if scope.root.is_dir() else f"{scope.root}: no such folder")


def list_orphans(scope: Scope, results: set[Path]) -> list[Path]:
    """Results of a stage that none of the inputs that are there becomes."""
    return [orphan for folder in _folders(scope) for orphan in orphans(folder, scope.stage, scope.root, results)]


def discard_orphans(found: Iterable[Path], scope: Scope) -> None:
    """Remove results, and the folders that this leaves empty."""
    for result in found:
        scope.discard(result)
        for emptied in (result.parent / OWN_FOLDER, result.parent):
            if emptied == scope.folder:
                break
            remove_if_empty(emptied)


def _folders(scope: Scope) -> list[Path]:
    """The folders that hold records."""
    if not scope.nested:
        return [scope.folder]
    return sorted(Path(top) for top, folders, _ in os.walk(scope.folder) if OWN_FOLDER in folders)
