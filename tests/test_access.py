"""How servers are reached, by whose credentials; when to come back, which do not answer."""

import base64
import os
import time
from email.utils import formatdate

import numpy as np
import pytest

import ngff_download
from loopback import serving
from ngff_images import pyramid, write_ome_zarr
from utils.ngff.access import HOSTS, Access, ask, context, host, kvstore_spec, retry_after, with_patience
from utils.ngff.address import Address
from utils.ngff.multiscale import open_volume_level
from utils.ngff.waiting import StalledError

pytestmark = pytest.mark.usefixtures("fresh_hosts")


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


CUBES = [(8.0, 8.0, 8.0)] * 3


def noise(shape=(32, 32, 64)) -> np.ndarray:
    return np.random.default_rng(0).integers(1, 250, shape).astype("u1")


@pytest.mark.parametrize("part", [".zarray", "0/0.0.0"])
def test_a_server_that_says_when_to_come_back_is_waited_for(tmp_path, part):
    write_ome_zarr(tmp_path / "a.zarr", pyramid()[:1], compressors=None)
    with serving(tmp_path, lambda path, nth: "retry 1" if path.endswith(part) and nth <= 4 else None) as server:
        volume = open_volume_level(f"{server.url}/a.zarr", access=Access(timeout=5, retries=0, patience=30))
        assert (volume[:] == pyramid()[0]).all()


@pytest.mark.parametrize("user", ["", "me:p%20w@"])
def test_how_long_to_wait_is_asked_with_the_same_headers(tmp_path, user):
    write_ome_zarr(tmp_path / "a.zarr", pyramid()[:1], compressors=None)
    with serving(tmp_path, lambda path, nth: "retry 1" if path.endswith("0.0.0") and nth < 3 else None) as server:
        access = Access(timeout=5, retries=0, patience=30, headers=() if user else ("Authorization: Bearer tok",))
        volume = open_volume_level(f"{server.url.replace('://', f'://{user}')}/a.zarr", access=access)
        assert (volume[:] == pyramid()[0]).all()
        said = "Basic " + base64.b64encode(b"me:p w").decode() if user else "Bearer tok"
        assert set(server.authorizations) == {said}


def test_patience_ends(tmp_path):
    write_ome_zarr(tmp_path / "a.zarr", pyramid()[:1], compressors=None)
    with serving(tmp_path, lambda path, nth: "retry 30" if path.endswith("0.0.0") else None) as server:
        volume = open_volume_level(f"{server.url}/a.zarr", access=Access(timeout=5, retries=0, patience=2))
        with pytest.raises(OSError, match=r"503|Unavailable"):
            volume[:]


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("7", 7), ("900", 60), ("Thu, 01 Jan 1970 00:00:00 GMT", 0), ("soon", None), ("soon GMT", None)],
)
def test_what_retry_after_says(tmp_path, said, seconds):
    with serving(tmp_path, lambda path, nth: f"retry {said}") as server:
        assert retry_after(f"{server.url}/x") == seconds


def test_rows_of_a_dead_server_fail_at_once_and_hold_up_no_other(tmp_path, capsys):
    write_ome_zarr(tmp_path / "a.zarr", [noise()], sizes=CUBES)
    with serving(tmp_path) as server, serving(tmp_path, lambda path, nth: "stall") as dead:
        rows = [f"{dead.url}/x{n}.zarr,x{n}" for n in range(40)]
        (tmp_path / "t.csv").write_text("\n".join(["url,volume_name", *rows, f"{server.url}/a.zarr,live"]))
        argv = [str(tmp_path / "t.csv"), str(tmp_path / "out"), "-cs", "32", "--timeout", "2", "--retries", "0"]
        assert ngff_download.main(argv) == 1
        assert len(dead.log) < 20  # the first row's requests
    said = capsys.readouterr()
    assert "1 done" in said.out
    assert "40 failed" in said.out
    assert "did not answer before" in said.err


def test_hosts():
    assert host(Address.parse("https://me:pw@h:8/a/b")) == "me:pw@h:8"
    assert host(Address.parse("s3://bucket/a")) == "s3"
    assert host(Address.parse("/a/b")) == "file"


def test_dates_are_waited_for(tmp_path):
    when = formatdate(time.time() + 30, usegmt=True)
    with serving(tmp_path, lambda path, nth: f"retry {when}") as server:
        assert 25 < retry_after(f"{server.url}/x") <= 30


def test_a_server_that_answers_again_is_asked_at_once(tmp_path):
    with serving(tmp_path) as server:
        assert retry_after(f"{server.url}/absent") == 0.1
    assert retry_after("http://127.0.0.1:9/x") is None
    assert retry_after("") is None


def test_who_never_answered_is_left_out():
    dead, alive = Address.parse("http://dead.example/a"), Address.parse("http://alive.example/a")
    assert with_patience(lambda: 7, alive, "", Access()) == 7
    assert HOSTS.last_answer(alive) > 0 == HOSTS.last_answer(dead)
    for address in (dead, alive, Address.parse("/a")):
        HOSTS.note_silent(address, OSError("no answer"))
    HOSTS.note_silent(dead, OSError("later"))
    HOSTS.require_answering(alive)
    HOSTS.require_answering(Address.parse("/a"))
    with pytest.raises(
        StalledError, match=r"^http://dead.example/b: left out, .* did not answer before \(no answer\)$"
    ):
        HOSTS.require_answering(Address.parse("http://dead.example/b"))
    HOSTS.forget()
    HOSTS.require_answering(dead)
    assert HOSTS.last_answer(alive) == 0


def test_small_files_and_their_headers(tmp_path):
    (tmp_path / "a b").write_bytes(b"content")
    with serving(tmp_path) as server:
        found = ask(f"{server.url}/a b?sig=1", 5)
        assert (found.status, found.body) == (200, b"")
        assert found.headers["content-length"] == "7"
        assert server.queries[-1] == "sig=1"
        assert ask(f"{server.url}/a b", 5, body=True).body == b"content"
        assert ask(f"{server.url}/absent", 5).status == 404
    assert ask("ftp://host/x", 5) is None
    assert ask("http:///x", 5) is None
    assert ask("http://127.0.0.1:9/x", 1) is None
