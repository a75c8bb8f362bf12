"""What decides which cubes a record is of, and what is in them."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from utils.ngff.address import is_state_link
from utils.ngff.metadata import Triple

# With these alike, two runs choose from one random order, and the second only goes further along it.
CHOICE = ("level", "seed", "crop_size", "min_frac", "padding_value", "overview_level", "stratify", "mask")
# Where these differ, cubes that are there are not what this run would make.
CONTENT = ("crop_size", "min_frac", "padding_value", "invert", "voxel_size", "contrast_method", "mask")
# Names of cubes count the dataset's own origin in; records of earlier versions do not say so, and theirs do not.
DATASET_COORDINATES = "dataset"
PLACE = ("coordinates", "voxel_offset")


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
        z, y, x = (self.voxel_offset if self.coordinates == DATASET_COORDINATES else None) or (0, 0, 0)
        return z, y, x

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

    def same_choice(self, now: "Settings") -> bool:
        """Whether two runs choose from one random order."""
        return all(getattr(self, key) == getattr(now, key) for key in CHOICE)
