"""Recipes: what a result is made from, kept beside it, and whether that still holds; the one rule of what is done.

The record of a result lies in a hidden folder beside it, ``.recipes/{name of the result}.json``. It is written before
the result takes its name and holds the result's own size and digest, so that a kill between the two shows. Of the
result it holds no time, lest two runs over the same inputs differ: a result no younger than its record is the one.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from utils.files import OWN_FOLDER, remove, write_unflushed
from utils.foreign_text import parse_json
from utils.records.fingerprints import Fingerprint, fingerprint, glance

VERSION = 1
# Inputs that a reason names; of more it gives the number.
NAMED = 3


@dataclass(frozen=True)
class Recipe:
    """What a result is to be made from."""

    stage: str  # the script, and what of it: each stage looks after its own results only
    # By name: the files and folders of each input, none of one at an address; or what is known of them already.
    inputs: Mapping[str, "Input"]
    options: Mapping[str, Any]  # every option that decides the content, by its name on the command line; plain values
    root: Path | None = None  # the folder that inputs are listed from


Input = tuple[Path, ...] | Fingerprint


@dataclass(frozen=True)
class Record:
    """What a result was made from, as stored; see `Recipe`."""

    stage: str
    # The folder of the inputs, absolute and as seen from the result: a collection that moves as a whole keeps one.
    root: tuple[str, str]
    inputs: Mapping[str, Fingerprint]
    options: Mapping[str, Any]
    result: Fingerprint  # of the result itself, without its time
    failures: Mapping[str, str] = field(default_factory=dict)  # inputs that the result lacks, with the reason
    passed_over: str = ""  # why there is no result: its input is sound, but gives none


def record_path(result: Path) -> Path:
    """Where a result's record lies."""
    return result.parent / OWN_FOLDER / f"{result.name}.json"


def fingerprints(recipe: Recipe, look: Callable[[Sequence[Path]], Fingerprint] = fingerprint) -> dict[str, Fingerprint]:
    """The fingerprints of a recipe's inputs; reads their content."""
    known = recipe.inputs.items()
    return {name: entry if isinstance(entry, Fingerprint) else look(entry) for name, entry in known}


def glances(recipe: Recipe) -> dict[str, Fingerprint]:
    """Sizes and times of a recipe's inputs."""
    return fingerprints(recipe, glance)


def refuse_changed(recipe: Recipe, before: Mapping[str, Fingerprint]) -> None:
    """Refuse a result whose input is not what it was before it was read.

    Raises
    ------
    ValueError
    """
    if changed := [name for name, now in glances(recipe).items() if not now.looks_like(before[name])]:
        raise ValueError(f"{', '.join(changed[:NAMED])} changed while it was read; the next run reads it again")


def record_of(recipe: Recipe, result: Path, inputs: Mapping[str, Fingerprint], written: Fingerprint) -> Record:
    """The record of a result that is made, whose fingerprint is `written`."""
    return Record(
        recipe.stage, root_of(recipe, result), inputs, plain_options(recipe.options), written._replace(stamp=0)
    )


def save_record(result: Path, record: Record) -> None:
    """Write a result's record, completely or not at all."""
    content = {"version": VERSION, **vars(record)}
    write_unflushed(record_path(result), json.dumps(content, ensure_ascii=False, sort_keys=True))


def load_record(result: Path) -> Record | None:
    """A result's record; None where it has none.

    Raises
    ------
    ValueError
        If it is damaged, not readable, or of a later version.
    """
    try:
        text = record_path(result).read_text("utf-8", "surrogateescape")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ValueError(f"its record cannot be read ({record_path(result)}: {error.strerror})") from error
    try:
        content = parse_json(text)
    except ValueError as error:
        raise ValueError(f"its record is damaged ({record_path(result)})") from error
    try:
        if content["version"] > VERSION:
            raise ValueError(f"its record is of version {content['version']}, later than this program's {VERSION}")
        return Record(
            str(content["stage"]),
            (str(content["root"][0]), str(content["root"][1])),
            {str(name): Fingerprint(*values) for name, values in content["inputs"].items()},
            dict(content["options"]),
            Fingerprint(*content["result"]),
            dict(content["failures"]),
            str(content["passed_over"]),
        )
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise ValueError(f"its record is damaged ({record_path(result)})") from error


def inputs_of(result: Path) -> tuple[str, ...]:
    """Names of the inputs that a result was made from; none where that is not known."""
    record = known_record(result)
    return tuple(record.inputs) if record else ()


def stage_of(result: Path) -> str:
    """The stage that made a result; empty where that is not known."""
    record = known_record(result)
    return record.stage if record else ""


def known_record(result: Path) -> Record | None:
    """A result's record; None where it has none that can be read."""
    try:
        return load_record(result)
    except ValueError:
        return None


def plain_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as JSON gives them back."""
    return dict(json.loads(json.dumps(dict(options))))


def root_of(recipe: Recipe, result: Path) -> tuple[str, str]:
    """The folder that a result's inputs are listed from, as its record has it; empty where there is none."""
    if recipe.root is None:
        return "", ""
    return os.path.abspath(recipe.root), os.path.relpath(recipe.root, result.parent)  # noqa: PTH100 - links stay


def orphans(folder: Path, stage: str, root: Path, results: set[Path]) -> Iterator[Path]:
    """Results of a stage in a folder that none of its inputs is the origin of any longer.

    What other stages made, or this one from another folder than `root`, is left alone; `results` are what the inputs
    that are there become.
    """
    own = folder / OWN_FOLDER
    if not own.is_dir():
        return
    for path in sorted(own.iterdir()):
        result = folder / path.name.removesuffix(".json")
        if path.suffix != ".json" or path.name.startswith(".") or result in results:
            continue
        record = known_record(result)
        if record is not None and record.stage == stage and is_of(record, root, result):
            yield result


def is_of(record: Record, root: Path, result: Path) -> bool:
    """Whether the inputs of a result were listed from a folder, wherever both have moved together."""
    # That they have not is told ten times as fast.
    return record.root[0] == os.path.abspath(root) or record.root[1] == os.path.relpath(root, result.parent)  # noqa: PTH100


def discard(result: Path) -> None:
    """Remove a result and its record, the result first: a record alone is no result."""
    remove(result)
    remove(record_path(result))
