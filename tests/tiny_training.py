"""Trainings of seconds, and the tables that they read."""

import csv
from pathlib import Path

import torch

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
