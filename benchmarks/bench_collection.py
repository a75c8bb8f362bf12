"""Everything in DATA as one collection of overlapping groups: duplicates found and missed, leaks, and false ones.

Groups of the images as they are stand beside groups of copies: the same tiles as TIFF, a shifted JPEG, and turned,
mirrored and inverted; files of one picture in several formats get a group each. patchify2d.py cuts them,
dedupe_collection.py compares all with all. Then half of the experiments are excluded like benchmarks, and the
collection is made of all images from random offsets on: what lies in an excluded one is to be named, and nothing else.

Example:
    python benchmarks/bench_collection.py DATA/2d DATA/3d
    python benchmarks/bench_collection.py DATA/2d DATA/3d --deep
"""

import argparse
import contextlib
import io
import re
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "collection"), str(ROOT / "benchmarks")]

from bench_duplicates import SIDE, Image_, read_images, shows_something

import dedupe_collection
import patchify2d
from utils.dictionaries import load_patches
from utils.records.duplicates import Duplicate, read_duplicates

SHIFT = (3, 5)
FORMATS = re.compile(r"same_image|formats")
RNG = np.random.default_rng(1)


def jpeg_shifted(image: np.ndarray) -> tuple[np.ndarray, dict[str, object]]:
    """From another corner on, as JPEG."""
    return image[SHIFT[0] :, SHIFT[1] :], {"format": "JPEG", "quality": 60}


def turned(image: np.ndarray) -> tuple[np.ndarray, dict[str, object]]:
    """Turned, mirrored and inverted; of whole patches, so that the grids meet."""
    rows, columns = (side // SIDE * SIDE for side in image.shape)
    return 255 - np.rot90(image[:rows, :columns])[:, ::-1], {"format": "PNG"}


def same(image: np.ndarray) -> tuple[np.ndarray, dict[str, object]]:
    """The same pixels in another file."""
    return image, {"format": "TIFF"}


COPIES: dict[str, Callable[[np.ndarray], tuple[np.ndarray, dict[str, object]]]] = {
    "same": same,
    "jpeg": jpeg_shifted,
    "turned": turned,
}


def save(folder: Path, name: str, image: np.ndarray, how: dict[str, object]) -> None:
    """One image of a group."""
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(image)).save(folder / f"{name}.{str(how['format']).lower()}", **how)  # type: ignore[arg-type]


def make_groups(folder: Path, images: Sequence[Image_]) -> None:
    """Groups of originals, whose names come first, and of copies; every image in one kind of copy."""
    for number, (experiment, image) in enumerate(images):
        name = f"{number:03d}"
        apart = f"_{number:03d}" if FORMATS.search(experiment) else ""
        save(folder / f"0_{experiment}{apart}", name, image, {"format": "PNG"})
        kind = list(COPIES)[number % len(COPIES)]
        save(folder / f"{kind}_{experiment}", name, *COPIES[kind](image))


def patches_of(folder: Path) -> dict[str, list[str]]:
    """Names of the patches that show something, by group."""
    found = {}
    for path in sorted(folder.glob("*.pkl")):
        content = load_patches(path)
        pairs = zip(content["names"], content["patches"], strict=True)
        found[path.stem] = [name for name, patch in pairs if shows_something(patch)]
    return found


