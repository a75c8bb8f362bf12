"""Addresses: a URL or local path taken apart into store, bucket or server, and folder."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

FORMATS = {
    "precomputed": "precomputed",
    "neuroglancer-precomputed": "precomputed",
    "n5": "n5",
    "zarr": "zarr",
    "zarr2": "zarr",
    "zarr3": "zarr",
}
_S3_HOST = re.compile(r"^(?:(?P<bucket>[a-z0-9.-]+)\.)?s3(?:[.-](?P<region>[a-z]{2}-[a-z]+-\d))?\.amazonaws\.com$")


_USER = re.compile(r"(?<=://)[^/@\s?#]*@")
_QUERY = re.compile(r"(?<=[?&])([^=&\s#?]*)=(?:[^&\s#'\",;):]|:(?!\s))*")


def redacted(text: str) -> str:
    """A text without the user names, passwords and query values of the addresses in it.

    >>> redacted("https://me:pw@host/a.zarr?sig=abc&x=1: 404")
    'https://***@host/a.zarr?sig=***&x=***: 404'
    """
    return _QUERY.sub(r"\1=***", _USER.sub("***@", text)) if "://" in text else text


@dataclass(frozen=True)
class Address:
    """One folder of one store, taken apart from a URL or a local path."""

    url: str
    driver: str
    root: str
    path: str
    format: str | None = None
    endpoint: str | None = None
    region: str | None = None

    @classmethod
    def parse(cls, url: str | Path) -> "Address":
        """Take a path, ``file://``, ``http(s)://``, ``s3://`` or ``gs://`` address apart.

        A prefix ``precomputed://``, ``n5://`` or ``zarr://`` states the format instead of leaving it to inspection.

        Raises
        ------
        ValueError
            If the scheme is none of these or a bucket is missing.
        """
        text = str(url).strip()
        prefix, mark, rest = text.partition("://")
        if mark and prefix.lower() in FORMATS:
            return replace(cls.parse(rest), format=FORMATS[prefix.lower()], url=text)
        if not mark:
            return cls(text, "file", "", _local(Path(text).expanduser()))
        return _parse_url(text, prefix.lower())

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
        path = self.path.lstrip("/") if self.root else self.path
        return {"file": self.path, "http": f"{self.root}/{path}", "s3": f"s3://{self.root}/{path}"}.get(
            self.driver, f"gs://{self.root}/{path}"
        )

    def __str__(self) -> str:
        return redacted(self.plain)


def _local(path: Path) -> str:
    """A path that is absolute and, as tensorstore asks for, without ``..``."""
    return (path.resolve() if ".." in path.parts else path.absolute()).as_posix().rstrip("/")


def _parse_url(text: str, scheme: str) -> Address:
    parts = urlsplit(text)
    if scheme == "file":
        return Address(text, "file", "", _local(Path(unquote(parts.path))) or "/")
    if scheme in ("http", "https"):
        s3 = _S3_HOST.match(parts.netloc)
        bucket, _, path = parts.path.strip("/").partition("/") if s3 and not s3["bucket"] else ("", "", parts.path)
        if s3 and (s3["bucket"] or bucket):  # the global form answers with a redirect outside of its home region
            return Address(text, "s3", s3["bucket"] or bucket, unquote(path).strip("/"), region=s3["region"])
        return Address(text, "http", f"{scheme}://{parts.netloc}", "/" + unquote(parts.path).strip("/"))
    if scheme in ("s3", "gs"):
        if not parts.netloc:
            raise ValueError(f"{text}: no bucket; expected {scheme}://bucket/path")
        return Address(text, "s3" if scheme == "s3" else "gcs", parts.netloc, unquote(parts.path).strip("/"))
    known = "a local path, file://, http(s)://, s3://, gs://, or one of these after precomputed://, n5:// or zarr://"
    raise ValueError(f"{text}: addresses of the kind {scheme}:// are not known; expected {known}")
