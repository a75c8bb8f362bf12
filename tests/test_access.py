"""utils/ngff/access.py: credentials."""

import base64

from utils.ngff.access import Access, kvstore_spec
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


def test_s3_is_asked_anonymously():
    spec = kvstore_spec(Address.parse("s3://bkt/a"), Access(endpoint="http://h:1/", region="eu-x-1"))
    assert spec["aws_credentials"] == {"type": "anonymous"}
    assert (spec["endpoint"], spec["aws_region"]) == ("http://h:1", "eu-x-1")
    assert kvstore_spec(Address.parse("gs://bkt/a"), Access())["base_url"] == "https://storage.googleapis.com"
