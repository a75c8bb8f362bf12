"""make installs once, says what it needs, and calls what there is."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT

pytestmark = pytest.mark.skipif(os.name == "nt" or not shutil.which("make"), reason="needs make")


def make(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run make from another folder; nothing of a make around this test is passed on."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = ["make", "-C", str(ROOT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=Path(sys.prefix))


@pytest.fixture
def installed(tmp_path) -> Path:
    """An environment in which everything is installed, as far as make can see."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    for name, files in (
        ("installed", ["requirements.txt"]),
        ("installed-dev", ["requirements.txt", "requirements-dev.txt"]),
    ):
        content = b"".join((ROOT / file).read_bytes() for file in files)
        total = subprocess.run(["cksum"], input=content, capture_output=True, check=True).stdout.split()[0].decode()
        (tmp_path / f"{name}-{total}").touch()
    return tmp_path


@pytest.mark.parametrize("target", ["demo", "test", "check"])
def test_a_second_run_installs_nothing(target, installed):
    planned = make("-n", target, f"VENV={installed}")
    assert planned.returncode == 0
    assert "install" not in planned.stdout.replace(str(installed), "")


@pytest.mark.parametrize("target", ["demo", "test", "check"])
def test_other_requirements_are_installed(target, installed):
    for stamp in installed.glob("installed*"):
        stamp.rename(f"{stamp}0")
    assert "install" in make("-n", target, f"VENV={installed}").stdout.replace(str(installed), "")


def test_an_old_python_is_told_so(tmp_path):
    old = tmp_path / "old python"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    answer = make("demo", f"PYTHON={old}", f"VENV={tmp_path}/venv")
    assert answer.returncode != 0 and "Python 3.11 or newer" in answer.stderr
    assert not (tmp_path / "venv").exists()


def test_curate_needs_both_folders(installed):
    answer = make("curate", "IN=somewhere", f"VENV={installed}")
    assert answer.returncode != 0 and "usage: make curate IN=DIR OUT=DIR" in answer.stderr


def test_help_names_every_target():
    said = make().stdout
    assert all(f"make {target}" in said for target in ("demo", "test", "fuzz", "check", "curate", "format", "clean"))


def test_fuzz_says_how_to_repeat_it(installed):
    failing = installed / "bin" / "python"
    failing.unlink()
    failing.write_text('#!/bin/sh\necho "$HYPOTHESIS_PROFILE $EXAMPLES $*"\nexit 1\n')
    failing.chmod(0o755)
    said = make("-s", "fuzz", f"VENV={installed}", "SEED=7", "EXAMPLES=5", "ARGS=tests/test_cubes.py")
    assert said.returncode != 0
    ran, repeat = (line for line in said.stdout.splitlines() if not line.startswith("make"))
    assert ran.startswith("fuzz 5 -m pytest -m hypothesis or fuzz --hypothesis-seed 7 ")
    assert ran.endswith("tests/test_cubes.py")
    assert repeat == "to repeat: make fuzz SEED=7 EXAMPLES=5"
