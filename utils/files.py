"""Files: listings without litter, stems of compound names, complete-or-absent targets, and locks."""

import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

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


def natural_key(path: Path | str) -> list[tuple[bool, int, str]]:
    """Sort key that counts: ``z9`` comes before ``z10``.

    >>> sorted(["z10.png", "z9.png", "a.png"], key=natural_key)
    ['a.png', 'z9.png', 'z10.png']
    """
    name = Path(path).name
    return [(t.isdecimal(), int(t) if t.isdecimal() else 0, t) for t in re.split(r"(\d+)", name)]


def is_litter(path: Path) -> bool:
    """Whether a path is hidden (``.DS_Store``, ``._x``, our own scratch and lock files) or a system's own file."""
    return path.name.startswith((".", "~$")) or path.name.lower() in SYSTEM_NAMES


def list_files(folder: Path, suffixes: Iterable[str] | None = None) -> list[Path]:
    """Files directly in a folder, in natural order, without hidden and system files.

    Parameters
    ----------
    folder : Path
    suffixes : iterable of str, optional
        Keep only these (lower case, with the dot; compound ones such as ``.nii.gz`` count whole).
    """
    wanted = None if suffixes is None else frozenset(suffixes)
    with os.scandir(folder) as entries:
        # A link that leads nowhere counts: its reader says so, silence would not.
        files = [Path(folder, e.name) for e in entries if e.is_file() or (e.is_symlink() and not e.is_dir())]
    return sorted((f for f in files if not is_litter(f) and (wanted is None or suffix(f) in wanted)), key=natural_key)


def list_dirs(folder: Path) -> list[Path]:
    """Folders directly in a folder, in natural order, without hidden and system ones."""
    with os.scandir(folder) as entries:
        folders = [Path(folder, e.name) for e in entries if e.is_dir()]
    return sorted((f for f in folders if not is_litter(f)), key=natural_key)


def suffix(path: Path | str) -> str:
    """The suffix in lower case, compound ones whole; ``''`` when the end of the name is no suffix.

    >>> suffix("brain.v1.2.NII.GZ"), suffix("cell_1.5um"), suffix("scan.ome.tif")
    ('.nii.gz', '', '.ome.tif')
    """
    found = _SUFFIX.search(Path(path).name)
    return found.group().lower() if found and found.start() > 0 else ""


def stem(path: Path | str) -> str:
    """The name without its suffix: removed once, from the end only; of a folder only NGFF suffixes go.

    >>> stem("a.mrc_b.mrc"), stem("brain.v1.2.nii.gz")
    ('a.mrc_b', 'brain.v1.2')
    """
    path = Path(path)
    if path.is_dir():
        return NGFF_ENDING.sub("", path.name) or path.name
    end = suffix(path)
    return path.name[: -len(end)] if end else path.name


def safe_name(name: str) -> str:
    """Return a name that may become a file name; refuse one that would leave its folder.

    Raises
    ------
    ValueError
        If the name is empty, holds a separator or a NUL, or is ``.`` or ``..`` or a drive.
    """
    if not name or name in {".", ".."} or re.search(r"[/\\\0]", name) or re.match(r"^[A-Za-z]:", name):
        raise ValueError(f"the name {name!r} cannot become a file name (no separators, no '..', no absolute paths)")
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
    _remove(scratch)
    try:
        yield scratch
        for path in [scratch, *(scratch.rglob("*") if scratch.is_dir() else [])]:
            _flush(path)
        scratch.replace(target)
        _flush(target.parent)
    finally:
        _remove(scratch)


@contextmanager
def locked(target: Path) -> Iterator[None]:
    """Hold the one lock on a target: waits while another live process writes it; a dead one never blocks."""
    from filelock import FileLock

    target.parent.mkdir(parents=True, exist_ok=True)
    lock_file = target.with_name(f".{target.name}.lock")
    with FileLock(lock_file):
        try:
            yield
        finally:
            if os.name == "posix":  # FileLock notices that its file went and tries again; Windows removes its own
                lock_file.unlink(missing_ok=True)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    """Hand a file's or folder's data to the disk, so that a power cut after a rename cannot leave it empty."""
    if os.name == "nt" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
