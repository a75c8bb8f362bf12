"""Fingerprints: what tells whether files still hold what they held, without reading them where that can be avoided."""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import xxhash

from utils.files import is_litter

# Of a file beyond this size evenly spread blocks are digested, the first and the last among them.
WHOLE_BYTES = 16 << 30
BLOCKS = 4096
BLOCK_BYTES = 1 << 20


class Fingerprint(NamedTuple):
    """Size and time of files, compared for equality, and the digest that decides where these differ."""

    size: int  # bytes in all; -1 where there is no file
    # Modification time and the system's own time of the last change, in ns, added: whoever puts another file in a
    # file's place can give it the same date, not the same change. Of several files a hash of their names, sizes and
    # stamps.
    stamp: int
    digest: str = ""  # XXH3 of the content, 128 bits in hexadecimal; empty where it was not computed or not readable

    def looks_like(self, other: "Fingerprint") -> bool:
        """Whether size and time are the same: no reason to read the content."""
        return (self.size, self.stamp) == (other.size, other.stamp)


NO_FILE = Fingerprint(-1, 0)


def glance(paths: Sequence[Path]) -> Fingerprint:
    """Size and time of a file, or of several files and folders that are one input; the digest is left empty."""
    if len(paths) == 1 and not paths[0].is_dir():
        try:
            status = paths[0].stat()
        except OSError:
            return NO_FILE
        return Fingerprint(status.st_size, status.st_mtime_ns + status.st_ctime_ns)
    total, stamps = 0, xxhash.xxh3_64()
    try:
        for name, path in _members(paths):
            size, stamp, _ = glance([path])
            total += max(0, size)
            stamps.update(f"{name}\0{size}\0{stamp}\0".encode("utf-8", "surrogateescape"))
    except OSError:  # a folder that may not be looked into
        return NO_FILE
    return Fingerprint(total, stamps.intdigest() if paths else 0)


def fingerprint(paths: Sequence[Path]) -> Fingerprint:
    """The whole fingerprint; reads the content."""
    return glance(paths)._replace(digest=digest(paths))


def digest(paths: Sequence[Path]) -> str:
    """The content's digest: of one file as it is, of several with their names; empty where one cannot be read."""
    try:
        if len(paths) == 1 and not paths[0].is_dir():
            return _digest_of_file(paths[0])
        whole = xxhash.xxh3_128()
        for name, path in _members(paths):
            whole.update(f"{name}\0{_digest_of_file(path)}\0".encode("utf-8", "surrogateescape"))
        return whole.hexdigest()
    except OSError:  # which file, and why, is for its reader to say
        return ""


def _members(paths: Sequence[Path]) -> Iterator[tuple[str, Path]]:
    """All files, those of folders with their path inside, in an order that no machine changes."""
    for path in paths:
        if path.is_dir():
            for inner in sorted(_walk(path)):
                yield inner, path / inner
        else:
            yield path.name, path


def _walk(folder: Path) -> Iterable[str]:
    """All files by their path inside; of links that go round, or lead to one folder, the first is followed."""
    seen = {_identity(folder)}
    for top, folders, names in os.walk(folder, followlinks=True, onerror=_give_up):
        inside, folders[:] = sorted(folders), []
        for name in inside:
            if not _is_noise(name) and (there := _identity(Path(top, name))) not in seen:
                seen.add(there)
                folders.append(name)
        for name in names:
            if not _is_noise(name):
                yield Path(top, name).relative_to(folder).as_posix()


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _give_up(error: OSError) -> None:
    raise error


def _is_noise(name: str) -> bool:
    """Hidden and system files; the hidden metadata of Zarr is none."""
    return is_litter(name) and not name.startswith(".z")


def _digest_of_file(path: Path) -> str:
    state = xxhash.xxh3_128()
    if not path.is_file():  # a header may name a device, which never ends, or a pipe, which is waited for
        raise OSError(f"{path} is no regular file")
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        buffer = memoryview(bytearray(BLOCK_BYTES))
        if size > WHOLE_BYTES:
            for block in range(BLOCKS):
                file.seek(block * (size - BLOCK_BYTES) // (BLOCKS - 1))
                state.update(buffer[: file.readinto(buffer)])
            return f"{state.hexdigest()}-{size}"
        while count := file.readinto(buffer):
            state.update(buffer[:count])
    return state.hexdigest()
