"""The report of a large collection: cost per patch, memory, size of the pages, second runs, and the page in a browser.

Writes stand-in datasets with the noise of micrographs, as the stages leave them: dictionaries and tables, or with
--kept tables and kept TIFFs alone. Then collection/report.py runs three times: at first, again, and with one dataset
changed. A headless Chromium, where there is one, opens the first page from the disk, sorts, filters and searches it,
and opens the page of a dataset.

Example:
    python benchmarks/bench_report.py
    python benchmarks/bench_report.py --datasets 500 --patches 500000
"""

import argparse
import csv
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from browser import CHROMIUM, DRIVER, browser, wait_for
from utils.dictionaries import save_patches
from utils.names import format_name_3d
from utils.patches import Box

ORGANISMS = ("mouse", "fly", "zebrafish", "human", "yeast", "worm", "rat", "plant")
MODALITIES = ("FIB-SEM", "SBEM", "ssTEM", "TEM", "ET")
GRID = 4


def names_of(dataset: str, count: int, side: int) -> Iterator[str]:
    """Names of patches on a grid of boxes, slice after slice."""
    for i in range(count):
        index, inside = divmod(i, GRID * GRID)
        y, x = (side * place for place in divmod(inside, GRID))
        yield format_name_3d(dataset, 0, index, -(-count // GRID**2), Box(y, y + side, x, x + side))


def make_collection(root: Path, datasets: int, patches: int, side: int, *, kept_only: bool) -> None:
    """Datasets of different sizes, about `patches` in all, with a table of what is known of them."""
    rng = np.random.default_rng(0)
    pixels = rng.normal(128, 40, (64, side, side)).clip(0, 255).astype(np.uint8)
    shares = rng.pareto(1.5, datasets) + 0.1
    (root / "filtered").mkdir()
    rows = [("name", "organism", "modality", "license", "doi")]
    for number, share in enumerate(shares / shares.sum()):
        dataset, count = f"dataset_{number:04d}", max(8, round(patches * share))
        names = list(names_of(dataset, count, side))
        scores = rng.beta(2, 1, count)
        own = [pixels[(i * 7 + number) % 64] for i in range(count)]
        shape = (-(-count // GRID**2), GRID * side, GRID * side)
        meta = {"voxel_size": (10.0, 4.0, 4.0), "shape": shape, "patches": 3 * count, "source": f"{dataset}.nrrd"}
        if not kept_only:
            save_patches(root / "patches" / f"{dataset}.pkl", names, own, meta=meta)
        write_table(root / "filtered" / f"{dataset}.csv", names, scores)
        for name, score, patch in zip(names, scores, own, strict=True) if kept_only else ():
            if score > 0.5:
                path = root / "filtered" / dataset / f"{name}.tiff"
                path.parent.mkdir(exist_ok=True)
                tifffile.imwrite(path, patch, description="{}", metadata=None)
        doi = f"10.1234/{number % 80:04d}"
        rows.append((dataset, ORGANISMS[number % 8], MODALITIES[number % 5], "CC0" if number % 3 else "", doi))
    with (root / "datasets.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def write_table(path: Path, names: list[str], scores: np.ndarray) -> None:
    """A table as classify_patches.py leaves it."""
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("name", "score", "kept"))
        table.writerows((name, f"{score:.4f}", score > 0.5) for name, score in zip(names, scores, strict=True))


def run_report(what: str, root: Path, processes: int, patches: int, *, kept_only: bool) -> None:
    """One run of the script; prints its time, CPU and memory."""
    command = [sys.executable, str(ROOT / "collection" / "report.py"), str(root / "filtered")]
    command += [] if kept_only else [str(root / "patches")]
    command += ["-o", str(root / "report"), "--table", str(root / "datasets.csv"), "-p", str(processes), "--quiet"]
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True)
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - start
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(
        f"{what}: {wall:.1f} s, {cpu:.1f} s of CPU, {cpu / patches * 1000:.2f} s per 1,000 patches,"
        f" largest process so far {after.ru_maxrss / 1024:.0f} MB",
        flush=True,
    )


def say_sizes(out: Path) -> None:
    """What lies on the disk, and what the first page loads."""
    sizes = {path.relative_to(out).as_posix(): path.stat().st_size for path in out.rglob("*") if path.is_file()}
    first = sum(size for name, size in sizes.items() if name.startswith("assets/") or name in ("index.html", "data.js"))
    manifests = sum(size for name, size in sizes.items() if name.startswith("manifest."))
    sheets = [size for name, size in sizes.items() if "sheet-" in name]
    print(
        f"{sum(sizes.values()) / 1e6:.0f} MB in {len(sizes)} files; the first page {first / 1e3:.0f} kB,"
        f" manifests {manifests / 1e6:.0f} MB, {len(sheets)} sheets of {np.mean(sheets) / 1e3:.0f} kB"
    )


def look(out: Path, pictures: Path | None) -> None:
    """Open the pages in a browser and time what a person does there."""
    timed = "const t = performance.now(); {}; document.body.offsetHeight; return Math.round(performance.now() - t)"
    with browser() as driver:
        start = time.perf_counter()
        driver.get(f"file://{out}/index.html")
        wait_for(driver, "document.body.dataset.ready")
        rows = driver.execute_script("return document.querySelectorAll('td.name').length")
        print(f"first page: ready after {time.perf_counter() - start:.2f} s with {rows} rows")
        shoot(driver, pictures, "index")
        for what, action in {
            "sort by kept": "document.querySelector('th[data-key=kept]').click()",
            "show all rows": "document.getElementById('more')?.click()",
            "sort all rows": "document.querySelector('th[data-key=share]').click()",
            "filter by one value": "document.querySelectorAll('nav details')[2].querySelector('input').click()",
            "search": "state.search = 'dataset_00'; draw()",
        }.items():
            print(f"{what}: {driver.execute_script(timed.format(action))} ms")
        shoot(driver, pictures, "index-filtered")
        driver.execute_script("document.getElementById('clear').click()")
        driver.execute_script("if (state.sort !== 'kept') document.querySelector('th[data-key=kept]').click()")
        largest = driver.execute_script("return datasets.reduce((a, b) => (b.deduplicated > a.deduplicated ? b : a))")
        start = time.perf_counter()
        driver.get(f"file://{out}/datasets/{largest['slug']}/index.html")
        wait_for(driver, "document.body.dataset.ready")
        loaded = time.perf_counter() - start
        slider = "const s = document.getElementById('threshold'); s.value = 0.8; s.dispatchEvent(new Event('input'))"
        moved = driver.execute_script(timed.format(slider))
        print(f"largest dataset, {largest['deduplicated']} patches: {loaded:.2f} s; another threshold {moved} ms")
        driver.execute_script("show(order[3])")
        shoot(driver, pictures, "dataset")


def shoot(driver: Any, folder: Path | None, name: str) -> None:
    """Keep a picture of the page."""
    if folder is not None:
        time.sleep(0.5)  # pictures of the page are loaded by then
        driver.save_screenshot(str(folder / f"{name}.png"))


def main() -> None:
    """Make, run, look."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--datasets", type=int, default=50)
    parser.add_argument("--patches", type=int, default=20000)
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--processes", "-p", type=int, default=1)
    parser.add_argument("--kept", action="store_true", help="kept TIFFs in place of dictionaries")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="keep screenshots here")
    parser.add_argument("--in", dest="place", type=Path, metavar="DIR", help="for the stand-ins (default: temporary)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.place) as place:
        root = Path(place)
        make_collection(root, args.datasets, args.patches, args.side, kept_only=args.kept)
        print(f"{args.datasets} datasets, about {args.patches} patches of {args.side}", flush=True)
        for what in ("first run", "second run"):
            run_report(what, root, args.processes, args.patches, kept_only=args.kept)
        table = root / "filtered" / "dataset_0003.csv"
        table.write_text(table.read_text().replace("True", "False", 1))
        run_report("one dataset changed", root, args.processes, args.patches, kept_only=args.kept)
        say_sizes(root / "report")
        if CHROMIUM and DRIVER:
            look(root / "report", args.pictures)


if __name__ == "__main__":
    main()
