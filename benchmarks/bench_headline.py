"""Hours that a curation of the published size takes: 5.3 M patches cut, 1.1 M judged, 0.5 M kept; beside older scripts.

A collection is simulated: volumes of each of four shapes and 2D images of two depths, all tiled from real tissue where
a stack is given (--tissue), else from generated one. Every stage runs on it as a user runs it, in one process; what it
costs a patch is taken times the published numbers. The older scripts are one volume of each shape and one folder of
images through the naive loop (Pillow and ImageHash patch by patch, boolean arrays), and the network in plain fp32.
Hours are CPU hours of one core, and half of them for two: no stage waits for another. What a script's start costs is
counted with the patches but for the networks, where it is measured apart. Where there is a GPU, the ResNet34 runs on
it, too, in as many processes as keep it busy: hours by the clock.

Example:
    python benchmarks/bench_headline.py --tissue DATA/3d/flyem_medulla_training1_slices
"""

import argparse
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]
import bench_gpu
from bench_patchify3d import CROP, measure

from utils.argument_types import existing_dir, positive_int
from utils.classification.devices import SHARING, gpus
from utils.cli import make_parser, run_script, usable_cpus
from utils.dictionaries import save_records
from utils.patch_file import PatchFile

CUT, JUDGED = 5.3e6, 1.1e6
# Voxels (z, y, x), type, and voxel size in nm: isotropic, 16 bit, serial sections (only xy is cut), small ones.
SHAPES = (
    ((512, 512, 512), "uint8", (8.0, 8.0, 8.0)),
    ((512, 512, 512), "uint16", (8.0, 8.0, 8.0)),
    ((60, 1536, 1536), "uint8", (50.0, 5.0, 5.0)),
    ((160, 160, 160), "uint8", (8.0, 8.0, 8.0)),
)
IMAGE = (2048, 2048)
# Patches that a network judges for what its start costs.
FEW = 64
# What an int8 model is made of and measured on, and some more.
ENOUGH = 512
# The lite network judges so many times as many, a GPU this many.
MORE = 8
ON_GPU = 1 << 16


@dataclass
class Cost:
    """CPU seconds of a stage (of a GPU: by the clock), and the patches that they were for."""

    seconds: float = 0.0
    patches: int = 0

    def add(self, seconds: float, patches: int) -> None:
        """One run more."""
        self.seconds, self.patches = self.seconds + seconds, self.patches + patches

    def hours(self, patches: float) -> float:
        """CPU hours that so many patches would cost."""
        return patches * self.seconds / max(1, self.patches) / 3600


def main(argv: Sequence[str] | None = None) -> int:
    """Print a table of stages."""
    parser = make_parser(__doc__)
    parser.add_argument("--tissue", type=existing_dir, help="a folder of slices of real tissue (generated)")
    parser.add_argument("--volumes", type=positive_int, default=5, help="of each shape, and folders of images (5)")
    parser.add_argument("--images", type=positive_int, default=4, help="in each folder (4)")
    parser.add_argument("--repeat", type=positive_int, default=2, help="runs of each network, the quickest counts (2)")
    parser.add_argument("--judged", type=positive_int, default=256, help="patches for the networks (256)")
    parser.add_argument("--only-ours", action="store_true", help="leave the older scripts out")
    parser.add_argument("--naive", nargs=2, metavar=("SOURCE", "TARGET"), help=argparse.SUPPRESS)
    parser.add_argument("--loop", nargs=2, metavar=("DICTIONARY", "WEIGHTS"), help=argparse.SUPPRESS)
    parser.add_argument("--network", nargs=2, metavar=("DICTIONARY", "WEIGHTS"), help=argparse.SUPPRESS)
    parser.add_argument("--fit", metavar="WEIGHTS", help=argparse.SUPPRESS)
    return run_script(headline, parser, argv)


