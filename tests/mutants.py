"""Would the tests notice? Changes rooms a little, one change at a time, and runs the tests that know the room.

    python tests/mutants.py                          a sample of all rooms and scripts (make mutants)
    python tests/mutants.py utils/exemplars.py -n 40 one room
    python tests/mutants.py --each 10                ten of every room, and a line for each

A mutant survives when the tests pass with it; survivors are printed as they are to be read: file, line, change. The
change is made in a copy of the project, which nothing else sees. Pytest and what it loads are loaded once: the tests
of each mutant run in a fork, those that reach the changed line first.
"""

import argparse
import ast
import json
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from types import EllipsisType, FrameType
from typing import Any, NoReturn

import cv2  # noqa: F401  loaded for the tests, as the next ones
import hypothesis.strategies  # noqa: F401
import pytest
import torch  # noqa: F401
import zarr  # noqa: F401

Mutant = tuple[Path, int, str, str]
Reached = dict[str, list[str]]  # by "FILE:LINE", the tests that come by

ROOT = Path(__file__).resolve().parents[1]
SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult, ast.Div: ast.Mult,
}  # fmt: skip
# Arguments that no input tells: they refuse a record that is changed or lists of unequal length, say whose line a
# warning is about, or how much is remembered.
GUARDS = ("frozen", "strict", "slots", "kw_only", "stacklevel", "maxsize")
HANG_S, POLL_S = 300, 0.02
SCRIPT_FOLDERS = (".", "preprocess", "scraping", "3d", "collection")
NOT_COPIED = (".git", ".venv", "demo", "site", "__pycache__", ".hypothesis")


def mutants(tree: ast.Module) -> Iterator[tuple[int, str, str]]:
    """Each single change of a file: its line, what it is, and the text of the changed file. Docstrings stay."""
    kept = {id(part) for node in ast.walk(tree) for whole in left_alone(node) for part in ast.walk(whole)}
    for node in (node for node in ast.walk(tree) if id(node) not in kept):
        for name, old, new in changes(node):
            before = ast.unparse(node)
            setattr(node, name, new)
            yield getattr(node, "lineno", 0), f"{before}  ->  {ast.unparse(node)}", ast.unparse(tree)
            setattr(node, name, old)


def left_alone(node: ast.AST) -> list[ast.AST]:
    """What of a node no room's own tests could tell a change of, with all that is in it.

    `GUARDS`; imports for types; a script's way to `utils`, which `tests/test_docs.py` needs when it starts each from
    another folder; and the length that numpy is to find, which may be any negative number.
    """
    match node:
        case ast.keyword() if node.arg in GUARDS:
            return [node]
        case ast.If() if ast.unparse(node.test) == "TYPE_CHECKING":
            return [node]
        case ast.Expr(value=ast.Call(func=function)) if ast.unparse(function) == "sys.path.insert":
            return [node]
        case ast.Call(func=ast.Attribute(attr="reshape")):
            return [length for length in node.args if isinstance(length, ast.UnaryOp)]
    return []


def changes(node: ast.AST) -> Iterator[tuple[str, object, object]]:
    """The changes of one node: attribute, its value, and another value."""
    if isinstance(node, ast.Compare) and type(node.ops[0]) in SWAPS:
        yield "ops", node.ops, [SWAPS[type(node.ops[0])](), *node.ops[1:]]
    elif isinstance(node, ast.BinOp | ast.BoolOp) and type(node.op) in SWAPS:
        yield "op", node.op, SWAPS[type(node.op)]()
    elif isinstance(node, ast.If | ast.IfExp):
        yield "test", node.test, ast.UnaryOp(ast.Not(), node.test)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        yield "value", node.value, not node.value if isinstance(node.value, bool) else node.value + 1
    elif isinstance(node, ast.Return | ast.Expr) and isinstance(node.value, ast.expr) and not is_inert(node.value):
        yield "value", node.value, ast.Constant(None)


def is_inert(value: ast.expr) -> bool:
    """Whether a statement's value is a text, None, False or ``...``: None there is no change, or another one's work."""
    inert = str | EllipsisType | None
    return isinstance(value, ast.Constant) and (value.value is False or isinstance(value.value, inert))


def tests_of(room: Path) -> tuple[str, ...]:
    """The test files of a room's name, its packages' before it or not; else the smallest three that import it."""
    parts = room.relative_to(ROOT).with_suffix("").parts
    parts = parts[1:] or parts
    rooms = {path.stem for path in all_rooms()}
    for start in range(len(parts)):
        name = "_".join(parts[start:])
        if (ROOT / "tests" / f"test_{name}.py").exists():
            own = sorted((ROOT / "tests").glob(f"test_{name}*.py"))
            further = {path: path.stem.removeprefix(f"test_{name}") for path in own}
            return tuple(
                str(path.relative_to(ROOT))
                for path, rest in further.items()
                if not rest or (rest[0] == "_" and f"{name}{rest}" not in rooms)
            )
    module = ".".join(room.relative_to(ROOT).with_suffix("").parts)
    package, _, name = module.rpartition(".")
    known = re.compile(rf"{re.escape(module)}\b|from {re.escape(package)} import [^\n]*\b{name}\b")
    found = [path for path in (ROOT / "tests").glob("test_*.py") if known.search(path.read_text(encoding="utf-8"))]
    return tuple(str(path.relative_to(ROOT)) for path in sorted(found, key=lambda path: path.stat().st_size)[:3])


