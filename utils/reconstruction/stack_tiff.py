"""Small stacks as TIFF, with their voxel size where ImageJ looks for it."""

from pathlib import Path

import numpy as np

# ImageJ's own header knows these only; tifffile's says the same of other types.
IMAGEJ_DTYPES = frozenset({"uint8", "uint16", "int16", "float32"})


def write_imagej(path: Path, stack: np.ndarray, voxel_size: tuple[float, float, float] | None) -> None:
    """Write a stack as TIFF with spacing, unit and resolution.

    Types that ImageJ's header cannot hold get the same entries as JSON, which `utils.formats.tiff_stack` and tifffile
    read.

    Parameters
    ----------
    path : Path
    stack : ndarray, shape (z, y, x)
    voxel_size : tuple of float, optional
        In nm: z, y, x.
    """
    import tifffile

    metadata: dict[str, str | float] = {"axes": "ZYX"}
    resolution = None
    if voxel_size is not None:
        z, y, x = voxel_size
        metadata |= {"spacing": z, "unit": "nm"}
        resolution = (1 / x, 1 / y)
    tifffile.imwrite(
        path,
        stack,
        imagej=stack.dtype.name in IMAGEJ_DTYPES,
        photometric="minisblack",
        resolution=resolution,
        resolutionunit="NONE",
        metadata=metadata,
        software=False,
    )
