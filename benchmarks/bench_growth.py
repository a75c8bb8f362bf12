"""How every stage's cost grows with its items: CPU per item and peak memory of 10, 100 and 1,000, and the exponent.

Small inputs are generated, and every stage runs on them in one process, then once more with nothing to do. An item is
an image, a video, a volume, an address, or the dictionary of a volume, each a dataset of its own. The exponent is of
the CPU seconds beyond those of the smallest run, over the two largest: 1 is linear, 2 quadratic.

Example:
    python benchmarks/bench_growth.py --counts 10 100 1000 --stages patchify3d classify
"""

import argparse
import math
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "benchmarks")]
from bench_patchify3d import measure

from utils.argument_types import positive_int
from utils.cli import UsageError, make_parser, run_script

COUNTS = (10, 100, 1000)
LARGE = (10_000, 100_000)
SIDE = 64
DEPTH = 6
# Stages in the order in which they need each other: script, then what follows it; {x} is a folder of the run.
STAGES = {
    "cleanup2d": ("preprocess/cleanup2d.py", "{images}", "-o", "{clean}"),
    "patchify2d": ("patchify2d.py", "{clean}", "{patches2d}", "-cs", "64", "--dedupe"),
    "mrc2byte": ("preprocess/mrc2byte.py", "{mrc}", "-o", "{bytes}"),
    "binvol": ("preprocess/binvol.py", "{volumes}", "-o", "{binned}"),
    "ngff_download": ("scraping/ngff_download.py", "{table}", "{sampled}", "-cs", "32", "-gb", "0.0001"),
    "patchify3d": ("patchify3d.py", "{volumes}", "{patches}", "-cs", "64", "-a", "0"),
    "dedupe": ("collection/dedupe_collection.py", "{patches}", "-o", "{duplicates}"),
    "classify": ("classify_patches.py", "{patches}", "{filtered}", "--weights", "lite", "--threshold", "0"),
    "reconstruct3d": ("3d/reconstruct3d.py", "{filtered}", "-vd", "{volumes}", "-sd", "{stacks}", "-nz", "3"),
    "report": ("collection/report.py", "{filtered}", "{patches}", "-o", "{report}"),
    "export": ("collection/export.py", "{filtered}", "-o", "{export}", "--format", "webdataset"),
}
FILES = {"table": "addresses.csv", "duplicates": "duplicates.csv"}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print a table; see the module's docstring."""
    parser = make_parser(__doc__)
    parser.add_argument("--counts", type=positive_int, nargs="+", default=list(COUNTS), metavar="N", help="items")
    parser.add_argument("--large", action="store_true", help="10,000 and 100,000 as well")
    parser.add_argument("--stages", nargs="+", choices=[*STAGES], default=[*STAGES], help="print only these")
    return run_script(grow, parser, argv)


def grow(args: argparse.Namespace) -> int:
    """Run all stages for each count, smallest first, and print a row of each as soon as the largest is known."""
    counts = sorted({*args.counts, *(LARGE if args.large else ())})
    if len(counts) < 3:
        raise UsageError("an exponent needs three counts")
    last = max(index for index, name in enumerate(STAGES) if name in args.stages)
    wanted = [*STAGES][: last + 1]
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        rounds = [run_all(Path(folder) / str(count), count, wanted) for count in counts]
        for count, results in zip(counts, rounds, strict=True):
            for key, result in results:
                if key[0] in args.stages:
                    found.setdefault(key, []).append(result)
                    if count == counts[-1]:
                        print(row(key, counts, found[key]), flush=True)
    return 0


def row(key: tuple[str, str], counts: Sequence[int], results: Sequence[tuple[float, float]]) -> str:
    """A line of the table: CPU ms per item and MB for each count, and the exponent."""
    cells = [f"{cpu / count * 1e3:.2f} ms, {mb:.0f} MB" for count, (cpu, mb) in zip(counts, results, strict=True)]
    return f"| {' '.join(key)} | {' | '.join(cells)} | {exponent(counts, [cpu for cpu, _ in results])} |"


def exponent(counts: Sequence[int], seconds: Sequence[float]) -> str:
    """Of the seconds beyond those of the smallest run, between the two largest; a dash where they tell nothing.

    >>> exponent((10, 100, 1000), (1.0, 1.9, 10.9)), exponent((10, 100, 1000), (1.0, 1.0, 1.1))
    ('1.00', '-')
    """
    items = [count - counts[0] for count in counts[-2:]]
    beyond = [second - seconds[0] for second in seconds[-2:]]
    if min(beyond) < 0.05:
        return "-"
    return f"{math.log(beyond[1] / beyond[0]) / math.log(items[1] / items[0]):.2f}"


def run_all(folder: Path, count: int, stages: Sequence[str]) -> Iterator[tuple[tuple[str, str], tuple[float, float]]]:
    """CPU seconds and peak memory of each stage, the first time and again."""
    # In a process of its own: a child's peak memory counts from its parent's.
    code = f"import bench_growth; bench_growth.make_inputs(bench_growth.Path({str(folder)!r}), {count})"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parent)
    for name in stages:
        command = command_of(name, folder)
        for time in ("first", "again"):
            yield (name, time), measure(command)


def command_of(name: str, folder: Path) -> list[str]:
    """The command line of a stage, in one process."""
    script, *options = STAGES[name]
    places = {word: str(folder / FILES.get(word, word)) for option in options for word in [option.strip("{}")]}
    return [sys.executable, str(ROOT / script), *(option.format(**places) for option in options), "-p", "1", "--quiet"]


def make_inputs(folder: Path, count: int) -> None:
    """Images in groups of ten, MRCs, volumes, and a table of addresses of as many images; each of its own tissue."""
    import mrcfile
    import tifffile

    from ngff_images import write_ome_zarr
    from utils.formats.writers import write_nrrd

    tissue = tissues(np.random.default_rng(0))
    for name in ("images", "mrc", "volumes", "zarr"):
        (folder / name).mkdir(parents=True)
    for index in range(count):
        voxels = tissue(index)
        group = folder / "images" / f"g{index // 10}"
        group.mkdir(exist_ok=True)
        tifffile.imwrite(group / f"i{index}.tif", voxels[0].astype(np.uint16) * 9)
        write_nrrd(folder / "volumes" / f"v{index}.nrrd", voxels, (40.0, 10.0, 10.0))
        mrcfile.write(folder / "mrc" / f"m{index}.mrc", voxels.astype(np.int16), voxel_size=100.0)
    write_ome_zarr(folder / "zarr" / "a.zarr", [tissue(0).repeat(12, axis=0)], sizes=[(10.0,) * 3], chunk=32)
    rows = [f"z{index},{folder}/zarr/a.zarr" for index in range(count)]
    (folder / FILES["table"]).write_text("\n".join(["volume_name,download_url", *rows]) + "\n")


def tissues(rng: np.random.Generator) -> Callable[[int], np.ndarray]:
    """Gives the N-th small volume of blobs that differ from slice to slice and from all others, uint8."""
    from PIL import Image

    def volume(_index: int) -> np.ndarray:
        coarse = rng.integers(0, 220, (DEPTH, 8, 8), dtype=np.uint8)
        slices = [np.asarray(Image.fromarray(plane).resize((SIDE, SIDE), Image.Resampling.BICUBIC)) for plane in coarse]
        return np.stack(slices) // 2 + rng.integers(0, 24, (DEPTH, SIDE, SIDE), dtype=np.uint8)

    return volume


if __name__ == "__main__":
    raise SystemExit(main())