def all_rooms() -> list[Path]:
    """Every room under utils, and the scripts."""
    scripts = [path for folder in SCRIPT_FOLDERS for path in (ROOT / folder).glob("*.py")]
    return sorted([*scripts, *(path for path in (ROOT / "utils").rglob("*.py") if path.stem != "__init__")])


class Watch:
    """A pytest plugin: notes which lines of files each test comes by, and puts chosen tests first."""

    def __init__(self, files: frozenset[str], note: Path, first: list[str]) -> None:
        self.files, self.note, self.first = files, note, set(first)
        self.lines: defaultdict[str, set[str]] = defaultdict(set)
        self.test = ""

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items.sort(key=lambda item: item.nodeid not in self.first)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self.test = item.nodeid
        if self.files:
            threading.settrace(self.trace)
            sys.settrace(self.trace)
        return (yield)

    def trace(self, frame: FrameType, event: str, _: object) -> Callable[[FrameType, str, Any], Any] | None:
        if (file := frame.f_code.co_filename) not in self.files:
            return None
        self.lines[f"{file}:{frame.f_lineno}"].add(self.test)
        return self.trace

    def pytest_sessionfinish(self) -> None:
        if self.files:
            self.note.write_text(json.dumps({line: sorted(tests) for line, tests in self.lines.items()}))


def noticed(copy: Path, tests: tuple[str, ...], limit_s: float, watch: Watch) -> bool:
    """Whether tests fail in a copy of the project. What hangs is noticed."""
    child = os.fork()
    if child == 0:
        run_tests(copy, tests, watch)
    until = time.monotonic() + limit_s
    while time.monotonic() < until:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status != 0
        time.sleep(POLL_S)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


def run_tests(copy: Path, tests: tuple[str, ...], watch: Watch) -> NoReturn:
    """Become the tests' process, silent and in a group of its own, and end with their exit code."""
    os.setsid()
    os.chdir(copy)
    sys.path[0] = str(copy)
    sys.dont_write_bytecode = True  # files change within a second
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    silence = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(silence, stream)
    code = 1
    try:
        code = int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", "--assert=plain", *tests], [watch]))
    finally:
        os._exit(code)


def sample(rooms: list[Path], number: int, seed: int) -> list[Mutant]:
    """So many mutants of rooms, drawn evenly over the rooms' changes; by room."""
    every = [(room, *mutant) for room in rooms for mutant in mutants(ast.parse(room.read_text(encoding="utf-8")))]
    return sorted(random.Random(seed).sample(every, min(number, len(every))), key=lambda mutant: mutant[0])


def survivors(drawn: list[Mutant]) -> Iterator[Mutant]:
    """Those that the tests do not notice."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder).resolve() / "project"
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*NOT_COPIED))
        rooms: defaultdict[tuple[str, ...], set[str]] = defaultdict(set)
        for room, *_ in drawn:
            rooms[tests_of(room)].add(str(copy / room.relative_to(ROOT)))
        known = {tests: unchanged(copy, tests, frozenset(files)) for tests, files in rooms.items()}
        for room, line, change, text in drawn:
            changed, tests = copy / room.relative_to(ROOT), tests_of(room)
            limit, reached = known[tests]
            original = changed.read_text(encoding="utf-8")
            changed.write_text(text, encoding="utf-8")
            if not noticed(copy, tests, limit, Watch(frozenset(), copy, reached.get(f"{changed}:{line}", []))):
                yield room, line, change, text
            changed.write_text(original, encoding="utf-8")


def unchanged(copy: Path, tests: tuple[str, ...], files: frozenset[str]) -> tuple[float, Reached]:
    """Run tests on the code as it is, which they must pass: seconds after which they hang, and what they reach."""
    begun, note = time.monotonic(), copy / "reached.json"
    if noticed(copy, tests, HANG_S, Watch(files, note, [])):
        raise SystemExit(f"{' '.join(tests)}: fails on the code as it is")
    return 10 + 5 * (time.monotonic() - begun), json.loads(note.read_text(encoding="utf-8"))


def main() -> int:
    parser = argparse.ArgumentParser(description="would the tests notice small faults?")
    parser.add_argument("rooms", nargs="*", type=Path, help="files (default: all that a test file knows)")
    parser.add_argument("-n", type=int, default=30, help="how many mutants (30)")
    parser.add_argument("--each", type=int, help="so many of every room instead")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rooms = [room.resolve() for room in args.rooms] or all_rooms()
    known = [room for room in rooms if tests_of(room)]
    print(f"{len(known)} of {len(rooms)} rooms have tests that name them")
    samples = (
        [sample([room], args.each, args.seed) for room in known] if args.each else [sample(known, args.n, args.seed)]
    )
    count = 0
    for drawn in samples:
        missed = 0
        for room, line, change, _ in survivors(drawn):
            print(f"survived: {room.relative_to(ROOT)}:{line}: {change}", flush=True)
            missed += 1
        if args.each and drawn:
            print(f"{drawn[0][0].relative_to(ROOT)}: {len(drawn) - missed} of {len(drawn)}", flush=True)
        count += missed
    total = sum(map(len, samples))
    print(f"{total - count} of {total} mutants noticed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
