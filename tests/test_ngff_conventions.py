"""Every convention of independent writers, over loopback HTTP: voxels, voxel sizes, and what planning asks for."""

import gzip
import json
import shutil
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest

from loopback import serving
from n5_images import write_bdv_xml, write_cosem, write_modern, write_spark, write_viewer, write_viewer_above
from ngff_images import (
    FACTORS,
    SIZES,
    check,
    ome_attributes,
    pyramid,
    write_bdv,
    write_json,
    write_n5_array,
    write_ome_zarr,
    write_precomputed,
)
from utils.ngff.access import Access
from utils.ngff.multiscale import open_multiscale

Levels = Sequence[np.ndarray]
SHARDING = {
    "@type": "neuroglancer_uint64_sharded_v1",
    "data_encoding": "gzip",
    "hash": "murmurhash3_x86_128",
    "minishard_bits": 1,
    "minishard_index_encoding": "gzip",
    "preshift_bits": 1,
    "shard_bits": 1,
}


pytestmark = pytest.mark.usefixtures("fresh_hosts")


def changed(path: Path, change: Callable[[dict[str, Any]], dict[str, Any] | None]) -> None:
    """Change the first multiscale of a group in place, or put another in its place."""
    group = json.loads(path.read_text())
    holder = group["attributes"]["ome"] if path.name == "zarr.json" else group
    holder["multiscales"][0] = change(holder["multiscales"][0]) or holder["multiscales"][0]
    write_json(path, group)


def v0_1(root: Path, levels: Levels, separator: str = ".") -> Path:
    """0.1 and 0.2: five axes that nothing names, no sizes."""
    encoding = {"name": "v2", "separator": separator}
    image = write_ome_zarr(root / "a.zarr", levels, axes="tczyx", chunk_key_encoding=encoding)
    version = "0.1" if separator == "." else "0.2"
    changed(image / ".zattrs", lambda m: {"version": version, "datasets": [{"path": d["path"]} for d in m["datasets"]]})
    return image


def v0_2(root: Path, levels: Levels) -> Path:
    return v0_1(root, levels, "/")


def v0_3(root: Path, levels: Levels) -> Path:
    """0.3: axes by name only, no sizes."""
    image = write_ome_zarr(root / "a.zarr", levels, axes="czyx")
    datasets = [{"path": str(i)} for i in range(len(levels))]
    changed(image / ".zattrs", lambda m: {"version": "0.3", "axes": list("czyx"), "datasets": datasets})
    return image


def v0_4(**options: Any) -> Callable[[Path, Levels], Path]:
    return lambda root, levels: write_ome_zarr(root / "a.zarr", levels, **options)


def of_the_multiscale(root: Path, levels: Levels) -> Path:
    """Datasets have factors, the multiscale has the size of its voxels."""
    factors = [np.divide(size, SIZES[0]) for size in SIZES]
    image = write_ome_zarr(root / "a.zarr", levels, sizes=factors)
    whole = [{"type": "scale", "scale": list(SIZES[0])}]
    changed(image / ".zattrs", lambda m: {**m, "coordinateTransformations": whole})
    return image


def micrometers(root: Path, levels: Levels) -> Path:
    sizes = [[length / 1000 for length in size] for size in SIZES]
    return write_ome_zarr(root / "a.zarr", levels, sizes=sizes, axes="tczyx", unit="micrometer", version="0.5")


def without_units(root: Path, levels: Levels) -> Path:
    return write_ome_zarr(root / "a.zarr", levels, unit=None)


def v0_6(root: Path, levels: Levels, form: Callable[[dict[str, Any]], dict[str, Any]] = dict) -> Path:
    """0.6: axes of a coordinate system; ``form`` wraps each scale."""
    image = write_ome_zarr(root / "a.zarr", levels, version="0.5")
    axes = ome_attributes(SIZES)["multiscales"][0]["axes"]

    def described(old: dict[str, Any]) -> dict[str, Any]:
        datasets = []
        for dataset in old["datasets"]:
            (scale,) = dataset["coordinateTransformations"]
            named = {**form(scale), "input": dataset["path"], "output": "physical"}
            datasets.append({**dataset, "coordinateTransformations": [named]})
        return {"name": "a", "coordinateSystems": [{"name": "physical", "axes": axes}], "datasets": datasets}

    changed(image / "zarr.json", described)
    group = json.loads((image / "zarr.json").read_text())
    group["attributes"]["ome"]["version"] = "0.6"
    write_json(image / "zarr.json", group)
    return image


def v0_6_sequences(root: Path, levels: Levels) -> Path:
    moved = {"type": "translation", "translation": [1.0, 2.0, 3.0]}
    return v0_6(root, levels, lambda scale: {"type": "sequence", "transformations": [scale, moved]})


