"""What points to an image: BigDataViewer's XML, which also knows the unit that a bdv.n5 lacks; Neuroglancer's links."""

import re
import warnings
from dataclasses import replace
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

from utils.foreign_text import parse_json, parse_xml
from utils.ngff.access import Access
from utils.ngff.address import STATE_MARK, Address
from utils.ngff.containers import HDF5, refusal
from utils.ngff.store import Store
from utils.redaction import redacted


def bdv_unit(image: Store) -> str | None:
    """The unit of a ``setup/timepoint`` of a bdv.n5, from the XML beside the container; None without one."""
    pieces = image.address.path.rstrip("/").split("/")
    for up, piece in enumerate(reversed(pieces)):
        if piece.lower().endswith(".n5"):
            container = image.at(*[".."] * up) if up else image
            name = container.address.name[: -len(".n5")] + ".xml"
            try:
                tree = parse_xml(container.at("..").read([name])[name])
            except OSError as error:
                warnings.warn(f"the XML beside it, which may name the unit, cannot be read: {error}", stacklevel=2)
                return None
            return _setup_unit(tree, pieces) if tree is not None else None
    return None


def bdv_address(address: Address, store: Store) -> Address:
    """The image that a BigDataViewer or MoBIE XML file describes (its first setup and time point).

    Raises
    ------
    ValueError
        If the file is no such XML or its image is not N5.
    """
    tree = parse_xml(store.at("..").read([address.name])[address.name])
    loader = tree.find(".//ImageLoader") if tree is not None else None
    kind = loader.get("format", "") if loader is not None else ""
    if kind == "bdv.hdf5":
        raise ValueError(refusal(*HDF5))
    if tree is None or loader is None or not kind.startswith("bdv.n5"):
        raise ValueError(f"expected a BigDataViewer XML with an image of format bdv.n5, found {kind!r}")
    inside = _first_image(tree)
    if kind == "bdv.n5.s3":
        bucket, key = loader.findtext("BucketName", "").strip(), loader.findtext("Key", "").strip()
        found = Address.parse(f"s3://{bucket}/{key}").at(inside)
        return replace(
            found, url=address.url, format="n5", endpoint=_text(loader, "ServiceEndpoint"), region=_region(loader)
        )
    path = loader.findtext("n5", "").strip()
    return replace(address.at("..", path, inside), format="n5")


def _first_image(tree: ElementTree.Element) -> str:
    """The folder of the first setup at the first time point; that there are more is said."""
    setups = [_text(view, "id") or "0" for view in tree.iter("ViewSetup")] or ["0"]
    first, last = (_text(tree, f".//Timepoints/{end}") or "0" for end in ("first", "last"))
    if len(setups) > 1 or first != last:
        warnings.warn(
            f"{len(setups)} setups and time points {first} to {last} lie here; setup {setups[0]} at {first} is taken",
            stacklevel=2,
        )
    return f"setup{setups[0]}/timepoint{first}"


def _setup_unit(tree: ElementTree.Element, pieces: list[str]) -> str | None:
    """The unit of the setup that the pieces of a path name last, or of setup 0."""
    setup = ([0] + [int(found[1]) for piece in pieces if (found := re.fullmatch(r"setup(\d+)", piece))])[-1]
    for view in tree.iter("ViewSetup"):
        if view.findtext("id", "0").strip() == str(setup):
            return _text(view, "voxelSize/unit")
    return None


def _text(node: ElementTree.Element, path: str) -> str | None:
    return (node.findtext(path) or "").strip() or None


def _region(node: ElementTree.Element) -> str | None:
    region = _text(node, "SigningRegion")
    return region if region and re.fullmatch(r"[a-z]{2}-[a-z]+-\d", region) else None


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
