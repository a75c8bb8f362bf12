"""BigDataViewer's XML: the unit that a bdv.n5 lacks, and the image that an XML stands for."""

import re
import warnings
from dataclasses import replace
from xml.etree import ElementTree

from utils.ngff.address import Address
from utils.ngff.containers import HDF5, refusal
from utils.ngff.store import Store
from utils.xml_text import parse_xml


def bdv_unit(image: Store) -> str | None:
    """The unit of a ``setup/timepoint`` of a bdv.n5, from the XML beside the container; None without one."""
    pieces = image.address.path.rstrip("/").split("/")
    for up, piece in enumerate(reversed(pieces)):
        if piece.lower().endswith(".n5"):
            container = image.at(*[".."] * up) if up else image
            name = container.address.name[: -len(".n5")] + ".xml"
            try:
                tree = _read_xml(container.at(".."), name)
            except OSError as error:
                warnings.warn(f"the XML beside it, which may name the unit, cannot be read: {error}", stacklevel=2)
                return None
            return _setup_unit(tree, _setup(pieces)) if tree is not None else None
    return None


def bdv_address(address: Address, store: Store) -> Address:
    """The image that a BigDataViewer or MoBIE XML file describes (its first setup and time point).

    Raises
    ------
    ValueError
        If the file is no such XML or its image is not N5.
    """
    tree = _read_xml(store.at(".."), address.name)
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


def _read_xml(folder: Store, name: str) -> ElementTree.Element | None:
    """The root of an XML file; None when it is missing or is no XML."""
    return parse_xml(folder.read([name])[name])


def _setup(pieces: list[str]) -> int:
    numbers = [int(found[1]) for piece in pieces if (found := re.fullmatch(r"setup(\d+)", piece))]
    return numbers[-1] if numbers else 0


def _setup_unit(tree: ElementTree.Element, setup: int) -> str | None:
    for view in tree.iter("ViewSetup"):
        if view.findtext("id", "0").strip() == str(setup):
            return _text(view, "voxelSize/unit")
    return None


def _text(node: ElementTree.Element, path: str) -> str | None:
    return (node.findtext(path) or "").strip() or None


def _region(node: ElementTree.Element) -> str | None:
    region = _text(node, "SigningRegion")
    return region if region and re.fullmatch(r"[a-z]{2}-[a-z]+-\d", region) else None
