"""A process that has the libraries loaded, and forks a child for each script that is to be disturbed.

A signal then costs the script's work alone, not a second of imports; what the child runs is the real script, from its
first line to the interpreter's end. Only our own modules are not loaded here: each child imports them. Requests come as
lines of JSON (see `Request` in stages.py), an answer goes back for each.
"""

import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import signal
import sys
import time
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIBRARIES = (
    *("numpy", "PIL.Image", "PIL.PngImagePlugin", "tifffile", "imagecodecs", "cv2", "h5py", "xxhash", "filelock"),
    *("tqdm", "scipy.ndimage", "concurrent.futures.process", "multiprocessing.spawn", "argparse", "csv", "tempfile"),
    *("numcodecs", "matplotlib", "skimage", "imagehash", "html", "http.server", "secrets"),
)


def load() -> None:
    """Import what scripts import."""
    warnings.simplefilter("ignore")
    for name in LIBRARIES:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    gc.freeze()  # or a child's end would look through, and so copy, all of it


def answer(request: dict) -> dict | None:
    """Run a request in a child and tell what became of it; None in the child itself, which goes on as the script."""
    ready, tell = os.pipe()
    if (child := os.fork()) == 0:
        os.close(ready)
        become(request)
        os.close(tell)
        return None
    os.close(tell)
    os.read(ready, 1)  # ends when the child is about to run the script's first line
    os.close(ready)
    started = time.monotonic()
    waiting = os.pidfd_open(child)
    if not ended_within(waiting, request["after"]):
        # Ctrl-C and schedulers reach all processes of a job; a kill takes one.
        (os.kill if request["signal"] == signal.SIGKILL else os.killpg)(child, request["signal"])
    hung = not ended_within(waiting, request["limit"])
    if hung:
        os.killpg(child, signal.SIGKILL)
    os.close(waiting)
    _, status, usage = os.wait4(child, 0)
    seconds = time.monotonic() - started
    return {
        "code": os.waitstatus_to_exitcode(status), "hung": hung, "seconds": seconds, "peak": usage.ru_maxrss << 10,
        "pid": child,
    }  # fmt: skip


def ended_within(descriptor: int, seconds: float) -> bool:
    """Whether a process ends within so many seconds."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def become(request: dict) -> None:
    """Make this child what a shell would have started: a session, streams, arguments, signal handlers of its own."""
    os.setsid()
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream, descriptor in ((os.open(os.devnull, os.O_RDONLY), 0), (log, 1), (log, 2)):
        os.dup2(stream, descriptor)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    warnings.resetwarnings()
    warnings.simplefilter("ignore", DeprecationWarning)
    os.environ.update(request.get("environment", {}))
    sys.argv = request["argv"]
    sys.path[0] = str(Path(sys.argv[0]).parent)
    sys.modules["__main__"].__file__ = sys.argv[0]
    sys.path.insert(0, str(ROOT))
    import utils.interrupts  # noqa: F401 - every script's first import: until then nothing is begun

    del sys.path[0]


def serve() -> bool:
    """Answer requests until there are no more; False in a child."""
    load()
    print("ready", flush=True)
    for line in sys.stdin:
        found = answer(json.loads(line))
        if found is None:
            return False
        print(json.dumps(found), flush=True)
    return True


if __name__ == "__main__" and not serve():
    runpy.run_path(sys.argv[0], run_name="__main__")
