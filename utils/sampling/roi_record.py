"""The record beside the cubes of a dataset: where they come from, how they were chosen and scaled, which are there.

It is read and written once per run and in time linear in the dataset's own cubes; the folder is never listed for it.
"""

import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cache
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any

from utils.axes import Triple, triple
from utils.contrast import Contrast
from utils.files import write_whole
from utils.foreign_text import parse_json
from utils.names import parse_roi, parsed
from utils.ngff.address import is_state_link
from utils.outcomes import describe
from utils.records.fingerprints import NO_FILE
from utils.records.recipes import Recipe, is_of, known_record, record_of, save_record
from utils.sampling.roi_crops import Crops, Failure
from utils.sampling.rois import Roi, is_whole

# With these alike, two runs choose from one random order, and the second only goes further along it.
CHOICE = ("level", "seed", "crop_size", "min_frac", "padding_value", "overview_level", "stratify", "mask")
# Where these differ, cubes that are there are not what this run would make.
CONTENT = ("crop_size", "min_frac", "padding_value", "invert", "voxel_size", "contrast_method", "mask")
NAME = "em-patch-curation"
STAGE = "sampling"  # of the notes that say which table or folder lists a dataset
# What boxes are counted from: "dataset", its own origin, which is the level's offset. Records of earlier versions do
# not say so: theirs are counted from the level's first voxel.
DATASET_COORDINATES = "dataset"
ORIGIN = ("coordinates", "voxel_offset")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a run says of a dataset; None where it does not apply, or an earlier version did not say."""

    source: str
    volume_name: str
    url: str | None = None
    level: int | None = None
    seed: int | None = None
    crop_size: int | None = None
    min_frac: float | None = None
    padding_value: float | None = None
    invert: bool = False
    contrast_method: str | None = None
    voxel_size: list[float] | None = None
    image: str | None = None
    format: str | None = None
    shape: list[int] | None = None
    voxel_offset: list[int] | None = None
    coordinates: str | None = None
    dtype: str | None = None
    overview_level: int | None = None
    input: list[int | str] | None = None
    stratify: bool = False
    mask: str | None = None

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "Settings":
        """The settings in a record; keys that this version does not know are passed over."""
        known = {field.name for field in fields(cls)}
        return cls(**{"volume_name": "", **{key: record[key] for key in known & record.keys()}})

    @property
    def offset(self) -> Triple:
        """What names and boxes count in: the dataset's origin, or nothing in records of earlier versions."""
        return triple((self.voxel_offset if self.coordinates == DATASET_COORDINATES else None) or (0, 0, 0))

    def outdated(self, now: "Settings") -> str | None:
        """Why cubes made with these settings are not what a run with the settings `now` would make; None if they are.

        Another seed, budget or level makes no cube outdated: it chooses others.
        """
        # The address of a viewer's page tells no image from another.
        if is_state_link(now.url or "") and self.image not in (None, now.image):
            return f"made of {self.image}, now {now.image}"
        if self.level != now.level:
            return None
        if self.input and now.input and self.input != now.input:
            return "its input has changed"
        # A record without a key is of a version that did not say it; only without a mask it says that there was none.
        keys = [key for key in CONTENT if getattr(self, key) is not None or key == "mask"]
        changed = [key for key in keys if getattr(self, key) != getattr(now, key)]
        return "; ".join(f"made with {key} {getattr(self, key)}, now {getattr(now, key)}" for key in changed) or None


