"""Generate a small collection of EM-like images, volumes and videos, laid out as a user's would be.

OUT/2d holds groups of images in 8 bits, 16 bits and colour; OUT/3d an isotropic NRRD, an anisotropic ImageJ TIFF and an
int16 MRC; OUT/video two videos; OUT/remote an OME-Zarr to be served. Cells lie in empty resin, so that there are
patches to keep and to reject. Hidden files and notes lie about, as they do. The same seed gives the same bytes.

Example:
    python examples/make_sample_data.py demo/input --size 384
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from examples.sample_tissue import RESIN, Tissue, sections
from utils.argument_types import output_dir, positive_int
from utils.cli import add_run_options, make_parser, run_script
from utils.jobs import Job, Run, run_jobs
from utils.records.recipes import Recipe


def main(argv: Sequence[str] | None = None) -> int:
    """Generate what does not exist yet; see the module's docstring."""
    parser = make_parser(__doc__)
    parser.add_argument("out", type=output_dir, metavar="OUT", help="folder to write to")
    parser.add_argument(
        "--size", type=positive_int, default=384, metavar="PX", help="side of the largest volume (default 384)"
    )
    add_run_options(parser, seed=True)
    return run_script(generate, parser, argv)


def generate(args: argparse.Namespace) -> int:
    """One job per file."""
    recipe = Recipe("make_sample_data", {}, {"size": args.size, "seed": args.seed})
    jobs = [Job(name, args.out / name, recipe) for name in FILES]
    return run_jobs(partial(make_one, size=args.size, seed=args.seed), jobs, Run.of(args))


def make_one(job: Job, scratch: Path, size: int, seed: int) -> None:
    """Write one file."""
    FILES[job.source](scratch, size, seed)


def isotropic_volume(path: Path, size: int, seed: int) -> None:
    """FIB-SEM: 10 nm in all directions, resin from two thirds of y on."""
    from utils.formats.writers import write_nrrd

    depth = size * 7 // 12
    voxels = sections(Tissue(seed, size * 6.5), np.arange(depth) * 10.0, (size, size), 10.0)
    write_nrrd(path, voxels, (10.0, 10.0, 10.0))


def anisotropic_stack(path: Path, size: int, seed: int) -> None:
    """Serial sections: 4 x 4 nm pixels, 50 nm thick, as ImageJ writes them."""
    import tifffile

    side = size * 4 // 3
    voxels = sections(Tissue(seed + 1, side * 3.2), np.arange(12) * 50.0, (side, side), 4.0)
    spacing = {"spacing": 0.05, "unit": "um", "axes": "ZYX"}
    tifffile.imwrite(path, voxels, imagej=True, resolution=(250.0, 250.0), metadata=spacing)


def signed_tomogram(path: Path, size: int, seed: int) -> None:
    """A tomogram of 16-bit integers, some negative; MRC counts in Angstrom."""
    import mrcfile

    side = size * 2 // 3
    voxels = sections(Tissue(seed + 2, side * 8.0), np.arange(side // 3) * 12.0, (side, side), 12.0)
    with mrcfile.new(path) as mrc:
        mrc.set_data((voxels.astype(np.int16) - 150) * 40)
        mrc.voxel_size = 120.0
        mrc.update_header_stats()
        mrc.header.label[0] = "generated sample"  # the default label is the time of day


def video(path: Path, size: int, seed: int, code: str) -> None:
    """A walk through tissue, encoded with loss."""
    import cv2

    side = size * 2 // 3 // 16 * 16
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*code), 10, (side, side))
    if not writer.isOpened():
        raise OSError(f"this OpenCV cannot encode {code}")
    for frame in sections(Tissue(seed + 3, side * 6.0), np.arange(24) * 40.0, (side, side), 8.0):
        writer.write(cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR))
    writer.release()


def image(path: Path, size: int, seed: int, number: int, kind: str) -> None:
    """A micrograph: ``gray`` in 8 bits, ``deep`` in a camera's 12 bits, ``colour`` with a yellow bar."""
    side = size * 4 // 3
    pixels = sections(Tissue(seed + 10 + number, side * 6.5), np.array([500.0]), (side, side), 8.0)[0]
    _write_picture(path, _dressed(pixels, kind))


