"""utils/ngff/access.py: credentials."""

import base64
import os

import pytest

from utils.ngff.access import Access, context, kvstore_spec
from utils.ngff.address import Address


def test_credentials():
    s3 = Address.parse("s3://b/x")
    assert kvstore_spec(s3, Access())["aws_credentials"] == {"type": "anonymous"}
    spec = kvstore_spec(s3, Access(credentials=True, requester_pays=True))
    assert spec["aws_credentials"] == {"type": "default"}
    assert spec["requester_pays"] is True
    assert kvstore_spec(Address.parse("gs://b/x"), Access(credentials=True))["driver"] == "gcs"
    secret = Access(headers=("Authorization: Bearer s3cret",))
    assert kvstore_spec(Address.parse("https://h/x"), secret)["headers"] == ["Authorization: Bearer s3cret"]
    assert "s3cret" not in repr(secret)


def test_netrc(tmp_path, monkeypatch):
    (tmp_path / ".netrc").write_text("machine h.example login me password pw\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    (header,) = kvstore_spec(Address.parse("https://h.example:8/x"), Access())["headers"]
    assert base64.b64decode(header.removeprefix("Authorization: Basic ")) == b"me:pw"
    assert "headers" not in kvstore_spec(Address.parse("https://other.example/x"), Access())


@pytest.mark.parametrize(
    ("address", "spec"),
    [
        ("/d/a.zarr", {"driver": "file", "path": "/d/a.zarr/"}),
        ("https://h/x/y", {"driver": "http", "base_url": "https://h", "path": "/x/y/"}),
        ("https://h/x/y?a=b", {"driver": "http", "base_url": "https://h/?a=b", "path": "x/y/"}),
        ("gs://b/x", {"driver": "http", "base_url": "https://storage.googleapis.com", "path": "/b/x/"}),
        ("s3://b/x", {"driver": "s3", "bucket": "b", "path": "x/", "aws_credentials": {"type": "anonymous"}}),
    ],
)
def test_stores(address, spec):
    assert kvstore_spec(Address.parse(address), Access()) == spec


def test_a_zip_file_is_a_store_within_another():
    spec = kvstore_spec(Address.parse("https://h/a.ozx?t=1"), Access())
    base = {"driver": "http", "base_url": "https://h/?t=1", "path": "a.ozx"}
    assert spec == {"driver": "zip", "base": base, "path": ""}


@pytest.mark.parametrize(
    ("timeout", "patience", "delays"),
    [(40.0, "20", ["250ms", "5s"]), (600.0, "300", ["250ms", "8s"]), (0.4, "1", ["100ms", "100ms"])],
)
def test_waiting_is_bounded(monkeypatch, timeout, patience, delays):
    for name in ("CONNECT_TIMEOUT_SECONDS", "LOW_SPEED_TIME_SECONDS", "LOW_SPEED_LIMIT_BYTES"):
        monkeypatch.setenv(f"TENSORSTORE_CURL_{name}", "")
    said = context.__wrapped__(Access(timeout=timeout, retries=3, requests=7)).spec.to_json()
    for kind in ("http", "s3", "gcs"):
        tries = said[f"{kind}_request_retries"]
        assert ([tries["initial_delay"], tries["max_delay"]], tries["max_retries"]) == (delays, 3)
        assert said[f"{kind}_request_concurrency"] == {"limit": 7}
    for name in ("CONNECT_TIMEOUT_SECONDS", "LOW_SPEED_TIME_SECONDS"):
        assert os.environ[f"TENSORSTORE_CURL_{name}"] == patience
    assert int(os.environ["TENSORSTORE_CURL_LOW_SPEED_LIMIT_BYTES"]) > 0


def test_s3_is_asked_anonymously():
    spec = kvstore_spec(Address.parse("s3://bkt/a"), Access(endpoint="http://h:1/", region="eu-x-1"))
    assert spec["aws_credentials"] == {"type": "anonymous"}
    assert (spec["endpoint"], spec["aws_region"]) == ("http://h:1", "eu-x-1")
    assert kvstore_spec(Address.parse("gs://bkt/a"), Access())["base_url"] == "https://storage.googleapis.com"
