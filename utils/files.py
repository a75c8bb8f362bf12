"""Files: listings without litter, stems of compound names, and targets that are complete or absent."""

import contextlib
import ctypes
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

# Hidden folder beside results: their recipes, and the locks of those at work.
OWN_FOLDER = ".recipes"
# File systems take 255 bytes; suffixes, and the marks of scratch files and locks, need some of them.
LONGEST_NAME = 220

# Written by file managers and storage systems beside people's data; never data themselves.
SYSTEM_NAMES = frozenset(
    {"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx", "@eadir", "$recycle.bin", "lost+found"}
    | {"system volume information"}
)
_SUFFIX = re.compile(
    r"(\.(nii|hdr|img|gipl|nrrd|mrcs?|map|rec|st|ali|tiff?)\.(gz|bz2)|\.ome\.(tiff?|btf|zarr)"
    r"|\.[A-Za-z][A-Za-z0-9]{0,9})$",
    re.IGNORECASE,
)
# How the folders of multiscale images end.
NGFF_ENDING = re.compile(r"(\.ome)?\.(zarr|n5|precomputed|pc|xml)$", re.IGNORECASE)
_DIGITS = re.compile(r"(\d+)")


def _name(path: Path | str) -> str:
    """The last part of a path; a plain name is one, without the cost of a `Path`: folders hold many."""
    if isinstance(path, str):
        return Path(path).name if "/" in path or "\\" in path else path
    return path.name


def natural_key(path: Path | str) -> str:
    """Sort key that counts: ``z9`` comes before ``z10``.

    One string, quick to compare: each number stands as how many digits it has, then these, then as it is written.

    >>> sorted(["z10.png", "z9.png", "a.png"], key=natural_key)
    ['a.png', 'z9.png', 'z10.png']
    """
    pieces = _DIGITS.split(_name(path))
    for place in range(1, len(pieces), 2):
        number = str(int(pieces[place]))
        pieces[place] = f"{chr(len(number))}{number}{pieces[place]}"
    return "\0".join(pieces)


def is_litter(path: Path | str) -> bool:
    """Whether a path is hidden (``.DS_Store``, ``._x``, our own scratch and lock files) or a system's own file."""
    name = _name(path)
    return name.startswith((".", "~$")) or name.lower() in SYSTEM_NAMES


@dataclass(frozen=True)
class Entries:
    """What lies directly in a folder, in natural order, without hidden and system files."""

    # Regular files, links to them, and links that lead nowhere: their reader says so, silence would not.
    files: list[Path]
    folders: list[Path]
    special: list[Path]  # pipes, sockets, devices and links to them, which are no data and may never end


def list_entries(folder: Path) -> Entries:
    """List a folder in one reading; one that is not there is empty."""
    found = Entries([], [], [])
    if not folder.exists():
        return found
    with os.scandir(folder) as entries:
        for entry in sorted((e for e in entries if not is_litter(e.name)), key=lambda e: natural_key(e.name)):
            _kind_of(entry, found).append(folder / entry.name)
    return found


def _kind_of(entry: os.DirEntry[str], found: Entries) -> list[Path]:
    try:
        if entry.is_dir():
            return found.folders
        return found.files if entry.is_file() or not Path(entry.path).exists() else found.special
    except OSError:  # a link to itself, say
        return found.files


def walk(folder: Path, enters: Callable[[Path], bool], above: frozenset[Path] = frozenset()) -> Iterator[Path]:
    """A folder and all below it that are entered, parents first, in natural order.

    Links that go round are not followed; of a folder that may not be looked into, who lists its files says so.
    """
    yield folder
    here = folder.resolve()
    above = above | {here, *here.parents}
    try:
        inside = list_entries(folder).folders
    except OSError:
        return
    for inner in inside:
        if enters(inner) and inner.resolve() not in above:
            yield from walk(inner, enters, above)


def list_files(folder: Path, suffixes: Collection[str] | None = None) -> list[Path]:
    """Files directly in a folder, in natural order (see `Entries`); on demand those of some `suffixes` only.

    These are lower case, with the dot; compound ones such as ``.nii.gz`` count whole.
    """
    return [file for file in list_entries(folder).files if suffixes is None or suffix(file) in suffixes]


def suffix(path: Path | str) -> str:
    """The suffix in lower case, compound ones whole; ``''`` when the end of the name is no suffix.

    >>> suffix("brain.v1.2.NII.GZ"), suffix("cell_1.5um"), suffix("scan.ome.tif")
    ('.nii.gz', '', '.ome.tif')
    """
    found = _SUFFIX.search(_name(path))
    return found.group().lower() if found and found.start() > 0 else ""


