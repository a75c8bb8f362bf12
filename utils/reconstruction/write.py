"""Reconstruction: write the subvolumes of a volume, each checked against the patch that it was made for."""

import threading
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from utils.axes import Lengths
from utils.contrast import NO_CONTRAST, Contrast, to_uint8
from utils.files import atomic_path
from utils.jobs import SKIPPED, Job, SomeFailed, describe
from utils.locks import locked
from utils.parallel import ordered_map
from utils.reconstruction.subvolumes import (
    StackOptions,
    Subvolume,
    VolumeGroup,
    cut_stack,
    stack_recipe,
    stack_voxel_size,
    stands,
    write_stack,
)
from utils.records.fingerprints import Fingerprint, fingerprint
from utils.records.kept_patch import KeptRecord, read_kept
from utils.records.recipes import Recipe, fingerprints, record_of, refuse_changed, save_record
from utils.results import Scope
from utils.volume_samples import volume_contrast
from utils.volumes import Volume

# Every file is handed to the disk before it counts: a process that waits for one can make the next.
WRITERS = 4
FRAMES_PER_SECOND = 8


def reconstruct_volume(
    job: Job, options: StackOptions, scope: Scope, *, update: bool = False, processes: int = 1
) -> str:
    """Write the subvolumes of one `VolumeGroup` that do not exist yet; with `update` the outdated ones, too.

    Raises
    ------
    SomeFailed
        With the patches whose subvolume could not be made; the others are done.
    """
    group: VolumeGroup = job.source
    reasons = stands(group, options, scope)
    missing = [s for s, reason in zip(group.wanted, reasons, strict=True) if reason is None or (reason and update)]
    if not update and (outdated := [reason for reason in reasons if reason]):
        warnings.warn(f"outdated: {len(outdated)} subvolumes ({outdated[0]}); --update redoes them", stacklevel=2)
    if not missing and not group.refused:
        return SKIPPED
    threads = max(WRITERS, processes * group.spread)
    failed = _make_all(group, missing, options, scope, threads) if missing else {}
    if failures := {**group.refused, **failed}:
        raise SomeFailed(failures)
    return f"{len(missing)} subvolumes"


def _make_all(
    group: VolumeGroup, wanted: Sequence[Subvolume], options: StackOptions, scope: Scope, threads: int
) -> dict[str, str]:
    """Open a group's volume and write subvolumes; the patches that failed, each with its reason."""
    before = fingerprint(group.volume_paths())  # of one that is replaced now the stacks will be outdated, not done
    with group.source.open() as volume:
        if not volume.streams:
            volume[:1, :1, :1]  # what cannot be decoded fails here, once, and not once per patch
        maker = _Maker(group, volume, before, options, scope)
        reasons = list(ordered_map(maker.make, wanted, threads))
    maker.warn()
    return {str(s.patch.path): reason for s, reason in zip(wanted, reasons, strict=True) if reason}


