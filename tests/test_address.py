"""Addresses taken apart: stores, formats, archives, names, and what is refused."""

import pytest

from utils.ngff.address import Address, address_name, is_state_link


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("https://host:8/a/b.zarr/", ("http", "https://host:8", "/a/b.zarr", None)),
        ("precomputed://https://bkt.s3.amazonaws.com/a/v1", ("s3", "bkt", "a/v1", "precomputed")),
        ("https://bkt.s3.us-west-2.amazonaws.com/a", ("s3", "bkt", "a", None)),
        ("https://s3.amazonaws.com/bkt/a/b", ("s3", "bkt", "a/b", None)),
        ("https://s3.embl.de/bkt/a", ("http", "https://s3.embl.de", "/bkt/a", None)),
        ("gs://bkt/a/b", ("gcs", "bkt", "a/b", None)),
        ("n5://s3://bkt/a.n5/em", ("s3", "bkt", "a.n5/em", "n5")),
        ("file:///a%20b/c", ("file", "", "/a b/c", None)),
    ],
)
def test_addresses(url, parts):
    address = Address.parse(url)
    assert (address.driver, address.root, address.path, address.format) == parts
    assert Address.parse(address.plain).plain == address.plain and "//" not in address.plain.partition("://")[2]


@pytest.mark.parametrize(("scheme", "endpoint"), [("s3+https", "https://h:9"), ("s3+http", "http://h:9")])
def test_s3_of_another_server(scheme, endpoint):
    address = Address.parse(f"{scheme}://h:9/bkt/a%20b/c/")
    assert (address.driver, address.root, address.path, address.endpoint) == ("s3", "bkt", "a b/c", endpoint)


@pytest.mark.parametrize(
    ("path", "parts", "found"),
    [
        ("/a/b", ("c/d",), "/a/b/c/d"), ("/a/b", ("..", "c"), "/a/c"), ("/a//b/", ("./c", ""), "/a/b/c"),
        ("a/b", ("../..", "c"), "c"), ("/a", ("../..",), "/"),
    ],
)  # fmt: skip
def test_what_lies_below_and_above(path, parts, found):
    assert Address("", "file", "", path).at(*parts).path == found


def test_local_paths_are_absolute_and_know_no_way_up(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "x")
    assert Address.parse("link/a.zarr").path == f"{tmp_path}/link/a.zarr"  # a link stays what it is
    assert Address.parse("x/../b.zarr").path == f"{tmp_path.resolve()}/b.zarr"
    assert Address.parse("x/a.zarr/zarr.json").name == "a.zarr"


def test_a_zip_file_in_a_path_is_one_where_it_is_a_file(tmp_path):
    (tmp_path / "d.zip").mkdir()
    (tmp_path / "d.zip" / "a.ozx").touch()
    address = Address.parse(tmp_path / "d.zip" / "a.ozx" / "in" / "fly.zarr")
    assert (address.archive, address.path) == (f"{tmp_path}/d.zip/a.ozx", "in/fly.zarr")
    assert str(address) == f"{tmp_path}/d.zip/a.ozx|zip:in/fly.zarr"
    assert Address.parse(tmp_path / "e.zip" / "in").archive is None
    assert Address.parse("s3://b/e.zip/in").archive == "e.zip"


@pytest.mark.parametrize("url", ["ftp://host/a", "s3:///a", "gs://"])
def test_addresses_that_are_refused(url):
    with pytest.raises(ValueError, match="expected"):
        Address.parse(url)


def test_a_bucket_has_no_user():
    with pytest.raises(ValueError, match=r"^s3://\*\*\*@b/a: .*--credentials"):
        Address.parse("s3://key:secret@b/a")


def test_an_image_in_an_archive():
    address = Address.parse("https://h/x/a.zip?sig=1|zip:in/fly.zarr/|zarr3:")
    assert (address.root, address.archive, address.path) == ("https://h", "/x/a.zip", "in/fly.zarr")


@pytest.mark.parametrize("step", ["gzip:", "icechunk:"])
def test_pipelines_that_cannot_be_followed(step):
    with pytest.raises(ValueError, match="cannot be followed"):
        Address.parse(f"s3://b/x|{step}")


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("s3://b/mouse.zarr/|zarr2:", "mouse"),
        ("https://h/a.ome.zarr.zip|zip:in/fly.zarr/|zarr3:", "fly"),
        ("https://h/mouse.ozx?sig=1", "mouse"),
        ("https://h/mouse.pc/info", "mouse"),
        ("x/mouse.zarr/.zattrs", "mouse"),
        ("x/mouse.zip|zip:fly.zarr", "fly"),
        ("x/what?.zarr", "what_"),
    ],
)
def test_names_of_addresses(url, name):
    assert address_name(url) == name


def test_pages_whose_fragment_is_a_viewer_s_state():
    assert is_state_link("https://viewer/#!{}") and not is_state_link("https://h/a.zarr")
    assert not is_state_link("folder/take#!2.zarr"), "one such name ended the run over a whole folder"