def stem(path: Path | str) -> str:
    """The name without its suffix: removed once, from the end only; of a folder only NGFF suffixes go.

    >>> stem("a.mrc_b.mrc"), stem("brain.v1.2.nii.gz")
    ('a.mrc_b', 'brain.v1.2')
    """
    path = path if isinstance(path, Path) else Path(path)
    if path.is_dir():
        return NGFF_ENDING.sub("", path.name) or path.name
    return stem_of_file(path)


def stem_of_file(path: Path | str) -> str:
    """`stem` of what is known to be no folder."""
    name, end = _name(path), suffix(path)
    return name[: -len(end)] if end else name


def safe_name(name: str, longest: int = LONGEST_NAME) -> str:
    """Return a name that may become a file name; refuse one that would leave its folder, or that no disk takes.

    Raises
    ------
    ValueError
        If the name is empty, holds a separator, a NUL or half of a character, is ``.``, ``..`` or a drive, or has more
        than `longest` bytes.
    """
    if not name or name in {".", ".."} or re.search(r"[/\\\0]", name) or re.match(r"^[A-Za-z]:", name):
        raise ValueError(f"the name {name!r} cannot become a file name (no separators, no '..', no absolute paths)")
    try:
        length = len(os.fsencode(name))
    except UnicodeEncodeError as error:
        raise ValueError(f"the name {name!r} cannot become a file name (it holds half of a character)") from error
    if length > longest:
        raise ValueError(f"the name {name[:40]!r}... of {length} bytes is too long for a file ({longest} at most)")
    return name


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a hidden scratch path beside `target`; on success it takes the target's name, else it goes.

    The scratch keeps the target's suffix, since many libraries choose a format by it. It may be made a file or a
    folder. Its name is fixed, so that a killed run leaves at most one, which the next run replaces: hold
    `locked(target)` where two writers could meet (`utils.jobs` does).
    """
    scratch = target.with_name(f".{target.name}.part{suffix(target)}")
    target.parent.mkdir(parents=True, exist_ok=True)
    remove(scratch)
    try:
        yield scratch
        for path in [scratch, *(scratch.rglob("*") if scratch.is_dir() else [])]:
            _flush(path)
        if scratch.is_dir():
            remove(target)  # a folder takes no other's place
        scratch.replace(target)
        _flush(target.parent)
    finally:
        remove(scratch)


def write_whole(target: Path, text: str) -> None:
    """Write a text, completely or not at all, in UTF-8."""
    with atomic_path(target) as scratch:
        scratch.write_text(text, encoding="utf-8")


def write_unflushed(target: Path, text: str) -> None:
    """`write_whole` of what a power cut may take: not handed to the disk; names that are no UTF-8 keep their bytes."""
    scratch = target.with_name(f".{target.name}.part")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        scratch.write_text(text, "utf-8", "surrogateescape")
        scratch.replace(target)
    finally:  # of a full disk nothing is left
        scratch.unlink(missing_ok=True)


def expanded(text: str | Path) -> Path:
    """A path with the home folder for ``~``; of a user that there is none it stays, and leads nowhere."""
    return Path(os.path.expanduser(text))  # noqa: PTH111 - pathlib's raises RuntimeError


def is_there(path: Path) -> bool:
    """Whether a path leads to anything: where no path can be like that, it does not."""
    return os.path.exists(path)  # noqa: PTH110 - pathlib's raises there


def resolved(path: Path | str) -> Path:
    """A path without links: of links that lead in a circle, as far as they can be followed."""
    return Path(os.path.realpath(path))


def remove(path: Path) -> None:
    """Remove a file, a link or a folder with all that is in it; nothing when it is not there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def remove_if_empty(folder: Path) -> None:
    """Remove a folder with nothing in it."""
    with contextlib.suppress(OSError):
        folder.rmdir()


def flush_all(folder: Path) -> None:
    """Hand all files of a folder to the disk, by one call where the system has one."""
    if not _sync_file_system(folder):
        for path in folder.iterdir():
            _flush(path)


def _sync_file_system(folder: Path) -> bool:
    """Linux's syncfs; False where there is none or it fails."""
    try:
        call = ctypes.CDLL(None, use_errno=True).syncfs
    except (AttributeError, OSError, TypeError):
        return False
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        return bool(call(descriptor) == 0)
    finally:
        os.close(descriptor)


def _flush(path: Path) -> None:
    """Hand a file's or folder's data to the disk, so that a power cut after a rename cannot leave it empty."""
    if os.name == "nt" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_of(path: Path, *, flush: bool = False) -> str:
    """SHA-256 of a file, in hex; with `flush` the file is handed to the disk, too."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
        if flush:
            os.fsync(file.fileno())
        return found
