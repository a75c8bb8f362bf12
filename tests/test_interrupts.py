"""utils/interrupts.py: signals at any instant, streams that are closed."""

import signal
import subprocess
import sys

import pytest

from conftest import ROOT

SCRIPT = str(ROOT / "patchify2d.py")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_while_modules_are_imported(tmp_path, number, code):
    """The script is held where it imports numpy, by a module of that name that sends the signal."""
    (tmp_path / "numpy.py").write_text(f"import os; os.kill(os.getpid(), {int(number)})\n")
    done = subprocess.run(
        [sys.executable, SCRIPT, "in", "out"], env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True
    )
    assert done.returncode == code
    assert len(done.stderr.splitlines()) == 1 and "the same command goes on" in done.stderr


@pytest.fixture
def images(tmp_path):
    from PIL import Image

    (tmp_path / "in" / "g").mkdir(parents=True)
    for i in range(3):
        Image.new("L", (300, 300), i).save(tmp_path / "in" / "g" / f"{i}.png")
    return tmp_path


@pytest.mark.parametrize("redirection", ["2>&-", ">&-", ">&- 2>&-", "| head -c 0", "2>&1 | head -c 1"])
def test_closed_streams_are_no_error(images, redirection):
    command = f'"{sys.executable}" "{SCRIPT}" in out --verbose {redirection}; echo "${{PIPESTATUS[0]}}"'
    done = subprocess.run(["bash", "-c", command], cwd=images, capture_output=True, text=True)
    assert done.stdout.endswith("0\n") and "Traceback" not in done.stderr
    assert (images / "out" / "g.pkl").stat().st_size > 90000
