"""The stacks to write: their options, the volume that they come from, and how they stand."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from utils.files import safe_name
from utils.names import dataset_of
from utils.reconstruction.subvolumes import Subvolume
from utils.records.fingerprints import Fingerprint, fingerprint, glance
from utils.records.recipes import Input, Recipe
from utils.records.standing import standing
from utils.results import Scope
from utils.sources import VolumeSource


@dataclass(frozen=True)
class StackOptions:
    """How subvolumes are made."""

    slices: int = 5
    contrast_method: str = "percentile"  # for patches that do not say how their volume was converted
    raw: bool = False  # the volume's own values are written instead of uint8
    verify: bool = True  # a subvolume whose middle slice is not the patch is refused
    flipbook: str | None = None  # gif or mp4: written beside each stack

    def as_options(self) -> dict[str, object]:
        """What decides a stack's content, as the command line calls it."""
        return {
            "slices": self.slices,
            "contrast": self.contrast_method,
            "raw": self.raw,
            "accept-differences": not self.verify,
        }


@dataclass(frozen=True, eq=False)
class VolumeGroup:
    """The subvolumes of one volume, which is opened once for all."""

    source: VolumeSource
    wanted: tuple[Subvolume, ...]
    refused: Mapping[str, str]  # what cannot be made, known before any work, each with its reason
    spread: bool = False  # the group uses all processes by itself, as threads

    def __str__(self) -> str:
        return str(self.source)

    def lock_path(self, savedir: Path) -> Path:
        """What two runs over one volume take turns by; nothing is written there."""
        return savedir / safe_name(dataset_of(self.source.name)) / safe_name(self.source.name)

    def volume_paths(self) -> tuple[Path, ...]:
        """The files of the volume."""
        return tuple(path for paths in self.source.inputs().values() for path in paths)


def stack_recipe(
    wanted: Subvolume, volume: Fingerprint, source: VolumeSource, options: StackOptions, scope: Scope
) -> Recipe:
    """What a subvolume is made of: the patch, the volume, and how."""
    inputs: dict[str, Input] = {wanted.patch.path.name: (wanted.patch.path,), source.name: volume}
    return scope.recipe(inputs, {**options.as_options(), **source.options()})


def stands(group: VolumeGroup, options: StackOptions, scope: Scope) -> list[str | None]:
    """How each subvolume of a group stands: None open, empty done, else why it is outdated; see `standing`."""
    volume = glance(group.volume_paths())

    def reasons_of(wanted: Subvolume) -> list[str | None]:
        recipe = stack_recipe(wanted, volume, group.source, options, scope)
        return [standing(recipe, path) for path in wanted.files(options.flipbook)]

    found: list[str | None] = []
    for wanted in group.wanted:
        reasons = reasons_of(wanted)
        if any(reasons) and not volume.digest:
            volume = fingerprint(group.volume_paths())
            reasons = reasons_of(wanted)
        found.append(None if None in reasons else next((reason for reason in reasons if reason), ""))
    return found
