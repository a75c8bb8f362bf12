"""How far each patch of a table lies from what the classifier was trained on: the file beside the table."""

from pathlib import Path

import numpy as np

from utils.files import OWN_FOLDER, atomic_path


def load_distances(table: Path) -> np.ndarray:
    """How far each patch of a table lies from what the classifier was trained on.

    Returns
    -------
    ndarray, shape (n,)
        Empty if not known.
    """
    path = distances_path(table)
    values = path.read_text("utf-8").split() if path.is_file() else []
    return np.array([float(value) for value in values])


def save_distances(table: Path, distances: np.ndarray) -> None:
    """Keep distances beside the table's record, or remove those of other weights.

    Parameters
    ----------
    table : Path
    distances : ndarray, shape (n,)
    """
    path = distances_path(table)
    if not np.isfinite(distances).all():
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as scratch:
        scratch.write_text("".join(f"{value:.4f}\n" for value in distances), "utf-8")


def distances_path(table: Path) -> Path:
    """Where a table's distances lie."""
    return table.parent / OWN_FOLDER / f"{table.name}.distances"
