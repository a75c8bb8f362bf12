"""Pictures of whole volumes and images, on which the page of a dataset draws the box of each patch."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from utils.collection.inventory import Part
from utils.contact_sheet import fit
from utils.contrast import to_uint8
from utils.names import parse_name, parsed
from utils.outcomes import describe
from utils.records.kept_patch import possible_contrast
from utils.records.scores import Score

if TYPE_CHECKING:
    from utils.volume_index import VolumeIndex

OVERVIEW = 192
OVERVIEW_SHEET = 6
# Gray where nothing is shown.
AROUND = 40
# Of a slice so many rows and columns are read, evenly spread.
SAMPLED = 768


@dataclass
class Overviews:
    """Pictures by volume and axis: the middle slice of the volume where that is at hand, else its patches.

    Of patches those that lie nearest to the middle slice are put together. There are `most` pictures at most.
    `sizes` of the whole planes, rows and columns, are told by volume and axis, which is -1 in an image.
    """

    volumes: "VolumeIndex | None" = None
    most: int = 2000
    sizes: dict[tuple[str, int], tuple[int, int]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    _pictures: dict[tuple[str, int], np.ndarray] = field(default_factory=dict)
    _whole: set[tuple[str, int]] = field(default_factory=set)
    _nearest: dict[tuple[Any, ...], float] = field(default_factory=dict)
    _extents: dict[str, tuple[int, int]] = field(default_factory=dict)
    _shape: Sequence[int] | None = None

    def begin(self, part: Part, decisions: Sequence[Score], shape: Sequence[int] | None) -> None:
        """Take up the patches of a part; `shape` is that of its volume, z, y, x, where it is known."""
        self._shape, self._extents = shape, {}
        axes: dict[str, set[int]] = {}
        for decision in decisions:
            if place := parsed(parse_name, decision.name):
                y, x = self._extents.get(place.source, (0, 0))
                self._extents[place.source] = (max(y, place.box.y1), max(x, place.box.x1))
                if place.axis is not None:
                    axes.setdefault(place.source, set()).add(place.axis)
        for source, own in axes.items() if self.volumes else ():
            self._slices(source, sorted(own), part.meta.get("contrast"))

    def _slices(self, source: str, axes: Sequence[int], contrast: object) -> None:
        """Take the middle slices of a volume that is at hand."""
        assert self.volumes is not None
        found = self.volumes.find(source)
        if found is None:
            return
        try:
            with found.open() as volume:
                window = possible_contrast(contrast) or "percentile"
                for axis in axes:
                    rows, columns = (side for i, side in enumerate(volume.shape) if i != axis)
                    if self._start((source, axis), (rows, columns)):
                        middle = to_uint8(_middle(volume, axis), window)
                        self._pictures[source, axis] = fit(middle, OVERVIEW, AROUND, centred=False)
                        self._whole.add((source, axis))
        except (OSError, ValueError, LookupError) as error:
            self.failures[str(found)] = f"no overview: {describe(error)}"

    def paste(self, name: str, patch: np.ndarray) -> None:
        """Paste a patch, unless the whole slice is there, or a patch nearer to the middle has been.

        Parameters
        ----------
        name : str
        patch : ndarray of uint8, shape (h, w)
        """
        place = parsed(parse_name, name)
        if place is None:
            return
        axis, distance = -1 if place.axis is None else place.axis, 0.0
        size = self._extents[place.source]
        if place.axis is not None and self._shape is not None:
            rows, columns = (self._shape[i] for i in range(3) if i != place.axis)
            size, distance = (rows, columns), abs(place.first - self._shape[place.axis] / 2)
        elif place.axis is not None:
            distance = float(place.first)
        key = (place.source, axis)
        self._start(key, size)
        if key in self.sizes and key not in self._whole:
            self._add(key, tuple(place.box), distance, patch)

    def _start(self, key: tuple[str, int], size: tuple[int, int]) -> bool:
        """Begin the picture of a plane, if there is room for one more; whether it was begun."""
        if key in self.sizes or len(self.sizes) >= self.most:
            return False
        self.sizes[key] = size
        self._pictures[key] = np.full((OVERVIEW, OVERVIEW), AROUND, np.uint8)
        return True

    def _add(self, key: tuple[str, int], box: tuple[int, ...], distance: float, patch: np.ndarray) -> None:
        from PIL import Image

        if distance >= self._nearest.get((*key, box), np.inf):
            return
        self._nearest[(*key, box)] = distance
        scale = OVERVIEW / max(self.sizes[key])
        y0, y1, x0, x1 = (int(side * scale) for side in box)
        y1, x1 = min(OVERVIEW, max(y1, y0 + 1)), min(OVERVIEW, max(x1, x0 + 1))
        if y0 < y1 and x0 < x1:
            small = Image.fromarray(np.ascontiguousarray(patch)).resize((x1 - x0, y1 - y0), Image.Resampling.BOX)
            self._pictures[key][y0:y1, x0:x1] = np.asarray(small)

    def cells(self) -> list[np.ndarray]:
        """The pictures, in the order of `sizes`.

        Returns
        -------
        list of ndarray of uint8, shape (side, side)
        """
        return list(self._pictures.values())


def _middle(volume: Any, axis: int) -> np.ndarray:
    """The middle slice, thinned evenly in rows and columns so that neither has much more than `SAMPLED`."""
    box: list[slice | int] = [slice(None)] * 3
    box[axis] = volume.shape[axis] // 2
    cut: np.ndarray = volume[tuple(box)]
    step = max(1, max(cut.shape) // SAMPLED)
    return cut[::step, ::step]
