"""Reconstruction: write the subvolumes of a volume, each checked against the patch that it was made for."""

import threading
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from utils.contrast import NO_CONTRAST, Contrast, to_uint8
from utils.files import atomic_path, safe_name
from utils.jobs import SKIPPED, Job, SomeFailed, describe
from utils.names import dataset_of
from utils.parallel import ordered_map
from utils.reconstruction.flipbooks import write_flipbook
from utils.reconstruction.kept_patches import Recorded, VoxelSize, read_kept
from utils.reconstruction.subvolumes import Subvolume, cut_stack, stack_voxel_size, write_stack
from utils.sources import VolumeSource
from utils.volumes import Volume, volume_contrast

# Every file is handed to the disk before it counts: a process that waits for one can make the next.
WRITERS = 4


@dataclass(frozen=True)
class Making:
    """How subvolumes are made.

    Attributes
    ----------
    contrast_method : str
        For patches that do not say how their volume was converted.
    raw : bool
        Write the volume's own values instead of uint8.
    verify : bool
        Refuse a subvolume whose middle slice is not the patch.
    flipbook : str, optional
        ``gif`` or ``mp4``: written beside each stack.
    """

    contrast_method: str = "percentile"
    raw: bool = False
    verify: bool = True
    flipbook: str | None = None


@dataclass(frozen=True, eq=False)
class VolumeGroup:
    """The subvolumes of one volume, which is opened once for all.

    Attributes
    ----------
    refused : mapping
        What cannot be made, known before any work, each with its reason.
    spread : bool
        Whether the group uses all processes by itself, as threads.
    """

    source: VolumeSource
    wanted: tuple[Subvolume, ...]
    refused: Mapping[str, str]
    spread: bool = False

    def __str__(self) -> str:
        return str(self.source)

    def lock_path(self, savedir: Path) -> Path:
        """What two runs over one volume take turns by; nothing is written there."""
        return savedir / safe_name(dataset_of(self.source.name)) / safe_name(self.source.name)


def reconstruct_volume(job: Job, making: Making, processes: int = 1) -> str:
    """Write the subvolumes of one `VolumeGroup` that do not exist yet.

    Raises
    ------
    SomeFailed
        With the patches whose subvolume could not be made; the others are done.
    """
    group: VolumeGroup = job.source
    missing = [s for s in group.wanted if not s.is_done(making.flipbook)]
    if not missing and not group.refused:
        return SKIPPED
    reasons = make_all(group, missing, making, max(WRITERS, processes * group.spread)) if missing else {}
    if failures := {**group.refused, **reasons}:
        raise SomeFailed(failures)
    return f"{len(missing)} subvolumes"


def make_all(group: VolumeGroup, wanted: Sequence[Subvolume], making: Making, threads: int) -> dict[str, str]:
    """Open a group's volume and write subvolumes; the patches that failed, each with its reason."""
    with group.source.open() as volume:
        if not volume.streams:
            volume[:1, :1, :1]  # what cannot be decoded fails here, once, and not once per patch
        maker = _Maker(volume, making)
        reasons = list(ordered_map(maker.make, wanted, threads))
    maker.warn()
    return {str(s.patch.path): reason for s, reason in zip(wanted, reasons, strict=True) if reason}


class _Maker:
    """Makes the subvolumes of one open volume; its threads share what is measured only once."""

    def __init__(self, volume: Volume, making: Making) -> None:
        self.volume = volume
        self.making = making
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a patch may know what the header does not; see `warn`
            self.voxel_size = volume.voxel_size
        self._measured: Contrast | None = None
        self._notes: Counter[str] = Counter()
        self._lock = threading.Lock()

    def make(self, wanted: Subvolume) -> str:
        """Write one subvolume; why not, when that is impossible."""
        try:
            recorded = read_kept(wanted.patch.path)
            values = cut_stack(self.volume, wanted.patch.where, wanted.first, wanted.stop)
            if self.making.raw and not self.making.flipbook:
                shown = values
            else:
                shown = to_uint8(values, self._contrast(recorded))
            if not self.making.raw and (unlike := difference(shown[len(shown) // 2], recorded)):
                if self.making.verify:
                    return unlike
                self._note("the middle slice differs from the patch; written all the same")
            self._write(wanted, values if self.making.raw else shown, shown, recorded)
        except (OSError, ValueError, MemoryError) as error:
            return describe(error)
        return ""

    def _write(self, wanted: Subvolume, written: np.ndarray, shown: np.ndarray, recorded: Recorded) -> None:
        stack, *flipbook = wanted.files(self.making.flipbook)
        if not stack.exists():
            size = stack_voxel_size(self._size(recorded), wanted.patch.where.axis or 0)
            with atomic_path(stack) as scratch:
                write_stack(scratch, written, size)
        if flipbook and not flipbook[0].exists():
            with atomic_path(flipbook[0]) as scratch:
                write_flipbook(scratch, shown)

    def _size(self, recorded: Recorded) -> VoxelSize | None:
        size = self.voxel_size or recorded.voxel_size
        if size is None:
            self._note("voxel size missing in the volume and in the patch: none is written")
        return size

    def _contrast(self, recorded: Recorded) -> Contrast:
        if recorded.contrast is not None:
            return recorded.contrast
        with self._lock:
            if self._measured is None:
                self._measured = volume_contrast(self.volume, self.making.contrast_method)
        if self._measured.method != NO_CONTRAST.method:
            self._note(
                f"no contrast recorded in the patch: --contrast {self.making.contrast_method} of the volume is taken"
            )
        return self._measured

    def _note(self, sentence: str) -> None:
        with self._lock:
            self._notes[sentence] += 1

    def warn(self) -> None:
        """Say once, with how often, what the sources left open."""
        for sentence, count in self._notes.items():
            warnings.warn(f"{sentence} (stacks: {count})", stacklevel=2)


def difference(middle: np.ndarray, recorded: Recorded) -> str:
    """How a subvolume's middle slice differs from the patch; empty when it is the patch, pixel for pixel."""
    patch = recorded.pixels
    if patch.shape != middle.shape or patch.dtype != np.uint8:
        found, named = (" x ".join(map(str, shape)) for shape in (patch.shape, middle.shape))
        return f"the patch's file holds {found} {patch.dtype} pixels, its name says {named} of uint8"
    differ = patch != middle
    if not differ.any():
        return ""
    most = int(np.abs(patch.astype(int) - middle).max())
    cause = "the volume has changed since"
    if recorded.contrast is None:
        cause += ", or the patch was made with another --contrast (its file records none)"
    return (
        f"{np.count_nonzero(differ)} of {differ.size} pixels of the middle slice differ from the patch, by up to {most}"
        f": {cause}; --raw writes the volume's own values, --accept-differences the stack as it is"
    )
