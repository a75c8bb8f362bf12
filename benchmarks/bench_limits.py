"""What is large in one way only: a folder of half a million files, a dictionary of 10 GB, a volume of little but zeros.

Each case is measured in a process of its own, of which CPU seconds and peak memory are printed:

- ``list``: `list_volumes` of a folder of N empty files;
- ``links``: the link step of examples/curate.sh over N volumes, every other stage left out;
- ``sheet``: classify_patches.py where one of N regions of one dataset has changed, beside a run with nothing to do;
- ``sparse``: patchify3d.py over a raw volume of N^3, a hole in a file, with tissue in one corner;
- ``zeros``: the same, of zeros that are stored;
- ``reading``: a dictionary of N GB, read in batches as classify_patches.py does;
- ``dictionary``: the same, then plain `pickle.load`, and classify_patches.py over it;
- ``tiffs``: classify_patches.py again and reconstruct3d.py over a folder of N kept TIFFs.

Example:
    python benchmarks/bench_limits.py list=500000 links=1000 sheet=1000 sparse=3000
"""

import argparse
import multiprocessing
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]
from bench_patchify3d import measure

from utils.cli import make_parser, run_script

LITE = ("--weights", "lite", "-p", "1", "--quiet")
SIZES = [
    "list=500000",
    "links=1000",
    "sheet=1000",
    "sparse=3000",
    "zeros=1000",
    "reading=10",
    "dictionary=1",
    "tiffs=500000",
]
TISSUE = 300
GB = 10**9


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; see the module's docstring."""
    parser = make_parser(__doc__)
    parser.add_argument("cases", nargs="*", type=case, default=[case(text) for text in SIZES], metavar="CASE=N")
    parser.add_argument(
        "--folder", type=Path, help="where the inputs are made for a while (default: the temporary one)"
    )
    return run_script(measure_all, parser, argv)


def case(text: str) -> tuple[str, float]:
    """Argument type: a case with its size.

    Raises
    ------
    ArgumentTypeError
        If it is none.
    """
    name, _, size = text.partition("=")
    try:
        if name in CASES:
            return name, float(size)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(f'{name}=N' for name in CASES)}")


def measure_all(args: argparse.Namespace) -> int:
    """One case after another."""
    for name, size in args.cases:
        with tempfile.TemporaryDirectory(dir=args.folder) as folder:
            for what, (seconds, megabytes) in CASES[name](Path(folder), size):
                print(f"{name}={size:g}: {what}: {seconds:.2f} CPU s, {megabytes:.0f} MB", flush=True)
    return 0


Measured = Iterator[tuple[str, tuple[float, float]]]


def here(code: str, *args: object) -> list[str]:
    """The command line of some Python in a process of its own."""
    return [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); {code}", *map(str, args)]


def script(name: str, *args: object) -> list[str]:
    """The command line of a script."""
    return [sys.executable, str(ROOT / name), *map(str, args)]


def prepare(make: Callable[..., None], *args: object) -> None:
    """Make inputs in a process of its own: a child's peak memory counts from its parent's."""
    process = multiprocessing.get_context("spawn").Process(target=make, args=args)
    process.start()
    process.join()
    if process.exitcode:
        raise ValueError(f"{make.__name__} ended with {process.exitcode}")


