"""What a training says while it runs: a line an epoch, and events for TensorBoard."""

import sys
from collections.abc import Callable
from pathlib import Path

from utils.training.setting import Setting

Report = Callable[[dict[str, float]], None]


def reporter(setting: Setting, folder: Path) -> Report:
    """What to do with an epoch's figures: a line on stderr, and events for TensorBoard."""
    writers = [] if setting.quiet else [_print_row(setting.recipe.epochs)]
    if setting.log == "tensorboard":
        writers.append(_tensorboard(folder / "tensorboard"))

    def report(row: dict[str, float]) -> None:
        for write in writers:
            write(row)

    return report


def _print_row(epochs: int) -> Report:
    def report(row: dict[str, float]) -> None:
        figures = [f"{name.replace('_', ' ')} {value:.4f}" for name, value in row.items() if name != "epoch"]
        print(f"epoch {row['epoch']}/{epochs}: {', '.join(figures)}", file=sys.stderr, flush=True)

    return report


def _tensorboard(folder: Path) -> Report:
    from torch.utils.tensorboard import SummaryWriter

    def report(row: dict[str, float]) -> None:
        with SummaryWriter(str(folder)) as writer:
            for name, value in row.items():
                if name != "epoch":
                    writer.add_scalar(name, value, int(row["epoch"]))

    return report