def bioformats2raw(root: Path, levels: Levels) -> Path:
    write_ome_zarr(root / "a.zarr/0", levels, axes="tczyx", chunk_key_encoding={"name": "v2", "separator": "/"})
    write_json(root / "a.zarr/.zgroup", {"zarr_format": 2})
    write_json(root / "a.zarr/.zattrs", {"bioformats2raw.layout": 3})
    write_json(root / "a.zarr/OME/.zgroup", {"zarr_format": 2})
    write_json(root / "a.zarr/OME/.zattrs", {"series": ["0"]})
    return root / "a.zarr"


def archive(name: str, version: str, method: int = zipfile.ZIP_STORED) -> Callable[[Path, Levels], Path]:
    def write(root: Path, levels: Levels) -> Path:
        image = write_ome_zarr(root / "a.zarr", levels, version=version)
        with zipfile.ZipFile(root / name, "w", method) as target:
            for file in sorted(path for path in image.rglob("*") if path.is_file()):
                target.write(file, str(file.relative_to(image)))
        shutil.rmtree(image)
        return root / name

    return write


def plain_n5(root: Path, levels: Levels) -> Path:
    """Factors, and no word of sizes."""
    for i, level in enumerate(levels):
        write_n5_array(root / f"a.n5/s{i}", level, downsamplingFactors=FACTORS[i])
    return root / "a.n5"


def scales_of_group(root: Path, levels: Levels) -> Path:
    """n5-viewer's ``scales`` and ``pixelResolution`` at the image itself."""
    for i, level in enumerate(levels):
        write_n5_array(root / f"a.n5/em/raw/s{i}", level)
    resolution = {"dimensions": list(SIZES[0][::-1]), "unit": "nm"}
    write_json(root / "a.n5/em/raw/attributes.json", {"scales": FACTORS, "pixelResolution": resolution})
    return root / "a.n5/em/raw"


def precomputed(encoding: str = "raw", **scale: Any) -> Callable[[Path, Levels], Path]:
    return lambda root, levels: write_precomputed(root / "a", levels, encoding, (100, 200, 50), **scale)


def gzipped_chunks(root: Path, levels: Levels) -> Path:
    image = write_precomputed(root / "a", levels)
    for file in [path for path in image.rglob("*_*_*") if path.is_file()]:
        file.write_bytes(gzip.compress(file.read_bytes()))
    return image


CONVENTIONS: dict[str, Callable[[Path, Levels], Path]] = {
    "ome-zarr-0.1": v0_1,
    "ome-zarr-0.2": v0_2,
    "ome-zarr-0.3": v0_3,
    "ome-zarr-0.4-dots": v0_4(chunk_key_encoding={"name": "v2", "separator": "."}),
    "ome-zarr-0.4-slashes": v0_4(chunk_key_encoding={"name": "v2", "separator": "/"}),
    "ome-zarr-0.4-channels": v0_4(axes="czyx"),
    "ome-zarr-0.4-scale-of-multiscale": of_the_multiscale,
    "ome-zarr-0.4-without-units": without_units,
    "ome-zarr-0.5": v0_4(version="0.5"),
    "ome-zarr-0.5-sharded": v0_4(version="0.5", chunk=8, shards=(24, 16, 16)),
    "ome-zarr-0.5-dots": v0_4(version="0.5", chunk_key_encoding={"name": "default", "separator": "."}),
    "ome-zarr-0.5-v2-keys": v0_4(version="0.5", chunk_key_encoding={"name": "v2", "separator": "."}),
    "ome-zarr-0.5-micrometers": micrometers,
    "ome-zarr-0.6": v0_6,
    "ome-zarr-0.6-sequences": v0_6_sequences,
    "bioformats2raw": bioformats2raw,
    "ozx": archive("a.ozx", "0.5"),
    "zip": archive("a.zarr.zip", "0.4", zipfile.ZIP_DEFLATED),
    "n5-cosem": write_cosem,
    "n5-viewer": write_viewer,
    "n5-viewer-above": write_viewer_above,
    "n5-spark": write_spark,
    "n5-universe": write_modern,
    "n5-scales": scales_of_group,
    "n5-bdv": write_bdv,
    "n5-bdv-xml": write_bdv_xml,
    "n5-plain": plain_n5,
    "precomputed": precomputed(),
    "precomputed-jpeg": precomputed("jpeg"),
    "precomputed-sharded": precomputed(sharding=SHARDING),
    "precomputed-gzip": gzipped_chunks,
}
KINDS = {"ozx": "archive", "zip": "archive"}
WITHOUT_SIZE = {"ome-zarr-0.1", "ome-zarr-0.2", "ome-zarr-0.3", "ome-zarr-0.4-without-units", "n5-plain"}
# Requests of planning at most, and how many of them may be for what is not there.
REQUESTS = {"zarr": (7, 3), "bioformats2raw": (13, 5), "archive": (14, 0), "n5": (12, 8), "precomputed": (6, 5)}