class RoiRecord:
    """A dataset's record: what an earlier run said, and what this one, with its settings, will say.

    Where the table or folder of this run (`listing`) listed the dataset before, its source may be another one now.

    Raises
    ------
    ValueError
        If the file there belongs to another source.
    """

    def __init__(self, path: Path, settings: Settings, listing: Path | None = None) -> None:
        self.path, self.settings, self.listing = path, settings, listing
        self.earlier = read_record(path)
        is_other = bool(self.earlier) and not self._is_own()
        self._was = self.earlier.get("source") if is_other else None
        if is_other and not (self._was and listing and was_listed(path, listing)):
            raise _foreign(path, self._was)
        self._before = Settings.from_json(self.earlier) if self.earlier else None
        # Of a run that made nothing there is nothing to keep.
        if self.outdated and not any(path.with_name(str(box["file"])).exists() for _, box in self._entries()):
            self.earlier, self._was, self._before = {}, None, None

    def _is_own(self) -> bool:
        """Whether it is of this source: the same place, or a volume of the same content that has moved here."""
        was, known = self.earlier.get("source"), self.settings.input
        moved = known is not None and self.earlier.get("input") == known and not Path(str(was)).exists()
        return was == self.settings.source or moved

    @property
    def contrast(self) -> Contrast | None:
        """The contrast window that earlier cubes have, which the dataset keeps; one of a single value is none."""
        if not self.earlier.get("contrast"):
            return None
        contrast = Contrast.from_dict(self.earlier["contrast"])
        return contrast if contrast.low < contrast.high else None

    @property
    def outdated(self) -> str | None:
        """Why the cubes that are there are not what this run would make; None if they are."""
        if self._before is None:
            return None
        if self._was is not None:
            return f"made of {self._was}, now {self.settings.source}"
        if self.earlier.get("boxes") and self.earlier.get("contrast") and self.contrast is None:
            return "made with a contrast window of one value"
        return self._before.outdated(self.settings)

    @property
    def is_fresh(self) -> bool:
        """Whether a fresh run would choose from the same order, and the cubes of no other choice are there."""
        return self._same_choice() and not self.earlier.get("earlier") and not self.earlier.get("kept")

    def is_filled(self, gigabytes: float) -> bool:
        """Whether an earlier run with the same settings and budget made all its cubes, and they are all there."""
        is_same = self._before == self.settings and self.earlier.get("gb") == gigabytes
        return (
            is_same
            and not any(self.earlier.get(key) for key in ("pending", "failures", "earlier"))
            and all(is_whole(self.path.with_name(str(box["file"])), roi) for roi, box in _boxes(self.earlier))
        )

    def existing(self, folder: Path, name: str) -> dict[Roi, str]:
        """Cubes of earlier runs that are there, and their files; also those a killed run left."""
        if not self.earlier:  # of cubes without a record their names tell
            z, y, x = self.settings.offset
            named = {path.name: parsed(parse_roi, path.stem) for path in folder.glob(f"{name}-ROI-*.nrrd")}
            return {Roi(*roi[1]).shifted((-z, -y, -x)): file for file, roi in named.items() if roi and roi[0] == name}
        found: dict[Roi, str] = {}
        for roi, box in self._entries():
            file = str(box["file"])
            if file.startswith(f"{name}-ROI-") and roi not in found and is_whole(folder / file, roi):
                found[roi] = file
        return found

    def _entries(self) -> Iterator[tuple[Roi, Mapping[str, Any]]]:
        """Every box that earlier runs made, or were about to."""
        entries = [_boxes(self.earlier), _boxes(self.earlier, "pending"), *map(_boxes, self.earlier.get("earlier", []))]
        return chain.from_iterable(entries)

    def kept(self, existing: Mapping[Roi, str]) -> list[Roi]:
        """Cubes of other choices, which count first."""
        if not self._same_choice():
            return list(existing)
        names = set(self.earlier.get("kept", []))
        return [roi for roi, file in existing.items() if file in names]

    @property
    def padding(self) -> dict[Roi, str]:
        """Boxes that earlier runs read and found to be padding: they are not drawn again."""
        if not self._same_choice() or self.settings.overview_level is not None:
            return {}
        return {roi: str(box["reason"]) for roi, box in _boxes(self.earlier, "padding")}

    def save(
        self,
        crops: Crops,
        chosen: Sequence[Roi],
        kept: Iterable[Roi],
        *,
        padding: Mapping[Roi, str],
        failures: Mapping[Roi, Failure],
        gigabytes: float,
    ) -> None:
        """Say which cubes are there of so many gigabytes, which failed, and which are still to come."""
        # Cubes that a larger budget brought stay, so they stay in the record.
        wanted = {roi: crops.path(roi) for roi in dict.fromkeys([*chosen, *crops.files])}
        there = {roi for roi, path in wanted.items() if is_whole(path, roi)}

        def boxes(rois: Iterable[Roi]) -> list[dict[str, Any]]:
            return [{"file": wanted[roi].name, **_spans(roi, crops.offset)} for roi in rois]

        self._write(
            crops.contrast,
            gb=gigabytes if chosen else None,  # for nothing there is no budget that it fills
            boxes=boxes(roi for roi in wanted if roi in there),
            kept=[wanted[roi].name for roi in kept],
            pending=boxes(roi for roi in wanted if roi not in there),
            padding=[{**_spans(roi, crops.offset), "reason": reason} for roi, reason in padding.items()],
            failures=[{**_spans(roi, crops.offset), **failure.as_dict()} for roi, failure in failures.items()],
            refused_voxels=sum(failure.refused_voxels for failure in failures.values()),
        )

    def save_whole(self, target: Path, contrast: Contrast) -> None:
        """Say whether the whole level is there, and its contrast."""
        whole = Roi.of(self.settings.shape or (0, 0, 0))
        box = {"file": target.name, **_spans(whole, self.settings.offset)}
        self._write(contrast, boxes=[box] if is_whole(target, whole) else [], kept=[], failures=[])

    def _same_choice(self) -> bool:
        """Whether this run chooses from the random order of the earlier one."""
        before, now = self._before, self.settings
        return before is not None and all(getattr(before, key) == getattr(now, key) for key in CHOICE)

    def _write(self, contrast: Contrast, **content: Any) -> None:
        earlier = self.earlier.get("earlier", [])
        if self._before and not self._same_choice():
            earlier = [*earlier, {key: self.earlier.get(key) for key in (*CHOICE, *ORIGIN, "boxes")}]
        said = {"version": 2, **asdict(self.settings), "contrast": contrast.as_dict(), **content, "earlier": earlier}
        text = _text({**said, "software": software()})
        if not self.path.exists() or self.path.read_text() != text:
            write_whole(self.path, text)
            if self.listing:  # now, lest a killed run leave cubes that are nobody's once their row is gone
                note_listing(self.path, self.listing)


