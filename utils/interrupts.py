"""Signals and closed streams: whatever ends a script early ends it in one line, with nothing left behind.

Imported early by every script: until `terminable` takes over, a signal ends the process at once: nothing was begun. So
it does after the work; when the interpreter itself is being taken down the exit code is settled, and signals come late.
"""

import atexit
import contextlib
import errno
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, TextIO

_RERAISE_SECONDS = 0.005
_CODES = {signal.SIGINT: (130, "interrupted"), signal.SIGTERM: (143, "terminated")}
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # so nohup leaves it
    _CODES[signal.SIGHUP] = _CODES[signal.SIGTERM]


class TerminatedError(BaseException):
    """SIGTERM, what schedulers send, or SIGHUP of a closed terminal: like KeyboardInterrupt, not caught by the way."""


def _end_at_once(number: int, _frame: FrameType | None) -> NoReturn:
    code, what = _CODES[signal.Signals(number)]
    with contextlib.suppress(OSError):
        os.write(2, f"{what}; the same command goes on from here\n".encode())
    os._exit(code)


_received: list[int] = []
_deferring = 0
_deferred: list[int] = []


def _raise(number: int, _frame: FrameType | None) -> None:
    if is_deferred(number):
        return
    _ignore()  # a second one would stop the tidying that this one begins
    _received.append(number)
    raise_received()


def raise_received() -> None:
    """Raise what a signal raised, where one came: other code may have made an error of its own of it."""
    if _received:
        raise KeyboardInterrupt if _received[-1] == signal.SIGINT else TerminatedError


def _ignore() -> None:
    for number in _CODES:
        signal.signal(number, signal.SIG_IGN)


def is_deferred(number: int) -> bool:
    """Whether a signal that came must wait, see `deferred`; its handler is called again then."""
    if _deferring:
        _deferred.append(number)
    return bool(_deferring)


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Within, signals wait: for what must be done whole, such as starting a process, or another library's thread."""
    global _deferring
    _deferring += 1
    try:
        yield
    finally:
        _deferring -= 1
        if _deferred and not _deferring:
            handler = signal.getsignal(number := _deferred.pop())
            if callable(handler):
                handler(number, None)


def _defer_nothing() -> None:
    """A forked process defers nothing: its parent was about to start it."""
    global _deferring
    _deferring = 0
    _deferred.clear()


def _reraise_lost(lost: Any) -> None:
    """A signal's exception that was raised where Python drops it (a callback, a finaliser) is raised once more."""
    if not isinstance(lost.exc_value, KeyboardInterrupt | TerminatedError):
        sys.__unraisablehook__(lost)
        return
    number = signal.SIGTERM if isinstance(lost.exc_value, TerminatedError) else signal.SIGINT
    for each in _CODES:
        signal.signal(each, _raise)
    later = threading.Timer(_RERAISE_SECONDS, os.kill, (os.getpid(), number))
    later.daemon = True
    later.start()


def _is_ours(script: Path) -> bool:
    """Whether a script is of this checkout, or was installed beside Python with this package.

    An environment may lie in the checkout, and the package among others in an environment: none of those is ours.
    """
    if script.suffix != ".py" or "site-packages" in script.parts:
        return False
    root = Path(__file__).resolve().parents[1]
    return script.parent.resolve() == Path(sys.executable).parent.resolve() or script.resolve().is_relative_to(root)


def _guard_start() -> None:
    """End in one line when a signal comes while a script of this suite still imports its modules."""
    script = Path(getattr(sys.modules["__main__"], "__file__", None) or os.sep)
    processes = sys.modules.get("multiprocessing.process")  # loaded by now in a process that another one started
    is_child = processes is not None and processes.parent_process() is not None
    if _is_ours(script) and not is_child and threading.current_thread() is threading.main_thread():
        for number in _CODES:
            signal.signal(number, _end_at_once)
        atexit.register(_ignore)  # Python takes its handlers away before it is gone: the system's would end it by -15


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """Within, SIGINT raises KeyboardInterrupt, SIGTERM and SIGHUP `TerminatedError`: what was begun is tidied up."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _raise) for number in _CODES}
    hook, sys.unraisablehook = sys.unraisablehook, _reraise_lost
    try:
        yield
    finally:
        lost = sys.exc_info()[1]
        sys.unraisablehook = hook
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        try:
            if isinstance(lost, Exception):
                raise_received()
        finally:
            _received.clear()


class _TolerantStream:
    """A stream whose reader (``| head -1``) or terminal may go away: what is written after that goes nowhere."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError as error:
            self._divert(error)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self._divert(error)

    def _divert(self, error: OSError) -> None:
        if error.errno not in (errno.EPIPE, errno.EIO):
            raise error
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - the file must stay a plain descriptor
            os.dup2(nowhere.fileno(), self._stream.fileno())

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


@contextlib.contextmanager
def tolerant_streams() -> Iterator[None]:
    """Within, a closed stdout or stderr is no error."""
    before = sys.stdout, sys.stderr
    opened = []
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by the caller: its descriptor must not go to the next file that is opened
            stream = open(os.devnull, "w")  # noqa: PTH123, SIM115 - closed below
            os.set_inheritable(stream.fileno(), True)
            opened.append(stream)
        setattr(sys, name, _TolerantStream(stream))
    try:
        yield
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    finally:
        sys.stdout, sys.stderr = before
        for stream in opened:
            stream.close()


_guard_start()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_defer_nothing)
