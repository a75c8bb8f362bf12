"""Names: the whole grammar of datasets, regions, volume levels, binned volumes and patches.

Each formatter stands beside its parser. What a name is made of, from left to right: the dataset, ``_s{level}`` of a
multiscale image, ``_video`` of a stack of frames, ``_bin{N}`` of a binned volume, ``-ROI-`` and a region,
``-LOC-`` and a patch.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote

from utils.axes import Box3D, triple
from utils.files import NGFF_ENDING, stem
from utils.patches import Box

Parsed = TypeVar("Parsed")

_N = r"\d{1,18}"  # a number that 64 bits hold
_NAME_2D = re.compile(rf"^(?P<source>.+)-LOC-2d-(?P<y0>{_N})-(?P<y1>{_N})_(?P<x0>{_N})-(?P<x1>{_N})$", re.DOTALL)
_NAME_3D = re.compile(
    rf"^(?P<source>.+)-LOC-(?P<axis>[012])_(?P<first>-?{_N})(-(?P<stop>{_N}))?"
    rf"_(?P<y0>{_N})-(?P<y1>{_N})_(?P<x0>{_N})-(?P<x1>{_N})$",
    re.DOTALL,
)
_ROI = re.compile(rf"^(?P<dataset>.+?)-ROI-x(-?{_N})-(-?{_N})_y(-?{_N})-(-?{_N})_z(-?{_N})-(-?{_N})$", re.DOTALL)


@dataclass(frozen=True)
class PatchName:
    """Where a patch lies: in a 2D image (`axis` None), in slice `first` of a volume, or in slices first..stop - 1."""

    source: str
    box: Box
    axis: int | None = None
    first: int = 0
    stop: int | None = None

    def region(self, first: int, stop: int) -> Box3D:
        """The z, y, x intervals of its rows and columns in slices first..stop - 1 of its volume."""
        spans = [(self.box.y0, self.box.y1), (self.box.x0, self.box.x1)]
        spans.insert(self.axis or 0, (first, stop))
        return triple(spans)


def format_name_2d(source: str, box: Box) -> str:
    """``{image stem}-LOC-2d-{y0}-{y1}_{x0}-{x1}``."""
    return f"{source}-LOC-2d-{box.y0}-{box.y1}_{box.x0}-{box.x1}"


def format_name_3d(source: str, axis: int, index: int, count: int, box: Box) -> str:
    """``{volume name}-LOC-{axis}_{index}_{y0}-{y1}_{x0}-{x1}``, the index as wide as the last of `count` slices.

    >>> format_name_3d("vol", 1, 7, 100, Box(0, 224, 0, 224))
    'vol-LOC-1_07_0-224_0-224'
    """
    return f"{source}-LOC-{axis}_{_padded(index, count)}_{box.y0}-{box.y1}_{box.x0}-{box.x1}"


def format_name_subvolume(source: str, axis: int, first: int, stop: int, count: int, box: Box) -> str:
    """``{volume name}-LOC-{axis}_{first}-{past the last}_{y0}-{y1}_{x0}-{x1}``.

    A padded subvolume may begin before slice 0: ``first`` is then negative.
    """
    return f"{source}-LOC-{axis}_{_padded(first, count)}-{_padded(stop, count)}_{box.y0}-{box.y1}_{box.x0}-{box.x1}"


def _padded(index: int, count: int) -> str:
    return str(index).zfill(len(str(count - 1)))


def parse_name(name: str) -> PatchName:
    """Read a patch's name back.

    Raises
    ------
    ValueError
        If it follows none of the grammars.
    """
    if found := _NAME_2D.match(name):
        return PatchName(found["source"], _box(found))
    if found := _NAME_3D.match(name):
        stop = int(found["stop"]) if found["stop"] else None
        return PatchName(found["source"], _box(found), int(found["axis"]), int(found["first"]), stop)
    raise ValueError(
        f"{name!r} is no patch name; expected {{source}}-LOC-2d-y0-y1_x0-x1 or {{source}}-LOC-axis_index_y0-y1_x0-x1"
    )


def _box(found: re.Match[str]) -> Box:
    return Box(*(int(found[field]) for field in Box._fields))


def parsed(parse: Callable[[str], Parsed], name: str) -> Parsed | None:
    """What a parser of this room reads in a name; None where it refuses it.

    >>> parsed(parse_level, "sample_s2"), parsed(parse_level, "sample")
    (('sample', 2), None)
    """
    try:
        return parse(name)
    except ValueError:
        return None


def format_roi(dataset: str, z: tuple[int, int], y: tuple[int, int], x: tuple[int, int]) -> str:
    """``{dataset}-ROI-x{x0}-{x1}_y{y0}-{y1}_z{z0}-{z1}``: a region cropped from a dataset, in its voxels."""
    return f"{dataset}-ROI-x{x[0]}-{x[1]}_y{y[0]}-{y[1]}_z{z[0]}-{z[1]}"


def parse_roi(name: str) -> tuple[str, Box3D]:
    """Dataset and (z, y, x) intervals of a region's name.

    Raises
    ------
    ValueError
        If it is none.
    """
    if not (found := _ROI.match(name)):
        raise ValueError(f"{name!r} is no region's name; expected {{dataset}}-ROI-x0-x1_y0-y1_z0-z1")
    x0, x1, y0, y1, z0, z1 = (int(value) for value in found.groups()[1:])
    return found["dataset"], ((z0, z1), (y0, y1), (x0, x1))


def in_dataset(volume: str, box: Box3D) -> tuple[str, Box3D]:
    """The dataset that a volume is of, and a box of the volume in the dataset's voxels, a region's offset counted in.

    >>> in_dataset("fly-ROI-x100-200_y0-90_z50-99", ((0, 9), (7, 8), (10, 20)))
    ('fly', ((50, 59), (7, 8), (110, 120)))
    """
    dataset, region = parsed(parse_roi, volume) or (volume, ((0, 0),) * 3)
    return dataset, triple((a + origin, b + origin) for (a, b), (origin, _) in zip(box, region, strict=True))


def is_patch_name(name: str) -> bool:
    """Whether a name is a patch's, or a subvolume's.

    >>> is_patch_name("fly-LOC-0_1_0-9_0-9"), is_patch_name("fly_0001")
    (True, False)
    """
    return parsed(parse_name, name) is not None


def dataset_of(name: str) -> str:
    """The dataset that a volume, a dictionary or a patch belongs to: what stands before ``-ROI-`` or ``-LOC-``.

    >>> dataset_of("fly-ROI-x0-9_y0-9_z0-9-LOC-0_1_0-9_0-9"), dataset_of("fly-LOC-2d-0-9_0-9"), dataset_of("fly")
    ('fly', 'fly', 'fly')
    """
    return name.split("-ROI-")[0].split("-LOC-")[0] or name


_LEVEL_MARK = re.compile(r"#s(\d+)$")
_LEVEL = re.compile(r"^(?P<image>.+)_s(?P<level>\d+)$", re.DOTALL)
_GENERIC = re.compile(r"(?i)^(s?\d+|c\d+|v\d+|em|raw|data|image|images|aligned|setup\d+|timepoint\d+|volume)$")


def format_level(image: str, level: int) -> str:
    """``{image}_s{level}``: one level of a multiscale image, as a volume.

    >>> format_level("sample", 0)
    'sample_s0'
    """
    return f"{image}_s{level}"


def parse_level(name: str) -> tuple[str, int]:
    """Image and level of a level's name.

    >>> parse_level("sample_s0")
    ('sample', 0)

    Raises
    ------
    ValueError
        If it names none.
    """
    if not (found := _LEVEL.match(name)):
        raise ValueError(f"{name!r} names no level of an image; expected {{image}}_s{{level}}")
    return found["image"], int(found["level"])


def split_level(url: str) -> tuple[str, int | None]:
    """An address without its level mark, and the level.

    >>> split_level("s3://bucket/image.zarr#s2"), split_level("image.zarr")
    (('s3://bucket/image.zarr', 2), ('image.zarr', None))
    """
    mark = _LEVEL_MARK.search(url)
    return (url[: mark.start()], int(mark[1])) if mark else (url, None)


def image_name(url: str | Path) -> str:
    """A name for the image at an address: its last telling part, without a suffix and without its level.

    >>> image_name("s3://bucket/jrc_hela-2.n5/em/fibsem-uint8"), image_name("https://host/minnie65/aligned/v1")
    ('fibsem-uint8', 'minnie65-aligned-v1')
    >>> image_name("https://host/mouse%20brain.zarr")
    'mouse_brain'
    """
    text = split_level(str(url))[0].rstrip("/")
    pieces = [piece for piece in unquote(text.partition("://")[2]).split("/") if piece] or text.split("/")
    pieces = pieces if "://" in text or not text else [p for p in Path(text).absolute().as_posix().split("/") if p]
    kept: list[str] = []
    for piece in reversed(pieces):
        name = NGFF_ENDING.sub("", piece)
        kept.insert(0, name)
        if name != piece or not _GENERIC.match(name):
            break
    return re.sub(r"[^\w.+-]+", "_", "-".join(kept)).replace("-ROI-", "-roi-").replace("-LOC-", "-loc-") or "image"


def level_name(url: str | Path) -> str:
    """The name of the volume at an address: the image's, and the level that is marked, or 0.

    >>> level_name("s3://bucket/image.zarr#s2"), level_name("mouse.zarr")
    ('image_s2', 'mouse_s0')
    """
    return format_level(image_name(url), split_level(str(url))[1] or 0)


def is_table(source: str) -> bool:
    """Whether a word names a table rather than the address of one image."""
    return source.lower().endswith((".csv", ".tsv")) and "://" not in source


_BINNED = re.compile(r"^(?P<volume>.+)_bin(?P<factor>\d+)(?P<xy>xy)?$", re.DOTALL)


def format_binned(volume: str, factor: int, *, xy: bool = False) -> str:
    """``{volume}_bin{N}``, of a volume binned along x and y only ``{volume}_bin{N}xy``.

    >>> format_binned("vol", 2), format_binned("vol", 4, xy=True)
    ('vol_bin2', 'vol_bin4xy')
    """
    return f"{volume}_bin{factor}{'xy' * xy}"


def parse_binned(name: str) -> tuple[str, int, bool]:
    """Volume, factor and whether z was left as it is.

    >>> parse_binned("vol_bin4xy")
    ('vol', 4, True)

    Raises
    ------
    ValueError
        If the name is no binned volume's.
    """
    if not (found := _BINNED.match(name)):
        raise ValueError(f"{name!r} is no binned volume's name; expected {{volume}}_bin{{N}} or {{volume}}_bin{{N}}xy")
    return found["volume"], int(found["factor"]), bool(found["xy"])


def format_video(video: Path) -> str:
    """The name of a video's stack: it says "video", because only its xy slices are images.

    >>> format_video(Path("cells.v2.MP4")), format_video(Path("a_video.avi"))
    ('cells.v2_video', 'a_video')
    """
    name = stem(video)
    return name if is_video(name) else f"{name}_video"


def is_video(name: str) -> bool:
    """Whether a volume's name says that its slices are frames of a video.

    >>> is_video("cells_Video.v2"), is_video("cells")
    (True, False)
    """
    return "video" in name.lower()
