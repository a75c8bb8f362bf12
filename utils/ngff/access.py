"""How addresses are reached: time-outs, retries, credentials, and what tensorstore is told of them."""

import base64
import functools
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from utils.ngff.address import Address

if TYPE_CHECKING:
    import tensorstore as ts


# A server that sends less than this counts as stalled, so that a byte now and then cannot hold a run up for ever.
SLOWEST_BYTES_PER_SECOND = 256


@dataclass(frozen=True)
class Access:
    """How to reach a store."""

    timeout: float = 60.0  # seconds without any answer after which the server counts as stalled
    retries: int = 5  # tries after the first one
    requests: int = 64  # in flight
    endpoint: str | None = None  # a custom S3 or GCS server, and
    region: str | None = None  # its region
    cache_bytes: int = 0  # of decoded chunks kept for neighbouring boxes
    patience: float = 300.0  # seconds without anything from a server that asks to come back later
    credentials: bool = False  # requests to S3 and GCS are signed with the keys in the usual environment and files
    requester_pays: bool = False
    headers: tuple[str, ...] = field(default=(), repr=False)  # for HTTP servers; secrets, and written nowhere
    image: str | None = None  # the path of one inside of a container of several
    layer: str | None = None  # the image layer of a Neuroglancer link that shows several


def kvstore_spec(address: Address, access: Access) -> dict[str, Any]:
    """The tensorstore key-value store of an address, inside of its zip file where it lies in one."""
    if address.archive is None:
        return _plain_spec(address, address.path + "/", access)
    base = _plain_spec(address, address.archive, access)
    return {"driver": "zip", "base": base, "path": f"{address.path}/".lstrip("/")}


def _plain_spec(address: Address, path: str, access: Access) -> dict[str, Any]:
    """A path (a folder ends in a slash) of a store; anonymous by default: no instance metadata server is asked."""
    if address.driver == "file":
        return {"driver": "file", "path": path}
    if address.driver == "http":
        spec: dict[str, Any] = {"driver": "http", "base_url": address.root, "path": path}
        if address.query:
            spec |= {"base_url": f"{address.root}/?{address.query}", "path": path.lstrip("/")}
        headers = http_headers(address, access)
        return spec | ({"headers": headers} if headers else {})
    if address.driver == "gcs":
        if access.endpoint:
            os.environ["TENSORSTORE_GCS_HTTP_URL"] = access.endpoint.rstrip("/")  # its driver knows no other way
        if access.endpoint or access.credentials:
            return {"driver": "gcs", "bucket": address.root, "path": path.lstrip("/")}
        # Google's own driver looks for a user's keys first; public data needs none.
        return {"driver": "http", "base_url": "https://storage.googleapis.com", "path": f"/{address.root}/{path}"}
    spec = {"driver": "s3", "bucket": address.root, "path": path.lstrip("/")}
    spec["aws_credentials"] = {"type": "default" if access.credentials else "anonymous"}
    endpoint = access.endpoint or address.endpoint
    region = access.region or address.region or ("us-east-1" if endpoint else None)
    spec |= ({"endpoint": endpoint.rstrip("/")} if endpoint else {}) | ({"aws_region": region} if region else {})
    return spec | ({"requester_pays": True} if access.requester_pays else {})


def http_headers(address: Address, access: Access) -> list[str]:
    """What an HTTP server is sent with every request: what the user says, and the credentials of a ``.netrc``."""
    import netrc

    if address.driver != "http":
        return []
    server = urlsplit(address.root)
    try:
        found = netrc.netrc().authenticators(server.hostname or "")
    except (OSError, netrc.NetrcParseError):
        found = None
    if not found or not found[0] or "@" in server.netloc:
        return [*access.headers]
    return [*access.headers, basic_authorization(found[0], found[2] or "")]


def basic_authorization(user: str, password: str) -> str:
    """The header of a user's name and password."""
    return f"Authorization: Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


@functools.lru_cache(maxsize=8)
def context(access: Access) -> "ts.Context":
    """The tensorstore context of an `Access`: bounded retries, bounded requests, time-outs for every connection."""
    # A stalled request is given up early enough for another try before the whole wait ends. tensorstore reads these
    # before its first request only, hence the environment.
    patience = str(max(1, int(access.timeout / 2)))
    os.environ["TENSORSTORE_CURL_CONNECT_TIMEOUT_SECONDS"] = patience
    os.environ["TENSORSTORE_CURL_LOW_SPEED_TIME_SECONDS"] = patience
    os.environ["TENSORSTORE_CURL_LOW_SPEED_LIMIT_BYTES"] = str(SLOWEST_BYTES_PER_SECOND)
    import tensorstore as ts

    longest = max(0.1, min(8.0, access.timeout / 8))
    retries = {
        "max_retries": access.retries,
        "initial_delay": f"{min(0.25, longest):.3f}s",
        "max_delay": f"{longest:.3f}s",
    }
    settings: dict[str, Any] = {"cache_pool": {"total_bytes_limit": access.cache_bytes}}
    for kind in ("http", "s3", "gcs"):
        settings[f"{kind}_request_retries"] = retries
        settings[f"{kind}_request_concurrency"] = {"limit": access.requests}
    return ts.Context(settings)
