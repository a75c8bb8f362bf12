"""Groups of 2D images: the subfolders of a folder, and the loose images in it."""

from dataclasses import dataclass
from pathlib import Path

from utils.cli import UsageError
from utils.files import list_dirs
from utils.images import list_images


@dataclass(frozen=True)
class Group:
    """Images that belong together: one dataset."""

    name: str
    folder: Path
    images: tuple[Path, ...]

    def __str__(self) -> str:
        return str(self.folder)


def list_groups(folder: Path, *, without: Path | None = None) -> tuple[list[Group], list[Path]]:
    """The groups of a folder and, apart, what lies there and is no image.

    Loose images are a group named after the folder. Folders inside a group are not searched.

    Parameters
    ----------
    folder : Path
    without : Path, optional
        An output folder that may lie inside and is no group.

    Raises
    ------
    UsageError
        If there is not a single image.
    """
    groups, passed_over = [], []
    for place in [folder, *(d for d in list_dirs(folder) if without is None or d.resolve() != without.resolve())]:
        images, others = list_images(place)
        passed_over += others if place == folder else [*others, *list_dirs(place)]
        if images:
            groups.append(Group((place if place != folder else folder.resolve()).name, place, tuple(images)))
        elif place != folder:
            passed_over.append(place)
    if not groups:
        raise UsageError(f"{folder}: no image in it or in its subfolders (looked for .tif, .png, .jpg and the like)")
    return groups, passed_over
