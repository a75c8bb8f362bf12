"""Volumes to reconstruct from, a run of reconstruct3d, and what it is to write."""

from pathlib import Path

import mrcfile
import numpy as np
import SimpleITK as sitk
import tifffile

import reconstruct3d
from conftest import results, smooth_volume

SHAPE = (20, 26, 31)
SIZE = (8.0, 8.0, 7.0)
BOX = (3, 15, 5, 19)


def voxels_of(dtype="uint8", seed=0, shape=SHAPE):
    gray = smooth_volume(shape, seed).astype(np.float64)
    scaled = {"uint8": gray, "int16": gray * 70 - 3000, "uint16": gray * 16, "float32": gray / 300 - 0.2}[dtype]
    return scaled.astype(dtype)


def write_mrc(path, voxels):
    with mrcfile.new(path) as mrc:
        mrc.set_data(voxels)
        mrc.voxel_size = tuple(10 * side for side in SIZE[::-1])


def write_itk(path, voxels, compress=False):
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing(SIZE[::-1])
    sitk.WriteImage(image, str(path), compress)


def run(*args):
    return reconstruct3d.main([str(arg) for arg in args])


def stacks_in(savedir):
    return sorted(path for path in savedir.rglob("*.*") if path.suffix in {".tif", ".nrrd"})


def names_in(savedir):
    return [path.stem for path in stacks_in(savedir)]


def contents(savedir):
    return {Path(name): content for name, content in results(savedir).items()}


def expected(voxels, where):
    """The stack that a name promises."""
    stack = np.moveaxis(voxels, where.axis, 0)[where.first : where.stop]
    return stack[:, where.box.y0 : where.box.y1, where.box.x0 : where.box.x1]


def read(path):
    return tifffile.imread(path) if path.suffix == ".tif" else sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
