"""Neuroglancer precomputed: the levels that an info file describes."""

import numpy as np
import pytest

from ngff_images import check, pyramid, write_precomputed
from utils.ngff.metadata import allowing_labels
from utils.ngff.multiscale import open_multiscale
from utils.ngff.precomputed import precomputed_levels


@pytest.mark.parametrize("encoding", ["raw", "png", "jpeg"])
def test_precomputed(tmp_path, encoding):
    levels = pyramid()
    if encoding == "jpeg":
        levels = [
            np.broadcast_to(np.arange(level.shape[0], dtype="u1")[:, None, None] * 4, level.shape) for level in levels
        ]
    root = write_precomputed(tmp_path / "a", levels, encoding, offset=(100, 200, 50))
    check(root, levels, tolerance=4 if encoding == "jpeg" else 0)
    assert open_multiscale(f"precomputed://{root}").levels[0].offset == (50, 200, 100)


def test_precomputed_sharded(tmp_path):
    sharding = {
        "@type": "neuroglancer_uint64_sharded_v1",
        "data_encoding": "gzip",
        "hash": "identity",
        "minishard_bits": 1,
        "minishard_index_encoding": "gzip",
        "preshift_bits": 1,
        "shard_bits": 1,
    }
    levels = pyramid()
    check(write_precomputed(tmp_path / "a", levels, sharding=sharding), levels)


SCALE = {"key": "8_8_40", "size": [30, 20, 10], "chunk_sizes": [[8, 16, 4]], "resolution": [8, 8, 40]}


def info(*scales, **more):
    return {
        "type": "image",
        "data_type": "uint16",
        "num_channels": 1,
        "scales": [{**SCALE, **s} for s in scales],
        **more,
    }


def test_what_an_info_says_is_read_as_z_y_x():
    first, second = precomputed_levels(info({}, {"key": "k", "voxel_offset": [1, 2, 3], "size": [15, 10, 5]}))
    assert (first.path, first.shape, first.chunk, first.scale) == ("8_8_40", (10, 20, 30), (4, 16, 8), (40.0, 8.0, 8.0))
    assert (first.unit, first.offset, first.axes, first.rank) == ("nm", (0, 0, 0), (2, 1, 0), 4)
    assert second.offset == (3, 2, 1)
    assert second.dtype == "uint16"
    assert first.grid == {"kind": "precomputed", "sharded": False}
    assert first.spec["scale_metadata"] == {
        "key": "8_8_40", "size": [30, 20, 10], "chunk_size": [8, 16, 4], "resolution": (8.0, 8.0, 40.0),
    }  # fmt: skip
    assert first.spec["multiscale_metadata"] == {"type": "image", "data_type": "uint16", "num_channels": 1}
    assert precomputed_levels(info({"sharding": {"@type": "x"}}))[0].grid["sharded"]
    unsaid = info({})
    del unsaid["num_channels"]
    assert precomputed_levels(unsaid)[0].shape == (10, 20, 30)


@pytest.mark.parametrize(
    ("changes", "more", "reason"),
    [
        ({"encoding": "zfpc"}, {}, "chunks encoded as 'zfpc' cannot be read; known are raw, jpeg, png"),
        ({"encoding": "compressed_segmentation"}, {}, "labels .*compressed_segmentation"),
        ({}, {"type": "segmentation"}, "labels .*type 'segmentation'"),
        ({}, {"num_channels": 2}, "the channel axis has 2 entries"),
        ({"size": [30, 20]}, {}, "scale 0 of its info lacks or garbles"),
        ({"chunk_sizes": []}, {}, "scale 0 of its info lacks or garbles"),
        ({"size": [30, 20, 1]}, {}, "2-D data"),
        ({}, {"scales": []}, "its info describes image, not a volume with scales"),
        ({}, {"scales": None, "type": None}, "describes something else"),
        ({}, {"data_type": "uint64"}, "labels"),
    ],
)
def test_what_is_refused(changes, more, reason):
    with pytest.raises(ValueError, match=reason):
        precomputed_levels({**info(changes), **more})


def test_segmentations_are_masks_where_they_are_asked_for():
    with allowing_labels():
        (level,) = precomputed_levels(info({"encoding": "compressed_segmentation"}, type="segmentation"))
    assert level.spec["scale_metadata"]["encoding"] == "compressed_segmentation"


def test_a_scale_without_a_resolution_is_said():
    with pytest.warns(UserWarning, match="scale 0 has no usable resolution: 'x'"):
        (level,) = precomputed_levels(info({"resolution": "x"}))
    assert level.scale is None
    assert level.spec["scale_metadata"]["resolution"] == (1.0, 1.0, 1.0)


def test_a_broken_coarse_scale_keeps_its_place():
    with pytest.warns(UserWarning, match="level 's1' is left out"):
        levels = precomputed_levels(info({}, {"encoding": "zfpc"}, {"key": "c"}))
    assert [bool(level.problem) for level in levels] == [False, True, False]
    assert levels[2].path == "c"
