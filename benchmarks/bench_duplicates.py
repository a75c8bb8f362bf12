"""Duplicates and leaks of real patches with known copies: recall by kind of change, chance, cost, growth.

DATA is a folder of images (subfolders are experiments); patches are cut from them, changed, and looked for. Unrelated
pairs are those of different experiments, in all eight views; the nearest of them are verified on their pixels.

Example:
    python benchmarks/bench_duplicates.py DATA --copies 200
    python benchmarks/bench_duplicates.py DATA --only growth
"""

import argparse
import io
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from utils.contrast import to_uint8
from utils.duplicates.embedding import SIZE, code_views, codes_of, embed_all, lengths, view_of
from utils.duplicates.excluded import Excluded, index_excluded, list_excluded
from utils.duplicates.greedy import ALIKE, compare_views
from utils.duplicates.index_file import read_index
from utils.duplicates.leaks import ExcludedWindows
from utils.duplicates.verify import sizes_of
from utils.duplicates.view_file import ViewFile
from utils.images import list_images, read_gray
from utils.jobs import Job

SIDE = 224
PARTS = ("duplicates", "slices", "leaks", "deep", "growth")
STACKS = ("flyem_medulla", "cdeep3m_mito", "isbi2012", "vnc_stack1")
STEPS = (1, 2, 3, 4, 6, 12)
Image_ = tuple[str, np.ndarray]
RNG = np.random.default_rng(0)


def jpeg(patch: np.ndarray) -> np.ndarray:
    """A JPEG of quality 30, read back."""
    buffer = io.BytesIO()
    Image.fromarray(patch).save(buffer, "JPEG", quality=30)
    return np.asarray(Image.open(buffer))


def noisy(patch: np.ndarray) -> np.ndarray:
    """Gaussian noise of 10 grey values."""
    return np.clip(patch + RNG.normal(0, 10, patch.shape), 0, 255).astype(np.uint8)


def turned(image: np.ndarray, angle: float = 33.0) -> np.ndarray:
    """Turned about its middle."""
    middle = (image.shape[1] / 2, image.shape[0] / 2)
    return cv2.warpAffine(image, cv2.getRotationMatrix2D(middle, angle, 1), image.shape[::-1], flags=cv2.INTER_CUBIC)


# A change, and the side of the field that the patch is cut from.
CHANGES: dict[str, tuple[Callable[[np.ndarray], np.ndarray], int]] = {
    "same": (lambda p: p, SIDE),
    "JPEG 30": (jpeg, SIDE),
    "gamma 1.6": (lambda p: (255 * (p / 255.0) ** 1.6).astype(np.uint8), SIDE),
    "noise 10": (noisy, SIDE),
    "turned, inverted": (lambda p: 255 - view_of(p, 5), SIDE),
    "half size": (lambda p: cv2.resize(p, (SIDE, SIDE), interpolation=cv2.INTER_AREA), 2 * SIDE),
    "double size": (lambda p: cv2.resize(p, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC), SIDE // 2),
}


def read_images(folder: Path) -> list[Image_]:
    """All images below a folder, named by the subfolder: their experiment."""
    found = []
    for place in sorted([folder, *(path for path in folder.rglob("*") if path.is_dir())]):
        for path in list_images(place)[0]:
            try:
                image = to_uint8(read_gray(path))
            except (OSError, ValueError):
                continue
            if min(image.shape) >= SIDE and image.std() > 5:
                found.append((path.parent.name, image))
    return found


def grid(images: Sequence[Image_]) -> list[Image_]:
    """Patches beside each other."""
    return [
        (name, np.ascontiguousarray(image[y : y + SIDE, x : x + SIDE]))
        for name, image in images
        for y in range(0, image.shape[0] - SIDE + 1, SIDE)
        for x in range(0, image.shape[1] - SIDE + 1, SIDE)
        if shows_something(image[y : y + SIDE, x : x + SIDE])
    ]


def shows_something(patch: np.ndarray, tile: int = 28) -> bool:
    """Whether half of a patch's tiles have contrast: resin, and the black around a data bar, are no tissue."""
    rows, columns = (side // tile for side in patch.shape)
    tiles = patch[: rows * tile, : columns * tile].reshape(rows, tile, columns, tile)
    return bool((tiles.std(axis=(1, 3)) > 5).mean() >= 0.5)


def random_field(images: Sequence[Image_], side: int) -> tuple[int, int, int]:
    """A random place, (image, y, x), where an image shows something."""
    while True:
        which = int(RNG.integers(len(images)))
        image = images[which][1]
        if min(image.shape) >= side:
            y, x = (int(RNG.integers(0, length - side + 1)) for length in image.shape)
            if shows_something(image[y : y + side, x : x + side]):
                return which, y, x


def duplicates(images: Sequence[Image_], copies: int) -> None:
    """Recall of shifted copies among all patches; chance among unrelated ones."""
    patches = grid(images)
    start = time.process_time()
    codes = embed_all([patch for _, patch in patches])
    print(f"{len(patches)} patches of {len({name for name, _ in patches})} experiments")
    print(f"embedding {(time.process_time() - start) / len(patches) * 1e3:.2f} ms a patch")
    spent, compared = 0.0, 0
    for shift in (0, 4, 8, 12, 16):
        codes_alike, verified = [], 0
        for _ in range(copies):
            which, y, x = random_field(images, SIDE + shift)
            image = images[which][1]
            first, second = (
                np.ascontiguousarray(image[y + s : y + s + SIDE, x + s : x + s + SIDE]) for s in (0, shift)
            )
            a, b = embed_all([first, second]).astype(float)
            codes_alike.append(float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)))
            begun = time.process_time()
            verified += codes_alike[-1] >= ALIKE and compare_views(first, sizes_of(second)).holds()
            spent, compared = spent + time.process_time() - begun, compared + 1
        low = np.percentile(codes_alike, 5)
        print(f"shifted by {shift} px: {verified / copies:.3f}; cosine of codes, 5th percentile {low:.2f}", flush=True)
    print(f"verification {spent / compared * 1e3:.2f} ms a pair of copies")
    chance(patches, codes)


