"""Trainings of seconds, and the tables that they read."""

import csv
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import train_patch_classifier

# A network, its patches and its training, as small as they can be.
TINY = (
    *("--arch", "lite", "--init", "random", "--side", "32", "--batch-size", "16", "--epochs", "2"),
    *("--device", "cpu", "--validation", "0"),
)


def train(*arguments: object) -> int:
    torch.set_num_threads(1)  # sums depend on it
    return train_patch_classifier.main([*TINY, "--quiet", *map(str, arguments)])


def table(folder: Path, rows: list[tuple[str, str]], head: tuple[str, ...] = ("path", "label")) -> Path:
    folder.mkdir(exist_ok=True)
    with (folder / "t.csv").open("w", newline="") as file:
        csv.writer(file).writerows([head, *rows])
    return folder / "t.csv"


def labelled(folder: Path) -> Path:
    """72 small patches of 6 sources: blobs are good, blanks are bad, a few are none."""
    rng = np.random.default_rng(0)
    with (folder / "labels.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("path", "label", "source"))
        for i in range(75):
            good = i % 2 == 0
            coarse = rng.integers(0, 256, (8, 8)) if good else rng.integers(120, 124, (8, 8))
            picture = Image.fromarray(coarse.astype(np.uint8)).resize((48, 48), Image.Resampling.BICUBIC)
            name = f"source{i % 6}/patch{i}.png"
            (folder / name).parent.mkdir(exist_ok=True)
            picture.save(folder / name)
            rows.writerow((name, ("good" if good else "bad") if i < 72 else "none", f"s{i % 6 // 2}"))
    return folder / "labels.csv"
