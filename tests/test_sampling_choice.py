"""Which cubes are chosen: evenly over seeds, every voxel in reach, where a mask lies, shards, bytes promised."""

import json
import re
from collections import Counter

import numpy as np
import pytest

import ngff_download
from loopback import serving
from ngff_images import write_json, write_n5_array, write_ome_zarr, write_precomputed
from utils.names import parse_roi
from utils.sampling import plan as planning
from utils.sampling.rois import Boxes, boxes_that_fit, grid, shuffled, spans, stratified

CUBES = [(8.0, 8.0, 8.0), (16.0, 16.0, 16.0)]


def noise(shape: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 250, shape).astype("uint8")


def places(folder) -> set[tuple[int, int, int]]:
    """Where cubes begin, z, y, x."""
    found = [parse_roi(path.stem)[1] for path in folder.glob("*-ROI-*.nrrd")]
    return {(z[0], y[0], x[0]) for z, y, x in found}


@pytest.mark.parametrize("order", [shuffled, stratified])
def test_the_choice_is_uniform_over_200_seeds(order):
    boxes = Boxes(grid((64, 64, 64), 16))  # 64 boxes, 8 taken with each seed
    drawn = Counter(roi for seed in range(200) for roi in boxes_that_fit(order(boxes, seed), 8 * 16**3))
    assert sum(drawn.values()) == 1600 and len(drawn) == 64
    expected = 1600 / 64
    chi_square = sum((count - expected) ** 2 / expected for count in drawn.values())
    assert chi_square < 103.4  # of 63 degrees of freedom, once in a thousand


@pytest.mark.parametrize(("crop", "chunk"), [(257, 256), (300, 256), (128, 96), (224, 64), (256, 64)])
@pytest.mark.parametrize("length", [100, 256, 1000, 4000, 4095])
def test_every_voxel_can_be_reached(crop, chunk, length):
    reached = np.zeros(length, bool)
    for first, stop in spans(length, crop):
        reached[first:stop] = True
        assert stop - first == crop or 2 * (stop - first) >= min(crop, length)
        if crop % chunk == 0 and first % crop == 0:
            assert first % chunk == 0
    assert reached.all()


@pytest.mark.parametrize("crop", [17, 19, 12])
def test_every_voxel_is_reached_by_simulation(crop):
    """The same pairs at a sixteenth: 257/256, 300/256, 192/256."""
    shape = (64, 70, 75)
    reached = np.zeros(shape, bool)
    for seed in range(200):
        for roi in boxes_that_fit(shuffled(Boxes(grid(shape, crop)), seed), 8 * crop**3):
            reached[roi.slices] = True
    assert reached.all()


@pytest.mark.parametrize("compressed", [False, True])
def test_bytes_promised_and_moved(tmp_path, capsys, compressed):
    codec = {} if compressed else {"compressors": None}
    image = noise((32, 128, 128))
    write_ome_zarr(tmp_path / "cell.zarr", [image, image[::2, ::2, ::2]], sizes=CUBES, chunk=32, **codec)
    sizes = {f"/{p.relative_to(tmp_path)}": p.stat().st_size for p in tmp_path.rglob("*") if p.is_file()}
    with serving(tmp_path) as server:
        argv = [f"{server.url}/cell.zarr", str(tmp_path / "out"), "-cs", "48", "-gb", "0.0004"]
        assert ngff_download.main(argv) == 0
        moved = Counter(path for path in server.log if "/0/" in path and path in sizes and "." in path.rsplit("/")[-1])
        moved.pop("/cell.zarr/0/.zarray", None)
        assert ngff_download.main([*argv, "--list"]) == 0
    said = re.search(r"would download \d+ cubes: ([\d.]+) (k|M)B in (\d+) chunks", capsys.readouterr().out)
    assert said and set(moved.values()) == {1}  # each chunk once
    promised, chunks = float(said[1]) * {"k": 1e3, "M": 1e6}[said[2]], int(said[3])
    travelled = sum(sizes[path] for path in moved)
    assert chunks == len(moved)
    # What stands for a chunk before compression bounds what travels; without compression it is what travels.
    assert travelled <= promised * 1.02 and (compressed or travelled >= promised * 0.99)


