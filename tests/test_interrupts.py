"""utils/interrupts.py: signals at any instant, streams that are closed."""

import atexit
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from conftest import ROOT
from utils import interrupts
from utils.interrupts import TerminatedError, _is_ours, deferred, terminable, tolerant_streams

SCRIPT = str(ROOT / "patchify2d.py")


def hang_up_ends() -> None:
    """Where tests are run by nohup, too, a child has a terminal to lose."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)])
def test_a_signal_while_modules_are_imported(tmp_path, number, code):
    """The script is held where it imports numpy, by a module of that name that sends the signal."""
    (tmp_path / "numpy.py").write_text(f"import os; os.kill(os.getpid(), {int(number)})\n")
    done = subprocess.run(
        [sys.executable, SCRIPT, "in", "out"],
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        preexec_fn=hang_up_ends,
    )
    assert done.returncode == code
    assert len(done.stderr.splitlines()) == 1 and "the same command goes on" in done.stderr


AT_THE_END = """
import sys
sys.path[0] = {root!r}
import utils.interrupts
import os
from utils.cli import make_parser, run_script
class Last:
    def __del__(self, kill=os.kill, me=os.getpid(), number={number}):
        kill(me, number)
sys.modules["kept until Python takes its modules down"] = Last()
raise SystemExit(run_script(lambda args: 0, make_parser("nothing"), []))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_python_ends_comes_late(tmp_path, number):
    """The exit code says how the work went; found by signals at random instants."""
    script = ROOT / "tests" / "at_the_end.py"
    code = AT_THE_END.format(root=str(ROOT), number=int(number))
    run = f"import runpy, sys; sys.modules['__main__'].__file__ = {str(script)!r}; exec({code!r})"
    done = subprocess.run([sys.executable, "-c", run], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


TIDYING = """
import sys
sys.path[0] = {root!r}
import os, signal
from utils.cli import make_parser, run_script
def body(args):
    try:
        os.kill(os.getpid(), signal.SIGTERM)
    finally:
        os.kill(os.getpid(), signal.SIGINT)
        print("tidied")
raise SystemExit(run_script(body, make_parser("nothing"), []))
"""


def test_a_second_signal_does_not_stop_the_tidying():
    done = subprocess.run([sys.executable, "-c", TIDYING.format(root=str(ROOT))], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (143, "tidied\n") and len(done.stderr.splitlines()) == 1


TURNED_INTO_ANOTHER = """
import sys
sys.path[0] = {root!r}
import os, signal
from pathlib import Path
from utils.cli import make_parser, run_script
from utils.jobs import Job, Run, run_jobs
class Field:
    def __set_name__(self, owner, name):
        os.kill(os.getpid(), signal.{name})
def body(args, *more):
    class Owner:  # Python makes a RuntimeError of whatever its fields raise
        field = Field()
def in_a_job(args):
    return run_jobs(body, [Job("a", Path(sys.argv[1], "a"))], Run())
raise SystemExit(run_script({body}, make_parser("nothing"), []))
"""


@pytest.mark.parametrize("body", ["body", "in_a_job"])
@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGINT", 130)])
def test_a_signal_that_other_code_makes_an_error_of_is_a_signal(tmp_path, body, name, code):
    script = TURNED_INTO_ANOTHER.format(root=str(ROOT), name=name, body=body)
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    assert len(done.stderr.splitlines()) == 1 and "the same command goes on from here" in done.stderr


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


def test_a_terminal_that_is_closed_ends_a_script_as_sigterm_does(tmp_path):
    """What it says then goes nowhere: to write to a terminal that is gone is an error of the system's."""
    ours, terminal = os.openpty()
    run = (
        TIDYING.format(root=str(ROOT)).replace("SIGTERM", "SIGHUP").replace('"tidied"', '"tidied", file=open("t", "w")')
    )
    command = [sys.executable, "-c", f"input()\n{run}"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stderr=terminal, cwd=tmp_path, preexec_fn=hang_up_ends
    ) as process:
        os.close(terminal)
        os.close(ours)
        process.communicate(b"\n")
    assert process.returncode == 143 and (tmp_path / "t").read_text() == "tidied\n"


def test_what_nohup_began_outlives_its_terminal():
    code = "import signal, utils.interrupts as i; print(signal.SIGHUP in i._CODES)"
    command = f'nohup "{sys.executable}" -c "{code}"'
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "False\n"


def test_signals_wait_until_what_must_be_done_whole_is():
    came: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: interrupts.is_deferred(number) or came.append(number))
    try:
        with deferred():
            pass
        with deferred():
            with deferred():
                os.kill(os.getpid(), signal.SIGTERM)
            assert came == []
        assert came == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(("number", "lost"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, TerminatedError)])
def test_a_signal_s_exception_that_python_drops_is_raised_again(number, lost):
    class Dropping:
        def __del__(self):
            os.kill(os.getpid(), number)

    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(lost), terminable():
        Dropping()
        threading.Event().wait(10)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_signal_that_was_raised_is_not_raised_again_by_what_comes_after_it():
    with pytest.raises(TerminatedError), terminable():
        os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(ZeroDivisionError), terminable():
        raise ZeroDivisionError


def test_other_exceptions_that_python_drops_are_told_as_ever(monkeypatch):
    told: list[object] = []
    monkeypatch.setattr(sys, "__unraisablehook__", told.append)
    with terminable():
        sys.unraisablehook(lost := SimpleNamespace(exc_value=ValueError()))
    assert told == [lost]


def test_scripts_of_this_suite():
    beside_python = Path(sys.executable).parent
    assert _is_ours(ROOT / "3d" / "reconstruct3d.py") and _is_ours(beside_python / "reconstruct3d.py")
    in_checkout = ROOT / ".venv"
    others = [beside_python / "pytest", in_checkout / "bin" / "pytest", Path(os.sep, "tmp", "mine.py")]
    assert not any(map(_is_ours, [*others, in_checkout / "lib" / "site-packages" / "pytest" / "__main__.py"]))


@pytest.mark.parametrize("is_child", [False, True])
def test_the_start_of_a_script_is_guarded_and_not_that_of_its_children(monkeypatch, is_child):
    before = {number: signal.getsignal(number) for number in interrupts._CODES}
    monkeypatch.setattr(sys.modules["__main__"], "__file__", SCRIPT, raising=False)
    monkeypatch.setattr(multiprocessing.process, "parent_process", lambda: before if is_child else None)
    try:
        interrupts._guard_start()
        for number, handler in before.items():
            assert signal.getsignal(number) is (handler if is_child else interrupts._end_at_once)
    finally:
        atexit.unregister(interrupts._ignore)
        for number, handler in before.items():
            signal.signal(number, handler)


def test_other_programs_keep_their_own_signals():
    interrupts._guard_start()
    assert signal.getsignal(signal.SIGTERM) is not interrupts._end_at_once


@pytest.mark.parametrize("text", ["x", "x" * 100_000])
def test_what_is_written_to_nobody_goes_nowhere(monkeypatch, text):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        with tolerant_streams():
            print(text)
        assert sys.stdout is stream


def test_a_stream_that_was_closed_is_open_while_the_script_runs(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    with tolerant_streams():
        print("x")
        stand_in = sys.stdout.__getattr__("buffer")
        assert os.get_inheritable(stand_in.fileno())
    assert stand_in.closed and sys.stdout is None
