"""What a run learns of servers: when to come back, which do not answer."""

import base64
import time
from email.utils import formatdate

import numpy as np
import pytest

import ngff_download
from loopback import serving
from ngff_images import (
    pyramid,
    write_ome_zarr,
)
from utils.ngff.access import Access
from utils.ngff.address import Address
from utils.ngff.errors import StalledError
from utils.ngff.hosts import HOSTS, ask, host, retry_after
from utils.ngff.multiscale import open_volume_level

CUBES = [(8.0, 8.0, 8.0)] * 3
pytestmark = pytest.mark.usefixtures("fresh_hosts")


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
    HOSTS.note_answer(alive)
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
