"""How fast a training loop gets kept patches: from the folder of TIFFs, and from exports in every format, in one run.

Writes patches with the noise of micrographs, exports them, and reads all of them once in random order of shards, each
as the array that a training loop takes. Rates are of one process; compare ratios.

Example:
    python benchmarks/bench_export.py --patches 3000
"""

import argparse
import csv
import io
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "collection"))

import export

SIDE = 224


def make_kept(folder: Path, count: int) -> None:
    """`count` kept patches of one dataset, as classify_patches.py leaves them."""
    import tifffile

    pixels = np.random.default_rng(0).normal(128, 40, (64, SIDE, SIDE)).clip(0, 255).astype(np.uint8)
    (folder / "set").mkdir(parents=True)
    with (folder / "set.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("name", "score", "kept"))
        for i in range(count):
            name = f"set-LOC-0_{i:05d}_0-{SIDE}_0-{SIDE}"
            tifffile.imwrite(folder / "set" / f"{name}.tiff", pixels[i % 64], description="{}", metadata=None)
            table.writerow((name, "0.9", True))


def from_tiffs(folder: Path) -> Iterator[np.ndarray]:
    """The folder of TIFFs."""
    import tifffile

    for path in (folder / "set").iterdir():
        yield tifffile.imread(path)


def from_tar(folder: Path) -> Iterator[np.ndarray]:
    """The shards, by Python's tarfile alone."""
    for shard in folder.glob("*.tar"):
        with tarfile.open(shard, "r|") as tar:
            for entry in tar:
                if entry.name.endswith(".png"):
                    yield np.asarray(Image.open(io.BytesIO(tar.extractfile(entry).read())))  # type: ignore[union-attr]


def from_webdataset(folder: Path) -> Iterator[np.ndarray]:
    """The shards, by the webdataset library."""
    import webdataset

    shards = [str(path) for path in folder.glob("*.tar")]
    reader = webdataset.WebDataset(shards, shardshuffle=False, empty_check=False).decode("l8").to_tuple("png")
    yield from (picture for (picture,) in reader)


def from_parquet(folder: Path) -> Iterator[np.ndarray]:
    """Parquet, by pyarrow."""
    import pyarrow.parquet as pq

    for path in (folder / "data").glob("*.parquet"):
        for batch in pq.ParquetFile(path).iter_batches(batch_size=100, columns=["image"]):
            for picture in batch.column(0).to_pylist():
                yield np.asarray(Image.open(io.BytesIO(picture["bytes"])))


def from_imagefolder(folder: Path) -> Iterator[np.ndarray]:
    """PNG files."""
    for path in folder.glob("train/*/*.png"):
        yield np.asarray(Image.open(path))


def from_zarr(folder: Path) -> Iterator[np.ndarray]:
    """The array, by zarr, a shard at a time."""
    import zarr

    images = zarr.open_array(folder / "train.zarr" / "images", mode="r")
    step = (images.shards or images.chunks)[0]
    for start in range(0, images.shape[0], step):
        yield from np.asarray(images[start : start + step])


READERS: list[tuple[str, str, Callable[[Path], Iterator[np.ndarray]]]] = [
    ("webdataset", "tar", from_tar),
    ("webdataset", "webdataset", from_webdataset),
    ("parquet", "pyarrow", from_parquet),
    ("imagefolder", "PNG files", from_imagefolder),
    ("zarr", "zarr", from_zarr),
]


def rate(read: Callable[[Path], Iterator[np.ndarray]], folder: Path, count: int) -> float:
    """Patches a second of CPU; the better of two passes, so that files are in the system's cache."""
    seconds = []
    for _ in range(2):
        start, seen = time.process_time(), 0
        for patch in read(folder):
            seen += int(patch.shape == (SIDE, SIDE) and patch[0, 0] >= 0)
        seconds.append(time.process_time() - start)
        if seen != count:
            raise RuntimeError(f"{seen} patches read, {count} written")
    return count / min(seconds)


def main() -> None:
    """Print a line per way of reading."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patches", type=int, default=3000)
    count = parser.parse_args().patches
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        make_kept(root / "filtered", count)
        print(f"TIFF folder, tifffile: {rate(from_tiffs, root / 'filtered', count):.0f} patches/s", flush=True)
        for kind in dict.fromkeys(kind for kind, _, _ in READERS):
            start = time.process_time()
            export.main([str(root / "filtered"), "-o", str(root / kind), "--format", kind, "--quiet", "-p", "1"])
            print(f"{kind}: written in {time.process_time() - start:.1f} s of CPU", flush=True)
        for kind, name, read in READERS:
            print(f"{kind}, {name}: {rate(read, root / kind, count):.0f} patches/s", flush=True)


if __name__ == "__main__":
    main()
