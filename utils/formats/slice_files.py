"""Files that hold a slice each, as NRRD and MetaImage headers name them: numbered (``s%03d.raw 1 20 1``) or listed."""

import re
from collections.abc import Iterator
from pathlib import Path

from utils.reading import open_regular

# Of the width two digits: more could ask for gigabytes of spaces.
_NUMBERED = re.compile(r"([^%\s]*%0?\d{0,2}d[^%\s]*)\s+(-?\d{1,12})\s+(-?\d{1,12})\s+(-?0*[1-9]\d{0,11})(\s+\d+)?")
_LONGEST_LIST = 1 << 22


def are_named(data_file: str) -> bool:
    """Whether a header's data file is a numbering or a list of files, not a name."""
    return data_file.upper().startswith("LIST") or "%" in data_file


def slice_files(header: Path, data_file: str) -> tuple[int, Iterator[str]]:
    """How many files a header names for its slices, and their names in the order of the slices.

    Raises
    ------
    ValueError
        If they are numbered in a way that is not known.
    """
    if data_file.upper().startswith("LIST"):
        with open_regular(header) as f:
            text = f.read(_LONGEST_LIST).decode("utf-8", "replace")
        *_, listed = re.split(rf"^[^:=\n]+[:=][ \t]*{re.escape(data_file)}[ \t\r]*$", text, flags=re.MULTILINE)
        names = [name for line in listed.splitlines() if (name := line.strip())]
        return len(names), iter(names)
    numbered = _NUMBERED.fullmatch(data_file)
    if not numbered:
        known = "expected a number in it, such as s%03d.raw 1 20 1"
        raise ValueError(f"its header names slices {data_file[:80]!r}: {known}")
    first, last, step = (int(number) for number in numbered.group(2, 3, 4))
    indices = range(first, last + (1 if step > 0 else -1), step)
    return len(indices), (numbered[1] % index for index in indices)
