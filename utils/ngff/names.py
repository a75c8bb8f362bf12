"""Names made from addresses, and the level that an address may choose."""

import re
from pathlib import Path
from urllib.parse import unquote

_LEVEL_MARK = re.compile(r"#s(\d+)$")
_GENERIC = re.compile(r"(?i)^(s?\d+|c\d+|v\d+|em|raw|data|image|images|aligned|setup\d+|timepoint\d+|volume)$")
_ENDING = re.compile(r"(?i)(\.ome)?\.(zarr|n5|precomputed|pc|xml)$")


def split_level(url: str) -> tuple[str, int | None]:
    """An address without its level mark, and the level.

    >>> split_level("s3://bucket/image.zarr#s2"), split_level("image.zarr")
    (('s3://bucket/image.zarr', 2), ('image.zarr', None))
    """
    mark = _LEVEL_MARK.search(url)
    return (url[: mark.start()], int(mark[1])) if mark else (url, None)


def volume_name(url: str | Path) -> str:
    """A name for the image at an address: its last telling part, without a suffix.

    >>> volume_name("s3://bucket/jrc_hela-2.n5/em/fibsem-uint8"), volume_name("https://host/minnie65/aligned/v1")
    ('fibsem-uint8', 'minnie65-aligned-v1')
    >>> volume_name("https://host/mouse%20brain.zarr")
    'mouse_brain'
    """
    text = split_level(str(url))[0].rstrip("/")
    pieces = [piece for piece in unquote(text.partition("://")[2]).split("/") if piece] or text.split("/")
    pieces = pieces if "://" in text or not text else [p for p in Path(text).absolute().as_posix().split("/") if p]
    kept: list[str] = []
    for piece in reversed(pieces):
        name = _ENDING.sub("", piece)
        kept.insert(0, name)
        if name != piece or not _GENERIC.match(name):
            break
    return re.sub(r"[^\w.+-]+", "_", "-".join(kept)).replace("-ROI-", "-roi-").replace("-LOC-", "-loc-") or "image"
