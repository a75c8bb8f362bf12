"""Weights files: bundled, by path, fetched over loopback from servers of every temper."""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
import torch

import classify_patches
from utils.classification.download import FetchError, RetryPolicy
from utils.classification.models import build_model
from utils.classification.state_files import load_weights
from utils.classification.weights import FILE_NAME, LITE, ZENODO_URLS, cache_name, find_weights, local_path, record_of
from utils.cli import UsageError
from utils.files import sha256_of
from weights_server import CONTENT, Server, truncated, whole


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.httpd.shutdown()
    server.httpd.server_close()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path / "torch" / "hub" / "checkpoints"


def check(path: Path) -> None:
    if not path.read_bytes().startswith(b"weights"):
        raise ValueError(f"{path}: no weights")


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What a download would wait, in seconds; it does not."""
    waits: list[float] = []
    quick = partial(RetryPolicy, stall=5.0, sleep=waits.append)
    monkeypatch.setattr("utils.classification.weights.RetryPolicy", quick)
    return waits


def fetch(server: Server, sha256: str | None = None) -> Path:
    return find_weights(server.url, check, sha256)


def zenodo_at(monkeypatch: pytest.MonkeyPatch, *urls: str) -> None:
    monkeypatch.setattr("utils.classification.weights.ZENODO_URLS", urls)


def test_fetched_once_then_cached_with_size_and_digest(server, capsys):
    server.answers = [whole()]
    address = f"{server.url}?token=abc"
    path = find_weights(address, check)
    assert path == find_weights(address, check)
    assert server.paths == ["/files/model.pth?token=abc"]
    digest = hashlib.sha256(CONTENT).hexdigest()
    origin = f"{server.url}?token=***"
    assert json.loads(record_of(path).read_text()) == {"origin": origin, "size": len(CONTENT), "sha256": digest}
    said = capsys.readouterr().err
    assert digest in said
    assert str(len(CONTENT)) in said


def test_no_scratch_is_left(server, cache):
    server.answers = [truncated, truncated, truncated, whole()]
    path = fetch(server)
    assert sorted(f.name for f in cache.iterdir() if f.suffix != ".lock") == sorted([path.name, record_of(path).name])


def test_truncated_is_tried_again_and_never_cached(server, cache, waits):
    server.answers = [truncated]
    with pytest.raises(FetchError, match="broke off after 100 of 40000 bytes"):
        fetch(server)
    assert waits == [1, 2, 4]
    assert not list(cache.glob("*.pth"))


def test_not_found_is_not_repeated(server, waits):
    server.answers = [whole(b"gone", 404)]
    with pytest.raises(FetchError, match="HTTP 404") as error:
        fetch(server)
    assert waits == []
    assert len(server.paths) == 1
    assert "--weights lite" in str(error.value)


def test_second_form_is_tried_when_the_first_fails(server, monkeypatch):
    server.answers = [whole(b"", 404), whole()]
    zenodo_at(monkeypatch, server.url, server.url + "/content")
    path = find_weights("zenodo", check)
    assert path.name == FILE_NAME
    assert server.paths == ["/files/model.pth", "/files/model.pth/content"]


def test_zenodo_forms_of_today():
    assert all("6458015" in url and FILE_NAME in url and "/record/" not in url for url in ZENODO_URLS)


def test_a_web_page_is_no_weights(server, cache):
    server.answers = [whole(b"<!DOCTYPE html>")]
    with pytest.raises(FetchError, match="what came: no weights"):
        fetch(server)
    assert not list(cache.glob("*.pth"))


def test_cached_file_is_enough_without_a_network(cache, monkeypatch):
    cache.mkdir(parents=True)
    (cache / FILE_NAME).write_bytes(CONTENT)
    zenodo_at(monkeypatch, "http://127.0.0.1:9/x")
    path = find_weights("zenodo", check)
    assert path == cache / FILE_NAME
    assert json.loads(record_of(path).read_text())["sha256"] == sha256_of(path)


def test_a_read_only_cache_is_enough(cache, monkeypatch):
    cache.mkdir(parents=True)
    (cache / FILE_NAME).write_bytes(CONTENT)

    def refused(target: Path):
        raise PermissionError(f"{target}: read-only")

    monkeypatch.setattr("utils.classification.weights.locked", refused)
    monkeypatch.setattr("utils.classification.weights.atomic_path", refused)
    assert find_weights("zenodo", check) == cache / FILE_NAME


def test_what_another_run_has_fetched_meanwhile_is_taken(server, cache, monkeypatch):
    @contextmanager
    def locked_when_it_was_there(target):
        cache.mkdir(parents=True)
        target.write_bytes(CONTENT)
        yield

    monkeypatch.setattr("utils.classification.weights.locked", locked_when_it_was_there)
    assert fetch(server).read_bytes() == CONTENT and server.paths == []


def test_damaged_cache_is_fetched_again(server, cache, capsys):
    server.answers = [whole()]
    path = fetch(server)
    path.write_bytes(CONTENT[:50])
    assert fetch(server).read_bytes() == CONTENT
    assert "when it was stored; fetching it again" in capsys.readouterr().err


def test_foreign_file_in_the_cache_is_fetched_again(server, cache, monkeypatch):
    cache.mkdir(parents=True)
    (cache / FILE_NAME).write_bytes(b"half of something")
    server.answers = [whole()]
    zenodo_at(monkeypatch, server.url)
    path = find_weights("zenodo", check)
    assert path.read_bytes() == CONTENT


def test_offline_without_cache_names_file_folder_and_lite(cache, monkeypatch):
    zenodo_at(monkeypatch, "http://127.0.0.1:9/x")
    with pytest.raises(FetchError) as error:
        find_weights("zenodo", check)
    message = str(error.value)
    assert FILE_NAME in message
    assert str(cache) in message
    assert "--weights lite" in message


def test_pinned_digest(server, cache):
    server.answers = [whole()]
    digest = hashlib.sha256(CONTENT).hexdigest()
    assert fetch(server, sha256=digest.upper()).is_file()
    with pytest.raises(FetchError, match=f"{digest}, expected {'0' * 64}"):
        fetch(server, sha256="0" * 64)
    with pytest.raises(UsageError, match="64 hexadecimal digits"):
        fetch(server, sha256="abc")


def test_urls_that_end_alike_do_not_meet_in_the_cache(server):
    server.answers = [whole(), whole(b"weights of another kind")]
    other = server.url.replace("/files/", "/other/")
    assert fetch(server).read_bytes() != find_weights(other, check).read_bytes()
    assert cache_name("http://a/..%2f..%2fx?y=/../z").count("/") == 0
    assert cache_name("http://a/m.pth").startswith("m-") and cache_name("http://a/").startswith("weights-")


def test_where_weights_lie(cache, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert local_path("~/w.pth") == tmp_path / "w.pth" and local_path("lite") == LITE
    assert local_path("zenodo") == cache / FILE_NAME
    assert local_path("HTTPS://h/w.pth") == cache / cache_name("HTTPS://h/w.pth")
    monkeypatch.delenv("TORCH_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert local_path("zenodo") == tmp_path / "xdg/torch/hub/checkpoints" / FILE_NAME
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert local_path("zenodo") == tmp_path / ".cache/torch/hub/checkpoints" / FILE_NAME


def test_path_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="zenodo, lite, a path or a URL"):
        find_weights(str(tmp_path / "none.pth"), check)


def test_bundled_model_is_small_and_loads():
    assert LITE.stat().st_size <= 2_000_000
    assert find_weights("lite", load_weights) == LITE


class Attack:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


def test_attack_over_http_is_not_cached(server, tmp_path, cache):
    path, marker = tmp_path / "attack.pth", tmp_path / "ran"
    torch.save({"layer4.2.conv2.weight": Attack(marker)}, path)
    server.answers = [whole(path.read_bytes())]
    with pytest.raises(FetchError, match="refused"):
        find_weights(server.url, load_weights)
    assert not marker.exists()
    assert not list(cache.glob("*.pth"))


def test_the_published_network_over_loopback(server, tmp_path, monkeypatch):
    """ResNet34 with one output, as large as the published file, fetched by the script and used."""
    import io

    import numpy as np

    from utils.dictionaries import save_patches

    buffer = io.BytesIO()
    torch.save(build_model("resnet34").state_dict(), buffer)
    assert 85e6 < buffer.tell() < 86e6
    server.answers = [whole(buffer.getvalue())]
    save_patches(tmp_path / "in" / "a.pkl", ["p"], np.zeros((1, 224, 224), np.uint8))
    assert classify_patches.main([str(tmp_path / "in"), str(tmp_path / "out"), "--weights", server.url]) == 0
    assert (tmp_path / "out" / "a.csv").read_text().startswith("name,score,kept\np,")
