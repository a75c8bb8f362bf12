"""What a training says while it runs: a line an epoch, and events for TensorBoard."""

from collections.abc import Mapping
from pathlib import Path

from utils.redaction import say
from utils.training.setting import Setting


def report_epoch(setting: Setting, folder: Path, row: Mapping[str, float]) -> None:
    """Say an epoch's figures: a line on stderr, and events for TensorBoard."""
    figures = {name: value for name, value in row.items() if name != "epoch"}
    if not setting.quiet:
        said = ", ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in figures.items())
        say(f"epoch {row['epoch']}/{setting.recipe.epochs}: {said}")
    if setting.log == "tensorboard":
        from torch.utils.tensorboard import SummaryWriter

        with SummaryWriter(str(folder / "tensorboard")) as writer:
            for name, value in figures.items():
                writer.add_scalar(name, value, int(row["epoch"]))
