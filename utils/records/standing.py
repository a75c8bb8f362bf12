"""How a result stands: whether its recipe still holds, or why not. Content decides; large inputs are digested aside."""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

from utils.records.fingerprints import NO_FILE, Fingerprint, digest, glance
from utils.records.recipes import (
    NAMED,
    Input,
    Recipe,
    Record,
    fingerprints,
    glances,
    is_of,
    known_record,
    load_record,
    plain_options,
    record_path,
    root_of,
    save_record,
)

# Less than this is digested in the time that a thread's start is worth.
LARGE_BYTES = 32 << 20

Fingerprints = dict[str, Fingerprint]


def holds_at_a_glance(recipe: Recipe, result: Path, record: Record) -> bool:
    """Whether a record holds, told by sizes and times alone; where it does not, only a closer look tells."""
    now = glances(recipe)
    return (
        _is_at_home(recipe, result, record)
        and now.keys() == record.inputs.keys()
        and all(now[name].looks_like(entry) for name, entry in record.inputs.items())
        and _untouched(result, record)
        and not _option_reasons(record.options, recipe.options)
    )


def outdated(recipe: Recipe, result: Path, record: Record) -> str:
    """Why a record no longer holds, in words; empty when it does. Content decides, whatever its date says.

    Where it holds under other dates, the record takes these, so that the next look is quick again; of inputs that are
    listed from another folder now, it takes that, so that the result goes with them when they do.
    """
    now = glances(recipe)
    common = [name for name in record.inputs if name in now]
    seen = {name: _seen(recipe.inputs[name], now[name], record.inputs[name]) for name in common}
    reasons = _input_reasons(
        added=[name for name in now if name not in record.inputs],
        gone=[name for name in record.inputs if name not in now],
        changed=[name for name in common if seen[name].digest != record.inputs[name].digest or now[name].size < 0],
    )
    reasons += _option_reasons(record.options, recipe.options)
    untouched = _untouched(result, record)
    if not (untouched or _is_as_made(result, record)):
        reasons.append("it is not what was made")
    if not reasons and (seen != record.inputs or not untouched or not _is_at_home(recipe, result, record)):
        save_record(result, replace(record, inputs=seen, root=root_of(recipe, result)))
    return ", ".join(reasons)


def standing(recipe: Recipe, result: Path) -> str | None:
    """How a result stands: None where there is none, empty where its recipe holds, else the reason why it does not."""
    if not result.exists():
        return None
    try:
        record = load_record(result)
    except ValueError as error:
        return str(error)
    if record is None or holds_at_a_glance(recipe, result, record):
        return ""
    return outdated(recipe, result, record)


def is_replaced(recipe: Recipe, result: Path) -> bool:
    """Whether the inputs that a result was made from are no more: others, readable ones, stand in their place."""
    record = known_record(result)
    if record is None or not result.exists():
        return False
    now = fingerprints(recipe)
    if not all(entry.digest for entry in now.values()):
        return False
    return {name: entry.digest for name, entry in now.items()} != {n: e.digest for n, e in record.inputs.items()}


def same_but_for(recipe: Recipe, result: Path, record: Record, ignored: set[str]) -> bool:
    """Whether a record holds, were it not for some options, and the result is still what was made."""
    now = {name: entry for name, entry in recipe.options.items() if name not in ignored}
    if recipe.inputs.keys() != record.inputs.keys() or _option_reasons(record.options, now):
        return False
    if not (_untouched(result, record) or _is_as_made(result, record)):
        return False
    seen = glances(recipe)
    return all(
        _seen(recipe.inputs[name], seen[name], entry).digest == entry.digest for name, entry in record.inputs.items()
    )


def _is_at_home(recipe: Recipe, result: Path, record: Record) -> bool:
    """Whether a record knows the folder that its inputs are listed from."""
    return recipe.root is None or is_of(record, recipe.root, result)


def _untouched(result: Path, record: Record) -> bool:
    """Whether a result has its size and was not written after its record."""
    now = glance([result])
    if now.size != record.result.size:
        return False
    if now == NO_FILE or result.is_dir():
        return True
    return result.stat().st_mtime_ns <= record_path(result).stat().st_mtime_ns


def _is_as_made(result: Path, record: Record) -> bool:
    """Whether a result has the content that it was made with, whatever its date says."""
    return digest([result]) == record.result.digest


def _seen(entry: Input, now: Fingerprint, before: Fingerprint) -> Fingerprint:
    if now.looks_like(before):
        return before
    return entry if isinstance(entry, Fingerprint) else now._replace(digest=digest(entry))


def _input_reasons(*, added: list[str], gone: list[str], changed: list[str]) -> list[str]:
    words = {"was added": added, "is gone": gone, "has changed": changed}
    if sum(map(len, words.values())) == 1:
        return [f"{names[0]} {what}" for what, names in words.items() if names]
    return [
        f"{len(names)} {what.split()[-1]} ({', '.join(names[:NAMED])}{', ...' * (len(names) > NAMED)})"
        for what, names in words.items()
        if names
    ]


def _option_reasons(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What was asked for then and now; an option that the record does not know had no say."""
    return [
        f"made {_spelled(name, before[name])}, now {_spelled(name, value, short=_is_set(before[name]))}"
        for name, value in plain_options(now).items()
        if name in before and before[name] != value
    ]


def _is_set(value: Any) -> bool:
    return value is not None and value is not False  # 0 is a value


def _spelled(name: str, value: Any, *, short: bool = False) -> str:
    if not _is_set(value):
        return "without it" if short else f"without --{name}"
    if value is True:
        return f"with --{name}"
    text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if short else f"with --{name} {text}"


def fingerprints_in_background(recipe: Recipe) -> Callable[[], Fingerprints]:
    """Begin to take the fingerprints of a recipe's inputs; call what comes back for them, when the work is done.

    Sizes and times are those of now. Who compares them with those after the work (`refuse_changed`) knows that the
    content was the same throughout.
    """
    before = glances(recipe)
    if sum(entry.size for entry in before.values()) < LARGE_BYTES:
        known = fingerprints(recipe)
        return lambda: known
    found: Future[Fingerprints] = Future()
    threading.Thread(target=_set_fingerprints, args=(recipe, found), daemon=True).start()
    return lambda: {name: before[name]._replace(digest=entry.digest) for name, entry in found.result().items()}


def _set_fingerprints(recipe: Recipe, found: "Future[Fingerprints]") -> None:
    try:
        found.set_result(fingerprints(recipe))
    except MemoryError as error:
        found.set_exception(error)
