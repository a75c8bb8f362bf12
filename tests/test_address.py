"""Addresses taken apart: stores, formats, archives, names, and what is refused."""

import pytest

from utils.ngff.address import Address, address_name


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


@pytest.mark.parametrize("url", ["ftp://host/a", "s3:///a", "gs://"])
def test_addresses_that_are_refused(url):
    with pytest.raises(ValueError, match="expected"):
        Address.parse(url)


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
