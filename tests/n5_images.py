"""One small pyramid as N5 under the conventions of the programs that write it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ngff_images import FACTORS, SIZES, write_bdv, write_json, write_n5_array


def write_cosem(root: Path, levels: Sequence[np.ndarray]) -> Path:
    """COSEM's: a transform and a resolution at every level."""
    image = root / "a.n5" / "em" / "fibsem"
    for i, level in enumerate(levels):
        transform = {"axes": ["z", "y", "x"], "scale": SIZES[i], "units": ["nm"] * 3, "translate": [0, 0, 0]}
        resolution = {"dimensions": SIZES[i][::-1], "unit": "nm"}
        write_n5_array(image / f"s{i}", level, transform=transform, pixelResolution=resolution)
    datasets = [{"path": f"s{i}"} for i in range(len(levels))]
    write_json(image / "attributes.json", {"multiscales": [{"datasets": datasets}], "scales": FACTORS})
    return image


def write_viewer(root: Path, levels: Sequence[np.ndarray]) -> Path:
    """n5-viewer's: resolution and factors above a channel's folder."""
    resolution = {"dimensions": [0.006, 0.008, 0.03], "unit": "um"}
    write_json(root / "a.n5" / "attributes.json", {"pixelResolution": resolution, "scales": FACTORS})
    for i, level in enumerate(levels):
        write_n5_array(root / "a.n5" / "c0" / f"s{i}", level)
    return root / "a.n5" / "c0"


def write_viewer_above(root: Path, levels: Sequence[np.ndarray]) -> Path:
    """The same, by the address of the container."""
    return write_viewer(root, levels).parent


def write_spark(root: Path, levels: Sequence[np.ndarray]) -> Path:
    """n5-spark's: factors at every level, the resolution at the first."""
    for i, level in enumerate(levels):
        own = {"pixelResolution": {"dimensions": [6, 8, 30], "unit": "nm"}} if i == 0 else {}
        write_n5_array(root / "a.n5" / f"s{i}", level, downsamplingFactors=FACTORS[i], **own)
    return root / "a.n5"


def write_modern(root: Path, levels: Sequence[np.ndarray]) -> Path:
    """n5-universe's: axes, units and resolution of the group."""
    for i, level in enumerate(levels):
        write_n5_array(root / "a.n5" / f"s{i}", level, downsamplingFactors=FACTORS[i])
    about = {"axes": ["x", "y", "z"], "units": ["nm"] * 3, "resolution": [6, 8, 30]}
    write_json(root / "a.n5" / "attributes.json", about)
    return root / "a.n5"


def write_bdv_xml(root: Path, levels: Sequence[np.ndarray]) -> Path:
    """BigDataViewer's, by its XML."""
    return write_bdv(root, levels).with_name("a.xml")