def chance(patches: Sequence[Image_], codes: np.ndarray, most: int = 6000) -> None:
    """The highest similarity among the unrelated pairs whose codes are most alike."""
    experiments = np.array([name for name, _ in patches])
    sizes = np.maximum(lengths(codes), 1)
    views = code_views(codes)
    alike = np.zeros((len(patches), len(patches)), np.float32)
    view_at = np.zeros(alike.shape, np.uint8)
    for view in range(8):
        cosine = np.abs(views[:, view].astype(np.float32) @ codes.astype(np.float32).T) / np.outer(sizes, sizes)
        better = cosine > alike
        alike[better], view_at[better] = cosine[better], view
    unrelated = np.triu(experiments[:, None] != experiments[None], 1)
    first, second = np.nonzero(unrelated & (alike >= np.sort(alike[unrelated])[-min(most, unrelated.sum())]))
    values = []
    for i, j in zip(first.tolist(), second.tolist(), strict=True):
        found = compare_views(patches[j][1], sizes_of(view_of(patches[i][1], int(view_at[i, j]))))
        values.append((found.similarity, found.holds(), experiments[i], experiments[j]))
    values.sort(reverse=True)
    print(f"{unrelated.sum()} unrelated pairs in 8 views, the nearest {len(values)} verified:", end=" ")
    print(f"highest {values[0][0]:.3f} ({values[0][2]}, {values[0][3]}), taken for copies: {sum(v[1] for v in values)}")


