"""utils/label_maps.py: masks and segmentations are told from whatever a microscope gives."""

from collections.abc import Callable

import numpy as np
import pytest
import tifffile
from scipy.ndimage import gaussian_filter

from label_pictures import NOISE, PICTURE, SHAPE, cells
from utils import label_maps
from utils.histogram import Histogram
from utils.images import read_gray
from utils.label_maps import why_labels
from utils.volume_samples import why_labels_volume
from utils.volumes import list_volumes, open_volume


def drawn() -> np.random.Generator:
    """Random numbers, the same for each."""
    return np.random.default_rng(7)


# Made when they are asked for: every worker collects this file, one of them runs it.
LABELS: dict[str, Callable[[], np.ndarray]] = {
    "mask": lambda: np.where(PICTURE > 128, 255, 0).astype(np.uint8),
    "bool": lambda: PICTURE > 128,
    "float mask": lambda: np.where(PICTURE > 128, 0.5, 0).astype(np.float32),
    "4 classes": lambda: cells(200, classes=3).astype(np.uint8),
    "random": lambda: drawn().integers(0, 3, SHAPE, np.uint8),
    "random 6": lambda: drawn().integers(0, 6, SHAPE, np.uint8),
    "random 8": lambda: drawn().integers(0, 8, SHAPE, np.uint8),
    "7 classes": lambda: cells(200, classes=6).astype(np.uint8),
    "nested": lambda: np.where(
        np.indices(SHAPE)[1] < 40, 4, sum(np.hypot(*(np.indices(SHAPE) - 150)) < r for r in (99, 70, 50, 20))
    ),
    "20 classes": lambda: cells(300, classes=20).astype(np.int16),
    "instances": lambda: cells(300).astype(np.int32),
    "sparse ids": lambda: cells(300).astype(np.uint64) * 7919 + (1 << 40),
    "float ids": lambda: cells(300).astype(np.float32),
    "dense": lambda: cells(3000, 0).astype(np.uint16),
    "blocks": lambda: np.kron(drawn().integers(0, 200, (10, 10)), np.ones((30, 32), int)).astype(np.uint16),
    "blown up": lambda: np.kron(cells(200), np.ones((4, 4), int)).astype(np.uint16),
    "stack": lambda: np.stack([cells(150).astype(np.uint16)] * 3),
}


