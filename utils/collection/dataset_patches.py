"""One pass over the patches of a dataset: their decisions, rows of the manifest, small pictures and places."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import numpy as np

from utils.collection.failures import reason_of
from utils.collection.inventory import Part
from utils.collection.manifest import row_of
from utils.collection.overviews import Overviews
from utils.collection.pixels import read_patch
from utils.collection.sprites import THUMB, fit
from utils.dictionaries import load_patches
from utils.records.scores import Score


@dataclass
class Gathered:
    """What one pass over a dataset's patches leaves.

    Attributes
    ----------
    parts : list of Part
        Those that could be read.
    failures : dict
        Path -> reason, of what could not.
    """

    decisions: list[Score] = field(default_factory=list)
    sources: dict[str, int] = field(default_factory=dict)
    where: list[tuple[int, str]] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    contrast: list[float] = field(default_factory=list)
    pictures: int = 0
    shapes: dict[str, Sequence[int]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)


def gather(parts: Sequence[Part], free: Mapping[str, str], split: str, thumbs: np.ndarray, over: Overviews) -> Gathered:
    """Look at every patch once, one dictionary after another; a dictionary that cannot be read costs its own only.

    Parameters
    ----------
    parts : sequence of Part
    free : mapping of str to str
        Free columns of the manifest.
    split : str
    thumbs : ndarray of uint8, shape (n, side, side)
        Filled here.
    over : Overviews
        Filled here.
    """
    found = Gathered()
    for part in parts:
        path = part.table
        try:
            said = list(part.decisions())
            path = part.dictionary or part.table
            pixels = Pixels(part, found.failures)
            shape = _shape(part)
        except (OSError, ValueError) as error:
            found.failures[str(path)] = reason_of(error, path)
            found.warnings.append(f"failed: {path.name} cannot be read")
            continue
        found.parts.append(part)
        if isinstance(unreadable := part.meta.get("unreadable"), list | tuple | dict) and unreadable:
            found.warnings.append(f"{len(unreadable)} images of {part.name} could not be read")
        if shape:
            found.shapes[part.name] = shape
        over.begin(part, said, shape)
        for decision in said:
            _add(found, part, decision, pixels, free, split, thumbs, over)
    return found


def _shape(part: Part) -> list[int] | None:
    shape = part.meta.get("shape")
    return [int(side) for side in shape] if isinstance(shape, list | tuple) and len(shape) == 3 else None


def _add(
    found: Gathered,
    part: Part,
    decision: Score,
    pixels: "Pixels",
    free: Mapping[str, str],
    split: str,
    thumbs: np.ndarray,
    over: Overviews,
) -> None:
    source, loc = _split_name(decision.name)
    found.where.append((found.sources.setdefault(source, len(found.sources)), loc))
    patch, hash_, sha = *pixels.of(decision), ""
    if patch is not None:
        thumbs[len(found.decisions)] = fit(patch, THUMB)
        sha = sha256(np.ascontiguousarray(patch).tobytes()).hexdigest()
        found.contrast.append(float(patch[::4, ::4].std()))
        found.pictures += 1
        over.paste(decision.name, patch)
    found.rows.append(row_of(part, decision, hash_=hash_, sha256=sha, split=split, free=free))
    found.decisions.append(decision)


class Pixels:
    """Pixels and hash of a part's patches, where these are at hand.

    Parameters
    ----------
    part : Part
    failures : dict
        Takes the TIFFs that cannot be read.

    Raises
    ------
    ValueError, OSError
        If the dictionary cannot be read.
    """

    def __init__(self, part: Part, failures: dict[str, str]) -> None:
        self._part, self._failures = part, failures
        self._content = load_patches(part.dictionary) if part.dictionary is not None else {"names": []}
        self._index = {name: i for i, name in enumerate(self._content["names"])}
        hashes = self._content.get("hashes")
        self._hashes = hashes if hashes is not None and len(hashes) == len(self._content["names"]) else None

    def of(self, decision: Score) -> tuple[np.ndarray | None, str]:
        """Pixels and hash; None and empty where they are not at hand.

        Returns
        -------
        pixels, hash : ndarray of uint8, shape (h, w), or None; and str
        """
        if self._part.dictionary is None:
            return (self._tiff(decision) if decision.kept else None), ""
        at = self._index.get(decision.name)
        if at is None:
            return None, ""
        return self._content["patches"][at], "" if self._hashes is None else _hex(self._hashes[at])

    def _tiff(self, decision: Score) -> np.ndarray | None:
        path = self._part.path(decision.name)
        try:
            return read_patch(path)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            self._failures[str(path)] = reason_of(error, path)
            return None


def _hex(bits: Any) -> str:
    return "".join(f"{int(word):016x}" for word in np.atleast_1d(bits))


def _split_name(name: str) -> tuple[str, str]:
    source, _, loc = name.rpartition("-LOC-")
    return (source, loc) if source else ("", name)
