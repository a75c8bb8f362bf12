"""Addresses: a URL or local path taken apart into store, bucket or server, and folder."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from utils.files import expanded
from utils.names import image_name
from utils.redaction import redacted

FORMATS = {
    **dict.fromkeys(("precomputed", "neuroglancer-precomputed"), "precomputed"),
    **{"n5": "n5", "zarr": "zarr", "zarr2": "zarr", "zarr3": "zarr"},
}
_S3_HOST = re.compile(r"^(?:(?P<bucket>[a-z0-9.-]+)\.)?s3(?:[.-](?P<region>[a-z]{2}-[a-z]+-\d))?\.amazonaws\.com$")
# Files that people copy the address of, instead of the folder that they describe.
_METADATA_FILES = ("info", "zarr.json", ".zattrs", ".zarray", ".zgroup", "attributes.json")
_ARCHIVE = re.compile(r"(?i)\.(zip|ozx)$")
# Before the state of a viewer, or its address, in the address of a page.
STATE_MARK = "#!"


@dataclass(frozen=True)
class Address:
    """One folder of one store, taken apart from a URL or a local path."""

    url: str
    driver: str
    root: str  # bucket, or scheme and server
    path: str  # the folder; inside of the archive where there is one
    format: str | None = None  # where the address states it
    endpoint: str | None = None
    region: str | None = None
    archive: str | None = None  # the path of a zip file that holds the folder
    query: str = ""  # of an HTTP address (a signature, mostly): sent with every request

    @classmethod
    def parse(cls, url: str | Path) -> "Address":
        """Take a path, ``file://``, ``http(s)://``, ``s3://``, ``gs://`` or ``s3+https://`` address apart.

        A prefix ``precomputed://``, ``n5://`` or ``zarr://``, or one of Neuroglancer's pipelines
        (``s3://bucket/a.zarr/|zarr3:``, ``b.zip|zip:inner/|zarr2:``) states the format instead of leaving it to
        inspection.

        Raises
        ------
        ValueError
            If the scheme is none of these or a bucket is missing.
        """
        text = str(url).strip()
        if "|" in text:
            base, *steps = text.split("|")
            return replace(_piped(cls.parse(base), steps), url=text)
        prefix, mark, rest = text.partition("://")
        if mark and prefix.lower() in FORMATS:
            return replace(cls.parse(rest), format=FORMATS[prefix.lower()], url=text)
        address = _parse_url(text, prefix.lower()) if mark else cls(text, "file", "", _local(expanded(text)))
        return _in_archive(address.at("..") if address.name in _METADATA_FILES else address)

    def at(self, *parts: str) -> "Address":
        """The address of something below this one; ``..`` goes up."""
        pieces = [piece for piece in self.path.split("/") if piece not in ("", ".")]
        for piece in "/".join(parts).split("/"):
            if piece == "..":
                pieces = pieces[:-1]
            elif piece not in ("", "."):
                pieces.append(piece)
        lead = "/" if self.path.startswith("/") else ""
        return replace(self, path=lead + "/".join(pieces))

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rsplit("/", 1)[-1]

    @property
    def plain(self) -> str:
        """The address in one spelling, secrets included: for asking, never for saying."""
        outer = self.path if self.archive is None else self.archive
        path = outer.lstrip("/") if self.root else outer
        query = f"?{self.query}" if self.query else ""
        plain = {"file": outer, "http": f"{self.root}/{path}{query}", "s3": f"s3://{self.root}/{path}"}.get(
            self.driver, f"gs://{self.root}/{path}"
        )
        return plain if self.archive is None else f"{plain}|zip:{self.path}"

    def __str__(self) -> str:
        return redacted(self.plain)


def _piped(address: Address, steps: list[str]) -> Address:
    """Follow the steps of a Neuroglancer pipeline."""
    for step in steps:
        kind, _, inner = step.partition(":")
        if kind == "zip":
            outer = address.archive or address.path
            address = replace(address, archive=outer, path=inner.strip("/"))
        elif kind in FORMATS:
            address = replace(address.at(inner), format=FORMATS[kind])
        else:
            known = ", ".join(["zip", *FORMATS])
            raise ValueError(f"{address}|{step}: a pipeline through {kind!r} cannot be followed; known are {known}")
    return address


def _in_archive(address: Address) -> Address:
    """Split a path that leads into a zip file."""
    pieces = address.path.split("/")
    for number, piece in enumerate(pieces):
        if _ARCHIVE.search(piece) and (address.driver != "file" or Path("/".join(pieces[: number + 1])).is_file()):
            outer, inner = "/".join(pieces[: number + 1]), "/".join(pieces[number + 1 :])
            return replace(address, archive=outer, path=inner)
    return address


def _local(path: Path) -> str:
    """A path that is absolute and, as tensorstore asks for, without ``..``."""
    return (path.resolve() if ".." in path.parts else path.absolute()).as_posix().rstrip("/")


def _parse_url(text: str, scheme: str) -> Address:
    parts = urlsplit(text)
    if scheme == "file":
        return Address(text, "file", "", _local(Path(unquote(parts.path))) or "/")
    if scheme in ("http", "https"):
        s3 = _S3_HOST.match(parts.netloc) if not parts.query else None  # a signed address is asked for as it is
        bucket, _, path = parts.path.strip("/").partition("/") if s3 and not s3["bucket"] else ("", "", parts.path)
        if s3 and (s3["bucket"] or bucket):  # the global form answers with a redirect outside of its home region
            return Address(text, "s3", s3["bucket"] or bucket, unquote(path).strip("/"), region=s3["region"])
        path = "/" + unquote(parts.path).strip("/")
        return Address(text, "http", f"{scheme}://{parts.netloc}", path, query=parts.query)
    if scheme in ("s3+https", "s3+http"):
        bucket, _, path = parts.path.strip("/").partition("/")
        return Address(text, "s3", bucket, unquote(path), endpoint=f"{scheme.removeprefix('s3+')}://{parts.netloc}")
    if scheme in ("s3", "gs", "gcs"):
        if not parts.netloc:
            raise ValueError(f"{text}: no bucket; expected {scheme}://bucket/path")
        if "@" in parts.netloc:
            raise ValueError(f"{redacted(text)}: a bucket has no user; --credentials takes keys from your environment")
        return Address(text, "s3" if scheme == "s3" else "gcs", parts.netloc, unquote(parts.path).strip("/"))
    known = (
        "a local path, file://, http(s)://, s3://, gs://, s3+https://, or one after precomputed://, n5:// or zarr://"
    )
    raise ValueError(f"{redacted(text)}: addresses of the kind {scheme}:// are not known; expected {known}")


def is_state_link(url: str) -> bool:
    """Whether an address is a page whose fragment holds, or points to, a viewer's state; names of folders are none."""
    page, mark, _ = url.partition(STATE_MARK)
    return bool(mark) and "://" in page


def address_name(url: str) -> str:
    """What an image is called by its address: steps, queries, metadata files and archives' endings do not count."""
    plain = url.partition("|")[0]
    inner = "".join(step.partition(":")[2] for step in url.split("|")[1:]).strip("/")
    plain = plain.partition("?")[0] if "://" in plain else plain
    plain = re.sub(r"(?i)/(info|zarr\.json|\.z(attrs|array|group)|attributes\.json)$", "", plain.rstrip("/"))
    return image_name(_ARCHIVE.sub("", plain) + (f"/{inner}" if inner else ""))