def headline(args: argparse.Namespace) -> int:
    """Measure every stage; the hidden options are its own processes."""
    if args.naive:
        naive(*map(Path, args.naive))
    elif args.loop:
        older_network(*map(Path, args.loop))
    elif args.network:
        network_alone(*map(Path, args.network))
    elif args.fit:
        fit(Path(args.fit))
    else:
        with tempfile.TemporaryDirectory() as folder:
            tell(*measured(args, Path(folder)))
    return 0


def measured(args: argparse.Namespace, folder: Path) -> tuple[dict[str, Cost], dict[str, Cost]]:
    """Costs of our stages and of the older scripts."""
    ours = {name: Cost() for name in ("cut", "across", "judged", "alone", "int8", "lite", "gpu")}
    older = {name: Cost() for name in ("cut", "judged")}
    tissue = real_tissue(args.tissue) if args.tissue else generated_tissue()
    cut_volumes(args, folder, tissue, ours["cut"], older["cut"])
    cut_images(args, folder, tissue, ours["cut"], older["cut"])
    dictionaries = [*(folder / "patches").rglob("*.pkl")]
    folders = {path.parent for path in dictionaries}
    cpu, _ = measure(script("collection/dedupe_collection.py", *sorted(folders), "-o", folder / "duplicates.csv"))
    ours["across"].add(cpu, sum(count(path) for path in dictionaries))
    judge(args, folder, dictionaries, ours, older["judged"])
    if gpus():
        judge_on_gpu(args, folder, dictionaries, ours["gpu"])
    return ours, older


def script(name: str, *arguments: str | Path) -> list[str]:
    """The command of a stage in one process."""
    return [sys.executable, str(ROOT / name), *map(str, arguments), "-p", "1", "--quiet"]


def own(*arguments: str | Path) -> list[str]:
    """The command of a part of this benchmark in a process of its own."""
    return [sys.executable, __file__, *map(str, arguments)]


def cut_volumes(args: argparse.Namespace, folder: Path, tissue: np.ndarray, ours: Cost, older: Cost) -> None:
    """patchify3d over all volumes of each shape, and the naive loop over the first; volumes go again at once."""
    from utils.formats.writers import write_nrrd

    for number, (shape, dtype, voxel_size) in enumerate(SHAPES):
        volumes = folder / "volumes"
        volumes.mkdir()
        for i in range(args.volumes):
            voxels = tiled(tissue, shape, 1 + i + args.volumes * number)
            scaled = voxels if dtype == "uint8" else voxels.astype(np.uint16) * 16
            write_nrrd(volumes / f"{dtype}_{'x'.join(map(str, shape))}_{i}.nrrd", scaled, voxel_size)
        paths = sorted(volumes.iterdir())
        cpu, _ = measure(script("patchify3d.py", volumes, folder / "patches" / str(number), "-cs", str(CROP)))
        ours.add(cpu, patches_of(shape, voxel_size) * len(paths))
        if not args.only_ours:
            cpu, _ = measure(own("--naive", paths[0], folder / "naive.pkl"))
            older.add(cpu, patches_of(shape, voxel_size))
        for path in paths:
            path.unlink()
        volumes.rmdir()
        print(f"{shape} {dtype}: cut", flush=True)


