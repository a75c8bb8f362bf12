"""Would the tests notice? Changes rooms a little, one change at a time, and runs the tests that know the room.

    python tests/mutants.py                          a sample of all rooms (make mutants)
    python tests/mutants.py utils/exemplars.py -n 40 one room

A mutant survives when the tests pass with it; survivors are printed as they are to be read: file, line, change. The
change is made in a copy of the project, which nothing else sees.
"""

import argparse
import ast
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult, ast.Div: ast.Mult,
}  # fmt: skip
HANG_S = 300
NOT_COPIED = (".git", ".venv", "demo", "site", "__pycache__", ".hypothesis")


def mutants(tree: ast.Module) -> Iterator[tuple[int, str, str]]:
    """Each single change of a file: its line, what it is, and the text of the changed file. Docstrings stay."""
    for node in ast.walk(tree):
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
    elif isinstance(node, ast.Return | ast.Expr) and isinstance(node.value, ast.expr) and not is_docstring(node):
        yield "value", node.value, ast.Constant(None)


def is_docstring(node: ast.AST) -> bool:
    """Whether a statement is text and does nothing."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def tests_of(room: Path) -> list[str]:
    """The test file of a room's name, its packages' before it or not; else the smallest three that import it."""
    parts = room.relative_to(ROOT).with_suffix("").parts[1:]
    for start in range(len(parts)):
        if (own := ROOT / "tests" / f"test_{'_'.join(parts[start:])}.py").exists():
            return [str(own.relative_to(ROOT))]
    module = ".".join(room.relative_to(ROOT).with_suffix("").parts)
    package, _, name = module.rpartition(".")
    known = re.compile(rf"{re.escape(module)}\b|from {re.escape(package)} import [^\n]*\b{name}\b")
    found = [path for path in (ROOT / "tests").glob("test_*.py") if known.search(path.read_text(encoding="utf-8"))]
    return [str(path.relative_to(ROOT)) for path in sorted(found, key=lambda path: path.stat().st_size)[:3]]


def noticed(copy: Path, tests: list[str]) -> bool:
    """Whether tests fail in a copy of the project. One that hangs is noticed."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    null = subprocess.DEVNULL
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}  # files change within a second
    with subprocess.Popen(command, cwd=copy, env=environment, stdout=null, stderr=null, start_new_session=True) as run:
        try:
            return run.wait(timeout=HANG_S) != 0
        except subprocess.TimeoutExpired:
            os.killpg(run.pid, 9)
            return True


def sample(rooms: list[Path], number: int, seed: int) -> list[tuple[Path, int, str, str]]:
    """So many mutants of rooms, drawn evenly over the rooms' changes."""
    drawn = random.Random(seed)
    every = [(room, *mutant) for room in rooms for mutant in mutants(ast.parse(room.read_text(encoding="utf-8")))]
    return drawn.sample(every, min(number, len(every)))


def main() -> int:
    parser = argparse.ArgumentParser(description="would the tests notice small faults?")
    parser.add_argument("rooms", nargs="*", type=Path, help="files (default: all of utils that a test file knows)")
    parser.add_argument("-n", type=int, default=30, help="how many mutants (30)")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rooms = [room.resolve() for room in args.rooms] or sorted((ROOT / "utils").rglob("*.py"))
    known = [room for room in rooms if room.stem != "__init__" and tests_of(room)]
    print(f"{len(known)} of {len(rooms)} rooms have tests that name them")
    survivors = 0
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "project"
        shutil.copytree(
            ROOT, copy, ignore=shutil.ignore_patterns(".git", ".venv", "demo", "site", "__pycache__", ".hypothesis")
        )
        drawn = sample(known, args.n, args.seed)
        for room, line, change, text in drawn:
            place = room.relative_to(ROOT)
            original = (copy / place).read_text(encoding="utf-8")
            (copy / place).write_text(text, encoding="utf-8")
            if not noticed(copy, tests_of(room)):
                survivors += 1
                print(f"survived: {place}:{line}: {change}")
            (copy / place).write_text(original, encoding="utf-8")
    print(f"{len(drawn) - survivors} of {len(drawn)} mutants noticed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
