"""CPU time and memory of patchify3d against a naive loop, on one generated volume, in one run.

The naive loop is what a straightforward script does: read the volume whole, go through the slices of each axis, hash
every patch with Pillow and ImageHash, compare boolean arrays until no near-duplicate is left, pickle what remains.

Example:
    python benchmarks/bench_patchify3d.py 512 768 --repeat 3
"""

import argparse
import os
import pickle
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

CROP = 224


def make_volume(path: Path, side: int, dtype: str) -> None:
    """A raw NRRD of blobs that differ from slice to slice on every axis, like tissue; 10 nm voxels."""
    from scipy.ndimage import zoom

    from utils.formats.writers import write_nrrd

    coarse = np.random.default_rng(0).random((side // 16 + 1,) * 3, dtype=np.float32)
    voxels = zoom(coarse, side / coarse.shape[0], order=1)[:side, :side, :side]
    grain = np.random.default_rng(1).integers(0, 24, voxels.shape, dtype=np.uint8)
    voxels = (voxels * 230).astype(np.uint8) + grain
    write_nrrd(path, voxels if dtype == "uint8" else voxels.astype(np.uint16) * 16, (10.0, 10.0, 10.0))


def naive(path: Path, target: Path) -> None:
    """The naive loop."""
    import imagehash
    import SimpleITK as sitk
    from PIL import Image

    volume = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    if volume.dtype != np.uint8:
        low, high = np.percentile(volume, (0.1, 99.9))
        volume = (np.clip((volume.astype(np.float64) - low) / (high - low), 0, 1) * 255).astype(np.uint8)
    names, patches, hashes = [], [], []
    for axis in range(3):
        for index in range(volume.shape[axis]):
            plane = np.take(volume, index, axis)
            for y in range(0, plane.shape[0] - CROP + 1, CROP):
                for x in range(0, plane.shape[1] - CROP + 1, CROP):
                    patch = plane[y : y + CROP, x : x + CROP]
                    names.append(f"{axis}_{index}_{y}_{x}")
                    patches.append(patch)
                    hashes.append(imagehash.dhash(Image.fromarray(patch)).hash.ravel())
    kept = naive_exemplars(np.array(hashes), 12)
    with target.open("wb") as f:
        pickle.dump({"names": [names[i] for i in kept], "patches": [patches[i] for i in kept]}, f)


def naive_exemplars(hashes: np.ndarray, distance: int) -> list[int]:
    """Greedy exemplars on boolean arrays: pick one, drop all that match it, repeat."""
    remaining = np.random.default_rng(0).permutation(len(hashes))
    kept = []
    while len(remaining):
        kept.append(int(remaining[0]))
        apart = (hashes[remaining] != hashes[remaining[0]]).sum(axis=1)
        remaining = remaining[apart > distance]
    return kept


def measure(command: list[str]) -> tuple[float, float]:
    """User + system seconds of a command, and the peak memory of its largest process in MB."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def compare(side: int, dtype: str, repeat: int, folder: Path) -> None:
    """Print median CPU seconds and memory of both, and their ratio; the two take turns."""
    path = folder / "volumes" / f"blobs{side}_{dtype}.nrrd"
    path.parent.mkdir(exist_ok=True)
    # In a process of its own: a child's peak memory counts from its parent's.
    subprocess.run([sys.executable, __file__, "--make", str(path), str(side), dtype], check=True)
    ours: list[tuple[float, float]] = []
    theirs: list[tuple[float, float]] = []
    for _ in range(repeat):
        out = Path(tempfile.mkdtemp(dir=folder))
        ours.append(measure([sys.executable, str(ROOT / "patchify3d.py"), str(path), str(out), "-p", "1"]))
        theirs.append(measure([sys.executable, __file__, "--naive", str(path), str(out / "naive.pkl")]))
    (cpu, memory), (naive_cpu, naive_memory) = (
        [statistics.median(values) for values in zip(*runs, strict=True)] for runs in (ours, theirs)
    )
    print(
        f"{side}^3 {dtype}: patchify3d {cpu:.2f} s CPU, {memory:.0f} MB;",
        f"naive {naive_cpu:.2f} s, {naive_memory:.0f} MB;",
        f"{naive_cpu / cpu:.1f} times less CPU (volume: {path.stat().st_size >> 20} MB)",
        flush=True,
    )
    path.unlink()


def main() -> None:
    """Run the comparison for every side asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sides", type=int, nargs="*", default=[512, 768])
    parser.add_argument("--dtype", choices=("uint8", "uint16"), default="uint8")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--naive", nargs=2, type=Path, metavar=("VOLUME", "TARGET"), help="run the naive loop once")
    parser.add_argument("--make", nargs=3, metavar=("VOLUME", "SIDE", "DTYPE"), help="only write the volume")
    args = parser.parse_args()
    if args.make:
        make_volume(Path(args.make[0]), int(args.make[1]), args.make[2])
        return
    if args.naive:
        naive(*args.naive)
        return
    with tempfile.TemporaryDirectory() as folder:
        for side in args.sides:
            compare(side, args.dtype, args.repeat, Path(folder))


if __name__ == "__main__":
    main()