def _boxes(entry: Mapping[str, Any], key: str = "boxes") -> Iterator[tuple[Roi, Mapping[str, Any]]]:
    """The boxes of a record, or of an earlier choice in it, in voxels of the level, and what is said of each."""
    z, y, x = Settings.from_json({"source": "", **entry}).offset
    for box in entry.get(key) or []:
        roi = Roi(*((int(first), int(stop)) for first, stop in (box[axis] for axis in "zyx")))
        yield roi.shifted((-z, -y, -x)), box


def _text(record: dict[str, Any]) -> str:
    """JSON with a line for every key and for every box: thousands of boxes stay readable."""

    def value(item: object) -> str:
        if isinstance(item, list) and item and isinstance(item[0], dict):
            return "[\n  " + ",\n  ".join(map(json.dumps, item)) + "\n ]"
        return json.dumps(item)

    return "{\n" + ",\n".join(f" {json.dumps(key)}: {value(item)}" for key, item in record.items()) + "\n}\n"


def _spans(roi: Roi, offset: Triple) -> dict[str, list[int]]:
    return {axis: list(span) for axis, span in zip("zyx", roi.shifted(offset), strict=True)}


def read_record(path: Path) -> dict[str, Any]:
    """An earlier run's record; empty when there is none.

    Raises
    ------
    ValueError
        If it is another program's.
    """
    if not path.exists():
        return {}
    try:
        record = parse_json(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path}: is no record of an earlier run ({describe(error)}); move it away") from error
    if not isinstance(record, dict):
        raise _foreign(path, "something else")
    return record


def was_listed(path: Path, listing: Path) -> bool:
    """Whether a dataset, called by its record, was listed by a table or folder."""
    note = known_record(path)
    return note is not None and note.stage == STAGE and is_of(note, listing, path)


def note_listing(path: Path, listing: Path) -> None:
    """Note beside a dataset's record which table or folder lists it."""
    note = record_of(Recipe(STAGE, {}, {}, listing), path, {}, NO_FILE)
    if known_record(path) != note:
        save_record(path, note)


def _foreign(path: Path, owner: object) -> ValueError:
    return ValueError(f"{path} belongs to {owner}; give this dataset another name or folder")


@cache
def software() -> str:
    """Name and version of this suite, as its pyproject.toml says, or pip where it is installed."""
    checkout = Path(__file__).parents[2] / "pyproject.toml"
    if not checkout.is_file():
        return f"{NAME} {version(NAME)}"
    return f"{NAME} {tomllib.loads(checkout.read_text())['project']['version']}"
