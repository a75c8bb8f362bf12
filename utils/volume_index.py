"""Volumes by the names that their patches carry."""

import functools
from collections.abc import Sequence
from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from typing import Any

from utils.components import by_key
from utils.dataset_table import HEADERS_ONLY, TableOptions
from utils.files import resolved
from utils.foreign_text import json_file
from utils.names import format_roi, parse_level, parse_roi, parsed
from utils.redaction import say
from utils.sources import VolumeSource, volume_sources


class VolumeIndex:
    """Finds the volume of a name.

    Places are what `utils.sources.volume_sources` takes; what lies there and is no volume is `passed_over`. Volumes
    that patches cannot tell apart are `shared`, by their name.

    Raises
    ------
    UsageError
        If a place holds no volume.
    """

    def __init__(
        self, places: Sequence[str], table_options: TableOptions = HEADERS_ONLY, *, recursive: bool = False
    ) -> None:
        self.passed_over: list[Path] = []
        sources: dict[tuple[Any, ...], VolumeSource] = {}
        for place in places:
            found, others = volume_sources(place, table_options=table_options, recursive=recursive)
            self.passed_over += others
            for source in (s for s in found if s.problem):
                say(f"{source}: {source.problem}")
            sources |= {(source.name, _resolved(source.address)): source for source in found}
        table_options.say_unmatched([source.name for source in sources.values()])
        by_name = by_key(sources.values(), attrgetter("name"))
        self._folders = sorted({path.parent for s in sources.values() if isinstance(path := s.address, Path)})
        self._by_name = {name: same[0] for name, same in by_name.items()}
        self.shared = {name: same for name, same in by_name.items() if len(same) > 1}
        images = [source for source in sources.values() if source.level is not None and not source.problem]
        self._images = by_key(images, lambda source: parse_level(source.name)[0])

    def _in_dataset(self, name: str) -> str | None:
        """The name in the dataset's own coordinates of a region whose name counts from the level's first voxel.

        Earlier versions named regions so; the record beside the cubes tells where the level begins.
        """
        try:
            dataset, spans = parse_roi(name)
            image, level = parse_level(dataset)
        except ValueError:
            return None
        for folder in self._folders:
            offset = _recorded_offset(folder / f"{image}.json", level)
            if any(offset):
                z, y, x = ((a + shift, b + shift) for (a, b), shift in zip(spans, offset, strict=True))
                return format_roi(dataset, z, y, x)
        return None

    def find(self, name: str) -> VolumeSource | None:
        """The volume of this very name; of an image with levels, ``x_s2`` is found where ``x_s0`` was listed."""
        if name in self._by_name:
            return self._by_name[name]
        if (own := self._in_dataset(name)) in self._by_name:
            return replace(self._by_name[own], name=name)
        found = parsed(parse_level, name)
        if found is None:
            return None
        image, level = found
        levels = self._images.get(image, [])
        if len({_resolved(source.address) for source in levels}) != 1:
            return None
        return replace(levels[0], name=name, level=level)


@functools.cache
def _recorded_offset(path: Path, level: int) -> tuple[int, ...]:
    """Where a level of a sampled dataset begins, z, y, x, if its cubes' names count that in; else nothing."""
    record = json_file(path)
    if record.get("coordinates") != "dataset" or record.get("level") != level:
        return ()
    offset = record.get("voxel_offset")
    return tuple(offset) if isinstance(offset, list) and [type(n) for n in offset] == [int] * 3 else ()


def _resolved(address: Path | str) -> str:
    return address if isinstance(address, str) and "://" in address else str(resolved(address))