def cut_images(args: argparse.Namespace, folder: Path, tissue: np.ndarray, ours: Cost, older: Cost) -> None:
    """cleanup2d and patchify2d over folders of 8-bit TIFFs and 16-bit PNGs, and the naive loop over one of each."""
    import cv2
    import tifffile

    sections = tiled(tissue, (2 * args.volumes * args.images, *IMAGE), 99)
    for i, section in enumerate(sections):
        wide, group = i % 2 == 1, folder / "images" / f"{'png16' if i % 2 else 'tiff8'}_{i // 2 // args.images}"
        group.mkdir(parents=True, exist_ok=True)
        if wide:
            cv2.imwrite(str(group / f"{i}.png"), section.astype(np.uint16) * 200)
        else:
            tifffile.imwrite(group / f"{i}.tif", section)
    cpu, _ = measure(script("preprocess/cleanup2d.py", folder / "images", "-o", folder / "clean"))
    more, _ = measure(
        script("patchify2d.py", folder / "clean", folder / "patches" / "2d", "-cs", str(CROP), "--dedupe")
    )
    each = (IMAGE[0] // CROP) * (IMAGE[1] // CROP)
    ours.add(cpu + more, len(sections) * each)
    for group in () if args.only_ours else (folder / "images" / "tiff8_0", folder / "images" / "png16_0"):
        cpu, _ = measure(own("--naive", group, folder / "naive.pkl"))
        older.add(cpu, args.images * each)


def judge(args: argparse.Namespace, folder: Path, dictionaries: list[Path], ours: dict[str, Cost], older: Cost) -> None:
    """classify_patches with a ResNet34, in int8 where that is installed, and with the lite network; and the older loop.

    All of them judge few and many patches: what many cost more is what patches cost, without the start; in int8 without
    the building of the model, which the first run leaves to the others.
    """
    wanted = {"few": FEW, "many": FEW + args.judged, "more": FEW + MORE * args.judged}
    wanted |= {"enough": ENOUGH, "beyond": ENOUGH + args.judged}
    records = sampled(dictionaries, max(wanted.values()))
    paths = {name: save_sample(folder / name, records[:number]) for name, number in wanted.items()}
    weights = folder / "resnet34.pth"
    subprocess.run(own("--fit", weights), check=True)
    runs = {"judged": (str(weights), "auto", "few", "many"), "lite": ("lite", "auto", "few", "more")}
    if importlib.util.find_spec("openvino"):
        runs["int8"] = (str(weights), "int8", "enough", "beyond")
    commands = {
        (name, part): script(
            *("classify_patches.py", folder / part, folder / "judged" / name / part),
            *("--weights", network, "--device", "cpu", "--precision", precision, "--update"),
        )
        for name, (network, precision, *parts) in runs.items()
        for part in parts
    }
    for name, option in [("alone", "--network"), ("loop", "--loop")][: 1 if args.only_ours else 2]:
        commands |= {(name, part): own(option, paths[part], weights) for part in ("few", "many")}
    best = dict.fromkeys(commands, np.inf)
    for _ in range(args.repeat):
        shutil.rmtree(folder / "judged", ignore_errors=True)
        for key, command in commands.items():
            best[key] = min(best[key], measure(command)[0])
    for few, many in zip(list(commands)[::2], list(commands)[1::2], strict=True):
        name, patches = few[0], wanted[many[1]] - wanted[few[1]]
        (older if name == "loop" else ours[name]).add(best[many] - best[few], patches)
        print(f"{name}: {wanted[many[1]]} judged in {best[many]:.1f} CPU s, {wanted[few[1]]} in {best[few]:.1f}")


def judge_on_gpu(args: argparse.Namespace, folder: Path, dictionaries: list[Path], cost: Cost) -> None:
    """classify_patches with the ResNet34 on a GPU; few and many patches, as in `judge`."""
    patches = [patch for _, patch in sampled(dictionaries, ON_GPU)]
    options = ["--weights", folder / "resnet34.pth", "--device", "cuda", "-p", min(SHARING, usable_cpus())]
    seconds = {}
    for part, number in (("few", bench_gpu.FEW), ("many", ON_GPU)):
        bench_gpu.write(folder / f"gpu-{part}", patches, number)
        start = time.perf_counter()
        subprocess.run(
            [
                *script("classify_patches.py", folder / f"gpu-{part}", folder / "judged" / f"gpu-{part}"),
                *map(str, options),
            ],
            check=True,
        )
        seconds[part] = time.perf_counter() - start
    cost.add(seconds["many"] - seconds["few"], ON_GPU - bench_gpu.FEW)
    print(f"gpu: {ON_GPU} judged in {seconds['many']:.1f} s, {bench_gpu.FEW} in {seconds['few']:.1f}")


def sampled(dictionaries: list[Path], wanted: int) -> list[tuple[str, np.ndarray]]:
    """Patches from all dictionaries alike, in random order."""
    rng, each = np.random.default_rng(0), 4 * wanted // len(dictionaries) + 1
    records = []
    for path in sorted(dictionaries):
        with PatchFile(path) as file:
            chosen = sorted(rng.choice(len(file), min(len(file), each), replace=False))
            records += [(file.names[i], patch) for i, patch in zip(chosen, file.read(chosen), strict=True)]
    return [records[i] for i in rng.permutation(len(records))[:wanted]]


def save_sample(folder: Path, records: list[tuple[str, np.ndarray]]) -> Path:
    """A dictionary of them, alone in a folder."""
    folder.mkdir()
    save_records(folder / f"{folder.name}.pkl", records)
    return folder / f"{folder.name}.pkl"


def tell(ours: dict[str, Cost], older: dict[str, Cost]) -> None:
    """The table."""
    print(f"\n{'stage':52} {'ms a patch':>10} {'CPU h':>7} {'older: ms':>10} {'CPU h':>7}")
    rows = [
        ("cut, hashed, near-duplicates left out (5.3 M)", "cut", "cut", CUT),
        ("duplicates across datasets (1.1 M; new)", "across", None, JUDGED),
        ("ResNet34, kept patches written (1.1 M)", "judged", "judged", JUDGED),
        ("  of it the network alone", "alone", None, JUDGED),
        ("  the same in int8 by OpenVINO", "int8", "judged", JUDGED),
        ("  the lite network instead", "lite", None, JUDGED),
        ("  ResNet34 on the GPU, by the clock", "gpu", None, JUDGED),
    ]
    for what, mine, theirs, patches in rows:
        if not ours[mine].patches:
            continue
        cost, other = ours[mine], older.get(theirs or "")
        line = f"{what:52} {1000 * cost.seconds / cost.patches:10.3f} {cost.hours(patches):7.2f}"
        if other and other.patches:
            line += f" {1000 * other.seconds / other.patches:10.3f} {other.hours(patches):7.2f}"
        print(line)
    base = ours["cut"].hours(CUT) + ours["across"].hours(JUDGED)
    before = (older["cut"].hours(CUT) + older["judged"].hours(JUDGED)) / 2
    for name, what in (("judged", "ResNet34"), ("int8", "ResNet34 in int8"), ("lite", "lite")):
        if ours[name].patches:
            beside = f"; older scripts {before:.1f} h" if older["cut"].patches else ""
            print(f"two cores, {what}: {(base + ours[name].hours(JUDGED)) / 2:.1f} h{beside}")
    if ours["gpu"].patches:
        minutes = 60 * (base / 2 + ours["gpu"].hours(JUDGED))
        print(f"two cores and a GPU: {minutes:.0f} minutes")


def patches_of(shape: tuple[int, int, int], voxel_size: tuple[float, float, float]) -> int:
    """Patches that are cut of a volume: whole tiles of the grid, or one a slice that is smaller than the crop."""
    axes = range(3) if max(voxel_size) <= 1.25 * min(voxel_size) else (0,)
    total = 0
    for axis in axes:
        rows, columns = (side for other, side in enumerate(shape) if other != axis)
        total += shape[axis] * max(1, rows // CROP) * max(1, columns // CROP)
    return total


def count(path: Path) -> int:
    """Patches in a dictionary."""
    with PatchFile(path) as file:
        return len(file)


def real_tissue(folder: Path) -> np.ndarray:
    """The slices of a folder, (z, y, x) uint8."""
    from utils.volumes import open_volume

    with open_volume(folder) as volume:
        return np.asarray(volume[:, :, :], np.uint8)


def generated_tissue(side: int = 256, depth: int = 48) -> np.ndarray:
    """Scenes of cells that go over into each other, (z, y, x) uint8."""
    from utils.training.synthetic.tissue import tissue

    rng = np.random.default_rng(0)
    scenes = [tissue(rng, side).astype(np.float32) for _ in range(4)]
    steps = np.linspace(0, len(scenes) - 1.001, depth)
    blend = np.stack([scenes[int(s)] * (1 - s % 1) + scenes[int(s) + 1] * (s % 1) for s in steps])
    low, high = np.percentile(blend, (0.5, 99.5))
    voxels: np.ndarray = (np.clip((blend - low) / (high - low), 0, 1) * 255).astype(np.uint8)
    return voxels


def tiled(tissue: np.ndarray, shape: tuple[int, int, int], seed: int) -> np.ndarray:
    """Mirrored tiles from a random start, with the grain of a detector: no two slices are the same."""
    rng = np.random.default_rng(seed)
    indices = []
    for side, wanted in zip(tissue.shape, shape, strict=True):
        there_and_back = np.concatenate([np.arange(side), np.arange(side)[::-1]])
        start = int(rng.integers(len(there_and_back)))
        indices.append(there_and_back[(start + np.arange(wanted)) % len(there_and_back)])
    voxels: np.ndarray = tissue[np.ix_(*indices)]
    grain = rng.integers(0, 13, (64, *shape[1:]), dtype=np.uint8)
    for z in range(shape[0]):
        plane = grain[int(rng.integers(len(grain)))]
        voxels[z] = np.where(voxels[z] > 242, 242, voxels[z]) + plane
    return voxels


def naive(source: Path, target: Path) -> None:
    """The naive loop over a volume, or over a folder of images."""
    import bench_patchify3d

    if source.is_file():
        bench_patchify3d.naive(source, target)
        return
    import pickle

    import imagehash
    from PIL import Image

    patches, hashes = [], []
    for path in sorted(source.iterdir()):
        image = np.asarray(Image.open(path))
        if image.dtype != np.uint8:
            low, high = image.min(), image.max()
            image = ((image - float(low)) / (float(high) - low) * 255).astype(np.uint8)
        for y in range(0, image.shape[0] - CROP + 1, CROP):
            for x in range(0, image.shape[1] - CROP + 1, CROP):
                patches.append(image[y : y + CROP, x : x + CROP])
                hashes.append(imagehash.dhash(Image.fromarray(patches[-1])).hash.ravel())
    kept = bench_patchify3d.naive_exemplars(np.array(hashes), 12)
    with target.open("wb") as f:
        pickle.dump([patches[i] for i in kept], f)


def older_network(dictionary: Path, weights: Path) -> None:
    """Plain fp32 batches of one thread, and what is above the threshold written as TIFFs."""
    import torch
    from bench_classify import older_loop
    from PIL import Image

    from utils.classification.state_files import load_weights

    torch.set_num_threads(1)
    with PatchFile(dictionary) as file:
        patches = file.read(range(len(file)))
    kept = older_loop(load_weights(weights), patches) > 0
    out = dictionary.parent.parent / "older"
    out.mkdir(exist_ok=True)
    for i in np.flatnonzero(kept):
        Image.fromarray(patches[i]).save(out / f"{i}.tiff")


def network_alone(dictionary: Path, weights: Path) -> None:
    """The classifier's own network at the precision that ``auto`` takes, without files."""
    import torch

    from utils.classification.classifier import Classifier
    from utils.classification.state_files import load_weights

    torch.set_num_threads(1)
    with PatchFile(dictionary) as file:
        patches = file.read(range(len(file)))
    Classifier(load_weights(weights), device="cpu").scores(patches)


def fit(weights: Path) -> None:
    """A ResNet34 whose logits spread as a trained one's; timing does not depend on the weights."""
    import torch
    from bench_classify import fitted_resnet, generated

    torch.save(fitted_resnet(*generated(64)), weights)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    raise SystemExit(main())
