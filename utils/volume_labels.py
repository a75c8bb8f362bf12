"""Volumes that are masks or label maps: told from a sample, or from every slice where that holds next to nothing."""

import numpy as np

from utils.formats.volume_base import Volume
from utils.histogram import Histogram
from utils.label_maps import FEW, few_values, why_labels
from utils.volume_samples import slabs, volume_sample


def why_labels_volume(volume: Volume) -> str:
    """Why a volume is a mask or a label map; empty when it is an image, or one value throughout.

    A few values in the sample of a large volume prove nothing: what it holds may lie between the bands that were looked
    at. Then the first slices with more of them decide.
    """
    sample = volume_sample(volume)
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
