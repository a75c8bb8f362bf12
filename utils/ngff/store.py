"""Stores over file, HTTP, S3 and GCS: how they are opened, and the small files in them."""

import re
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from utils.foreign_text import parse_json
from utils.ngff.access import HOSTS, Access, ask, context, http_headers, kvstore_spec, with_patience
from utils.ngff.address import Address
from utils.ngff.connections import CONNECTIONS, LONGEST
from utils.ngff.waiting import (
    MISREAD,
    EndlessError,
    ForbiddenError,
    GoneError,
    RedirectError,
    Result,
    count_misread,
    is_silence,
    wait,
)
from utils.redaction import redacted

if TYPE_CHECKING:
    import tensorstore as ts

# The list of a zip file of ten million chunks.
LONGEST_DIRECTORY = 1 << 30
# Bytes of a zip file's end that are asked for, the next where its list does not fit.
TAILS = (1 << 16, 1 << 20, LONGEST)


@dataclass(frozen=True)
class Store:
    """Small files below one address, fetched side by side."""

    address: Address
    access: Access

    def kvstore(self) -> "ts.KvStore":
        """Open the key-value store itself."""
        import tensorstore as ts

        HOSTS.require_answering(self.address)
        if self.address.archive is not None:
            CONNECTIONS.allow(LONGEST_DIRECTORY)
        settings = context(self.access)
        return wait(
            ts.KvStore.open(kvstore_spec(self.address, self.access), context=settings), self.access.timeout, str(self)
        )

    def __str__(self) -> str:
        return str(self.address)

    def at(self, *parts: str) -> "Store":
        """The store of a folder below (or, with ``..``, above) this one."""
        return replace(self, address=self.address.at(*parts))

    def read(self, keys: Iterable[str], *, strict: bool = False) -> dict[str, bytes | None]:
        """Bytes of every key, None where there is none (S3 hides missing keys behind 403 without list permission).

        Raises
        ------
        ForbiddenError
            If `strict`, nothing was found and something was forbidden.
        """
        found, refused = self._read(keys)
        if strict and refused and not any(found.values()):
            reason = next(iter(refused.values()))
            raise ForbiddenError(f"{self}: forbidden, or nothing is here (some servers do not tell which): {reason}")
        return found

    def read_chunks(self, keys: Iterable[str], known: Iterable[str]) -> dict[str, bytes | None]:
        """As `read`, but what is refused is absent only where the store hides what is absent; one `known` key is there.

        Raises
        ------
        ForbiddenError
            If chunks were refused.
        """
        keys = list(keys)
        found, refused = self.without_misread(lambda: self._read(keys, chunks=True), keys)
        asked_again, refused = self._read(refused) if refused else ({}, {})
        refused = {key: error for key, error in refused.items() if not isinstance(error, GoneError)}
        if refused and (not self.hides_missing_keys(self, known) or self.lists(refused)):
            raise ForbiddenError(f"{len(refused)} chunks were refused: {next(iter(refused.values()))}")
        return found | asked_again

    def _read(
        self, keys: Iterable[str], *, chunks: bool = False
    ) -> tuple[dict[str, bytes | None], dict[str, ForbiddenError]]:
        kvstore, keys = self.kvstore(), list(keys)
        self.refuse_odd(keys, chunks=chunks)
        pending = {key: kvstore.read(key.encode()) for key in keys}
        found: dict[str, bytes | None] = {}
        refused: dict[str, ForbiddenError] = {}
        for key, future in pending.items():
            try:
                found[key] = self._answer(kvstore, key, future)
            except ForbiddenError as error:
                refused[key], found[key] = error, None
            except OSError as error:
                if is_silence(error) and not found:
                    HOSTS.note_silent(self.address, error)
                # A key below a file (a path such as volume.nrrd/zarr.json) is as absent as any other.
                if not re.search(r"ENOTDIR|Not a directory", str(error)):
                    raise self._redirected(key, error) from error
                found[key] = None
        return found, refused

    def refuse_odd(self, keys: Iterable[str], *, chunks: bool = False) -> None:
        """Refuse local files that are none, or too long: tensorstore waits for a pipe, and reads all there is.

        A folder in the place of one of the `chunks` is none, either: it would pass for a chunk that was never written.
        So would, also at an address, an entry of a zip file that tensorstore passes over.

        Raises
        ------
        OSError, EndlessError
            By their paths.
        """
        if self.address.archive is not None and chunks:
            archive = replace(self, address=replace(self.address, path=""))
            is_local = self.address.driver == "file"
            odd = _odd_entries(archive, Path(self.address.archive).stat().st_mtime_ns if is_local else 0)
            for path in (str(self.address.at(key).path) for key in keys):
                if path in odd:
                    raise OSError(f"{archive}{path} {odd[path]}")
        for key in keys if self.address.driver == "file" and self.address.archive is None else ():
            place = Path(self.address.path, key)
            try:
                status = place.stat()
            except OSError:  # for tensorstore to say
                continue
            if stat.S_ISDIR(status.st_mode) and chunks:
                raise OSError(f"{place}: is a folder, in the place of a chunk")
            if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
                raise OSError(f"{place}: is neither a file nor a folder")
            if status.st_size > CONNECTIONS.longest:
                raise EndlessError(str(place))

    def without_misread(self, read: Callable[[], Result], keys: Iterable[str]) -> Result:
        """What `read` makes of chunks; read again where a server's answers passed for chunks that were never written.

        Raises
        ------
        OSError
            By the first one's address, if it answers so still.
        """
        before = count_misread()
        result = read()
        if count_misread() == before:
            return result
        for key in keys:
            answer = ask(self.url(key), self.access.timeout, http_headers(self.address, self.access))
            if answer is not None and answer.status in MISREAD:
                raise OSError(f"{self.address.at(key)}: the server's answer ({answer.status}) is no chunk, and not 404")
        return read()  # it was another one's, or has passed

    def _answer(self, kvstore: Any, key: str, future: Any) -> bytes | None:
        """What a key holds; a server that names a time is asked again then."""
        asked = [future]

        def ask() -> bytes | None:
            what = str(self.address.at(key))
            answer = wait(asked.pop() if asked else kvstore.read(key), self.access.timeout, what)
            if len(answer.value) > CONNECTIONS.longest:  # cut where nothing but the connection's end ends it
                raise EndlessError(what)
            return bytes(answer.value) if answer.state == "value" else None

        return with_patience(ask, self.address, self.url(key), self.access)

    @property
    def endpoint(self) -> str:
        """Where the buckets of this store lie over HTTP."""
        default = "https://storage.googleapis.com" if self.address.driver == "gcs" else "https://s3.amazonaws.com"
        return (self.access.endpoint or self.address.endpoint or default).rstrip("/")

    def url(self, key: str) -> str:
        """Where a key can be asked for over HTTP; empty where it cannot."""
        address = self.address.at(key)
        if address.driver == "s3":
            return f"{self.endpoint}/{address.root}/{address.path}"
        return address.plain if address.driver == "http" else ""

    def read_json(self, keys: Iterable[str], *, strict: bool = False) -> dict[str, dict[str, Any] | None]:
        """The JSON objects of keys; None where there is none, also where a web page comes instead.

        Raises
        ------
        ValueError, ForbiddenError
            If `strict` and nothing but something else than JSON, or a refusal, came.
        """
        found: dict[str, dict[str, Any] | None] = {}
        complaint = None
        for key, raw in self.read(keys, strict=strict).items():
            found[key], problem = _json_object(raw, str(self.address.at(key)))
            complaint = complaint or problem
        if strict and complaint and not any(value is not None for value in found.values()):
            raise ValueError(complaint)
        return found

    def hides_missing_keys(self, beside: "Store", known: Iterable[str]) -> bool:
        """Whether this store answers 403 for what surely is not there, while it still gives what surely is.

        S3 does without permission to list. Elsewhere, or once credentials have expired, 403 means refused.
        """
        token = f"{zlib.crc32(str(self).encode()):08x}-is-absent"
        if not all(self._refuses(f"{token}-{i}") for i in range(2)):
            return False
        return any(not folder._refuses(key) for folder in (self, beside) for key in known)

    def _refuses(self, key: str) -> bool:
        try:
            wait(self.kvstore().read(key), self.access.timeout, str(self.address.at(key)))
        except GoneError:
            return False
        except ForbiddenError:
            return True
        return False

    def lists(self, keys: Iterable[str]) -> bool:
        """Whether the store, where it can be listed, lists any of these keys."""
        import tensorstore as ts

        kvstore = self.kvstore()
        try:
            for key in keys:
                found = wait(kvstore.list(ts.KvStore.KeyRange(key, key + "\0")), self.access.timeout, str(self))
                if found:
                    return True
        except OSError:
            return False
        return False

    def _redirected(self, key: str, error: OSError) -> OSError:
        """Add where a redirect leads to, which tensorstore does not tell."""
        if self.address.driver != "http" or "redirects" not in str(error):
            return error
        answer = ask(self.url(key), self.access.timeout, http_headers(self.address, self.access))
        place = urljoin(self.url(key), answer.headers.get("Location", "")) if answer else ""
        if not place.startswith(("http://", "https://")):
            return error
        plain, mark, query = place.partition("?")
        folder = plain.removesuffix(f"/{key}")
        moved = folder != plain and place != self.url(key)
        return RedirectError(f"{error}: {redacted(folder)}", folder + mark + query if moved else "")


