"""The process that does the work on a cluster: items in by stdin, answers out by stdout, one after another."""

import os
import pickle
import queue
import runpy
import signal
import sys
import threading
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from utils.cluster.keeper import GRACE_SECONDS, read_frame, write_frame
from utils.parallel import gathered_warnings

# How an answer begins: what the work returned, what it raised, or why nothing can be done here; then what it warned of.
RETURNED, RAISED, REFUSED = "returned", "raised", "refused"
Answer = tuple[str, Any, tuple[str, ...]]


def main() -> None:
    """Answer until stdin ends; what the work prints goes to stderr."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # Streams of our own: at its end Python would wait a second for sys.stdin, which a thread is reading.
    orders_in, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    frames: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(orders_in, frames), daemon=True).start()
    work: Callable[[Any], Any] | str = "has no order"
    while True:
        begin, item = pickle.loads(frames.get())
        if begin is not None:
            work = _begin(*begin)
        write_frame(answers, _packed(_answer(work, item)))


def _listen(stream: BinaryIO, frames: "queue.SimpleQueue[bytes]") -> None:
    """Hand frames on; when the parent is gone, tidy up and end."""
    while (frame := read_frame(stream)) is not None:
        frames.put(frame)
    if os.name == "posix":
        os.kill(os.getpid(), signal.SIGTERM)
        threading.Event().wait(GRACE_SECONDS)
    os._exit(1)


def _begin(hello: dict[str, Any], work: bytes) -> Callable[[Any], Any] | str:
    """The work, or a sentence that says why it cannot be done here."""
    from utils import memory
    from utils.cluster.connection import disagreement
    from utils.settings import apply_settings

    try:
        if reason := disagreement(hello["versions"]) or _stand(hello):
            return reason
        apply_settings(hello["settings"])
        memory.retain_freed()
        if hello["script"]:
            _become(hello["script"])
        function: Callable[[Any], Any] = pickle.loads(work)
        return function
    except ImportError as error:
        return f"lacks what this suite needs: {error}"


def _stand(hello: dict[str, Any]) -> str:
    """Go to the folder that relative paths lead from."""
    try:
        os.chdir(hello["folder"])
    except OSError:
        if hello["relative"]:
            return f"does not see {hello['folder']}, from where relative paths lead: name shared folders by whole paths"
        os.chdir(Path(hello["folder"]).anchor)
    return ""


def _become(script: str) -> None:
    """Take a script's definitions as those of ``__main__``, as spawned processes do."""
    module = types.ModuleType("__mp_main__")
    module.__dict__.update(runpy.run_path(script, run_name="__mp_main__"))
    sys.modules["__main__"] = sys.modules["__mp_main__"] = module


def _answer(work: Callable[[Any], Any] | str, item: bytes) -> Answer:
    if isinstance(work, str):
        return REFUSED, work, ()
    with gathered_warnings() as said:
        try:
            answer, content = RETURNED, work(pickle.loads(item))
        except Exception as error:  # noqa: BLE001 - raised again where the item came from
            answer, content = RAISED, error
    return answer, content, tuple(said)


def _packed(answer: Answer) -> bytes:
    try:
        return pickle.dumps(answer, protocol=5)
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        return pickle.dumps((RAISED, RuntimeError(f"{answer[1]} ({error})"), ()))