def slices(folder: Path) -> None:
    """Slices of real volumes some steps on: how alike they are, and which share two values of --similarity find."""
    for stack in sorted(path for name in STACKS for path in folder.rglob(f"3d/{name}*") if path.is_dir()):
        volume = np.stack([to_uint8(read_gray(path)) for path in list_images(stack)[0]])
        for step in (step for step in STEPS if step < len(volume)):
            values, found = [], []
            for z in range(0, len(volume) - step, max(1, (len(volume) - step) // 20)):
                pairs = zip(grid([("", volume[z])]), grid([("", volume[z + step])]), strict=False)
                for (_, first), (_, second) in pairs:
                    a, b = embed_all([first, second]).astype(float)
                    agreement = compare_views(first, sizes_of(second))
                    near = a @ b >= ALIKE * np.linalg.norm(a) * np.linalg.norm(b)
                    values.append(agreement.similarity)
                    found.append([near and agreement.holds(least) for least in (0.5, 0.7)])
            shares = " and ".join(f"{share:.2f}" for share in np.mean(found, axis=0))
            print(f"{stack.name} +{step}: similarity {np.median(values):.2f}, found at .5 and .7: {shares}", flush=True)


def leaks(images: Sequence[Image_], copies: int, *, deep: bool) -> None:
    """Recall of patches cut at random offsets, and alarms of patches of experiments that are not excluded."""
    experiments = sorted({name for name, _ in images})
    excluded = [each for each in images if experiments.index(each[0]) % 2 == 0]
    others = [patch for name, patch in grid(images) if experiments.index(name) % 2]
    with tempfile.TemporaryDirectory() as folder:
        windows = indexed(excluded, Path(folder), deep=deep)
        for kind, (change, side) in CHANGES.items():
            fields = [random_field(excluded, side) for _ in range(copies)]
            patches = [changed(excluded[w][1][y : y + side, x : x + side], change) for w, y, x in fields]
            report(kind, windows, patches)
        for share in (0.75, 0.5, 0.25):
            report(f"overlap {share}", windows, [overlap(excluded, others, share) for _ in range(copies)])
        fields = [random_field(excluded, 2 * SIDE) for _ in range(copies)]
        wide = [turned(excluded[w][1][y : y + 2 * SIDE, x : x + 2 * SIDE]) for w, y, x in fields]
        report("turned by 33 degrees", windows, [np.ascontiguousarray(p[112:336, 112:336]) for p in wide])
        report("other experiments", windows, others)


def changed(patch: np.ndarray, change: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """A changed copy."""
    return np.ascontiguousarray(change(np.ascontiguousarray(patch)))


def overlap(excluded: Sequence[Image_], others: Sequence[np.ndarray], share: float) -> np.ndarray:
    """A patch that sticks out of an image: what lies beyond the image's edge is of another experiment."""
    rows, columns = (SIDE // 2, SIDE // 2) if share == 0.25 else (SIDE, round(SIDE * share))
    while True:
        patch = others[int(RNG.integers(len(others)))].copy()
        which, y, _ = random_field(excluded, SIDE)
        shown = excluded[which][1][(0 if rows < SIDE else y) :][:rows, :columns]
        if shown.std() > 5:
            patch[SIDE - rows :, SIDE - columns :] = shown
            return patch


def indexed(images: Sequence[Image_], folder: Path, *, deep: bool) -> ExcludedWindows:
    """The windows of images, through the files that a run would make."""
    (folder / "images").mkdir()
    for number, (_, image) in enumerate(images):
        Image.fromarray(image).save(folder / "images" / f"{number}.png")
    megapixels = sum(image.size for _, image in images) / 1e6
    start, sources = time.process_time(), []
    for name, path in list_excluded([folder / "images"]):
        if path.is_dir():
            continue
        index_excluded(Job(path, folder / name.replace("/", "-")), deep=deep)
        index = read_index(folder / name.replace("/", "-"))
        assert index is not None
        sources.append(Excluded(name, index))
    seconds = (time.process_time() - start) / megapixels
    windows = sum(len(source.index["codes"]) for source in sources)
    print(f"{megapixels:.1f} megapixels excluded: {seconds:.2f} s and {windows / megapixels:.0f} windows a megapixel")
    return ExcludedWindows(sources, deep=deep)


def report(kind: str, windows: ExcludedWindows, patches: Sequence[np.ndarray]) -> None:
    """How many patches are found, and at which cost."""
    start = time.process_time()
    found = [leak for i in range(0, len(patches), 128) for leak in windows.find(patches[i : i + 128])]
    spent = (time.process_time() - start) / len(patches) * 1e3
    alarms = sum(leak is not None for leak in found)
    print(f"{kind}: {alarms} of {len(patches)} ({alarms / len(patches):.3f}), {spent:.1f} ms a patch", flush=True)


def growth() -> None:
    """Cost of a patch's search, and recall in cells, among more and more random textures."""
    rng = np.random.default_rng(1)
    fall = np.maximum(np.hypot(*np.indices((8, 8))), 1)
    for count in (10_000, 100_000, 1_000_000):
        codes = np.concatenate(
            [codes_of(rng.standard_normal((10_000, 8, 8)) / fall) for _ in range(count // 10_000)]
        ).reshape(-1, SIZE)
        start = time.process_time()
        file = ViewFile(count)
        file.add(codes, np.arange(count))
        added = (time.process_time() - start) / count * 1e6
        chosen = rng.choice(count, 512, replace=False)
        noise = rng.normal(0, 17, (512, SIZE))
        near = np.clip(np.rint(codes[chosen] + noise), -127, 127).astype(np.int8)
        start = time.process_time()
        pairs = [(patch, owner) for patch, owner, _, _ in file.search(near, ALIKE)]
        spent = (time.process_time() - start) / 512 * 1e3
        patch, owner = (np.concatenate(column) for column in zip(*pairs, strict=True))
        hits = len(np.unique(patch[chosen[patch] == owner]))
        cosine = np.einsum("ij,ij->i", near, codes[chosen], dtype=float) / lengths(near) / lengths(codes[chosen])
        print(
            f"{count} patches: adding {added:.0f} us, search {spent:.2f} ms a patch, {len(patch) / 512:.0f} candidates,"
        )
        print(f"  recall {hits / 512:.3f} of copies with a cosine of {cosine.mean():.2f}", flush=True)


def main() -> None:
    """Print what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("--copies", type=int, default=200, help="copies of each kind (default 200)")
    parser.add_argument("--only", choices=PARTS, nargs="+", default=PARTS)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    images = read_images(args.data)
    for part in args.only:
        print(f"== {part}", flush=True)
        if part == "duplicates":
            duplicates(images, args.copies)
        elif part == "growth":
            growth()
        elif part == "slices":
            slices(args.data)
        else:
            leaks(images, args.copies, deep=part == "deep")


if __name__ == "__main__":
    main()
