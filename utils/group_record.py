"""What a 2D patch dictionary remembers of its images, and whether that still holds."""

import hashlib
import warnings
from collections.abc import Sequence
from pathlib import Path


def fingerprints(images: Sequence[Path]) -> dict[str, dict]:
    """Size in bytes and BLAKE2 digest of every image file, by name."""
    return {image.name: {"size": image.stat().st_size, "blake2b": _digest(image)} for image in images}


def must_redo(record: dict, images: Sequence[Path], target: Path, options: dict, *, update: bool) -> bool:
    """Whether a group's dictionary is to be made again; says so when it would only be with ``--update``.

    An image that could not be read is tried again by itself once it has changed; one that went is not missed.

    Parameters
    ----------
    record : dict
        The ``meta`` of the dictionary; of one by an older script, which has no ``images``, nothing can be said.
    images : sequence of Path
        The group's images now.
    target : Path
        The dictionary; images not touched since it was written need no second look.
    options : dict
        The options asked for now.
    """
    if "images" not in record:
        return False
    now = {image.name: image for image in images}
    lacking = {name: entry for name, entry in record.get("unreadable", {}).items() if name in now}
    if any(_changed(now[name], entry, target) for name, entry in lacking.items()):
        return True
    known = {**record["images"], **lacking}
    counts = {
        "added": len(now.keys() - known.keys()),
        "removed": len(known.keys() - now.keys()),
        "replaced": sum(_changed(now[name], known[name], target) for name in now.keys() & known.keys()),
    }
    reasons = [f"{count} {what}" for what, count in counts.items() if count]
    reasons += [f"{key} is now {value}" for key, value in options.items() if record.get(key, value) != value]
    if reasons and not update:
        warnings.warn(f"changed since it was cut ({', '.join(reasons)}); --update redoes it", stacklevel=2)
    return bool(reasons) and update


def _changed(image: Path, entry: dict, target: Path) -> bool:
    status = image.stat()
    if status.st_size != entry["size"]:
        return True
    # A file moved in keeps its old mtime; its ctime tells.
    touched = max(status.st_mtime_ns, status.st_ctime_ns) >= target.stat().st_mtime_ns
    return touched and _digest(image) != entry["blake2b"]


def _digest(path: Path) -> str:
    """Digest of a file's content; empty where it may not be read, which is for its reader to say."""
    try:
        with path.open("rb") as f:
            return hashlib.file_digest(f, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except OSError:
        return ""
