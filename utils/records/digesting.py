"""Fingerprints of large inputs, taken in the background of the work that reads them."""

import threading
from collections.abc import Callable
from concurrent.futures import Future

from utils.records.fingerprints import Fingerprint
from utils.records.recipes import Recipe, fingerprints, glances

# Less than this is digested in the time that a thread's start is worth.
LARGE_BYTES = 32 << 20

Fingerprints = dict[str, Fingerprint]


def fingerprints_in_background(recipe: Recipe) -> Callable[[], Fingerprints]:
    """Begin to take the fingerprints of a recipe's inputs; call what comes back for them, when the work is done.

    Sizes and times are those of now. Who compares them with those after the work (`refuse_changed`) knows that the
    content was the same throughout.
    """
    before = glances(recipe)
    if sum(entry.size for entry in before.values()) < LARGE_BYTES:
        known = fingerprints(recipe)
        return lambda: known
    found: Future[Fingerprints] = Future()
    threading.Thread(target=_look, args=(recipe, found), daemon=True).start()
    return lambda: {name: before[name]._replace(digest=entry.digest) for name, entry in found.result().items()}


def _look(recipe: Recipe, found: "Future[Fingerprints]") -> None:
    try:
        found.set_result(fingerprints(recipe))
    except MemoryError as error:
        found.set_exception(error)
