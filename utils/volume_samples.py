"""What a whole volume's intensities are, and whether they are labels: told from a bounded sample, or slab by slab."""

from collections.abc import Iterator

import numpy as np

from utils.contrast import Contrast, measure_contrast, warn_not_finite
from utils.formats.volume_base import Volume
from utils.histogram import Histogram
from utils.label_maps import FEW, few_values, why_labels

# Voxels in a volume's sample, and how they are spread when the volume has more.
SAMPLE_VOXELS = 1 << 22
SAMPLE_SLICES = 32
SAMPLE_BANDS = 8


def volume_contrast(volume: Volume, method: str = "percentile", *, stretch: bool = False) -> Contrast:
    """The contrast window of a whole volume; `method` and `stretch` as in `utils.contrast.measure_contrast`.

    Percentiles come from `_volume_sample`, the same on every machine. `minmax` looks at every voxel, slab by slab, so
    that none is clipped.
    """
    as_it_is = volume.dtype == np.uint8 and not stretch
    if as_it_is or volume.dtype.kind == "b" or (method == "dtype" and volume.dtype.kind in "iu"):
        return measure_contrast(np.zeros(1, volume.dtype), method, stretch=stretch)
    if method == "percentile":
        sample = _volume_sample(volume)
        # One value throughout: what a sparse volume holds lies between the bands, and only a look at all of it tells.
        if sample.shape == volume.shape or np.unique(_extremes(sample, volume.padding)).size > 1:
            return measure_contrast(sample, method, stretch=stretch, padding=volume.padding)
    return _whole_range(volume, stretch)


def _volume_sample(volume: Volume) -> np.ndarray:
    """At most 4 M voxels, (n, rows, columns): all of a small volume, else bands of rows of 32 slices."""
    sample = np.concatenate([volume[box] for box in _sample_boxes(volume.shape)])
    return sample[..., :: max(1, -(-sample.size // SAMPLE_VOXELS))]


def _whole_range(volume: Volume, stretch: bool) -> Contrast:
    """From the smallest to the largest finite value of a volume."""
    extremes, not_finite = [], 0
    for slab in slabs(volume):
        extremes.append(_extremes(slab, volume.padding))
        not_finite += slab.size - int(np.count_nonzero(np.isfinite(slab)))
    if not_finite:
        warn_not_finite(not_finite)
    return measure_contrast(np.concatenate(extremes), "minmax", stretch=stretch)


def slabs(volume: Volume, voxels: int = SAMPLE_VOXELS) -> Iterator[np.ndarray]:
    """The volume's slices in order, as many at a time as hold about `voxels` voxels, at least one.

    Yields
    ------
    ndarray, shape (n, y, x)
    """
    depth = max(1, voxels // (volume.shape[1] * volume.shape[2]))
    for z in range(0, volume.shape[0], depth):
        yield volume[z : z + depth]


def _extremes(slab: np.ndarray, padding: float | None = None) -> np.ndarray:
    """Smallest and largest finite value that is no padding; nothing where there is none."""
    values = slab[np.isfinite(slab)] if slab.dtype.kind == "f" else slab
    values = values if padding is None else values[values != padding]
    return np.array([values.min(), values.max()], slab.dtype) if values.size else values[:0].ravel()


def _sample_boxes(shape: tuple[int, int, int]) -> list[tuple[slice, slice, slice]]:
    z, y, x = shape
    whole = slice(None)
    if z * y * x <= SAMPLE_VOXELS:
        return [(whole, whole, whole)]
    slices = min(z, SAMPLE_SLICES)
    rows = min(y, max(1, SAMPLE_VOXELS // slices // x))
    bands = min(SAMPLE_BANDS, rows) if rows < y else 1
    height = rows // bands
    return [
        (slice(i, i + 1), slice(start, start + height), whole)
        for i in np.linspace(0, z - 1, slices).astype(int).tolist()
        for start in np.linspace(0, y - height, bands).astype(int).tolist()
    ]


def why_labels_volume(volume: Volume) -> str:
    """Why a volume is a mask or a label map; empty when it is an image, or one value throughout.

    A few values in the sample of a large volume prove nothing: what it holds may lie between the bands that were looked
    at. Then the first slices with more of them decide.
    """
    sample = _volume_sample(volume)
    if sample.shape == volume.shape or len(_values(sample)) > FEW:
        return why_labels(sample)
    found = np.empty(0)
    for slab in slabs(volume):
        values = _values(slab)
        if len(values) > FEW:
            return why_labels(slab)
        found = np.union1d(found, values)  # NaN once
    return few_values(len(found))


def _values(planes: np.ndarray) -> np.ndarray:
    return Histogram.of(planes).values