def empty_files(folder: Path, count: int) -> None:
    """Empty files with the suffix of a volume."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        (folder / f"v{index}.nrrd").touch()


def long_list(folder: Path, count: float) -> Measured:
    """A folder of empty files."""
    prepare(empty_files, folder, int(count))
    code = "from pathlib import Path; from utils.volumes import list_volumes; list_volumes(Path(sys.argv[1]))"
    yield "list_volumes", measure(here(code, folder))


def links(folder: Path, count: float) -> Measured:
    """curate.sh with a Python that does nothing: without inputs, with them, and again."""
    inputs = folder / "in" / "3d"
    prepare(empty_files, inputs, 0)
    command = [
        "env",
        "PYTHON=true",
        "bash",
        str(ROOT / "examples" / "curate.sh"),
        str(inputs.parent),
        str(folder / "o"),
    ]
    yield "no volumes", measure(command)
    prepare(empty_files, inputs, int(count))
    yield "linked", measure(command)
    yield "again", measure(command)


def region(folder: Path, index: int, seed: int = 0) -> None:
    """The dictionary of a region of a dataset: twenty small patches of noise."""
    from utils.dictionaries import save_patches

    name = f"v-ROI-x{index}-{index + 64}_y0-64_z0-64"
    names = [f"{name}-LOC-0_{z:02}_0-64_0-64" for z in range(20)]
    patches = np.random.default_rng([index, seed]).integers(0, 255, (20, 64, 64), dtype=np.uint8)
    save_patches(folder / f"{name}.pkl", names, list(patches))


def regions(folder: Path, count: int) -> None:
    """The dictionaries of many."""
    for index in range(count):
        region(folder, index)


def sheet(folder: Path, count: float) -> Measured:
    """A dataset of many regions, of which one changes."""
    prepare(regions, folder / "in", int(count))
    command = script("classify_patches.py", folder / "in", folder / "out", *LITE, "--update")
    yield "first", measure(command)
    yield "again", measure(command)
    prepare(region, folder / "in", 7, 1)
    yield "one changed", measure(command)


def sparse(folder: Path, side: float) -> Measured:
    """A raw volume with tissue in one corner, the rest of the file a hole."""
    yield from cut(folder, int(side), stored=False)


def zeros(folder: Path, side: float) -> Measured:
    """The same, its zeros stored."""
    yield from cut(folder, int(side), stored=True)


def mostly_zeros(folder: Path, side: int, stored: bool) -> None:
    """A MetaImage with tissue in one corner."""
    tissue = np.random.default_rng(0).integers(1, 255, (TISSUE, TISSUE), dtype=np.uint8)
    with (folder / "v.raw").open("wb") as file:
        for _ in range(side if stored else 0):
            file.write(bytes(side * side))
        file.truncate(side**3)
        for z, y in product(range(TISSUE), range(TISSUE)):
            file.seek((z * side + y) * side)
            file.write(np.roll(tissue, z, axis=0)[y].tobytes())
    header = ["ObjectType = Image", "NDims = 3", f"DimSize = {side} {side} {side}", "ElementType = MET_UCHAR"]
    (folder / "v.mhd").write_text("\n".join([*header, "ElementSpacing = 8 8 8", "ElementDataFile = v.raw", ""]))


def cut(folder: Path, side: int, *, stored: bool) -> Measured:
    """patchify3d.py over it."""
    prepare(mostly_zeros, folder, side, stored)
    command = script("patchify3d.py", folder / "v.mhd", folder / "out", "-p", "1", "--quiet")
    seconds, megabytes = measure(command)
    yield f"{side**3 / GB:.3g} GB, {seconds * GB / side**3:.2f} CPU s a GB", (seconds, megabytes)


def dictionary_of_noise(path: Path, count: int) -> None:
    """Many patches, of which 64 differ."""
    from utils.dictionaries import save_records

    noise = np.random.default_rng(0).integers(0, 255, (64, 224, 224), dtype=np.uint8)
    path.parent.mkdir()
    save_records(path, ((f"v-LOC-0_{index:07}_0-224_0-224", noise[index % 64]) for index in range(count)))


def reading(folder: Path, gigabytes: float) -> Measured:
    """One dictionary, read in batches."""
    path, count = folder / "in" / "v.pkl", int(gigabytes * GB / 224**2)
    prepare(dictionary_of_noise, path, count)
    code = "from pathlib import Path; from utils.patch_file import PatchFile; "
    yield f"{count} patches read", measure(here(code + "[None for _ in PatchFile(Path(sys.argv[1])).batches()]", path))


def dictionary(folder: Path, gigabytes: float) -> Measured:
    """One dictionary: read, loaded as any Python does, and classified."""
    yield from reading(folder, gigabytes)
    path = folder / "in" / "v.pkl"
    yield "pickle.load", measure(here("import pickle; pickle.load(open(sys.argv[1], 'rb'))", path))
    command = script("classify_patches.py", path.parent, folder / "out", *LITE, "--threshold", 1)
    yield "classified", measure(command)


def kept_tiffs(folder: Path, count: int) -> None:
    """A dictionary, its table and its kept TIFFs, as classify_patches.py would have left them, and their volume."""
    from utils.classification.kept_files import KeptTiffs
    from utils.dictionaries import save_records
    from utils.formats.writers import write_nrrd
    from utils.names import format_name_3d
    from utils.patches import patch_boxes
    from utils.records.kept_patch import KeptRecord
    from utils.records.scores import KEPT, Score, save_scores

    boxes = patch_boxes((80, 80), 8)
    shape = (-(-count // len(boxes)), 80, 80)
    names = [format_name_3d("v", 0, z, shape[0], box) for z in range(shape[0]) for box in boxes][:count]
    for part in ("in", "volumes", "out/v"):
        (folder / part).mkdir(parents=True)
    write_nrrd(folder / "volumes" / "v.nrrd", np.zeros(shape, np.uint8), (8.0, 8.0, 8.0))
    patch = np.zeros((8, 8), np.uint8)
    save_records(folder / "in" / "v.pkl", ((name, patch) for name in names))
    tiffs, record = KeptTiffs(), KeptRecord(dictionary="v", score=1.0)
    for name in names:
        tiffs.write(folder / "out" / "v" / f"{name}.tiff", patch, record)
    save_scores(folder / "out" / "v.csv", (Score(name, 1.0, True, KEPT) for name in names))


def tiffs(folder: Path, count: float) -> Measured:
    """What stages make of a folder of many kept TIFFs."""
    prepare(kept_tiffs, folder, int(count))
    classify = script("classify_patches.py", folder / "in", folder / "out", *LITE)
    yield "classify_patches.py, the sheet drawn", measure(classify)
    yield "classify_patches.py, nothing to do", measure(classify)
    stacks = script("3d/reconstruct3d.py", folder / "out", "-vd", folder / "volumes", "-sd", folder / "stacks")
    stacks += ["-nz", "1", "--limit-total", "20", "-p", "1", "--quiet"]
    yield "reconstruct3d.py, 20 stacks", measure(stacks)
    yield "reconstruct3d.py, nothing to do", measure(stacks)


CASES: dict[str, Callable[[Path, float], Measured]] = {
    "list": long_list,
    "links": links,
    "sheet": sheet,
    "sparse": sparse,
    "zeros": zeros,
    "reading": reading,
    "dictionary": dictionary,
    "tiffs": tiffs,
}


if __name__ == "__main__":
    raise SystemExit(main())
