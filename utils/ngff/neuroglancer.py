"""Neuroglancer's ways to say where an image is: links that carry a state, and the layers in it."""

from typing import Any
from urllib.parse import unquote

from utils.json_text import parse_json
from utils.ngff.address import STATE_MARK
from utils.redaction import redacted


def state_layer(url: str, layer: str | None = None) -> tuple[str, str]:
    """Name and source of the image layer that a state link shows, or of the one that is named.

    Raises
    ------
    ValueError
        If there is no such layer, or several and none is chosen.
    """
    images = image_layers(read_state(url))
    if layer is not None:
        if layer not in images:
            raise ValueError(f"no image layer {layer!r} in this link; it has {', '.join(images) or 'none'}")
        return layer, images[layer]
    if len(images) != 1:
        found = (
            f"{len(images)} image layers ({', '.join(images)}); choose one by --layer" if images else "no image layer"
        )
        raise ValueError(f"{redacted(url.partition(STATE_MARK)[0])}: the link shows {found}")
    return next(iter(images.items()))


def read_state(url: str) -> dict[str, Any]:
    """The state that a link carries, or that lies where it points to.

    Raises
    ------
    ValueError, OSError
        If it is no JSON object, or cannot be fetched.
    """
    text = unquote(url.partition(STATE_MARK)[2])
    if not text.lstrip().startswith("{"):
        text = _fetch(text)
    try:
        state = parse_json(text)
    except ValueError as error:
        raise ValueError(f"the state in this link is no JSON: {error}") from error
    if not isinstance(state, dict):
        raise ValueError("the state in this link is no JSON object")
    return state


def _fetch(url: str) -> str:
    from utils.ngff.access import Access
    from utils.ngff.address import Address
    from utils.ngff.store import Store

    folder, _, name = url.rpartition("/")
    raw = Store(Address.parse(folder), Access()).read([name], strict=True)[name]
    if raw is None:
        raise ValueError(f"{redacted(url)}: the state that the link points to is not there")
    return raw.decode("utf-8", "replace")


def image_layers(state: dict[str, Any]) -> dict[str, str]:
    """Sources of the image layers of a state, by name."""
    layers = state.get("layers") or []
    if isinstance(layers, dict):  # older states
        layers = [{"name": name, **layer} for name, layer in layers.items()]
    found = {}
    for number, layer in enumerate(layers):
        source = _source(layer.get("source"))
        if source and layer.get("type", "image") == "image":
            found[str(layer.get("name", number))] = source
    return found


def _source(source: Any) -> str | None:
    if isinstance(source, list):
        source = source[0] if source else None
    if isinstance(source, dict):
        source = source.get("url")
    return source if isinstance(source, str) else None
