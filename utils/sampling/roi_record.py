"""The record beside the cubes of a dataset: where they come from, how they were chosen and scaled."""

import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from utils.contrast import Contrast
from utils.files import atomic_path
from utils.jobs import SKIPPED, SomeFailed
from utils.names import parse_roi
from utils.sampling.roi_crops import GB, Crops, make_crops
from utils.sampling.rois import Roi

# With these alike, two runs choose from one random order, and the second only goes further along it.
CHOICE = ("level", "seed", "crop_size", "min_frac", "padding_value", "overview_level")
# These must be alike for cubes of one level to belong together.
FIXED = ("voxel_size", "invert")


class Record:
    """A dataset's record: what an earlier run said, and what this one will say.

    Parameters
    ----------
    path : Path
    settings : dict
        Of this run; holds at least ``source`` and the keys of `CHOICE` and `FIXED`.

    Raises
    ------
    ValueError
        If the file there belongs to another source, or cubes made otherwise would be mixed with new ones.
    """

    def __init__(self, path: Path, settings: dict) -> None:
        self.path, self.settings = path, json.loads(json.dumps(settings))
        self.earlier = read_record(path, settings["source"])
        if self.earlier and self.earlier.get("level") == self.settings["level"]:
            for key in FIXED:
                if self.earlier.get(key) != self.settings[key]:
                    raise ValueError(
                        f"{path}: the cubes there have {key} {self.earlier.get(key)}, now it is {self.settings[key]}; "
                        "choose another folder or name, or move them away"
                    )

    @property
    def contrast(self) -> Contrast | None:
        """The contrast window that earlier cubes have; the dataset keeps it."""
        return Contrast.from_dict(self.earlier["contrast"]) if self.earlier.get("contrast") else None

    def kept(self, crops: Crops) -> list[Roi]:
        """Cubes of other choices that are there and count first."""
        if self._same_choice():
            names = [Path(name).stem for name in self.earlier.get("kept", [])]
            return [roi for roi in (Roi(*parse_roi(name)[1]) for name in names) if crops.path(roi).exists()]
        return crops.existing()

    def write(self, crops: Crops, chosen: Sequence[Roi], kept: Sequence[Roi], failures: Mapping[Roi, str]) -> None:
        """Say which cubes are there and which failed."""
        # Cubes that a larger budget brought stay, so they stay in the record.
        there = [roi for roi in dict.fromkeys([*chosen, *crops.existing()]) if crops.path(roi).exists()]
        self._write(
            crops.contrast,
            boxes=[{"file": crops.path(roi).name, **_spans(roi)} for roi in there],
            kept=[crops.path(roi).name for roi in kept],
            failures=[{**_spans(roi), "reason": reason} for roi, reason in failures.items()],
        )

    def write_whole(self, target: Path, contrast: Contrast) -> None:
        """Say whether the whole level is there, and its contrast."""
        whole = {"file": target.name, **_spans(Roi(*((0, n) for n in self.settings["shape"])))}
        self._write(contrast, boxes=[whole] if target.exists() else [], kept=[], failures=[])

    def _same_choice(self) -> bool:
        return all(key in self.earlier and self.earlier[key] == self.settings.get(key) for key in CHOICE)

    def _write(self, contrast: Contrast, **content: list) -> None:
        earlier = self.earlier.get("earlier", [])
        if self.earlier and not self._same_choice():
            earlier = [*earlier, {key: self.earlier.get(key) for key in (*CHOICE, "boxes")}]
        text = _text(
            {**self.settings, "contrast": contrast.as_dict(), **content, "earlier": earlier, "software": software()}
        )
        if not self.path.exists() or self.path.read_text() != text:
            with atomic_path(self.path) as scratch:
                scratch.write_text(text)


def take(crops: Crops, chosen: list[Roi], kept: list[Roi], record: Record, threads: int) -> str:
    """Make the chosen cubes that are missing; the record is written before (it fixes the contrast) and after.

    Raises
    ------
    SomeFailed
        If cubes failed; the others are kept.
    """
    missing = [roi for roi in chosen if not crops.path(roi).exists()]
    record.write(crops, chosen, kept, {})
    failures = make_crops(crops, missing, threads)
    record.write(crops, chosen, kept, failures)
    if failures:
        raise SomeFailed({str(crops.path(roi)): reason for roi, reason in failures.items()})
    size = sum(roi.voxels for roi in chosen) / GB
    return f"{len(missing)} cubes made, {len(chosen)} there ({size:.3g} GB)" if missing else SKIPPED


def _text(record: dict) -> str:
    """JSON with a line for every key and for every box: thousands of boxes stay readable."""

    def value(item: object) -> str:
        if isinstance(item, list) and item and isinstance(item[0], dict):
            return "[\n  " + ",\n  ".join(map(json.dumps, item)) + "\n ]"
        return json.dumps(item)

    return "{\n" + ",\n".join(f" {json.dumps(key)}: {value(item)}" for key, item in record.items()) + "\n}\n"


def _spans(roi: Roi) -> dict[str, list[int]]:
    return {"z": list(roi.z), "y": list(roi.y), "x": list(roi.x)}


def read_record(path: Path, source: str) -> dict:
    """An earlier run's record of the same source; empty when there is none.

    Raises
    ------
    ValueError
        If it belongs to another source: two datasets must not share a name.
    """
    if not path.exists():
        return {}
    try:
        record = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path}: is no record of an earlier run ({error}); move it away") from error
    if not isinstance(record, dict) or record.get("source") != source:
        other = record.get("source") if isinstance(record, dict) else "something else"
        raise ValueError(f"{path} belongs to {other}; give this dataset another name or folder")
    return record


def software() -> str:
    """Name and version of this suite, as its pyproject.toml says."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    return f"{project['name']} {project['version']}"
