"""What must be the same wherever a run's work is done: Python, the suite's own code, and what numbers depend on."""

import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import xxhash

CHECKOUT = Path(__file__).resolve().parents[2]
# Of the same release the results are the same bytes.
PACKAGES = ("numpy", "pillow", "imagehash", "torch")


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