def segmentation(path, labels: np.ndarray, resolution: list[int], offset: list[int]):
    mask = write_precomputed(path, [labels], offset=offset)
    info = json.loads((mask / "info").read_text())
    info["type"] = "segmentation"
    info["scales"][0]["resolution"] = resolution
    write_json(mask / "info", info)
    return mask


@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize("begin", [(64, 32, 0), (80, 48, 16), (48, 16, 0)])
def test_a_mask_with_an_offset_of_its_own(tmp_path, scale, begin):
    """Image voxels (x, y, z) begin at (64, 32, 0) of the dataset; the mask covers a part, and marks x >= 96, y < 64."""
    root = write_precomputed(tmp_path / "em", [noise((32, 64, 64))], offset=(64, 32, 0))
    info = json.loads((root / "info").read_text())
    info["scales"][0]["resolution"] = [8, 8, 8]
    write_json(root / "info", info)
    end = (144, 112, 32)
    there = np.zeros([end[axis] - begin[axis] for axis in (2, 1, 0)], "u4")
    there[:, : 64 - begin[1], 96 - begin[0] :] = 5
    labels = np.ascontiguousarray(there[::scale, ::scale, ::scale])
    mask = segmentation(tmp_path / "seg", labels, [8 * scale] * 3, [n // scale for n in begin])
    assert ngff_download.main([str(root), str(tmp_path / "out"), "-cs", "16", "--mask", str(mask)]) == 0
    marked = {(z, y, x) for z in (0, 16) for y in (32, 48) for x in (96, 112)}
    assert places(tmp_path / "out") == {at for at in marked if at[0] >= begin[2] and at[1] >= begin[1]}


@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize("kind", ["zarr", "n5"])
def test_a_mask_that_its_metadata_moves(tmp_path, kind, scale):
    """The mask is a part of the image, and says in nanometres which; the image does not begin at 0 itself."""
    image = write_ome_zarr(tmp_path / "em.zarr", [noise((32, 64, 64))], sizes=CUBES)
    _move(image, [0, 0, 80])
    labels = np.ones([n // scale for n in (32, 32, 32)], "u1")
    size, moved = [CUBES[0][0] * scale] * 3, [0, 16 * CUBES[0][1], 80 + 32 * CUBES[0][2]]
    if kind == "zarr":
        mask = write_ome_zarr(tmp_path / "seg.zarr", [labels], sizes=[size])
        _move(mask, moved)
    else:
        mask = tmp_path / "seg.n5"
        turned = {"axes": ["x", "y", "z"], "scale": size[::-1], "translate": moved[::-1], "units": ["nm"] * 3}
        write_n5_array(mask / "s0", labels, transform=turned)
    assert ngff_download.main([str(image), str(tmp_path / "out"), "-cs", "16", "--mask", str(mask)]) == 0
    assert places(tmp_path / "out") == {(z, y, x) for z in (0, 16) for y in (16, 32) for x in (32, 48)}


def _move(image, translation: list[float]) -> None:
    attributes = json.loads((image / ".zattrs").read_text())
    (dataset,) = attributes["multiscales"][0]["datasets"]
    dataset["coordinateTransformations"].append({"type": "translation", "translation": translation})
    write_json(image / ".zattrs", attributes)


def test_shards_of_a_table_share_the_rows(tmp_path, capsys, monkeypatch):
    """And ask for no other's metadata."""
    names = "abcdef"
    for name in names:
        write_ome_zarr(tmp_path / f"{name}.zarr", [noise((32, 32, 32))], sizes=CUBES)
    (tmp_path / "t.csv").write_text("url\n" + "".join(f"{tmp_path / name}.zarr\n" for name in names))
    done, asked = [], []
    plan = planning.plan_sampling
    monkeypatch.setattr(planning, "plan_sampling", lambda row, options: asked.append(row.name) or plan(row, options))
    for shard in ("1/2", "2/2"):
        argv = [str(tmp_path / "t.csv"), str(tmp_path / "out"), "-cs", "16", "--shard", shard]
        assert ngff_download.main(argv) == 0
        done.append(int(capsys.readouterr().out.split(" done")[0].split()[-1]))
    assert sum(done) == 6 and min(done) > 0
    assert sorted(asked) == list(names)
    assert ngff_download.main([*argv[:-2], "--update"]) == 0
    assert "6 done before" in capsys.readouterr().out
