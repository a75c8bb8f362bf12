"""Running jobs: what is done, outdated, open or failed; one piece of work per input, in parallel."""

import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from utils.cli import UnavailableError, UsageError
from utils.files import atomic_path
from utils.interrupts import raise_received
from utils.locks import BusyError, locked, sweep
from utils.outcomes import SKIPPED, Job, Outcome, Outdated, PassedOver, SomeFailed, Work, WorkResult, describe, failed
from utils.parallel import gathered_warnings
from utils.records.fingerprints import NO_FILE, fingerprint
from utils.records.recipes import Recipe, discard, load_record, record_of, refuse_changed, save_record
from utils.records.standing import fingerprints_in_background, holds_at_a_glance, is_replaced, outdated
from utils.results import Scope, discard_orphans, list_orphans, without_clashes
from utils.runs import Predicate, Run, results
from utils.settings import apply_settings, settings
from utils.summaries import lines_of, progress, summarize

__all__ = ["SKIPPED", "Job", "Outdated", "PassedOver", "Run", "SomeFailed", "WorkResult", "describe", "run_jobs"]


_DIED = partial(failed, reason="the process working on it died (killed, or out of memory)")
StillFails = Callable[[Job, Mapping[str, str]], Mapping[str, str]] | None


def run_jobs(
    work: Work,
    jobs: Sequence[Job],
    run: Run | None = None,
    *,
    noun: str = "files",
    scope: Scope | None = None,
    alone: Predicate[Job] = None,
    spread: Predicate[Job] = None,
    still_fails: StillFails = None,
    is_done: Predicate[Job] = None,
    on_account: Callable[[Any], None] | None = None,
    unlisted: Mapping[Path, str] | None = None,
) -> int:
    """Run `work` for each job whose target is not made yet, and say how it went.

    Parameters
    ----------
    work : callable
        Takes a `Job` and the scratch path that becomes its target (jobs without recipe: the job alone); may return a
        line for ``--verbose``. A top-level function, or a `functools.partial` of one: it travels to other processes.
    jobs : sequence of Job
        Two that share a target fail by name, both.
    run : Run, optional
    scope : Scope, optional
        Where results without their input are looked for.
    alone : callable, optional
        Tells the jobs whose work uses all processes by itself (as threads): they run one after another.
    spread : callable, optional
        Tells the jobs whose work uses a whole cluster by itself (`utils.runs`): they run here, one after another.
    still_fails : callable, optional
        Given a job and the failures of the run before, those that fail again: the target is made anew where one does
        not, and stays as it is otherwise.
    is_done : callable, optional
        Tells, of jobs without recipe, those with nothing to do: no lock is taken for them, and no process is asked.
    on_account : callable, optional
        Is given the account of every job that has one, as they end.
    unlisted : mapping of Path to str, optional
        Folders of inputs that could not be listed, rows that cannot be used, each with the reason: they fail, and no
        result is taken for one without its input.

    Returns
    -------
    int
        0 when every job is done, was done before or is outdated, 1 when some failed.
    """
    run = run or Run()
    possible, outcomes = without_clashes(jobs)
    outcomes += [failed(Job(folder, folder), reason) for folder, reason in (unlisted or {}).items()]
    orphaned = list_orphans(scope, {job.target for job in jobs}) if scope and not unlisted else []
    waiting = []
    for job in (job for job in possible if run.owns(job.target)):
        if known := _known_at_a_glance(job):
            outcomes.append(known)
        elif is_done is not None and is_done(job):
            outcomes.append(Outcome(job, "skipped"))
        else:
            waiting.append(job)
    without_input = [result for result in orphaned if result.exists()]
    if scope and run.prune:  # first: a renamed input's new result may take the place of the old one's files
        discard_orphans(orphaned, scope)
    do = _Runner(work, run.update, still_fails, scope.discard if scope and run.prune and run.update else None)
    try:
        with progress(len(outcomes) + len(waiting), noun, run.quiet) as step:
            for outcome in outcomes:
                step(lines_of(outcome, run.verbose))
            for outcome in _outcomes(do, waiting, run, alone, spread):
                if on_account is not None and outcome.account is not None:
                    on_account(outcome.account)
                outcomes.append(replace(outcome, account=None))
                step(lines_of(outcome, run.verbose))
    finally:  # however the work ends, nothing of dead processes stays in the output folders
        for folder in {job.target.parent for job in jobs}:
            sweep(folder)
    return summarize(outcomes, noun, without_input, prune=run.prune, quiet=run.quiet)


def _known_at_a_glance(job: Job) -> Outcome | None:
    """What became of a job before, where sizes and times alone tell; a result without a record is done."""
    if job.recipe is None:
        return None
    try:
        record = load_record(job.target)
    except ValueError:
        return None
    if record is None:
        return Outcome(job, "skipped") if job.target.exists() else None
    if record.failures or not holds_at_a_glance(job.recipe, job.target, record):
        return None
    return Outcome(job, "passed over", record.passed_over) if record.passed_over else Outcome(job, "skipped")


