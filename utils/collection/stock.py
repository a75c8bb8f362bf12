"""Pixels of the patches that are looked at, and of the slices around them."""

import threading
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from utils.collection.label_queue import Item
from utils.collection.pixels import read_patch
from utils.contrast import to_uint8
from utils.dictionaries import PatchFile, load_meta
from utils.names import parse_name, parsed
from utils.records.kept_patch import possible_contrast, read_description

OPEN_VOLUMES = 4


class Stock:
    """Gives the pixels of items: from TIFFs, or from dictionaries, each of which is read once.

    What is wanted of a dictionary is kept in a scratch folder, so that memory holds one patch at a time.
    """

    def __init__(self, items: Sequence[Item], scratch: Path) -> None:
        self._items, self._scratch = items, scratch
        self._lock = threading.Lock()
        self._wanted: dict[Path, list[int]] = {}
        self._places: dict[int, tuple[Path, int, tuple[int, int]]] = {}
        for i, item in enumerate(items):
            if item.where.suffix == ".pkl":
                self._wanted.setdefault(item.where, []).append(i)

    def pixels(self, i: int) -> np.ndarray:
        """Pixels of item `i`.

        Returns
        -------
        ndarray of uint8, shape (h, w)

        Raises
        ------
        ValueError, OSError
            If they cannot be read.
        """
        item = self._items[i]
        if item.where.suffix != ".pkl":
            return read_patch(item.where)
        with self._lock:
            if i not in self._places:
                self._unpack(item.where)
        if i not in self._places:
            raise ValueError(f"{item.where}: no patch {item.name!r} in it; classify it again")
        path, offset, shape = self._places[i]
        return np.fromfile(path, np.uint8, count=shape[0] * shape[1], offset=offset).reshape(shape)

    def _unpack(self, dictionary: Path) -> None:
        path, offset = self._scratch / f"{len(list(self._scratch.iterdir()))}.raw", 0
        with PatchFile(dictionary) as content, path.open("wb") as file:
            index = {name: at for at, name in enumerate(content.names)}
            for i in self._wanted[dictionary]:
                if (at := index.get(self._items[i].name)) is not None:
                    (patch,) = content.read([at])
                    self._places[i] = (path, offset, patch.shape)
                    offset += file.write(patch.tobytes())


class Neighbours:
    """Cuts the slices before and after a patch from its volume, which `utils.volume_index.VolumeIndex` finds."""

    def __init__(self, places: Sequence[str]) -> None:
        from utils.volume_index import VolumeIndex

        self._index = VolumeIndex(places)
        self._volume = lru_cache(OPEN_VOLUMES)(self._opened)
        self._lock = threading.Lock()

    def cut(self, item: Item, step: int) -> np.ndarray | None:
        """The same box `step` slices on; None where there is no such slice or volume.

        Returns
        -------
        ndarray of uint8, shape (h, w), or None
        """
        place = parsed(parse_name, item.name)
        if place is None or place.axis is None:
            return None
        with self._lock:
            volume = self._volume(place.source)
            index = place.first + step
            if volume is None or not 0 <= index < volume.shape[place.axis]:
                return None
            box: list[slice] = [slice(place.box.y0, place.box.y1), slice(place.box.x0, place.box.x1)]
            box.insert(place.axis, slice(index, index + 1))
            cut = np.squeeze(volume[tuple(box)], place.axis)
        # The window by which the patch itself was converted.
        meta = load_meta(item.where) if item.where.suffix == ".pkl" else read_description(item.where)
        return to_uint8(cut, possible_contrast(meta.get("contrast")) or "percentile")

    def _opened(self, name: str) -> Any:
        source = self._index.find(name)
        return source.open() if source else None
