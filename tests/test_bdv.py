"""BigDataViewer's XML: which image it stands for, and the unit that it names."""

import pytest

from ngff_images import (
    check,
    pyramid,
    write_bdv,
)
from utils.ngff.access import Access
from utils.ngff.address import Address
from utils.ngff.bdv import bdv_address, bdv_unit
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
