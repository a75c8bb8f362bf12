"""What points to an image: BigDataViewer's XML, and the unit that it names; Neuroglancer's links."""

import json
from urllib.parse import quote

import pytest

from loopback import serving
from ngff_images import check, pyramid, write_bdv
from utils.ngff.access import Access
from utils.ngff.address import Address, is_state_link
from utils.ngff.pointers import bdv_address, bdv_unit, image_layers, read_state, state_layer
from utils.ngff.store import Store


def test_mobie_xml_on_s3(tmp_path):
    (tmp_path / "a.xml").write_text(
        '<SpimData><SequenceDescription><ImageLoader format="bdv.n5.s3"><Key>k/a.n5</Key>'
        "<BucketName>bucket</BucketName><SigningRegion>us-west-2</SigningRegion><ServiceEndpoint>https://s3.embl.de</ServiceEndpoint></ImageLoader>"
        "</SequenceDescription></SpimData>"
    )
    address = Address.parse(tmp_path / "a.xml")
    found = bdv_address(address, Store(address, Access()))
    assert (found.driver, found.root, found.path) == ("s3", "bucket", "k/a.n5/setup0/timepoint0")
    assert (found.endpoint, found.region) == ("https://s3.embl.de", "us-west-2")


@pytest.mark.parametrize("region", ["<SigningRegion>anywhere</SigningRegion>", "<SigningRegion/>", ""])
def test_a_region_that_there_is_none_of(tmp_path, region):
    loader = f'<ImageLoader format="bdv.n5.s3"><Key>k/a.n5</Key><BucketName>b</BucketName>{region}</ImageLoader>'
    (tmp_path / "a.xml").write_text(f"<SpimData>{loader}</SpimData>")
    address = Address.parse(tmp_path / "a.xml")
    assert bdv_address(address, Store(address, Access())).region is None


def test_the_unit_is_the_xml_s(tmp_path):
    write_bdv(tmp_path, pyramid())
    image = Store(Address.parse(tmp_path / "a.n5" / "setup0" / "timepoint0"), Access())
    assert bdv_unit(image) == "micrometer"
    (tmp_path / "a.xml").unlink()
    assert bdv_unit(image) is None


def test_bdv_xml_names_the_first_setup_and_time_point(tmp_path):
    levels = pyramid()
    write_bdv(tmp_path, levels)
    (tmp_path / "a.n5/setup0/timepoint0").rename(tmp_path / "a.n5/setup0/timepoint3")
    (tmp_path / "a.n5/setup0").rename(tmp_path / "a.n5/setup2")
    times = '</ViewSetups><Timepoints type="range"><first>3</first><last>4</last></Timepoints>'
    text = (tmp_path / "a.xml").read_text().replace("<id>0", "<id>2").replace("</ViewSetups>", times)
    (tmp_path / "a.xml").write_text(text)
    with pytest.warns(UserWarning, match="time points 3 to 4 lie here; setup 2 at 3 is taken"):
        check(tmp_path / "a.xml", levels)


@pytest.mark.parametrize(("text", "said"), [
    ("no XML", "of format bdv.n5, found ''"), ("<SpimData/>", "of format bdv.n5, found ''"),
    ('<a><ImageLoader format="bdv.hdf5"/></a>', "BigDataViewer HDF5"),
    ('<a><ImageLoader format="spimreconstruction.filelist"/></a>', "found 'spimreconstruction.filelist'"),
])  # fmt: skip
def test_what_describes_no_n5(tmp_path, text, said):
    (tmp_path / "a.xml").write_text(text)
    address = Address.parse(tmp_path / "a.xml")
    with pytest.raises(ValueError, match=said):
        bdv_address(address, Store(address, Access()))


@pytest.mark.parametrize("times", ["<first>0</first><last>0</last>", ""])
def test_a_single_setup_and_time_point_is_taken_without_a_word(tmp_path, times):
    write_bdv(tmp_path, pyramid())
    text = (tmp_path / "a.xml").read_text().replace("</ViewSetups>", f"</ViewSetups><Timepoints>{times}</Timepoints>")
    (tmp_path / "a.xml").write_text(text)
    check(tmp_path / "a.xml", pyramid())


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


def test_an_xml_beside_that_cannot_be_read_is_said(tmp_path):
    with serving(tmp_path, lambda path, nth: 500 if path.endswith(".xml") else None) as server:
        image = Store(Address.parse(f"{server.url}/a.n5/setup1/timepoint0"), Access(5, 0))
        with pytest.warns(UserWarning, match="the XML beside it, which may name the unit, cannot be read: "):
            assert bdv_unit(image) is None


@pytest.mark.parametrize(("path", "unit"), [("setup7/timepoint0", "um"), ("raw", "nm"), ("setup3", None)])
def test_the_unit_is_that_of_the_setup_of_a_path(tmp_path, path, unit):
    setups = "".join(
        f"<ViewSetup><id>{i}</id><voxelSize><unit>{name}</unit></voxelSize></ViewSetup>"
        for i, name in ((0, "nm"), (7, "um"))
    )
    (tmp_path / "a.xml").write_text(f"<SpimData>{setups}</SpimData>")
    assert bdv_unit(Store(Address.parse(tmp_path / "a.n5" / path), Access())) == unit
