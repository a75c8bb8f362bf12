"""Whether a file that only SimpleITK reads holds all voxels: ITK fills up what is missing with what its memory held."""

import re
from pathlib import Path

from isal import igzip

from utils.files import suffix
from utils.reading import open_regular

_PIECE = 1 << 20
_HEADER_BYTES = {".gipl": 256, ".gipl.gz": 256, ".pic": 76}
# Of a legacy VTK file: the last line before the values.
_VTK_HEAD = re.compile(rb"\n(LOOKUP_TABLE|COLOR_SCALARS|VECTORS|NORMALS|TENSORS)[^\n]*\n")


def require_all_voxels(path: Path, nbytes: int, values: int) -> None:
    """Refuse a GIPL, VTK, Bio-Rad or Stimulate file without the voxels that its header promises; of others ITK tells.

    They are so many bytes, and so many numbers (ValueError).
    """
    ending = suffix(path)
    if ending == ".vtk":
        _require_vtk(path, nbytes, values)
    elif ending in _HEADER_BYTES:
        head = _HEADER_BYTES[ending]
        _require(_unpacked_size(path) if ending.endswith(".gz") else path.stat().st_size, head + nbytes, "bytes")
    elif ending == ".spr" and (data := path.with_suffix(".sdt")).exists():
        _require(data.stat().st_size, nbytes, "bytes")


def _require_vtk(path: Path, nbytes: int, values: int) -> None:
    with open_regular(path) as f:
        begin = f.read(1 << 16)
        head = _VTK_HEAD.search(begin)
        start = head.end() if head else 0
        if not re.match(rb"[^\n]*\n[^\n]*\n\s*ASCII", begin):
            _require(path.stat().st_size - start, nbytes, "bytes")
            return
        f.seek(start)
        found, within = 0, False
        while piece := f.read(_PIECE):
            words = len(piece.split())
            found += words - (within and not piece[:1].isspace())  # a number that began in the piece before
            within = not piece[-1:].isspace()
        _require(found, values, "numbers")


def _unpacked_size(path: Path) -> int:
    size = 0
    with open_regular(path) as packed, igzip.IGzipFile(fileobj=packed) as f:  # type: ignore[no-untyped-call]
        while piece := f.read(_PIECE):
            size += len(piece)
    return size


def _require(stored: int, wanted: int, what: str) -> None:
    if stored < wanted:
        raise ValueError(f"the file is cut short: {stored} {what} where its header promises {wanted}")
