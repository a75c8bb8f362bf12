"""Would the tests notice? Changes rooms a little, one change at a time, and runs the tests that know the room.

    python tests/mutants.py                          a sample of all rooms (make mutants)
    python tests/mutants.py utils/exemplars.py -n 40 one room
    python tests/mutants.py --each 10                ten of every room, and a line for each

A mutant survives when the tests pass with it; survivors are printed as they are to be read: file, line, change. The
change is made in a copy of the project, which nothing else sees. Pytest and what it loads are loaded once: the tests
of each mutant run in a fork.
"""

import argparse
import ast
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import cv2  # noqa: F401  loaded for the tests, as the next ones
import hypothesis.strategies  # noqa: F401
import pytest
import zarr  # noqa: F401

Mutant = tuple[Path, int, str, str]

ROOT = Path(__file__).resolve().parents[1]
SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult, ast.Div: ast.Mult,
}  # fmt: skip
# Arguments that refuse what no input brings about: a record that is changed, lists of unequal length.
GUARDS = ("frozen", "strict", "slots")
HANG_S, POLL_S = 300, 0.02
NOT_COPIED = (".git", ".venv", "demo", "site", "__pycache__", ".hypothesis")


def mutants(tree: ast.Module) -> Iterator[tuple[int, str, str]]:
    """Each single change of a file: its line, what it is, and the text of the changed file. Docstrings stay."""
    guards = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg in GUARDS}
    for node in (node for node in ast.walk(tree) if id(node) not in guards):
        for name, old, new in changes(node):
            before = ast.unparse(node)
            setattr(node, name, new)
            yield getattr(node, "lineno", 0), f"{before}  ->  {ast.unparse(node)}", ast.unparse(tree)
            setattr(node, name, old)


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
    """Whether a statement's value is a text or None: to take it away changes nothing, or is another change's work."""
    return isinstance(value, ast.Constant) and (value.value is None or isinstance(value.value, str))


def tests_of(room: Path) -> tuple[str, ...]:
    """The test file of a room's name, its packages' before it or not; else the smallest three that import it."""
    parts = room.relative_to(ROOT).with_suffix("").parts
    parts = parts[1:] or parts
    for start in range(len(parts)):
        if (own := ROOT / "tests" / f"test_{'_'.join(parts[start:])}.py").exists():
            return (str(own.relative_to(ROOT)),)
    module = ".".join(room.relative_to(ROOT).with_suffix("").parts)
    package, _, name = module.rpartition(".")
    known = re.compile(rf"{re.escape(module)}\b|from {re.escape(package)} import [^\n]*\b{name}\b")
    found = [path for path in (ROOT / "tests").glob("test_*.py") if known.search(path.read_text(encoding="utf-8"))]
    return tuple(str(path.relative_to(ROOT)) for path in sorted(found, key=lambda path: path.stat().st_size)[:3])


def noticed(copy: Path, tests: tuple[str, ...], limit_s: float) -> bool:
    """Whether tests fail in a copy of the project. What hangs is noticed."""
    child = os.fork()
    if child == 0:
        run_tests(copy, tests)
    until = time.monotonic() + limit_s
    while time.monotonic() < until:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status != 0
        time.sleep(POLL_S)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


def run_tests(copy: Path, tests: tuple[str, ...]) -> NoReturn:
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
        code = int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", "--assert=plain", *tests]))
    finally:
        os._exit(code)


def sample(rooms: list[Path], number: int, seed: int) -> list[Mutant]:
    """So many mutants of rooms, drawn evenly over the rooms' changes; by room."""
    every = [(room, *mutant) for room in rooms for mutant in mutants(ast.parse(room.read_text(encoding="utf-8")))]
    return sorted(random.Random(seed).sample(every, min(number, len(every))), key=lambda mutant: mutant[0])


def survivors(drawn: list[Mutant]) -> Iterator[Mutant]:
    """Those that the tests do not notice."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "project"
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*NOT_COPIED))
        limits = {tests: time_limit(copy, tests) for tests in {tests_of(room) for room, *_ in drawn}}
        for room, line, change, text in drawn:
            changed, tests = copy / room.relative_to(ROOT), tests_of(room)
            original = changed.read_text(encoding="utf-8")
            changed.write_text(text, encoding="utf-8")
            if not noticed(copy, tests, limits[tests]):
                yield room, line, change, text
            changed.write_text(original, encoding="utf-8")


def time_limit(copy: Path, tests: tuple[str, ...]) -> float:
    """Seconds after which tests hang: several times what they take on the code as it is, which they must pass."""
    begun = time.monotonic()
    if noticed(copy, tests, HANG_S):
        raise SystemExit(f"{' '.join(tests)}: fails on the code as it is")
    return 10 + 5 * (time.monotonic() - begun)


def main() -> int:
    parser = argparse.ArgumentParser(description="would the tests notice small faults?")
    parser.add_argument("rooms", nargs="*", type=Path, help="files (default: all of utils that a test file knows)")
    parser.add_argument("-n", type=int, default=30, help="how many mutants (30)")
    parser.add_argument("--each", type=int, help="so many of every room instead")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    every = sorted(path for path in (ROOT / "utils").rglob("*.py") if path.stem != "__init__")
    rooms = [room.resolve() for room in args.rooms] or every
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
