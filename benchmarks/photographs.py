"""The photographs that scikit-image and scikit-learn bring along: matter without cells."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np

from utils.training.synthetic.fields import Image, Rng

# Textures and everyday scenes; no micrographs. All are in the packages' files, so nothing is fetched.
PICTURES = (
    *(("skimage", f"data/{name}.png") for name in ("brick", "gravel", "grass", "moon", "coins", "camera", "coffee")),
    *(("skimage", f"data/{name}.png") for name in ("page", "chelsea", "motorcycle_left", "astronaut", "horse")),
    *(("skimage", f"data/{name}.jpg") for name in ("hubble_deep_field", "rocket")),
    *(("sklearn", f"datasets/images/{name}.jpg") for name in ("china", "flower")),
)
SIDE = 224
TILES = 6


def photographs() -> dict[str, Image]:
    """Gray pictures, uint8, by name; those that this installation has."""
    found = {}
    for package, name in PICTURES:
        spec = find_spec(package)
        for folder in (spec.submodule_search_locations or [])[:1] if spec else []:
            if (picture := cv2.imread(str(Path(folder) / name), cv2.IMREAD_GRAYSCALE)) is not None:
                found[Path(name).stem] = picture
    return found


def tiles(picture: Image) -> dict[str, Image]:
    """Up to six tiles (224, 224) of a picture, by their place, spread over it, and one at half the size."""
    height, width = picture.shape
    corners = [(y, x) for y in range(0, height - SIDE + 1, SIDE) for x in range(0, width - SIDE + 1, SIDE)]
    chosen = [corners[int(i)] for i in np.linspace(0, len(corners) - 1, min(TILES - 1, len(corners)))]
    found = {f"{y}-{x}": picture[y : y + SIDE, x : x + SIDE] for y, x in chosen}
    if min(height, width) >= 2 * SIDE:
        found["half"] = cv2.resize(picture[: 2 * SIDE, : 2 * SIDE], (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return found


def window(rng: Rng, pictures: Sequence[Image], side: int) -> Image:
    """A square window of any picture, from an eighth of it to all, at another size: float32, shape (side, side)."""
    picture = pictures[int(rng.integers(len(pictures)))]
    size = int(min(picture.shape) * np.exp(rng.uniform(np.log(0.125), 0)))
    y, x = (int(rng.integers(extent - size + 1)) for extent in picture.shape)
    part = np.rot90(picture[y : y + size, x : x + size], int(rng.integers(4)))
    how = cv2.INTER_AREA if size > side else cv2.INTER_LINEAR
    return cv2.resize(np.ascontiguousarray(part), (side, side), interpolation=how).astype(np.float32)
