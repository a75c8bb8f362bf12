"""A level seen as z, y, x from 0, whatever the stored order of axes."""

import json

import numpy as np
import pytest
import tensorstore as ts

from ngff_images import pyramid, write_json, write_ome_zarr, write_precomputed
from utils.ngff.metadata import Level
from utils.ngff.opening import open_multiscale
from utils.ngff.view import open_view


def view_of(image, level):
    return open_view(image.store.kvstore(), level, ts.Context(), 5.0, "what")


@pytest.mark.parametrize(
    ("axes", "order"), [((0, 1, 2), [0, 1, 2]), ((2, 3, 4), [0, 1, 2]), ((2, 1, 0), [2, 1, 0]), ((3, 0, 1), [2, 0, 1])]
)
def test_where_the_kept_axes_are(axes, order):
    assert Level("", (2, 2, 2), (1, 1, 1), np.dtype("u1"), axes=axes, rank=5).kept_order == order


def test_extra_axes_and_offsets_are_gone(tmp_path):
    voxels = pyramid()[0]
    many = open_multiscale(write_ome_zarr(tmp_path / "a.zarr", [voxels], axes="tczyx"))
    shifted = open_multiscale(write_precomputed(tmp_path / "pc", [voxels], offset=(7, 8, 9)))
    for image in (many, shifted):
        found = view_of(image, image.levels[0])
        assert found.domain.inclusive_min == (0, 0, 0)
        np.testing.assert_array_equal(found.read().result(), voxels)


def test_fields_that_tensorstore_does_not_know_are_left_out(tmp_path):
    root = write_ome_zarr(tmp_path / "a.zarr", pyramid()[:1], version="0.5")
    array = json.loads((root / "0/zarr.json").read_text())
    for codec in array["codecs"]:
        codec.setdefault("configuration", {})
    array["storage_transformers"] = []
    write_json(root / "0/zarr.json", array)
    image = open_multiscale(root)
    np.testing.assert_array_equal(view_of(image, image.levels[0]).read().result(), pyramid()[0])


def test_a_shape_that_contradicts_the_metadata(tmp_path):
    from dataclasses import replace

    image = open_multiscale(write_ome_zarr(tmp_path / "a.zarr", pyramid()[:1]))
    said = r"^what: its array has the shape \(24, 40, 52\), its metadata says \(24, 40, 53\)$"
    with pytest.raises(OSError, match=said):
        view_of(image, replace(image.levels[0], shape=(24, 40, 53)))
    with pytest.raises(OSError, match=r"^what: "):
        view_of(image, replace(image.levels[0], spec={"driver": "zarr", "metadata": {"compressor": {"id": "x"}}}))