def empty_image(path: Path, size: int, seed: int) -> None:
    """A micrograph of resin alone."""
    noise = np.random.default_rng(seed).normal(RESIN, 9, (size, size))
    _write_picture(path, np.clip(noise, 0, 255).astype(np.uint8))


def _dressed(pixels: np.ndarray, kind: str) -> np.ndarray:
    if kind == "deep":
        return pixels.astype(np.uint16) * 13 + 300
    if kind == "colour":
        pixels = np.repeat(pixels[..., None], 3, axis=2)
        pixels[-24:-16, 16:116] = (250, 220, 30)
    return pixels


def _write_picture(path: Path, pixels: np.ndarray) -> None:
    if path.suffix == ".tif":
        import tifffile

        tifffile.imwrite(path, pixels)
        return
    from PIL import Image

    Image.fromarray(pixels).save(path, quality=92)


def pyramid(path: Path, size: int, seed: int) -> None:
    """An OME-Zarr 0.4 of three levels at 12 nm; part of it is padding, as around a real acquisition."""
    import zarr

    side = size * 2 // 3
    voxels = sections(Tissue(seed + 4, side * 9.0), np.arange(side // 2) * 12.0, (side, side), 12.0)
    voxels[:, :, : side // 8] = 0
    group = zarr.create_group(path, zarr_format=2, attributes={"multiscales": [_multiscale("sample", 3, 12.0)]})
    for level in range(3):
        array = group.create_array(str(level), shape=voxels.shape, chunks=(32, 32, 32), dtype=voxels.dtype)
        array[:] = voxels
        voxels = _halved(voxels)


def _multiscale(name: str, levels: int, nm: float) -> dict[str, Any]:
    axes = [{"name": axis, "type": "space", "unit": "nanometer"} for axis in "zyx"]
    scales = [[{"type": "scale", "scale": [nm * 2**level] * 3}] for level in range(levels)]
    datasets = [{"path": str(level), "coordinateTransformations": scale} for level, scale in enumerate(scales)]
    return {"version": "0.4", "name": name, "axes": axes, "datasets": datasets}


def _halved(voxels: np.ndarray) -> np.ndarray:
    """Means of 2 x 2 x 2 voxels."""
    z, y, x = (side // 2 * 2 for side in voxels.shape)
    blocks = voxels[:z, :y, :x].reshape(z // 2, 2, y // 2, 2, x // 2, 2)
    means: np.ndarray = np.rint(blocks.mean(axis=(1, 3, 5))).astype(np.uint8)
    return means


def text(path: Path, size: int, seed: int, content: str) -> None:
    """Something that is no data, as lies in every folder."""
    path.write_text(content)


FILES: dict[str, Callable[[Path, int, int], None]] = {
    "3d/neuropil_fib.nrrd": isotropic_volume,
    "3d/sections_tem.tif": anisotropic_stack,
    "3d/tomogram.mrc": signed_tomogram,
    "3d/readme.txt": partial(text, content="Volumes of the sample collection; generated.\n"),
    "remote/sample.zarr": pyramid,
    "video/drift.mp4": partial(video, code="mp4v"),
    "video/walk_video.avi": partial(video, code="MJPG"),
    "2d/tem_gray/empty.png": empty_image,
    **{f"2d/tem_gray/grid_{n}.png": partial(image, number=n, kind="gray") for n in (1, 2)},
    **{f"2d/sem_deep/field_{n}.tif": partial(image, number=n, kind="deep") for n in (3, 4)},
    **{f"2d/exported_colour/figure_{n}.jpg": partial(image, number=n, kind="colour") for n in (5,)},
    "2d/.DS_Store": partial(text, content="\0\0\0\1Bud1"),
    "2d/notes.txt": partial(text, content="Grid 2 was re-imaged after lunch.\n"),
}


if __name__ == "__main__":
    raise SystemExit(main())