def smooth(level: np.ndarray) -> np.ndarray:
    """What jpeg keeps."""
    return np.broadcast_to(np.arange(len(level), dtype="u1")[:, None, None] * 4, level.shape).copy()


@pytest.mark.parametrize("name", CONVENTIONS)
def test_conventions_over_http(tmp_path, name):
    levels = pyramid()
    levels = [smooth(level) for level in levels] if "jpeg" in name else levels
    path = CONVENTIONS[name](tmp_path, levels).relative_to(tmp_path)
    gzipped = "gzip" if name == "precomputed-gzip" else None
    with serving(tmp_path, lambda path, nth: gzipped if path.count("_") > 2 else None) as server:
        url = f"{server.url}/{path}"
        check(url, levels, None if name in WITHOUT_SIZE else SIZES, tolerance=4 if "jpeg" in name else 0)
        server.log.clear()
        open_multiscale(url)
        absent = [path for path in server.log if not (tmp_path / path.lstrip("/")).is_file()]
        most, lacking = next(bound for kind, bound in REQUESTS.items() if kind in KINDS.get(name, name))
        assert len(server.log) <= most and len(absent) <= lacking, server.log


@pytest.mark.parametrize(
    ("name", "most", "lacking"),
    [("n5-cosem", 4, 0), ("n5-scales", 4, 0), ("n5-universe", 5, 1), ("n5-bdv-xml", 7, 1), ("n5-plain", 8, 5)],
)
def test_an_n5_is_planned_by_few_requests(tmp_path, name, most, lacking):
    path = CONVENTIONS[name](tmp_path, pyramid()).relative_to(tmp_path)
    with serving(tmp_path) as server:
        open_multiscale(f"{server.url}/{path}")
        absent = [path for path in server.log if not (tmp_path / path.lstrip("/")).is_file()]
        assert len(server.log) <= most and len(absent) <= lacking, server.log
        assert len(server.log) - len(set(server.log)) <= (name == "n5-bdv-xml")  # its XML, once more for the unit


# tensorstore takes 308 for a failure that passes: without retries we follow it at once.
@pytest.mark.parametrize(
    ("status", "name"),
    [(301, "n5-cosem"), (302, "n5-cosem"), (307, "n5-cosem"), (308, "n5-cosem"), (301, "ome-zarr-0.5-sharded")],
)
def test_redirects_of_every_kind(tmp_path, status, name):
    path = CONVENTIONS[name](tmp_path, pyramid()).relative_to(tmp_path)
    with serving(tmp_path) as server, serving(tmp_path, lambda p, nth: f"{status} {server.url}{p}") as moved:
        check(f"{moved.url}/{path}", pyramid(), access=Access(retries=0))


ADDRESSES = {
    "query": ("ome-zarr-0.5", lambda url: f"{url}?X-Amz-Signature=abc&X-Amz-Expires=9"),
    "query-n5": ("n5-cosem", lambda url: f"{url}?sig=abc"),
    "query-ozx": ("ozx", lambda url: f"{url}?sig=abc"),
    "pipeline-zarr3": ("ome-zarr-0.5", lambda url: f"{url}/|zarr3:"),
    "pipeline-zarr2": ("ome-zarr-0.4-slashes", lambda url: f"{url}/|zarr2:"),
    "pipeline-n5": ("n5-cosem", lambda url: f"{url.removesuffix('/em/fibsem')}/|n5:em/fibsem/"),
    "pipeline-precomputed": ("precomputed", lambda url: f"{url}/|neuroglancer-precomputed:"),
    "pipeline-zip": ("ozx", lambda url: f"{url}|zip:|zarr3:"),
    "info": ("precomputed", lambda url: f"{url}/info"),
    "link": (
        "ome-zarr-0.5",
        lambda url: (
            "https://v.example/#!" + quote(json.dumps({"layers": [{"name": "em", "source": f"zarr3://{url}"}]}))
        ),
    ),
}


@pytest.mark.parametrize("kind", ADDRESSES)
def test_addresses_over_http(tmp_path, kind):
    name, address = ADDRESSES[kind]
    path = CONVENTIONS[name](tmp_path, pyramid()).relative_to(tmp_path)
    with serving(tmp_path) as server:
        check(address(f"{server.url}/{path}"), pyramid())
        if kind.startswith("query"):
            assert all("=abc" in query for query in server.queries)


@pytest.mark.parametrize(
    "name", ["ome-zarr-0.4-slashes", "ome-zarr-0.5-sharded", "ome-zarr-0.6", "n5-cosem", "n5-scales"]
)
def test_levels_by_their_own_address(tmp_path, name):
    path = CONVENTIONS[name](tmp_path, pyramid()).relative_to(tmp_path)
    with serving(tmp_path) as server:
        for index, level in enumerate(pyramid()):
            own = f"s{index}" if "n5" in name else str(index)
            check(f"{server.url}/{path}/{own}", [level], [SIZES[index]])
