"""utils/ngff/neuroglancer.py: the image layer that a viewer's link shows."""

import json
from urllib.parse import quote

import pytest

from utils.ngff.address import is_state_link
from utils.ngff.neuroglancer import image_layers, read_state, state_layer


def link(state: object) -> str:
    return "https://viewer.org/#!" + quote(json.dumps(state))


EM = {"name": "em", "source": "precomputed://gs://b/em"}
RAW = {"name": "raw", "type": "image", "source": {"url": "zarr://s3://b/raw"}}
SEGMENTS = {"name": "cells", "type": "segmentation", "source": "precomputed://gs://b/seg"}


def test_links_are_told_by_their_mark():
    assert is_state_link(link({})) and not is_state_link("https://viewer.org/#a")


def test_the_only_image_layer_is_taken():
    assert state_layer(link({"layers": [SEGMENTS, EM]})) == ("em", "precomputed://gs://b/em")


def test_of_several_one_is_chosen_by_its_name():
    state = link({"layers": [EM, RAW]})
    assert state_layer(state, "raw") == ("raw", "zarr://s3://b/raw")
    with pytest.raises(
        ValueError, match=r"^https://viewer.org/: the link shows 2 image layers \(em, raw\); choose one"
    ):
        state_layer(state)
    with pytest.raises(ValueError, match=r"^no image layer 'cells' in this link; it has em, raw$"):
        state_layer(state, "cells")


def test_a_link_without_images():
    with pytest.raises(ValueError, match=r"the link shows no image layer$"):
        state_layer(link({"layers": [SEGMENTS]}))
    with pytest.raises(ValueError, match=r"it has none$"):
        state_layer(link({}), "em")


def test_older_states_and_lists_of_sources():
    assert image_layers({"layers": {"em": {"source": ["a", "b"]}}}) == {"em": "a"}
    assert image_layers({"layers": [{"source": [{"url": "a"}]}, {"source": []}, {"source": 3}]}) == {"0": "a"}


@pytest.mark.parametrize(("text", "reason"), [("{broken", "is no JSON: "), ("%7B%7D x", "is no JSON: ")])
def test_a_state_that_is_none(text, reason):
    with pytest.raises(ValueError, match=reason):
        read_state("https://viewer.org/#!" + text)


def test_a_state_may_lie_elsewhere(tmp_path):
    (tmp_path / "state.json").write_text(json.dumps({"layers": [EM]}))
    (tmp_path / "list.json").write_text("[]")
    assert state_layer(f"https://viewer.org/#!{tmp_path}/state.json")[0] == "em"
    with pytest.raises(ValueError, match="is no JSON object"):
        read_state(f"https://viewer.org/#!{tmp_path}/list.json")
    with pytest.raises(ValueError, match="is not there"):
        read_state(f"https://viewer.org/#!{tmp_path}/none.json")
