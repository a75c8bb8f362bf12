"""Formats that only SimpleITK reads: decoded once into memory, colours as luminance."""

from functools import partial
from pathlib import Path

import numpy as np

from utils.files import stem
from utils.formats.volume_base import ArrayVolume, Volume, reading_as
from utils.formats.voxel_size import VoxelSize, checked_unitless
from utils.images import luminance


def open_itk(path: Path, size: VoxelSize | None = None) -> Volume:
    """Open a file through SimpleITK; the header now, the voxels at the first read.

    Parameters
    ----------
    path : Path
    size : VoxelSize, optional
        The voxel size, where a room of ours reads the header better; else SimpleITK's spacing.

    Raises
    ------
    ValueError
        If SimpleITK cannot read the file; the message is SimpleITK's own.
    """
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    with reading_as(f"{path.suffix} by SimpleITK"):
        reader.ReadImageInformation()
        shape = tuple(reversed(reader.GetSize()))
        spacing = tuple(reversed(reader.GetSpacing()))
        sample = sitk.GetArrayFromImage(sitk.Image([1, 1], _scalar(reader.GetPixelID())))
    if len(shape) > 3 and max(shape[:-3]) > 1:
        raise ValueError(f"has {len(shape)} axes of sizes {shape}: expected a single 3D image")
    shape = (1,) * (3 - len(shape)) + shape[-3:]
    size = size or (checked_unitless(spacing[-3:]) if len(spacing) >= 3 else VoxelSize(None, "a 2D image has no z"))
    return ArrayVolume(stem(path), partial(_decode, path, shape), size, shape=shape, dtype=sample.dtype)


def open_itk_hdf5(path: Path) -> Volume:
    """Open HDF5 in ITK's own layout, the only one that says which array is the image and how large its voxels are."""
    try:
        return open_itk(path)
    except ValueError as error:
        raise ValueError("is HDF5, but not as ITK writes it: save the image in it as NRRD, TIFF or OME-Zarr") from error


def _scalar(pixel_id: int) -> int:
    """The scalar type of a vector's components, so that colours have a dtype before they are decoded."""
    import SimpleITK as sitk

    name = sitk.GetPixelIDValueAsString(pixel_id)
    for scalar in (
        sitk.sitkUInt8, sitk.sitkInt8, sitk.sitkUInt16, sitk.sitkInt16, sitk.sitkUInt32, sitk.sitkInt32,
        sitk.sitkUInt64, sitk.sitkInt64, sitk.sitkFloat32, sitk.sitkFloat64,
    ):  # fmt: skip
        if name.removeprefix("vector of ") == sitk.GetPixelIDValueAsString(scalar):
            return scalar
    raise ValueError(f"holds voxels of type {name}: only integers and real numbers are images")


def _decode(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    import SimpleITK as sitk

    with reading_as(f"{path.suffix} by SimpleITK"):
        image = sitk.ReadImage(str(path))
    voxels = sitk.GetArrayFromImage(image)
    if image.GetNumberOfComponentsPerPixel() > 1:
        voxels = luminance(voxels)
    return voxels.reshape(shape)
