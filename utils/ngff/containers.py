"""Folders that hold several images, and formats that are refused by name with the converter to use."""

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from urllib.parse import quote, urlencode

from utils.foreign_text import parse_xml
from utils.ngff.access import ask
from utils.ngff.store import Store, zip_names

# Folders looked into, at most: a bucket may hold millions.
MOST_FOLDERS = 400
DEEPEST = 5
# Images that a sentence names.
MOST_NAMED = 12
# Where images lie in containers that cannot be listed.
USUAL_PLACES = ("em/fibsem-uint8", "em/fibsem-uint16", "volumes/raw", "raw", "image")
LEVEL_NAME = re.compile(r"[sc]?\d+")
_METADATA = {"info", ".zattrs", ".zarray", "zarr.json", "attributes.json"}

CONVERTERS = {
    "header.wkw": ("WebKnossos data (.wkw)", "webknossos convert-zarr, of the Python package webknossos"),
    "datasource-properties.json": ("WebKnossos data", "webknossos convert-zarr, of the Python package webknossos"),
    "knossos.conf": ("KNOSSOS cubes", "webknossos convert-knossos, then convert-zarr"),
    "ImageProperties.xml": ("a Zoomify tile stack", "vips dzsave or bioformats2raw"),
    "project.yml": ("a CATMAID tile stack", "cloud-volume or bioformats2raw, from the tiles' images"),
}
HDF5 = ("BigDataViewer HDF5", "BigDataViewer's export to N5 or OME-Zarr (or pybdv)")
ENDINGS = {
    ".wkw": CONVERTERS["header.wkw"],
    ".h5": HDF5,
    ".hdf5": HDF5,
    ".dzi": ("a Deep Zoom tile stack", "vips dzsave --layout zarr or bioformats2raw"),
}
SCHEMES = {
    "wkw": CONVERTERS["header.wkw"],
    "dvid": ("a DVID server", "its export to precomputed or N5"),
    "boss": ("a BossDB server", "its address as precomputed on s3://bossdb-open-data"),
    "brainmaps": ("a BrainMaps volume", "its address as precomputed on gs://"),
    "graphene": ("a segmentation graph", "the address of the image instead"),
    "render": ("a tile server", "its export to N5 or precomputed"),
    "knossos": CONVERTERS["knossos.conf"],
}


def foreign_format(store: Store) -> str | None:
    """The sentence for a format that is known but not read; None for none of them."""
    ending = Path(store.address.name.lower()).suffix
    if ending in ENDINGS:
        return refusal(*ENDINGS[ending])
    found = store.read(CONVERTERS)
    return next((refusal(*CONVERTERS[key]) for key, raw in found.items() if raw is not None), None)


def refusal(what: str, converter: str) -> str:
    """The sentence that names a format and the way out of it."""
    return f"{what} cannot be read here; convert it to OME-Zarr, N5 or precomputed with {converter}"


def several_images(paths: Sequence[str]) -> ValueError:
    """The refusal of an address that stands for several images, with their names."""
    listed = ", ".join(paths[:MOST_NAMED]) + (", ..." if len(paths) > MOST_NAMED else "")
    return ValueError(f"{len(paths)} images lie here ({listed}); choose one by --image, or by its address")


def images_below(store: Store) -> list[str]:
    """Paths of what looks like images below a store: by listing it, else by looking at the usual places."""
    if store.address.driver == "file" and not store.address.archive:
        return sorted(_below(lambda folder: _local_entries(Path(store.address.path, folder))))
    if store.address.archive and (names := zip_names(store)):
        inside = f"{store.address.path}/".lstrip("/")
        entries = _entries_of(name.removeprefix(inside) for name in names if name.startswith(inside))
        return sorted(_below(lambda folder: entries[folder]))
    if store.address.driver in ("s3", "gcs") and not store.address.archive:
        try:
            return sorted(_below(lambda folder: _bucket_entries(store, folder)))
        except OSError:
            pass
    keys = {f"{place}/{name}": place for place in USUAL_PLACES for name in _group_files(store)}
    found = store.read_json(keys)
    return list(dict.fromkeys(keys[key] for key, value in found.items() if value is not None))


def _group_files(store: Store) -> tuple[str, ...]:
    """The files that describe an image inside of a container, by how the container's name ends."""
    endings = {piece.rpartition(".")[2] for piece in store.address.path.split("/")}
    if "n5" in endings:
        return ("attributes.json",)
    return (".zattrs", "zarr.json") if "zarr" in endings else (".zattrs", "zarr.json", "info", "attributes.json")


def _below(entries: Callable[[str], tuple[set[str], set[str]]]) -> Iterator[str]:
    """Folders with metadata of an image, the outermost of each branch; ``entries`` gives files and folders of one."""
    waiting = [""]
    for _ in range(MOST_FOLDERS):
        if not waiting:
            return
        folder = waiting.pop(0)
        files, folders = entries(folder)
        levels = {"s0", "0", "c0", "setup0"} & folders
        level = LEVEL_NAME.fullmatch(folder.rpartition("/")[2])  # of an image that nothing describes
        if folder and not level and files & _METADATA and (levels or not folders or "info" in files):
            yield folder
        elif folder.count("/") < DEEPEST:
            waiting += sorted(f"{folder}/{name}".lstrip("/") for name in folders if not name.isdecimal() or not folder)


def _local_entries(folder: Path) -> tuple[set[str], set[str]]:
    with os.scandir(folder) as found:
        is_folder = {entry.name: entry.is_dir() for entry in found}
    folders = {name for name, inner in is_folder.items() if inner}
    return is_folder.keys() - folders, folders


def _entries_of(names: Iterable[str]) -> dict[str, tuple[set[str], set[str]]]:
    """Files and folders of each folder, from the paths of all files."""
    found: dict[str, tuple[set[str], set[str]]] = defaultdict(lambda: (set(), set()))
    for name in names:
        *folders, file = name.split("/")
        for depth, folder in enumerate(folders):
            found["/".join(folders[:depth])][1].add(folder)
        if file:
            found["/".join(folders)][0].add(file)
    return found


def _bucket_entries(store: Store, folder: str) -> tuple[set[str], set[str]]:
    """Files and folders of a bucket's prefix, from the listing that S3 and GCS share."""
    address = store.at(folder).address
    prefix = f"{address.path}/".lstrip("/")
    query = urlencode({"list-type": 2, "prefix": prefix, "delimiter": "/", "max-keys": 1000})
    answer = ask(f"{store.endpoint}/{quote(address.root)}?{query}", store.access.timeout, body=True)
    tree = parse_xml(answer.body) if answer and answer.status == 200 else None
    if tree is None:
        raise OSError(f"{address}: cannot be listed")
    files = {key.text.removeprefix(prefix) for key in tree.iterfind("{*}Contents/{*}Key") if key.text}
    found = (part.text for part in tree.iterfind("{*}CommonPrefixes/{*}Prefix"))
    return files, {name.removeprefix(prefix).rstrip("/") for name in found if name}
