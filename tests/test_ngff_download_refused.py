"""NGFF that is no volume of gray values: each kind is refused in a sentence."""

import json
from pathlib import Path

import numpy as np
import pytest
import zarr

import ngff_download
from ngff_images import ome_attributes, pyramid, write_json, write_n5_array, write_ome_zarr, write_precomputed
from utils.ngff.multiscale import open_multiscale


def _refused(root: Path, attributes: dict, data: np.ndarray | None = None) -> Path:
    levels = [pyramid()[0] if data is None else data]
    group = zarr.open_group(store=str(root), mode="w", zarr_format=2)
    group.attrs.update(attributes)
    group.create_array("0", data=levels[0])
    return root


@pytest.mark.parametrize(
    ("attributes", "shape", "sentence"),
    [
        (ome_attributes([[1, 1]], "yx"), (8, 8), "2-D data"),
        (ome_attributes([[1, 1, 1]], "cyx"), (2, 8, 8), "2-D data"),
        (ome_attributes([[1, 1, 1]], "zyx"), (1, 8, 8), "2-D data"),
        (ome_attributes([[1, 1, 1, 1]], "czyx"), (3, 8, 8, 8), "channel axis 'c' has 3 entries"),
        (ome_attributes([[1, 1, 1, 1]], "tzyx"), (2, 8, 8, 8), "time axis 't' has 2 entries"),
        ({"plate": {"wells": [{"path": "B/2"}]}}, (8, 8, 8), r"plate layout.*B/2/0"),
        ({"well": {"images": [{"path": "0"}]}}, (8, 8, 8), "well layout"),
        ({"multiscales": [{"version": "0.6.dev1", "coordinateSystems": [{}]}]}, (8, 8, 8), r"OME-Zarr 0\.6"),
        ({"multiscales": [{"datasets": [{"path": "0"}], "coordinateSystems": []}]}, (8, 8, 8), r"OME-Zarr 0\.6"),
        (ome_attributes([[1, 1, 1]]) | {"image-label": {}}, (8, 8, 8), "segmentation"),
        ({"multiscales": []}, (8, 8, 8), "empty"),
        ({"something": 1}, (8, 8, 8), "without multiscales"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_zarr_that_is_refused(tmp_path, attributes, shape, sentence):
    with pytest.raises(ValueError, match=sentence):
        open_multiscale(_refused(tmp_path / "a.zarr", attributes, np.zeros(shape, "u1")))


def test_labels_are_refused(tmp_path):
    with pytest.raises(ValueError, match="segmentation"):
        open_multiscale(_refused(tmp_path / "a.zarr/labels/cells", ome_attributes([[1, 1, 1]])))
    with pytest.raises(ValueError, match="segmentation"):
        open_multiscale(_refused(tmp_path / "b.zarr", ome_attributes([[1, 1, 1]]), np.zeros((8, 8, 8), "u8")))
    write_json(tmp_path / "c/info", {"type": "segmentation", "data_type": "uint64", "scales": [{}]})
    with pytest.raises(ValueError, match="segmentation"):
        open_multiscale(tmp_path / "c")
    write_n5_array(tmp_path / "d.n5/s0", pyramid()[0])
    write_json(tmp_path / "d.n5/attributes.json", {"painteraData": {"type": "label"}})
    with pytest.raises(ValueError, match="segmentation"):
        open_multiscale(tmp_path / "d.n5")


def test_other_precomputed_and_n5_that_is_refused(tmp_path):
    write_json(tmp_path / "mesh/info", {"@type": "neuroglancer_legacy_mesh"})
    with pytest.raises(ValueError, match="neuroglancer_legacy_mesh"):
        open_multiscale(tmp_path / "mesh")
    write_json(tmp_path / "rgb/info", {"type": "image", "data_type": "uint8", "num_channels": 3, "scales": [{}]})
    with pytest.raises(ValueError, match="channel axis has 3"):
        open_multiscale(tmp_path / "rgb")
    write_json(tmp_path / "root.n5/attributes.json", {"n5": "2.0.0"})
    with pytest.raises(ValueError, match="without an image"):
        open_multiscale(tmp_path / "root.n5")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no image metadata here"):
        open_multiscale(tmp_path / "empty")
    with pytest.raises(FileNotFoundError):
        open_multiscale(tmp_path / "absent.zarr")


def _garble(file: Path, **fields) -> None:
    kept = json.loads(file.read_text()) | fields
    write_json(file, {name: value for name, value in kept.items() if value is not None})


@pytest.mark.parametrize(
    ("path", "file", "fields"),
    [
        ("a.zarr", "0/.zarray", {"chunks": None}),
        ("a.zarr", "0/.zarray", {"shape": "abc"}),
        ("a.zarr", "0/.zarray", {"chunks": [0, 16, 16]}),
        ("a.zarr", "0/.zarray", {"fill_value": 10**400}),
        ("a.zarr", ".zattrs", {"multiscales": [{"axes": list("zyx"), "datasets": [{"path": "0"}], "version": 4}]}),
        ("a.n5", "s0/attributes.json", {"blockSize": None}),
        ("a.n5", "s0/attributes.json", {"transform": {"axes": list("zyx"), "scale": [1, 2, 3], "units": ["nm"]}}),
        ("a.n5", "s0/attributes.json", {"pixelResolution": {"dimensions": [1, 2, 3], "unit": 5}}),
        ("a.pc", "info", {"scales": ["8_8_8"]}),
    ],
)
def test_garbled_metadata_stop_no_other_row(tmp_path, capsys, path, file, fields):
    write_ome_zarr(tmp_path / "a.zarr", pyramid()[:1])
    write_n5_array(tmp_path / "a.n5/s0", pyramid()[0])
    write_precomputed(tmp_path / "a.pc", pyramid()[:1])
    write_ome_zarr(tmp_path / "good.zarr", pyramid()[:1])
    _garble(tmp_path / path / file, **fields)
    (tmp_path / "a.csv").write_text(f"download_url,crop_size\n{tmp_path / path},16\n{tmp_path / 'good.zarr'},16\n")
    for mode in ([], ["--list"]):
        assert ngff_download.main([str(tmp_path / "a.csv"), str(tmp_path / "out"), *mode]) == (1 if path else 0)
        said = capsys.readouterr()
        assert "garbled" in said.err or "voxel size missing" in said.err or "invalid literal" in said.err
        assert "Traceback" not in said.err
    assert list((tmp_path / "out").glob("good_s0-ROI-*"))
