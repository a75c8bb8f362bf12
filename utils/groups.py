"""Groups of 2D images: the subfolders of a folder, and the loose images in it."""

import argparse
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from utils.cli import say_nested, say_passed_over
from utils.files import walk
from utils.images import list_images
from utils.results import Scope, refuse_nothing_to_do

_LOOKED_FOR = "image in it or in its subfolders (looked for .tif, .png, .jpg and the like)"


@dataclass(frozen=True)
class Group:
    """Images that belong together: one dataset."""

    place: Path  # relative to the folder that was listed; of the images that lie in it directly, that folder's name
    folder: Path
    images: tuple[Path, ...]

    @property
    def name(self) -> str:
        """The subfolder's name; of a nested one the parts of its path, joined by ``-``."""
        return "-".join(self.place.parts)

    def __str__(self) -> str:
        return str(self.folder)


@dataclass(frozen=True)
class Groups:
    """The groups of a folder, and what lies there besides."""

    groups: list[Group]
    passed_over: list[Path]  # files that are no image, folders without one
    nested: list[Path]  # images deeper than DIR/GROUP/IMAGE, which only ``--recursive`` takes
    # Folders that may not be looked into, and why: what they hold is not known, so that nothing is known to be gone.
    unlisted: dict[Path, str] = field(default_factory=dict)


def list_groups(folder: Path, *, without: Path | None = None, recursive: bool = False) -> Groups:
    """The groups of a folder; loose images are a group named after it.

    An output folder that may lie inside, `without`, is none; with `recursive` folders within groups are groups, too.
    """
    found = Groups([], [], [])
    excluded = without.resolve() if without else None

    def enters(inner: Path) -> bool:
        return inner.resolve() != excluded

    for place in walk(folder, enters):
        depth = len(place.relative_to(folder).parts)
        try:
            images, others = list_images(place)
        except OSError as error:
            if not depth:
                raise
            if depth == 1 or recursive:
                found.unlisted[place] = error.strerror or str(error)
            continue
        if depth > 1 and not recursive:
            found.nested.extend(images)
            continue
        found.passed_over.extend(others)
        if images:
            where = place.relative_to(folder) if depth else Path(folder.resolve().name)
            found.groups.append(Group(where, place, tuple(images)))
        elif depth == 1 and len([*islice(walk(place, enters), 2)]) == 1:
            found.passed_over.append(place)
    return found


def groups_of(args: argparse.Namespace, scope: Scope) -> Groups:
    """The groups of the command line's DIR; what lies there besides is said, and nothing to do is refused."""
    found = list_groups(args.dir, without=scope.folder, recursive=args.recursive)
    say_passed_over(found.passed_over, "images", args.quiet)
    say_nested(found.nested, "images", "DIR/GROUP/IMAGE", args.quiet)
    refuse_nothing_to_do([*found.groups, *found.unlisted], scope, args.prune, _LOOKED_FOR)
    return found
