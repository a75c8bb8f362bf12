"""What a folder of classified patches holds: its tables, their rows, and the kept patches' files."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import Any

from utils.axes import Lengths
from utils.cli import UsageError
from utils.collection.ledger import NothingLeftError
from utils.components import by_key
from utils.dictionaries import load_meta
from utils.files import list_files, walk
from utils.names import dataset_of
from utils.records.kept_patch import possible_size, read_description
from utils.records.scores import Score, is_scores_table, read_scores

# Kept patches among which one is looked for that remembers its volume.
LOOKS = 16


@dataclass(frozen=True)
class Part:
    """One classified dictionary: its table, beside which kept patches lie, and the ``.pkl`` where that is at hand."""

    name: str
    table: Path
    dictionary: Path | None = None

    @property
    def dataset(self) -> str:
        """The dataset that the dictionary belongs to."""
        return dataset_of(self.name)

    @property
    def folder(self) -> Path:
        """Where its kept patches lie."""
        return self.table.parent / self.dataset

    def decisions(self) -> Iterator[Score]:
        """The rows of the table, one after another; raises as `read_scores` does."""
        return read_scores(self.table)

    def path(self, name: str) -> Path:
        """The TIFF of a kept patch."""
        return self.folder / f"{name}.tiff"

    @cached_property
    def meta(self) -> Mapping[str, Any]:
        """What the dictionary remembers, or else what a kept patch does; empty where neither is there."""
        if self.dictionary is not None:
            return load_meta(self.dictionary)
        kept = (self.path(decision.name) for decision in self.decisions() if decision.kept)
        for path in islice((path for path in kept if path.is_file()), LOOKS):
            with suppress(OSError, ValueError):  # whoever reads its pixels says so
                if (said := read_description(path)).keys() & {"source", "voxel_size"}:
                    return said
        return {}

    @property
    def voxel_size(self) -> Lengths | None:
        """z, y, x in nm; None where it is not known."""
        return possible_size(self.meta.get("voxel_size"))


def list_parts(filtered: Path, dedupe_dirs: Sequence[Path] = ()) -> list[Part]:
    """The tables in a folder of classify_patches.py, or a folder of such folders, in natural order, each a `Part`.

    Their dictionaries are looked for in `dedupe_dirs` and the folders in them.

    Raises
    ------
    NothingLeftError
        If there is no table.
    UsageError
        If dictionaries of one name cannot be told apart.
    """
    found = [Part(path.stem, path) for path in _files_below(filtered, ".csv") if is_scores_table(path)]
    if not found:
        why = "no tables of classify_patches.py (CSV: name,score,kept) in it" if filtered.is_dir() else "no such folder"
        raise NothingLeftError(f"{filtered}: {why}")
    if not dedupe_dirs:
        return found
    at_hand = dictionaries(dedupe_dirs)
    return [Part(part.name, part.table, _of_part(part, at_hand.get(part.name, []))) for part in found]


def by_dataset(parts: Iterable[Part]) -> dict[str, list[Part]]:
    """Parts by the dataset that they belong to."""
    return by_key(parts, attrgetter("dataset"))


def dictionaries(dedupe_dirs: Sequence[Path]) -> dict[str, list[Path]]:
    """Patch dictionaries by their names, in natural order; folders are searched through."""
    found: dict[str, list[Path]] = {}
    for folder in dedupe_dirs:
        for path in _files_below(folder, ".pkl"):
            if path not in found.setdefault(path.stem, []):
                found[path.stem].append(path)
    return found


def _of_part(part: Part, paths: Sequence[Path]) -> Path | None:
    """The dictionary of a table: of several of its name the one in a folder of the same name (``2d`` or ``3d``)."""
    if len(paths) > 1:
        paths = [path for path in paths if path.parent.name == part.table.parent.name]
        if len(paths) != 1:
            raise UsageError(f"{part.table}: several dictionaries are called {part.name}.pkl; rename all but one")
    return paths[0] if paths else None


def _files_below(folder: Path, ending: str) -> Iterator[Path]:
    """Files of an ending, in natural order; folders of kept patches are not looked through."""
    kept: set[Path] = set()
    for place in walk(folder, lambda inner: inner not in kept):
        wanted = list_files(place, {ending})
        kept.update(place / dataset_of(path.stem) for path in wanted)
        yield from wanted
