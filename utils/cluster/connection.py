"""To a Dask scheduler and its workers, or a sentence that says why not: what must be the same wherever work is done."""

import logging
import socket
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import xxhash

from utils.cli import UsageError

REACH_SECONDS = 1.0
CHECKOUT = Path(__file__).resolve().parents[2]
# Of the same release the results are the same bytes.
PACKAGES = ("numpy", "pillow", "imagehash", "torch")


def connect(address: str, timeout: float) -> Any:
    """A `distributed.Client`.

    Raises
    ------
    UsageError
        If no scheduler answers within `timeout` seconds, or Python or Dask are of another version there.
    """
    try:
        import distributed
        from distributed.comm.addressing import get_address_host_port
    except ImportError as error:
        raise UsageError("--dask needs the package 'distributed'; install requirements.txt") from error
    # What is worth knowing is said here, in a sentence.
    for name in ("distributed", "distributed.client", "distributed.core", "distributed.comm", "tornado"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    try:
        get_address_host_port(address)  # a client of what is no address would complain again when it is collected
        client = distributed.Client(address, timeout=timeout, set_as_default=False)
    except (OSError, ValueError, ImportError) as error:
        raise UsageError(f"no Dask scheduler answers at {address}: {error}") from error
    _refuse_other_versions(client, address)
    return client


def reaches(worker: str) -> bool:
    """Whether this machine can talk to a worker at its address, so that nothing need pass through the scheduler."""
    from distributed.comm.addressing import get_address_host_port

    try:
        with socket.create_connection(get_address_host_port(worker), REACH_SECONDS):
            return True
    except (OSError, ValueError):
        return False


def _refuse_other_versions(client: Any, address: str) -> None:
    found = client.get_versions(check=False)
    own = _dask_versions(found["client"])
    for where, said in {address: found["scheduler"], **found["workers"]}.items():
        if _dask_versions(said) != own:
            client.close(timeout=2)
            raise UsageError(f"{where} runs {_dask_versions(said)}, this process {own}: use the same on both")


def _dask_versions(found: dict[str, Any]) -> str:
    python = ".".join(found["host"]["python"].split(".")[:2])
    return f"Python {python} with distributed {found['packages']['distributed']}"


@cache
def versions() -> dict[str, str]:
    """Names and versions."""
    return (
        {"Python": f"{sys.version_info.major}.{sys.version_info.minor}"}
        | {name: found for name in PACKAGES if (found := _installed(name))}
        | {"the code of this suite": _digest()}
    )


def disagreement(wanted: dict[str, str]) -> str:
    """What is different here; empty when nothing is."""
    here = versions()
    for name, there in wanted.items():
        if here.get(name) != there:
            return f"has {name} {here.get(name, 'not at all')}, the machine that asks has {there}: use the same on both"
    return ""


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _digest() -> str:
    digest = xxhash.xxh3_64()
    for path in sorted((CHECKOUT / "utils").rglob("*.py")):
        digest.update(path.relative_to(CHECKOUT).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