@dataclass(frozen=True)
class _Runner:
    """Does one job; travels to where it is done."""

    work: Work
    update: bool
    still_fails: StillFails = None
    # With --update --prune: how to remove a result whose input was replaced by one that gives none.
    discard_replaced: Callable[[Path], None] | None = None
    settings: Mapping[str, str] = field(default_factory=settings)

    def __call__(self, job: Job, wait: bool = False) -> Outcome:
        """Do one job under its target's lock; whatever goes wrong becomes its outcome."""
        apply_settings(self.settings)
        with gathered_warnings() as sentences:
            try:
                with locked(job.target, wait=wait):
                    outcome = self._do(job)
            except BusyError:
                return Outcome(job, "busy")
            except (UsageError, UnavailableError):
                raise  # it is about all jobs alike
            except PassedOver as reason:
                outcome = Outcome(job, "passed over", str(reason))
            except SomeFailed as error:
                outcome = Outcome(job, "failed", failures=tuple(error.failures.items()))
            except Exception as error:  # noqa: BLE001 - one bad input must not stop the others; it is reported by name
                raise_received()
                outcome = failed(job, describe(error), traceback.format_exc())
        if outcome.status == "failed" and job.recipe and self.discard_replaced and is_replaced(job.recipe, job.target):
            self.discard_replaced(job.target)
        return replace(outcome, warnings=tuple(sentences))

    def _do(self, job: Job) -> Outcome:
        if job.recipe is None:
            message = self.work(job)
            if isinstance(message, Outdated):
                return Outcome(job, "outdated", str(message))
            return Outcome(job, "skipped" if message == SKIPPED else "done", str(message or ""))
        if standing := self._standing(job, job.recipe):
            return standing
        inputs = fingerprints_in_background(job.recipe)
        try:
            with atomic_path(job.target) as scratch:
                returned = self.work(job, scratch)
                result = returned if isinstance(returned, WorkResult) else WorkResult(returned or "")
                refuse_changed(job.recipe, inputs())
                made_from = replace(job.recipe, options={**job.recipe.options, **result.options})
                record = record_of(made_from, job.target, inputs(), fingerprint([scratch]))
                save_record(job.target, replace(record, failures=result.failures))
        except PassedOver as reason:
            discard(job.target)
            record = record_of(job.recipe, job.target, inputs(), NO_FILE)
            save_record(job.target, replace(record, passed_over=str(reason)))
            return Outcome(job, "passed over", str(reason))
        status = "failed" if result.failures else "done"
        failures = _by_path(job.recipe, result.failures)
        return Outcome(job, status, result.message, failures=failures, account=result.account)

    def _standing(self, job: Job, recipe: Recipe) -> Outcome | None:
        """What was made of a job before amounts to; None where it is to be made anew."""
        there = job.target.exists()
        try:
            record = load_record(job.target)
            reason = outdated(recipe, job.target, record) if record else ""
        except ValueError as error:
            record, reason = None, str(error)
        if record and record.passed_over and not reason:
            return Outcome(job, "passed over", record.passed_over)
        if not there:
            return None
        failures = dict(record.failures) if record else {}
        if failures and self.still_fails:
            failures = dict(self.still_fails(job, failures))
            if record is None or failures.keys() != record.failures.keys():
                return None
        if reason and self.update:
            return None
        if failures:
            return Outcome(job, "failed", reason, failures=_by_path(recipe, failures))
        return Outcome(job, "outdated", reason) if reason else Outcome(job, "skipped")


def _by_path(recipe: Recipe, failures: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Failures by the paths of their inputs, as messages name them."""
    return tuple((str((recipe.inputs.get(name) or (name,))[0]), reason) for name, reason in failures.items())


def _outcomes(
    do: _Runner, jobs: Sequence[Job], run: Run, alone: Predicate[Job], spread: Predicate[Job]
) -> Iterator[Outcome]:
    """Yield outcomes as they come; what another run holds is left until the end, then waited for."""
    busy = []
    for outcome in results(do, jobs, run, _DIED, alone=alone, spread=spread):
        if run.dask and outcome.status == "done" and outcome.job.recipe:
            _refuse_unseen(outcome.job.target)
        if outcome.status == "busy":
            busy.append(outcome.job)
        else:
            yield outcome
    yield from results(partial(do, wait=True), busy, replace(run, processes=1), _DIED, spread=spread)


def _refuse_unseen(target: Path) -> None:
    """Refuse a cluster that writes where this machine does not look.

    Raises
    ------
    UnavailableError
        If what a worker has made is not there.
    """
    if target.exists():
        return
    with suppress(OSError):
        list(target.parent.iterdir())  # NFS may remember that it was not there; so it looks again
    if not target.exists():
        raise UnavailableError(
            f"a Dask worker made {target}, but nothing is there as this machine sees it: outputs have to lie on a file "
            "system that all share"
        )