@lru_cache(maxsize=8)
def _odd_entries(archive: Store, mtime_ns: int) -> dict[str, str]:
    """Entries of a zip file that pass for chunks that were never written, and why: tensorstore does not list them."""
    del mtime_ns  # a local file that was replaced is looked at again
    listed = {
        key.decode(errors="replace") for key in wait(archive.kvstore().list(), archive.access.timeout, str(archive))
    }
    names = zip_names(archive)
    passed_over = {name for name in names if not name.endswith("/")} - listed
    why = "cannot be unpacked: encrypted, packed in a rare way, or too long"
    return dict.fromkeys(passed_over, why) | dict.fromkeys(_folders(names), "is a folder, in the place of a chunk")


def _folders(names: Iterable[str]) -> set[str]:
    """The folders that files lie in."""
    found: set[str] = set()
    for name in names:
        folder = name.rpartition("/")[0]
        while folder and folder not in found:
            found.add(folder)
            folder = folder.rpartition("/")[0]
    return found


def zip_names(archive: Store) -> list[str]:
    """What lies in a zip file, folders with a slash at the end; nothing where that is not told."""
    place, access = str(archive.address.archive), archive.access
    if archive.address.driver == "file":
        return _names(place) or []
    url = replace(archive, address=replace(archive.address, archive=None, path="")).url(place)
    for nbytes in TAILS:
        asked = [*http_headers(archive.address, access), f"Range: bytes=-{nbytes}"]
        answer = ask(url, access.timeout, asked, body=True)
        if answer is None or answer.status not in (200, 206):
            return []
        if (names := _names(BytesIO(answer.body))) is not None:
            return names
        if answer.status == 200:  # the whole of it, or its beginning
            return []
    return []


def _names(file: str | BytesIO) -> list[str] | None:
    """Names in a zip file, or in its end; None for what does not hold the whole list, or tensorstore alone can read."""
    try:
        with zipfile.ZipFile(file) as content:
            return content.namelist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError):
        return None


def _json_object(raw: bytes | None, what: str) -> tuple[dict[str, Any] | None, str | None]:
    if raw is None:
        return None, None
    try:
        value = parse_json(raw)
    except ValueError:
        page = raw.lstrip()[:1] == b"<"
        return None, f"{what}: expected JSON but got {'a web page' if page else repr(raw[:40])}; is the address right?"
    if not isinstance(value, dict):
        return None, f"{what}: expected a JSON object but got {type(value).__name__}"
    return value, None
