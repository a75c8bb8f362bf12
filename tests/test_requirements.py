"""requirements.txt is what the project imports: nothing missing, nothing left over, everything pinned and explained."""

import ast
import re
import sys
from functools import cache
from pathlib import Path

import pytest

from conftest import ROOT

# Imported under another name than they are installed by.
DISTRIBUTION = {"cv2": "opencv-python-headless", "PIL": "pillow", "sklearn": "scikit-learn", "skimage": "scikit-image"}
DISTRIBUTION |= {"xdist": "pytest-xdist", "nrrd": "pynrrd"}
# Used by the Makefile, or only when another package is imported; not by an import of ours.
TOOLS = {"ruff", "mypy", "pytest-timeout", "scikit-image", "uv"}
FOR_DEVELOPERS = ("tests", "benchmarks", "docs")


@cache
def sources() -> list[Path]:
    """The project's Python files; what lies in hidden folders, as the environment does, is not looked through."""
    places = [path for path in ROOT.iterdir() if not path.name.startswith(".") and path.name != "demo"]
    found = [file for place in places for file in (place.rglob("*.py") if place.is_dir() else [place])]
    return sorted(path.relative_to(ROOT) for path in found if path.suffix == ".py")


@cache
def imports(path: Path) -> set[str]:
    """Top-level names that a file imports, wherever in it, or asks pytest for."""
    text = (ROOT / path).read_text(encoding="utf-8")
    names = set(re.findall(r"importorskip\(\"(\w+)", text))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def distributions(paths: list[Path]) -> set[str]:
    """Third-party distributions that files import, in lower case."""
    own = {path.stem for path in sources()} | {path.parts[0] for path in sources()}
    names = set().union(*(imports(path) for path in paths)) - own - sys.stdlib_module_names
    return {DISTRIBUTION.get(name, name).lower() for name in names}


def requirements(name: str) -> dict[str, str]:
    """Distribution (lower case, without extras) -> the line that requires it."""
    lines = [line for line in (ROOT / name).read_text().splitlines() if line and not line.startswith(("#", "-r"))]
    return {re.split(r"[\[=]", line)[0].strip().lower(): line for line in lines}


# What rooms import only where it is installed.
OPTIONAL = requirements("requirements-openvino.txt").keys()


def test_what_scripts_import_is_required():
    paths = [path for path in sources() if path.parts[0] not in FOR_DEVELOPERS]
    found = distributions(paths)
    assert found - requirements("requirements.txt").keys() - OPTIONAL == set() and found >= OPTIONAL


def test_what_tests_and_benchmarks_import_is_required():
    required = requirements("requirements.txt").keys() | requirements("requirements-dev.txt").keys()
    assert distributions(sources()) - required - OPTIONAL == set()


def test_nothing_is_left_over():
    scripts = [path for path in sources() if path.parts[0] not in FOR_DEVELOPERS]
    assert requirements("requirements.txt").keys() - distributions(scripts) == set()
    assert requirements("requirements-dev.txt").keys() - distributions(sources()) - TOOLS == set()


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt", "requirements-openvino.txt"])
def test_every_line_is_pinned_and_says_why(name):
    for line in requirements(name).values():
        assert re.fullmatch(r"[\w.-]+(\[[\w,]+\])?==[\w.]+ +# \S.{10,}", line), line


def test_the_lock_holds_every_pin_with_hashes():
    lock = (ROOT / "requirements.lock").read_text()
    held = r"^([\w.-]+)(?:\[[\w,]+\])?==([\w.]+)(?: ; [^\\\n]*)? \\\n    --hash=sha256:"
    locked = dict(re.findall(held, lock, re.MULTILINE))
    for name, line in (requirements("requirements.txt") | requirements("requirements-dev.txt")).items():
        assert locked.get(name) == re.split(r"==| ", line)[1], f"{name}: run `make lock`"


def test_torch_and_torchvision_stay_a_pair():
    required = requirements("requirements.txt")
    assert "torch==2.13.0 " in required["torch"] and "torchvision==0.28.0 " in required["torchvision"]
