"""Label images (segmentations): told by their metadata, refused unless they are asked for."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_labels_allowed: ContextVar[bool] = ContextVar("labels_allowed", default=False)


@contextmanager
def allowing_labels() -> Iterator[None]:
    """Within the block segmentations are opened, too: as masks, not as images."""
    token = _labels_allowed.set(True)
    try:
        yield
    finally:
        _labels_allowed.reset(token)


def are_labels_allowed() -> bool:
    """Whether segmentations may be opened."""
    return _labels_allowed.get()


def labels_error(why: str) -> ValueError:
    """The refusal of a segmentation."""
    return ValueError(f"holds labels (a segmentation: {why}), not an image; give the address of the EM image")


def refuse_labels(path: str, attributes: Mapping[str, Any]) -> None:
    """Refuse what its place or its attributes declare to be a segmentation."""
    if are_labels_allowed():
        return
    if "labels" in path.lower().split("/"):
        raise labels_error("it lies in a folder 'labels'")
    if "image-label" in attributes:
        raise labels_error("'image-label' in its metadata")
    painted = attributes.get("painteraData")
    if isinstance(painted, Mapping) and painted.get("type") == "label":
        raise labels_error("painteraData type 'label'")
    if attributes.get("isLabelMultiset") or attributes.get("type") == "segmentation":
        raise labels_error("declared in its metadata")
