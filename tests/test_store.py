"""NGFF over files, HTTP, S3 and GCS: addresses, faults that pass, faults that last."""

import os
import shutil
import zipfile
from dataclasses import replace

import numcodecs
import pytest

from loopback import serving
from ngff_images import check, pyramid, write_bdv, write_ome_zarr, write_precomputed
from utils.ngff.access import HOSTS, Access
from utils.ngff.address import Address
from utils.ngff.connections import Connections
from utils.ngff.multiscale import open_multiscale, open_volume_level
from utils.ngff.store import LONGEST_DIRECTORY, Store, zip_names
from utils.ngff.waiting import ForbiddenError, RedirectError, StalledError

QUICK = Access(timeout=2, retries=3)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A folder to serve, with one image in each format."""
    root = tmp_path_factory.mktemp("served")
    write_ome_zarr(root / "bucket/a.zarr", pyramid(), compressors=None)
    write_precomputed(root / "bucket/a.pc", pyramid())
    write_bdv(root / "bucket", pyramid())
    return root


@pytest.mark.parametrize("path", ["a.zarr", "a.pc", "a.n5", "a.xml"])
@pytest.mark.parametrize("scheme", ["http", "s3", "gs", "file"])
def test_stores(served, path, scheme):
    with serving(served) as server:
        starts = {"http": f"{server.url}/bucket", "file": (served / "bucket").as_uri()}
        starts |= {"s3": "s3://bucket", "gs": "gs://bucket"}
        access = Access(timeout=5, endpoint=server.url) if scheme in ("s3", "gs") else None
        check(f"{starts[scheme]}/{path}", pyramid(), access=access)


@pytest.mark.parametrize("fault", [429, 500, 503, "reset", "short"])
def test_passing_faults_are_tried_again(served, fault):
    with serving(served, lambda path, nth: fault if nth == 1 else None) as server:
        volume = open_volume_level(f"{server.url}/bucket/a.zarr#s1", access=QUICK)
        assert (volume[:] == pyramid()[1]).all()


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (501, "Not Implemented"),
        (503, "Service Unavailable"),
        ("truncate", "cannot be decoded"),
        ("html", "cannot be decoded"),
        ("stall", "no answer for|stalled"),
        (204, "1/0.0.0: the server's answer .204. is no chunk"),
    ],
)
def test_lasting_faults_of_a_chunk_end_in_a_sentence(served, fault, sentence):
    with serving(served, lambda path, nth: fault if path.endswith("1/0.0.0") else None) as server:
        volume = open_volume_level(f"{server.url}/bucket/a.zarr#s1", access=Access(timeout=1, retries=1))
        with pytest.raises(OSError, match=sentence):
            volume[:]
        assert (volume[16:] == pyramid()[1][16:]).all()


@pytest.mark.parametrize("status", [404, 410])
@pytest.mark.parametrize("scheme", ["http", "s3"])
def test_missing_chunks_are_padding(served, status, scheme):
    expected = pyramid()[1].copy()
    expected[:16, :16, :16] = 0
    with serving(served, lambda path, nth: status if path.endswith(("1/0.0.0", "info")) else None) as server:
        url = "s3://bucket/a.zarr" if scheme == "s3" else f"{server.url}/bucket/a.zarr"
        volume = open_volume_level(f"{url}#s1", access=Access(2, 1, endpoint=server.url if scheme == "s3" else None))
        assert (volume[:] == expected).all()


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("html", "web page"),
        ("http://127.0.0.1:9/there/info", "redirects .*there"),
        (403, "forbidden"),
        (404, "no image metadata"),
        ("stall", "no answer for 1 s"),
        (501, "Not Implemented"),
        (503, "Service Unavailable"),
    ],
)
def test_faults_of_the_metadata_end_in_a_sentence(served, fault, sentence):
    with serving(served, lambda path, nth: fault) as server, pytest.raises((OSError, ValueError), match=sentence):
        open_multiscale(f"{server.url}/bucket/a.zarr", Access(timeout=1, retries=1))


def test_an_answer_that_is_taken_for_absence_and_passes_is_asked_again(served):
    with serving(served, lambda path, nth: 304 if path.endswith("1/0.0.0") and nth == 1 else None) as server:
        assert (open_volume_level(f"{server.url}/bucket/a.zarr#s1", access=QUICK)[:] == pyramid()[1]).all()
    with serving(served, lambda path, nth: 304 if path.endswith("1/0.0.0") and nth == 1 else None) as server:
        store = Store(Address.parse(f"{server.url}/bucket/a.zarr/1"), QUICK)
        assert all(store.read_chunks(["0.0.0"], [".zarray"]).values())


def test_a_server_that_is_not_there():
    with pytest.raises(OSError, match="127"):
        open_multiscale("http://127.0.0.1:9/a.zarr", Access(timeout=1, retries=0))


def test_stated_format_wins(tmp_path):
    root = write_ome_zarr(tmp_path / "both", pyramid())
    shutil.copytree(write_precomputed(tmp_path / "pc", pyramid()), root, dirs_exist_ok=True)
    assert open_multiscale(root).format == "precomputed"
    assert open_multiscale(f"zarr://{root}").format == "zarr"
    with pytest.raises(ValueError, match="no image metadata"):
        open_multiscale(f"n5://{root}")


@pytest.mark.parametrize("codec", [numcodecs.LZ4(), numcodecs.LZMA(), numcodecs.Zlib(), numcodecs.Blosc()])
def test_damaged_chunks_are_said(tmp_path, codec):
    root = write_ome_zarr(tmp_path / "a.zarr", pyramid()[:1], compressors=codec)
    for damage in (b"", b"junk" * 9):
        (root / "0" / "0.0.0").write_bytes(damage)
        with pytest.raises(OSError, match=r"decoded|decoding"):
            open_volume_level(root)[:]


def test_requests_in_flight_are_bounded(served):
    with serving(served, latency=0.005) as server:
        open_volume_level(f"{server.url}/bucket/a.zarr", access=Access(requests=3))[:]
        assert 1 < server.most_active <= 10  # the small files are asked for side by side before


@pytest.mark.parametrize(
    ("address", "access", "endpoint"),
    [
        ("s3://bucket/a.zarr", Access(), "https://s3.amazonaws.com"),
        ("gs://bucket/a.zarr", Access(), "https://storage.googleapis.com"),
        ("gs://bucket/a.zarr", Access(endpoint="http://here:9/"), "http://here:9"),
    ],
)
def test_where_buckets_lie(address, access, endpoint):
    store = Store(Address.parse(address), access)
    assert store.endpoint == endpoint
    assert store.url(".zattrs") == (f"{endpoint}/bucket/a.zarr/.zattrs" if address.startswith("s3") else "")


@pytest.mark.usefixtures("fresh_hosts")
def test_a_silent_server_is_left_out_at_once():
    address = Address.parse("http://silent.test/a.zarr")
    HOSTS.note_silent(address, OSError("could not connect"))
    with pytest.raises(StalledError, match="left out, its server did not answer before"):
        Store(address, QUICK).kvstore()


@pytest.mark.parametrize(("driver", "said"), [("http", "not found"), ("s3", "redirects (301)")])
def test_only_a_redirect_of_http_is_looked_after(tmp_path, driver, said):
    with serving(tmp_path) as server:
        store = Store(
            replace(Address.parse(f"{server.url}/a.zarr"), driver=driver), replace(QUICK, endpoint=server.url)
        )
        error = OSError(said)
        assert store._redirected("info", error) is error and not server.log


def test_what_is_no_json_is_nothing_unless_it_must_be(tmp_path):
    (tmp_path / "info").write_text("<html>")
    store = Store(Address.parse(tmp_path), QUICK)
    assert store.read_json(["info", "absent"]) == {"info": None, "absent": None}
    with pytest.raises(ValueError, match="expected JSON but got a web page"):
        store.read_json(["info", "absent"], strict=True)


def test_lists_of_zip_files_may_be_long(tmp_path, monkeypatch):
    monkeypatch.setattr("utils.ngff.store.CONNECTIONS", known := Connections(0))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("info", "{}")
    Store(Address.parse(tmp_path), QUICK).kvstore()
    assert known.longest == 0
    Store(Address.parse(tmp_path / "a.zip"), QUICK).kvstore()
    assert known.longest == LONGEST_DIRECTORY


def test_what_a_store_lists(served):
    folder = Store(Address.parse(served / "bucket" / "a.zarr"), QUICK)
    assert folder.lists(["absent", ".zattrs"]) and not folder.lists(["absent", ".zattr"]) and not folder.lists([])
    with serving(served) as server:  # which has no listings
        assert not Store(Address.parse(f"{server.url}/bucket/a.zarr"), QUICK).lists([".zattrs"])


def test_chunks_that_are_refused_are_asked_for_again(served):
    key, content = "0/0.0.0", (served / "bucket/a.zarr/0/0.0.0").read_bytes()
    for times, refused in ((1, False), (9, True)):
        with serving(
            served, lambda path, nth, most=times: 403 if path.endswith(key) and nth <= most else None
        ) as server:
            store = Store(Address.parse(f"{server.url}/bucket/a.zarr"), QUICK)
            if refused:
                with pytest.raises(ForbiddenError, match="1 chunks were refused"):
                    store.read_chunks([key, "0/9.9.9"], [".zattrs"])
            else:
                assert store.read_chunks([key, "0/9.9.9"], [".zattrs"]) == {key: content, "0/9.9.9": None}


@pytest.mark.parametrize(
    ("there", "absent", "hides"), [(None, 403, True), (None, 404, False), (403, 403, False), (410, 403, True)]
)
def test_a_store_hides_what_is_absent_while_it_gives_what_is_there(served, there, absent, hides):
    def fault(path, nth):
        return there if (served / path.lstrip("/")).is_file() else absent

    with serving(served, fault) as server:
        store = Store(Address.parse(f"{server.url}/bucket/a.zarr/0"), QUICK)
        assert store.hides_missing_keys(store.at(".."), [".zattrs"]) is hides


@pytest.mark.parametrize(
    ("key", "target"),
    [("info", "http://127.0.0.1:9/there?sig=1"), (".zattrs", ""), ("there/info", "http://127.0.0.1:9?sig=1")],
)
def test_where_a_redirect_leads_to(tmp_path, key, target):
    with serving(tmp_path, lambda path, nth: "http://127.0.0.1:9/there/info?sig=1") as server:
        store = Store(Address.parse(f"{server.url}/a.zarr"), QUICK)
        found = store._redirected(key, OSError("the server redirects (302)"))
    assert isinstance(found, RedirectError) and found.target == target
    assert str(found).startswith("the server redirects (302): http://127.0.0.1:9") and "sig" not in str(found)


def test_a_redirect_to_no_server_stays_what_it_is(tmp_path):
    with serving(tmp_path, lambda path, nth: "ftp://127.0.0.1/info") as server:
        error = OSError("the server redirects (302)")
        assert Store(Address.parse(f"{server.url}/a.zarr"), QUICK)._redirected("info", error) is error


def test_entries_of_zip_files_that_tensorstore_passes_over(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zarr.zip", "w") as file:
        file.writestr("a.zarr/0/.zarray", "{}")
        file.writestr("a.zarr/0/0.0.0", bytes(8))
        file.writestr("a.zarr/0/0.0.1", bytes(8), zipfile.ZIP_LZMA)
        file.writestr("a.zarr/0/0.0.2/c", b"")
    with serving(tmp_path) as server:
        for place in (tmp_path, server.url):
            store = Store(Address.parse(f"{place}/a.zarr.zip|zip:a.zarr/0"), QUICK)
            assert store.read_chunks(["0.0.0", "0.0.3"], []) == {"0.0.0": bytes(8), "0.0.3": None}
            with pytest.raises(OSError, match=r"a\.zarr\.zip\|zip:a\.zarr/0/0\.0\.1 cannot be unpacked"):
                store.read_chunks(["0.0.0", "0.0.1"], [])
            with pytest.raises(OSError, match=r"a\.zarr/0/0\.0\.2 is a folder, in the place of a chunk"):
                store.read_chunks(["0.0.2"], [])


def test_the_list_of_a_long_zip_file_is_asked_for_at_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr("utils.ngff.store.TAILS", (100, 3000))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        for i in range(9):
            file.writestr(f"0.0.{i}", bytes(999), zipfile.ZIP_LZMA if i == 8 else None)
    with serving(tmp_path) as server:
        store = Store(Address.parse(f"{server.url}/a.zip"), QUICK)
        with pytest.raises(OSError, match=r"0\.0\.8 cannot be unpacked"):
            store.read_chunks(["0.0.8"], [])
    with serving(tmp_path, lambda path, nth: 403) as server:
        assert zip_names(Store(Address.parse(f"{server.url}/a.zip"), QUICK)) == []


@pytest.mark.parametrize(("mark", "place", "value"), [(b"PK\5\6", 12, 99), (b"PK\1\2", 6, 99)])
def test_zip_files_that_tensorstore_alone_reads(tmp_path, mark, place, value):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("0.0.0", bytes(8))
    harmed = bytearray((tmp_path / "a.zip").read_bytes())
    harmed[harmed.index(mark) + place] = value  # the length of its list, the version that unpacks it
    (tmp_path / "a.zip").write_bytes(harmed)
    store = Store(Address.parse(tmp_path / "a.zip"), QUICK)
    assert store.read_chunks(["0.0.0"], []) == {"0.0.0": bytes(8)}


def test_local_files_that_are_none(tmp_path):
    root = write_ome_zarr(tmp_path / "a.zarr", pyramid()[:1], compressors=None)
    chunk, attributes = root / "0/0.0.0", root / ".zattrs"
    volume = open_volume_level(root)
    chunk.unlink()
    os.mkfifo(chunk)
    with pytest.raises(OSError, match=r"0\.0\.0: is neither a file nor a folder"):
        volume[:]
    chunk.unlink()
    chunk.mkdir()
    with pytest.raises(OSError, match=r"0\.0\.0: is a folder, in the place of a chunk"):
        volume[:]
    with pytest.raises(OSError, match=r"0\.0\.0: is a folder"):
        Store(Address.parse(str(root)), QUICK).read_chunks(["0/0.0.0"], [])
    chunk.rmdir()
    chunk.touch()
    os.truncate(chunk, 1 << 40)  # nothing but a hole
    with pytest.raises(OSError, match=r"0\.0\.0: comes without end"):
        volume[:]
    os.truncate(attributes, 1 << 40)
    with pytest.raises(OSError, match=r"zattrs: comes without end"):
        open_multiscale(root)
