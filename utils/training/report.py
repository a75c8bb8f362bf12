"""What a training shows of itself: epochs, ROC curve, confusion matrix, worst errors, doubtful labels."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from utils.contact_sheet import Section, Tile, save_sheet
from utils.files import atomic_path
from utils.redaction import say
from utils.table_text import write_rows
from utils.training.figures import auroc, confusion
from utils.training.folds import Doubt
from utils.training.labels import Labelled
from utils.training.setting import Setting

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WORST = 24
SUSPECTS = 96
SUSPECT_FILES = ("suspects.csv", "suspects.png")


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


def save_pictures(folder: Path, judged: Labelled, scores: np.ndarray, title: str) -> None:
    """Write roc_curve.png, confusion_matrix.png and worst_errors.png.

    Parameters
    ----------
    folder : Path
    judged : Labelled
    scores : ndarray, shape (n,)
    title : str
    """
    _save_roc(folder / "roc_curve.png", scores, judged.good, title)
    _save_confusion(folder / "confusion_matrix.png", scores, judged.good, title)
    save_worst(folder / "worst_errors.png", judged, scores)


def _save_roc(path: Path, scores: np.ndarray, good: np.ndarray, title: str) -> None:
    """Draw the ROC curve."""
    from sklearn.metrics import roc_curve

    false_positive, true_positive, _ = roc_curve(good, scores)
    figure, axes = _figure(title)
    axes.plot(false_positive, true_positive, label=f"AUROC {auroc(scores, good):.4f}")
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    axes.set(xlabel="bad patches kept", ylabel="good patches kept", xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    axes.legend(loc="lower right")
    _save(figure, path)


def _save_confusion(path: Path, scores: np.ndarray, good: np.ndarray, title: str) -> None:
    """Draw the confusion matrix at threshold 0.5."""
    counts = np.array(confusion(scores, good))
    figure, axes = _figure(title)
    axes.imshow(counts, cmap="Blues")
    for (row, column), count in np.ndenumerate(counts):
        shade = "white" if count > counts.max() / 2 else "black"
        axes.text(column, row, str(count), ha="center", va="center", color=shade)
    axes.set(xticks=(0, 1), xticklabels=("rejected", "kept"), yticks=(0, 1), yticklabels=("bad", "good"))
    _save(figure, path)


def save_worst(path: Path, judged: Labelled, scores: np.ndarray) -> None:
    """Draw the bad patches with the highest scores and the good ones with the lowest.

    Parameters
    ----------
    path : Path
    judged : Labelled
    scores : ndarray, shape (n,)
    """
    sections = []
    for label, word, sign in ((False, "bad", -1), (True, "good", 1)):
        indices = np.flatnonzero(judged.good == label)
        ranked = sorted(map(int, indices), key=lambda i: (sign * scores[i], judged.paths[i].name))[:WORST]
        extreme = "lowest" if label else "highest"
        tiles = [_tile(judged, i, scores[i]) for i in ranked]
        wrong = int(np.sum((scores[indices] > 0.5) != label))
        sections.append(Section(f"{extreme} scores of {len(indices)} {word} patches ({wrong} wrong at 0.5)", tiles))
    save_sheet(path, sections)


def save_suspects(folder: Path, data: Labelled, doubts: Sequence[Doubt]) -> None:
    """Write `SUSPECT_FILES`, a table and a picture: the labels worth a second look, most doubtful first."""
    rows: list[tuple[object, ...]] = [("path", "label", "score", "against", "folds")]
    for doubt in doubts:
        label = "good" if data.good[doubt.index] else "bad"
        name = data.paths[doubt.index].as_posix()
        rows.append((name, label, f"{doubt.score:.4f}", doubt.against, doubt.folds))
    with atomic_path(folder / SUSPECT_FILES[0]) as scratch:
        write_rows(scratch, rows)
    sections = []
    for marked, word in ((True, "good"), (False, "bad")):
        tiles = [_tile(data, d.index, d.score) for d in doubts[:SUSPECTS] if data.good[d.index] == marked]
        sections.append(Section(f"labelled {word}, contradicted by networks that had not seen it: {len(tiles)}", tiles))
    save_sheet(folder / SUSPECT_FILES[1], sections)


def discard_suspects(folder: Path) -> None:
    """Remove those of another training: only networks that had not seen a label contradict it."""
    for name in SUSPECT_FILES:
        (folder / name).unlink(missing_ok=True)


def _tile(data: Labelled, index: int, score: float) -> Tile:
    return Tile(data.patches[index], f"{score:.2f} {data.paths[index].parent.name[:11]}")


def save_history(path: Path, history: Sequence[Mapping[str, float]]) -> None:
    """Write one row of figures per epoch as CSV."""
    columns = list(dict.fromkeys(name for row in history for name in row))
    with atomic_path(path) as scratch:
        write_rows(scratch, [columns, *([row.get(name, "") for name in columns] for row in history)])


def _figure(title: str) -> "tuple[Figure, Axes]":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.5, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, fontsize=10)
    return figure, axes


def _save(figure: "Figure", path: Path) -> None:
    with atomic_path(path) as scratch:
        # No version in the file: the same training gives the same bytes.
        figure.savefig(scratch, format="png", dpi=110, metadata={"Software": None})