@pytest.mark.parametrize(("rows", "wanted"), [(1, ""), (2, "areas of exactly one value each")])
def test_classes_lie_in_areas_of_many_pixels(rows, wanted):
    runs = np.random.default_rng(0).integers(0, 20, (120 // rows, 20)) * 9
    reason = why_labels(np.kron(runs, np.ones((rows, 12), int)).astype(np.uint8))
    assert wanted in reason and bool(reason) == bool(wanted)


@pytest.mark.parametrize("name", LABELS)
def test_labels(name):
    assert "label map" in why_labels(LABELS[name]())


def padded(share: float, value: int = 0) -> np.ndarray:
    picture = PICTURE.copy()
    picture[: int(SHAPE[0] * share)] = value
    return picture


def posterised(levels: int, blur: float = 0.0) -> np.ndarray:
    return (gaussian_filter(PICTURE.astype(float), blur) * levels // 256).astype(np.uint8)


def with_bar(picture: np.ndarray) -> np.ndarray:
    picture[-20:-14, 20:80] = picture.max()
    return picture


IMAGES: dict[str, Callable[[], np.ndarray]] = {
    "plain": lambda: PICTURE,
    "16-bit": lambda: PICTURE.astype(np.uint16) * 257,
    "float": lambda: (PICTURE + NOISE).astype(np.float32),
    "smooth float": lambda: gaussian_filter(NOISE, 4).astype(np.float32),
    "mostly padding": lambda: padded(0.97),
    "padding that is white": lambda: padded(0.9, 255),
    "both": lambda: np.where(padded(0.5) == 0, 0, padded(0.3, 255)),
    "8 levels": lambda: posterised(8),
    "8 levels, blurred": lambda: posterised(8, 2),
    "16 levels": lambda: posterised(16),
    "16 levels, blurred": lambda: posterised(16, 4),
    "32 levels, blurred": lambda: posterised(32, 6),
    "8 levels, blurred, with a scale bar": lambda: with_bar(posterised(8, 2)),
    "16 levels, blurred, with a scale bar": lambda: with_bar(posterised(16, 4)),
    "black and white": lambda: np.clip((PICTURE.astype(int) - 120) * 12, 0, 255).astype(np.uint8),
    "saturated": lambda: np.clip(PICTURE, 118, 138),
    "blown up": lambda: np.kron(PICTURE, np.ones((4, 4), np.uint8)),
    "blown up 4-bit": lambda: np.kron(PICTURE // 16, np.ones((4, 4), np.uint8)),
    "blown up stack": lambda: np.stack([np.kron(PICTURE[:80, :80], np.ones((4, 4), np.uint8))] * 3),
    "areas of no whole number": lambda: cells(300).astype(np.float32) + 0.5,
    "noise of few levels": lambda: np.clip(drawn().normal(8, 1.5, SHAPE), 0, 15).astype(np.uint8),
    "ramp": lambda: (np.indices(SHAPE)[1] // 8).astype(np.uint8),
    "random 9": lambda: drawn().integers(0, 9, SHAPE, np.uint8),
    "one value": lambda: np.full(SHAPE, 7, np.uint8),
    "not finite": lambda: np.full(SHAPE, np.nan, np.float32),
    "one row": lambda: PICTURE[:1],
    "one pixel": lambda: PICTURE[:1, :1],
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", IMAGES)
def test_images(name):
    assert why_labels(IMAGES[name]()) == ""


def test_an_image_enlarged_by_a_fraction_is_none():
    """Each pixel an area of exactly one value, four or five wide, and none like those beside it."""
    nearest = np.arange(900) * 200 // 900
    assert why_labels(PICTURE[np.ix_(nearest, nearest)]) == ""


@pytest.mark.parametrize(("classes", "labels"), [(31, True), (32, False)])
def test_small_areas_are_of_classes_where_these_are_few(classes, labels):
    """Eight hundred areas of 32 values, the background's with them, or of 33."""
    assert bool(why_labels(cells(800, classes=classes))) == labels


def test_an_image_blown_up_is_judged_by_its_pixels_where_there_are_enough():
    pixels = drawn().integers(0, 65536, (64, 64)).astype(np.uint16)
    assert why_labels(np.kron(pixels, np.ones((4, 4), np.uint16))) == ""
    assert why_labels(np.kron(pixels[:63], np.ones((4, 4), np.uint16))) != ""


@pytest.mark.parametrize(
    ("rule", "limit", "share", "others"),
    [
        ("_are_few_labels", "JUMPS", 0.5, {"NESTED": 2}),
        ("_are_few_labels", "NESTED", 2 / 3, {"JUMPS": 2, "TOUCHING": 0}),
        ("_are_few_labels", "TOUCHING", 0.5, {"JUMPS": 2, "NESTED": 0}),
        ("_are_many_labels", "EQUAL", 2 / 3, {"FAR": 0}),
        ("_are_many_labels", "FAR", 0.5, {"EQUAL": 0}),
    ],
)
def test_a_share_at_the_limit_is_enough(monkeypatch, rule, limit, share, others):
    planes = np.array([[[7, 7, 7, 1, 1, 1, 3, 3, 5, 5, 1, 1]] * 3], np.uint8)
    values = Histogram.of(planes)
    for name, value in {**others, limit: share}.items():
        monkeypatch.setattr(label_maps, name, value)
    assert getattr(label_maps, rule)(planes, values)
    monkeypatch.setattr(label_maps, limit, np.nextafter(share, 1))
    assert not getattr(label_maps, rule)(planes, values)


def test_the_reason_names_the_values():
    hint = "(--keep-labels takes it all the same)"
    assert why_labels(LABELS["mask"]()) == f"2 distinct values: a mask or a label map {hint}"
    assert why_labels(posterised(4)) == f"4 distinct values: a mask or a label map {hint}"
    assert why_labels(cells(300)) == f"areas of exactly one value each: a label map {hint}"


def test_large_images_are_looked_at_in_bands(monkeypatch):
    monkeypatch.setattr("utils.planes.SAMPLE", 20_000)
    for name in LABELS:
        assert why_labels(LABELS[name]()), name
    for name in IMAGES:
        assert not why_labels(IMAGES[name]()), name
    sparse = np.zeros(SHAPE, np.uint8)
    sparse[150:152] = PICTURE[:2]  # between the bands
    assert not why_labels(sparse)
    sparse[150:152] = 1
    assert why_labels(sparse)


def test_real_data(real_data):
    found = {}
    for folder in ("3d", "ngff_made"):
        for path in list_volumes(real_data / folder)[0]:
            if path.suffix != ".h5" and folder == "3d":
                with open_volume(path) as volume:
                    found[path.name] = why_labels_volume(volume)
    assert {name for name, reason in found.items() if reason} == {
        "standard.nii",
        "urocell_mito_instance_fib1-1-0-3.nii.gz",
    }
    images = [p for p in sorted((real_data / "2d").rglob("*")) if p.suffix in {".tif", ".png", ".jpg", ".tiff", ".pgm"}]
    assert len(images) > 30
    assert not any(why_labels(read_gray(path)) for path in images)
    tiles = sorted((real_data / "labelled").rglob("*.tif")) + sorted((real_data / "labelled").rglob("*.png"))
    assert [
        path for path in tiles if why_labels(tifffile.imread(path) if path.suffix == ".tif" else read_gray(path))
    ] == []