def run(module: object, *arguments: object) -> None:
    """A script's main, without its lines."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as said:
        code = module.main([*map(str, arguments), "-p", "1"])  # type: ignore[attr-defined]
    if code:
        raise RuntimeError(said.getvalue())


def compare_all(root: Path, images: Sequence[Image_]) -> None:
    """Duplicates between overlapping groups."""
    make_groups(root / "2d", images)
    run(patchify2d, root / "2d", root / "patches", "-cs", SIDE)
    groups = patches_of(root / "patches")
    start = time.process_time()
    run(dedupe_collection, root / "patches", "-o", root / "duplicates.csv")
    spent = time.process_time() - start
    rows = {(row.dictionary, row.name): row for row in read_duplicates(root / "duplicates.csv")}
    experiment = {f"{number:03d}": name for number, (name, _) in enumerate(images)}
    for kind in COPIES:
        names = [(group, name) for group, own in groups.items() if group.startswith(f"{kind}_") for name in own]
        say(kind, names, rows)
    twins = [group for group in groups if group.startswith("0_") and FORMATS.search(group)][1:]
    say("one picture in several formats", [(group, name) for group in twins for name in groups[group]], rows)
    wrong = Counter(
        (experiment[row.name[:3]], experiment[row.duplicate_of[:3]], row.orientation)
        for row in rows.values()
        if experiment[row.name[:3]] != experiment[row.duplicate_of[:3]]
    )
    counts = Counter(experiment[name[:3]] for own in groups.values() for name in own)
    total = sum(counts.values())
    pairs = (total**2 - sum(count**2 for count in counts.values())) // 2
    print(f"{total} patches, {pairs} pairs of different experiments: {sum(wrong.values())} taken for the same")
    print(*(f"  {pair}: {count}" for pair, count in wrong.items()), sep="\n")
    print(f"{spent / total * 1e3:.1f} ms of CPU a patch, index included", flush=True)


def say(kind: str, names: Sequence[tuple[str, str]], rows: dict[tuple[str, str], Duplicate]) -> None:
    """How many of the patches that show something were found."""
    missed = Counter(group for group, name in names if (group, name) not in rows)
    found = len(names) - sum(missed.values())
    print(f"{kind}: {found} of {len(names)} found ({found / max(1, len(names)):.3f})", dict(missed), flush=True)


def exclude_half(root: Path, images: Sequence[Image_], *, deep: bool) -> None:
    """Leaks at random offsets, and alarms of what is not excluded."""
    experiments = sorted({name for name, _ in images})
    excluded = set(experiments[::2])
    for number, (experiment, image) in enumerate(images):
        if experiment in excluded:
            save(root / "excluded" / experiment, f"{number:03d}", image, {"format": "PNG"})
        y, x = (int(RNG.integers(1, max(2, min(SIDE, side - SIDE)))) for side in image.shape)
        if min(image.shape[0] - y, image.shape[1] - x) >= SIDE:
            save(root / "2d" / experiment, f"{number:03d}", image[y:, x:], {"format": "PNG"})
    run(patchify2d, root / "2d", root / "patches", "-cs", SIDE)
    groups = patches_of(root / "patches")
    start = time.process_time()
    options = ["--deep"] if deep else []
    run(dedupe_collection, root / "patches", "-o", root / "d.csv", "--exclude", root / "excluded", *options)
    spent = time.process_time() - start
    rows = {(row.dictionary, row.name): row for row in read_duplicates(root / "d.csv") if row.reason == "excluded"}
    leaking = [(group, name) for group in sorted(excluded & groups.keys()) for name in groups[group]]
    say("leaks at random offsets", leaking, rows)
    others = [(group, name) for group in groups.keys() - excluded for name in groups[group]]
    alarms = Counter((group, rows[group, name].its_dictionary) for group, name in others if (group, name) in rows)
    count = sum(name in excluded for name, _ in images)
    print(f"{len(others)} patches of other experiments x {count} excluded images: {sum(alarms.values())} named")
    print(*(f"  {pair}: {count}" for pair, count in alarms.items()), sep="\n")
    print(f"{spent:.0f} s of CPU, indexes included")


def main() -> None:
    """Print what is found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="+", metavar="DATA")
    parser.add_argument("--deep", action="store_true", help="with SIFT; leaks only")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    images = [image for folder in args.data for image in read_images(folder)]
    with tempfile.TemporaryDirectory() as place:
        if not args.deep:
            compare_all(Path(place) / "all", images)
        exclude_half(Path(place) / "half", images, deep=args.deep)


if __name__ == "__main__":
    main()
