"""Reads exports with the libraries that people train with, in a process of its own; prints JSON.

python tests/read_exports.py FOLDER     (with webdataset/, parquet/, imagefolder/ and zarr/ in it)
"""

import gc
import json
import sys
import warnings
from hashlib import sha256
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

gc.disable()  # a process of a moment: what libraries make when they are loaded is no garbage
from utils.classification.models import torchvision_models

warnings.simplefilter("ignore")  # the libraries' own


def digest(picture) -> str:
    """Of the pixels."""
    return sha256(np.ascontiguousarray(np.asarray(picture)[..., :1]).tobytes() if np.ndim(picture) == 3 else
                  np.ascontiguousarray(np.asarray(picture)).tobytes()).hexdigest()  # fmt: skip


def by_webdataset(folder: Path) -> dict[str, str]:
    """{name: digest} of all shards."""
    import webdataset

    shards = sorted(map(str, folder.glob("*.tar")))
    reader = webdataset.WebDataset(shards, shardshuffle=False, empty_check=False).decode("pil").to_tuple("png", "json")
    return {said["name"]: digest(picture.convert("L")) for picture, said in reader}


def by_datasets(folder: Path) -> dict[str, dict[str, str]]:
    """{split: {name: digest}}, as the card's front matter describes them."""
    import datasets

    datasets.disable_progress_bars()
    found = datasets.load_dataset(str(folder), cache_dir=str(folder.parent / "cache"))
    return {split: {row["name"]: digest(row["image"].convert("L")) for row in part} for split, part in found.items()}


def by_torch(folder: Path) -> dict[str, object]:
    """Classes of an ImageFolder, and the digests of what a DataLoader gives."""
    import torch

    torchvision_models()  # mends an installation whose compiled operators do not load
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import PILToTensor

    images = ImageFolder(str(folder), transform=PILToTensor())
    loader = torch.utils.data.DataLoader(images, batch_size=10)
    return {"classes": images.classes, "digests": [digest(image[0].numpy()) for batch, _ in loader for image in batch]}


def by_timm(folder: Path) -> list[str]:
    """Digests of what timm's reader gives."""
    from timm.data.dataset_factory import create_dataset

    return [digest(picture.convert("L")) for picture, _ in create_dataset("", root=str(folder))]


def by_mlcroissant(folder: Path) -> dict[str, object]:
    """Errors of the description, and the names in its records."""
    import mlcroissant

    dataset = mlcroissant.Dataset(jsonld=str(folder / "croissant.json"))
    names = [record["patches/name"].decode() for record in dataset.records("patches")]
    return {"errors": sorted(dataset.metadata.ctx.issues.errors), "names": sorted(names)}


def main() -> None:
    """Read everything."""
    root = Path(sys.argv[1])
    told = {
        "webdataset": by_webdataset(root / "webdataset"),
        "parquet": by_datasets(root / "parquet"),
        "imagefolder": by_datasets(root / "imagefolder"),
        "torch": by_torch(root / "imagefolder" / "train"),
        "timm": by_timm(root / "imagefolder" / "train"),
        "croissant": {kind: by_mlcroissant(root / kind) for kind in ("webdataset", "parquet", "imagefolder", "zarr")},
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
