"""The README, the docstrings and the code say the same."""

import ast
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from conftest import ROOT

README = ROOT / "README.md"
SCRIPTS = sorted(
    str(path.relative_to(ROOT))
    for folder in (".", "preprocess", "scraping", "3d", "collection", "examples")
    for path in (ROOT / folder).glob("*.py")
    if "def main(" in path.read_text(encoding="utf-8")
)
# Imported only by the work itself: --help waits for none of them.
HEAVY = (
    "torch",
    "torchvision",
    "SimpleITK",
    "skimage",
    "cv2",
    "tensorstore",
    "zarr",
    "matplotlib",
    "tifffile",
    "sklearn",
    "scipy",
)
# Built from parts, so that this file may be read too.
FORBIDDEN = [
    "/" + "work/", "/" + "opt/pypi", "venv" + "0", "pypi" + ".org", "python" + "hosted", "download.py" + "torch",
    "/.lib" + "rary", "CLAU" + "DE", "Co-Auth" + "ored",
]  # fmt: skip

# What may catch everything, before it is parsed.
CATCHES = re.compile(rb"except[\s(]*(?::|Exception|BaseException)")


@cache
def help_of(script: str) -> subprocess.CompletedProcess[str]:
    """A script's --help, asked for from another folder."""
    command = [sys.executable, "-X", "importtime", str(ROOT / script), "--help"]
    return subprocess.run(command, cwd=Path(sys.prefix), capture_output=True, text=True)


def options_of(script: str) -> set[str]:
    """Every option that a script's --help names."""
    return set(re.findall(r"(?<![\w-])--?[A-Za-z][\w-]*", help_of(script).stdout))


def tracked_files() -> list[Path]:
    """The project's files as git knows them; where there is no git all that are not hidden, or made of others."""
    found = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if found.returncode == 0:
        names = [name for name in found.stdout.split("\0") if name]
    else:
        inner = (path.relative_to(ROOT) for path in ROOT.rglob("*"))
        names = [str(path) for path in inner if not any(part.startswith((".", "__pycache__")) for part in path.parts)]
    return [path for path in (ROOT / name for name in names) if path.is_file()]


def commands(text: str) -> list[list[str]]:
    """Words of every `python SCRIPT ...` line; a trailing backslash continues a line."""
    joined = re.sub(r"\\\n\s*", " ", text)
    lines = re.findall(r"^\s*(?:\$ )?(?:\.venv/bin/)?python3? (\S+\.py.*)$", joined, re.MULTILINE)
    return [shlex.split(line, comments=True) for line in lines]


def assert_true(words: list[str]) -> None:
    """A documented command names a script and options that there are."""
    script = words[0]
    assert script in SCRIPTS, f"no such script: {script}"
    used = {word.partition("=")[0] for word in words[1:] if re.match(r"--?[A-Za-z]", word)}
    assert used <= options_of(script), f"{script} has no {sorted(used - options_of(script))}"


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_works_from_anywhere(script):
    answer = help_of(script)
    assert answer.returncode == 0
    assert answer.stdout.startswith("usage: ") and "Example" in answer.stdout


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_is_quick_because_it_imports_little(script):
    imported = set(re.findall(r"\| +([\w.]+)$", help_of(script).stderr, re.MULTILINE))
    assert imported.isdisjoint(HEAVY)


@pytest.mark.parametrize("script", SCRIPTS)
def test_examples_of_docstrings_hold(script):
    examples = commands((ROOT / script).read_text(encoding="utf-8").split('"""')[1])
    assert examples
    for words in examples:
        assert words[0] == script
        assert_true(words)


@pytest.mark.parametrize("script", [script for script in SCRIPTS if not script.startswith("examples/")])
def test_every_script_has_its_row_in_the_readme(script):
    assert re.search(rf"^\| `{re.escape(script)}` \|", README.read_text(encoding="utf-8"), re.MULTILINE)


def test_every_option_of_the_documents_exists():
    documented = commands(README.read_text(encoding="utf-8"))
    assert {words[0] for words in documented} >= {s for s in SCRIPTS if not s.startswith("examples/")}
    cookbook = commands((ROOT / "docs" / "index.md").read_text(encoding="utf-8"))
    assert len(cookbook) > 10
    for words in [*documented, *cookbook]:
        assert_true(words)


def test_every_make_target_of_the_readme_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", README.read_text(encoding="utf-8"), re.MULTILINE))
    assert {"demo", "test", "check", "curate"} <= named <= targets


def test_crontab_calls_what_there_is():
    lines = (ROOT / "examples" / "crontab").read_text().splitlines()
    called = [match for line in lines for match in re.findall(r"^[^#]*\.venv/bin/python (\S+\.py .*?) >>", line)]
    assert called
    for line in called:
        assert_true(shlex.split(line))


def test_links_lead_somewhere():
    for document in ROOT.glob("*.md"):
        for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text(encoding="utf-8")):
            assert (document.parent / link).exists(), f"{document.name}: {link}"


def test_nothing_speaks_of_the_machine_it_was_written_on():
    for path in tracked_files():
        content = path.read_bytes().decode("latin-1")
        assert [word for word in FORBIDDEN if word in content] == [], path


def test_broad_excepts_are_in_one_place():
    assert {path.relative_to(ROOT).as_posix() for path in tracked_files() if swallows(path)} == {
        "utils/jobs.py",
        "tests/faults/damage.py",  # whatever it is, it is what that looks for
        "utils/cluster/child.py",  # raised again where the item came from
    }


def swallows(path: Path) -> bool:
    """Whether a Python file catches everything somewhere and does not raise it again."""
    if path.suffix != ".py" or not CATCHES.search(path.read_bytes()):
        return False
    handlers = [node for node in ast.walk(ast.parse(path.read_bytes())) if isinstance(node, ast.ExceptHandler)]
    return any(is_broad(handler.type) and not isinstance(handler.body[-1], ast.Raise) for handler in handlers)


def is_broad(caught: ast.expr | None) -> bool:
    """Whether an except clause catches everything."""
    return caught is None or (isinstance(caught, ast.Name) and caught.id in {"Exception", "BaseException"})