class _Maker:
    """Makes the subvolumes of one open volume; its threads share what is measured only once."""

    def __init__(
        self, group: VolumeGroup, volume: Volume, volume_print: Fingerprint, options: StackOptions, scope: Scope
    ) -> None:
        self.group, self.volume, self.volume_print = group, volume, volume_print
        self.options, self.scope = options, scope
        with warnings.catch_warnings(action="ignore"):  # a patch may know what the header does not; see `warn`
            self.voxel_size = volume.voxel_size
        self._measured: Contrast | None = None
        self._notes: Counter[str] = Counter()
        self._lock = threading.Lock()

    def make(self, wanted: Subvolume) -> str:
        """Write one subvolume; why not, when that is impossible."""
        try:
            recipe = stack_recipe(wanted, self.volume_print, self.group.source, self.options, self.scope)
            before = fingerprints(recipe)
            patch, record = read_kept(wanted.patch.path)
            values = cut_stack(self.volume, wanted.patch.where, wanted.first, wanted.stop)
            plain = self.options.raw and not self.options.flipbook
            shown = values if plain else to_uint8(values, self._contrast(record))
            if not self.options.raw and (unlike := difference(shown[len(shown) // 2], patch, record)):
                if self.options.verify:
                    return unlike
                self._note("the middle slice differs from the patch; written all the same")
            refuse_changed(recipe, before)
            size = stack_voxel_size(self._size(record), wanted.patch.where.axis or 0)
            write = partial(write_stack, stack=values if self.options.raw else shown, voxel_size=size)
            _write(wanted.target, write, recipe, before)
            if kind := self.options.flipbook:
                _write(wanted.files(kind)[1], partial(FLIPBOOKS[kind], stack=shown), recipe, before)
        except (OSError, ValueError, MemoryError) as error:
            return describe(error)
        return ""

    def _size(self, record: KeptRecord) -> Lengths | None:
        size = self.voxel_size or record.voxel_size
        if size is None:
            self._note("voxel size missing in the volume and in the patch: none is written")
        return size

    def _contrast(self, record: KeptRecord) -> Contrast:
        if record.contrast is not None:
            return record.contrast
        with self._lock:
            if self._measured is None:
                self._measured = volume_contrast(self.volume, self.options.contrast_method)
        if self._measured.method != NO_CONTRAST.method:
            self._note(
                f"no contrast recorded in the patch: --contrast {self.options.contrast_method} of the volume is taken"
            )
        return self._measured

    def _note(self, sentence: str) -> None:
        with self._lock:
            self._notes[sentence] += 1

    def warn(self) -> None:
        """Say once, with how often, what the sources left open."""
        for sentence, count in self._notes.items():
            warnings.warn(f"{sentence} (stacks: {count})", stacklevel=2)


def _write(path: Path, write: Callable[[Path], None], recipe: Recipe, before: Mapping[str, Fingerprint]) -> None:
    """Write a file, and the record that says what it was made of."""
    with locked(path), atomic_path(path) as scratch:
        write(scratch)
        save_record(path, record_of(recipe, path, before, fingerprint([scratch])))


def difference(middle: np.ndarray, patch: np.ndarray, record: KeptRecord) -> str:
    """How a subvolume's middle slice differs from the patch; empty when it is the patch, pixel for pixel.

    Parameters
    ----------
    middle : ndarray, shape (h, w)
    patch : ndarray, shape (h, w)
    record : KeptRecord
        Of the patch.
    """
    if patch.shape != middle.shape or patch.dtype != np.uint8:
        found, named = (" x ".join(map(str, shape)) for shape in (patch.shape, middle.shape))
        return f"the patch's file holds {found} {patch.dtype} pixels, its name says {named} of uint8"
    differ = patch != middle
    if not differ.any():
        return ""
    most = int(np.abs(patch.astype(int) - middle).max())
    cause = "the volume has changed since"
    if record.contrast is None:
        cause += ", or the patch was made with another --contrast (its file records none)"
    return (
        f"{np.count_nonzero(differ)} of {differ.size} pixels of the middle slice differ from the patch, by up to {most}"
        f": {cause}; --raw writes the volume's own values, --accept-differences the stack as it is"
    )


def _write_gif(path: Path, stack: np.ndarray) -> None:
    """It repeats and shows the exact pixels; Pillow stores equal neighbouring frames once, shown longer."""
    from PIL import Image

    first, *others = (Image.fromarray(frame) for frame in stack)
    first.save(path, format="GIF", save_all=True, append_images=others, duration=1000 // FRAMES_PER_SECOND, loop=0)


def _write_mp4(path: Path, stack: np.ndarray) -> None:
    import cv2

    height, width = stack.shape[1:]
    even = np.pad(stack, ((0, 0), (0, height % 2), (0, width % 2)), "edge")  # MPEG-4 cuts off an odd row or column
    code = cv2.VideoWriter.fourcc(*"mp4v")
    writer = cv2.VideoWriter(str(path), code, FRAMES_PER_SECOND, even.shape[:0:-1], False)
    try:
        if not writer.isOpened():
            raise OSError("this OpenCV cannot write MP4; choose --flipbook gif")
        for frame in even:
            writer.write(frame)
    finally:
        writer.release()


# Write a stack of uint8, (n, h, w), to a path.
FLIPBOOKS = {"gif": _write_gif, "mp4": _write_mp4}
