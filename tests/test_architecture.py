"""The house: floors without circles, scripts that import rooms only, errors caught in one place."""

import ast
import re
from functools import cache
from pathlib import Path

from conftest import ROOT, SCRIPT_FOLDERS

SCRIPTS = [path for folder in SCRIPT_FOLDERS for path in sorted((ROOT / folder).glob("*.py"))]
ROOMS = sorted(path for path in (ROOT / "utils").rglob("*.py") if path.name != "__init__.py")


def room_name(path: Path) -> str:
    """``formats.mrc`` of ``utils/formats/mrc.py``."""
    return ".".join(path.relative_to(ROOT / "utils").with_suffix("").parts)


NAMES = {room_name(room) for room in ROOMS}


@cache
def tree_of(path: Path) -> ast.Module:
    """A file's code."""
    return ast.parse(path.read_text())


@cache
def imports(path: Path) -> set[str]:
    """The rooms that a file imports, at its top or inside of functions."""
    found = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "utils":
            base = (node.module or "").removeprefix("utils").lstrip(".")
            found |= {base, *(f"{base}.{alias.name}".lstrip(".") for alias in node.names)} & NAMES
    return found


def test_no_circles():
    graph = {room_name(room): imports(room) for room in ROOMS}
    done: set[str] = set()

    def visit(room: str, above: tuple[str, ...]) -> None:
        assert room not in above, f"a circle: {' -> '.join((*above, room))}"
        if room not in done:
            for needed in graph[room]:
                visit(needed, (*above, room))
            done.add(room)

    for room in graph:
        visit(room, ())
    assert done == set(graph)


def floors() -> dict[str, int]:
    """The number of each room's floor from the ground up, by the table in ARCHITECTURE.md."""
    text = (ROOT / "ARCHITECTURE.md").read_text()
    rows = [row.split("|")[2] for row in text.splitlines() if re.match(r"\| \w+ \| `", row)]
    named = {name: floor for floor, row in enumerate(rows) for name in re.findall(r"`(\w+/?)`", row)}
    places = {room: room.split(".")[0] + "/" if "." in room else room for room in map(room_name, ROOMS)}
    unknown = sorted(room for room, place in places.items() if place not in named)
    assert not unknown, f"rooms without a floor in ARCHITECTURE.md: {unknown}"
    assert named.keys() <= set(places.values()), "floors of rooms that are not there"
    return {room: named[place] for room, place in places.items()}


def test_no_stairs_up():
    floor = floors()
    climbing = [f"{room} -> {used}" for room in floor for used in imports_of(room) if floor[used] > floor[room]]
    assert climbing == []


def test_stages_do_not_use_each_other():
    floor = floors()
    top = max(floor.values())
    wings = {room: room.split(".")[0] for room in floor if floor[room] == top}
    crossing = [
        f"{room} -> {used}"
        for room in wings
        for used in imports_of(room)
        if used in wings and wings[used] != wings[room]
    ]
    assert crossing == []


def imports_of(room: str) -> set[str]:
    """The rooms that a room imports."""
    return imports(ROOT / "utils" / f"{room.replace('.', '/')}.py")


def test_scripts_never_import_scripts():
    names = {path.stem for path in SCRIPTS}
    for path in [*SCRIPTS, *ROOMS]:
        tree = tree_of(path)
        modules = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
        modules |= {alias.name for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names}
        assert not modules & names, path


def test_only_the_runner_catches_everything():
    for path in [*SCRIPTS, *ROOMS]:
        broad = [
            node
            for node in ast.walk(tree_of(path))
            if isinstance(node, ast.ExceptHandler)
            and (node.type is None or (isinstance(node.type, ast.Name) and node.type.id == "Exception"))
        ]
        assert len(broad) == (1 if path.name in ("jobs.py", "child.py") else 0), path


def test_scripts_end_in_one_line_during_their_imports():
    for script in SCRIPTS:
        ours = [node for node in tree_of(script).body if "utils" in ast.unparse(node) and "import" in ast.unparse(node)]
        assert ast.unparse(ours[0]) == "import utils.interrupts", script.name


def test_what_is_said_is_one_line_without_secrets():
    """Names of files and addresses reach the log by `say`, or as the lines of a job, which are cleaned alike."""
    speaking = [path.name for path in [*SCRIPTS, *ROOMS] if "file=sys.stderr" in path.read_text()]
    assert speaking == ["redaction.py", "summaries.py"]


def test_every_room_has_tests_of_its_own():
    """``test_{room}.py``, or with the room's package before it; rooms that share a name have a file each."""
    files = {path.stem for path in (ROOT / "tests").rglob("test_*.py")}
    lacking = []
    for room in sorted((tuple(room_name(path).split(".")) for path in ROOMS), key=len, reverse=True):
        names = [f"test_{'_'.join(room[start:])}" for start in range(len(room))]
        own = next((name for name in names if name in files), None)
        files.discard(own or "")
        lacking += [".".join(room)] * (own is None)
    assert lacking == []
