"""Sampling from servers that throttle, die or answer slowly, and how many requests planning costs."""

import json

import numpy as np
import pytest

import ngff_download
from loopback import serving
from ngff_images import (
    FACTORS,
    SIZES,
    check,
    pyramid,
    write_bdv,
    write_json,
    write_n5_array,
    write_ome_zarr,
    write_precomputed,
)
from utils.names import parse_roi
from utils.ngff.access import Access
from utils.ngff.multiscale import open_multiscale

pytestmark = pytest.mark.usefixtures("fresh_hosts")
CUBES = [(8.0, 8.0, 8.0)] * 3


def noise(shape=(32, 32, 64)) -> np.ndarray:
    return np.random.default_rng(0).integers(1, 250, shape).astype("u1")


@pytest.mark.filterwarnings("ignore:the XML beside it")
@pytest.mark.parametrize("fault", [500, "stall", 403])
def test_an_optional_xml_that_fails_does_not_fail_the_image(tmp_path, fault):
    levels = pyramid()
    write_bdv(tmp_path, levels)
    for i in range(3):
        attributes = {"pixelResolution": {"dimensions": [6, 8, 30], "unit": "nm"}} if i == 0 else {}
        place = tmp_path / "a.n5/setup0/timepoint0" / f"s{i}"
        write_n5_array(place, levels[i], downsamplingFactors=FACTORS[i], **attributes)
    with serving(tmp_path, lambda path, nth: fault if path.endswith(".xml") else None) as server:
        image = open_multiscale(f"{server.url}/a.n5", Access(timeout=1, retries=0))
        assert [level.voxel_size for level in image.levels] == SIZES


@pytest.mark.parametrize("shape", ["cosem", "bdv", "viewer", "zarr"])
def test_planning_costs_few_requests(tmp_path, shape):
    levels = pyramid()
    path = {"cosem": "a.n5/em/fibsem", "bdv": "a.n5", "viewer": "a.n5/c0", "zarr": "a.zarr"}[shape]
    if shape == "bdv":
        write_bdv(tmp_path, levels)
    elif shape == "zarr":
        write_ome_zarr(tmp_path / path, levels)
    else:
        for i, level in enumerate(levels):
            transform = {"axes": ["z", "y", "x"], "scale": SIZES[i], "units": ["nm"] * 3}
            write_n5_array(tmp_path / path / f"s{i}", level, **({"transform": transform} if shape == "cosem" else {}))
        about = {"scales": FACTORS, "pixelResolution": {"dimensions": [6, 8, 30], "unit": "nm"}}
        write_json(tmp_path / path / "attributes.json", about)
    with serving(tmp_path) as server:
        check(f"{server.url}/{path}", levels)
        server.log.clear()
        open_multiscale(f"{server.url}/{path}")
        assert len(server.log) <= {"cosem": 4, "bdv": 17, "viewer": 4, "zarr": 10}[shape], server.log


def test_stratified_cubes_are_spread(tmp_path):
    root = write_ome_zarr(tmp_path / "a.zarr", [noise((32, 32, 128))], sizes=CUBES)
    for seed in range(3):
        out = tmp_path / f"out{seed}"
        argv = [str(root), str(out), "-cs", "16", "-gb", "0.0000083", "--stratify", "--seed", str(seed)]
        assert ngff_download.main(argv) == 0
        assert len({path.name.split("_x")[-1].split("-ROI-x")[-1].split("-")[0] for path in out.glob("*-ROI-*")}) == 2


@pytest.mark.parametrize("kind", ["labels", "segmentation"])
def test_cubes_are_taken_where_a_mask_is_not_0(tmp_path, kind):
    root = write_ome_zarr(tmp_path / "a.zarr", [noise((32, 64, 64))], sizes=CUBES)
    labels = np.zeros((16, 32, 32), "u8" if kind == "labels" else "u4")
    labels[:, 16:, :8] = 2**31 + 7
    if kind == "labels":
        mask = write_ome_zarr(root / "labels/cells", [labels], sizes=[(16.0, 16.0, 16.0)])
    else:
        mask = write_precomputed(
            tmp_path / "seg", [labels], "compressed_segmentation", compressed_segmentation_block_size=[8, 8, 8]
        )
        info = json.loads((mask / "info").read_text())
        info["type"] = "segmentation"
        info["scales"][0]["resolution"] = [16, 16, 16]
        write_json(mask / "info", info)
    argv = [str(root), str(tmp_path / "out"), "-cs", "16", "--mask", str(mask)]
    assert ngff_download.main(argv) == 0
    found = [parse_roi(path.stem)[1] for path in (tmp_path / "out").glob("*-ROI-*")]
    assert {(y[0], x[0]) for _, y, x in found} == {(32, 0), (48, 0)}
    assert len(found) == 4
    assert ngff_download.main([argv[0], str(tmp_path / "none"), "-cs", "64", "--mask", str(mask)]) == 1
