"""Weights files: the bundled one, a path, or a download that is cached where torch.hub caches.

A cached file is complete and was checked; its size and SHA-256 are stored beside it. torch is imported late, so that
``--help`` stays quick.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from utils.classification.download import FetchError, RetryPolicy, download
from utils.cli import UsageError
from utils.files import atomic_path, expanded, sha256_of, write_whole
from utils.foreign_text import json_file
from utils.locks import locked
from utils.redaction import redacted, say

RECORD = "https://zenodo.org/records/6458015"
FILE_NAME = "patch_quality_classifier_nn.pth"
# Two forms of one file: the site's own, and the API's, which outlives redesigns of the site.
ZENODO_URLS = (
    f"{RECORD}/files/{FILE_NAME}?download=1",
    f"https://zenodo.org/api/records/6458015/files/{FILE_NAME}/content",
)
LITE = Path(__file__).with_name("lite_weights.pth")

Check = Callable[[Path], object]


def find_weights(weights: str, check: Check, sha256: str | None = None) -> Path:
    """Find or fetch a weights file: ``zenodo``, ``lite``, a URL (http, https) or a path; one that passed `check`.

    `check` raises ValueError when a file does not hold weights; nothing that fails is cached. `sha256`, in hex, is that
    of the only content to accept.

    Raises
    ------
    FetchError
        If it cannot be fetched; the message says where to put the file instead.
    FileNotFoundError
        If a path does not exist.
    ValueError
        If the file does not hold weights, or not those with that SHA-256.
    UsageError
        If `sha256` is none.
    """
    wanted, path = _pin(sha256), local_path(weights)
    if weights == "zenodo":
        return fetch_cached(ZENODO_URLS, path.name, check, sha256=wanted, page=RECORD)
    if _is_url(weights):
        return fetch_cached([weights], path.name, check, sha256=wanted)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such weights file; --weights takes zenodo, lite, a path or a URL")
    _refuse_other(path, wanted, path)
    check(path)
    return path


def local_path(weights: str) -> Path:
    """Where weights lie on this machine, or will lie once they are fetched."""
    if weights == "zenodo":
        return cache_folder() / FILE_NAME
    if _is_url(weights):
        return cache_folder() / cache_name(weights)
    return LITE if weights == "lite" else expanded(weights)


def _is_url(weights: str) -> bool:
    return weights.lower().startswith(("http://", "https://"))


def fetch_cached(
    urls: Sequence[str],
    name: str,
    check: Check,
    *,
    sha256: str | None = None,
    page: str = "",
    instead: str = "use the bundled model with --weights lite",
) -> Path:
    """Take a file from the cache, where it has this name, or fetch it from the first URL that serves it.

    `check` and `sha256` are as in `find_weights`. The message says from which `page` (else the first URL) a person
    would fetch it, and what to do `instead`.

    Raises
    ------
    FetchError
        If no URL serves it; the message says what to do by hand.
    """
    target = cache_folder() / name
    if not _problem(target, check, sha256):
        return target  # without a lock: a cache that several users share may be read-only
    with locked(target):
        if not (problem := _problem(target, check, sha256)):
            return target
        if target.exists():
            say(f"{target}: {problem}; fetching it again")
        if reasons := _fetch(urls, target, check, sha256):
            raise FetchError(
                f"cannot fetch the weights ({'; '.join(reasons)}). Fetch {name} from {page or urls[0]} elsewhere "
                f"and put it into {target.parent}, or {instead}"
            )
    return target


def cache_folder() -> Path:
    """Where torch.hub keeps checkpoints (``TORCH_HOME`` moves it), told without the time that importing torch takes."""
    home = os.environ.get("TORCH_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "torch"
    return expanded(home) / "hub" / "checkpoints"


def cache_name(url: str) -> str:
    """A file name for a URL: its basename and a digest of all of it, since many URLs end alike."""
    base = re.sub(r"[^A-Za-z0-9._-]", "_", urlsplit(url).path.rpartition("/")[2])[-80:].lstrip(".")
    name = Path(base or "weights.pth")
    return f"{name.stem}-{hashlib.sha256(url.encode()).hexdigest()[:16]}{name.suffix or '.pth'}"


def record_of(target: Path) -> Path:
    """The file beside a cached one that holds its origin, size and SHA-256."""
    return target.with_name(f"{target.name}.json")


def _problem(target: Path, check: Check, wanted: str | None) -> str:
    """Why a cached file cannot be used; empty when it can. One that was put there by hand is recorded."""
    if not target.is_file():
        return "not there"
    digest, seen = sha256_of(target), str(json_file(record_of(target)).get("sha256") or "")
    if wanted and digest != wanted:
        return f"its SHA-256 is {digest}, not {wanted}"
    if seen and seen != digest:
        return f"its SHA-256 is {digest}, but {seen} when it was stored"
    try:
        check(target)
    except ValueError as error:
        return str(error)
    if not seen:
        with suppress(PermissionError):
            _remember(target, "put there by hand", digest, target.stat().st_size)
    return ""


def _fetch(urls: Sequence[str], target: Path, check: Check, wanted: str | None) -> list[str]:
    """Try each URL; returns why they all failed, or nothing when one served."""
    reasons = []
    scratch = target
    for url in urls:
        try:
            with atomic_path(target) as scratch:
                digest, size = download(url, scratch, RetryPolicy())
                _refuse_other(scratch, wanted, "what came")
                check(scratch)
                _remember(target, url, digest, size)
        except (FetchError, ValueError) as error:
            reasons.append(f"{url}: {str(error).replace(str(scratch), 'what came')}")
        else:
            say(f"{target}: {size} bytes, SHA-256 {digest}")
            return []
    return reasons


def _pin(sha256: str | None) -> str | None:
    if sha256 is None:
        return None
    if not re.fullmatch(r"[0-9a-fA-F]{64}", sha256.strip()):
        raise UsageError(f"--sha256 {sha256!r} is no SHA-256: expected 64 hexadecimal digits")
    return sha256.strip().lower()


def _refuse_other(path: Path, wanted: str | None, origin: object) -> None:
    if wanted and (digest := sha256_of(path)) != wanted:
        raise ValueError(f"{origin} has the SHA-256 {digest}, expected {wanted}")


def _remember(target: Path, origin: str, digest: str, size: int) -> None:
    write_whole(record_of(target), json.dumps({"origin": redacted(origin), "size": size, "sha256": digest}) + "\n")
