"""utils/ngff/containers.py: several images in one container, and formats that are none of ours."""

import http.server
import shutil
import threading
from contextlib import contextmanager
from urllib.parse import parse_qs, urlsplit

import pytest

import ngff_download
from loopback import Server, serving
from ngff_images import SIZES, pyramid, write_bdv, write_json, write_n5_array, write_ome_zarr
from utils.ngff.access import Access
from utils.ngff.address import Address
from utils.ngff.containers import CONVERTERS, foreign_format, images_below, several_images
from utils.ngff.multiscale import open_multiscale
from utils.ngff.store import Store


@pytest.mark.parametrize("scheme", ["local", "http"])
def test_containers_name_their_images(tmp_path, scheme, capsys):
    write_json(tmp_path / "c.n5/attributes.json", {"n5": "2.0.0"})
    write_n5_array(
        tmp_path / "c.n5/em/fibsem-uint8/s0", pyramid()[0], pixelResolution={"dimensions": [6, 8, 30], "unit": "nm"}
    )
    write_json(tmp_path / "c.n5/em/fibsem-uint8/attributes.json", {"scales": [[1, 1, 1]]})
    with serving(tmp_path) as server:
        url = f"{server.url}/c.n5" if scheme == "http" else str(tmp_path / "c.n5")
        with pytest.warns(UserWarning, match="one image lies here, em/fibsem-uint8"):
            image = open_multiscale(url)
        assert image.levels[0].voxel_size == SIZES[0]
        shutil.copytree(tmp_path / "c.n5/em/fibsem-uint8", tmp_path / "c.n5/volumes/raw")
        with pytest.raises(ValueError, match=r"2 images lie here \(em/fibsem-uint8, volumes/raw\); choose"):
            open_multiscale(url)
        argv = [url, str(tmp_path / "out"), "-cs", "16", "-gb", "0.00001"]
        assert ngff_download.main([*argv, "--image", "volumes/raw"]) == 0


def test_archives_that_hold_folders(tmp_path):
    """What packs a folder puts its name before all that is in it."""
    write_ome_zarr(tmp_path / "in/a.zarr", pyramid())
    (tmp_path / "in/__MACOSX/a.zarr").mkdir(parents=True)
    (tmp_path / "in/__MACOSX/a.zarr/._.zattrs").write_bytes(b"x")
    path = shutil.make_archive(str(tmp_path / "x"), "zip", tmp_path / "in")
    with pytest.warns(UserWarning, match=r"one image lies here, a\.zarr"):
        assert (open_multiscale(path).open_level(0)[:] == pyramid()[0]).all()
    shutil.copytree(tmp_path / "in/a.zarr", tmp_path / "in/more/b.zarr")
    path = shutil.make_archive(str(tmp_path / "y"), "zip", tmp_path, "in")
    with pytest.raises(ValueError, match=r"2 images lie here \(in/a\.zarr, in/more/b\.zarr\)"):
        open_multiscale(path)
    with pytest.raises(ValueError, match=r"2 images lie here \(a\.zarr, more/b\.zarr\)"):
        open_multiscale(f"{path}|zip:in")


@pytest.mark.parametrize("key", CONVERTERS)
def test_other_formats_are_refused_with_a_converter(tmp_path, key):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / key).write_bytes(b"WKW")
    what, converter = CONVERTERS[key]
    with pytest.raises(ValueError, match="convert it to") as refused:
        open_multiscale(tmp_path / "x")
    assert what in str(refused.value) and converter in str(refused.value)


def test_hdf5_and_servers_are_refused(tmp_path):
    write_bdv(tmp_path, pyramid())
    (tmp_path / "a.xml").write_text((tmp_path / "a.xml").read_text().replace("bdv.n5", "bdv.hdf5"))
    (tmp_path / "x.h5").write_bytes(b"x")
    for address in (tmp_path / "a.xml", tmp_path / "x.h5", "dvid://host/x", "graphene://https://host/x"):
        with pytest.raises(ValueError, match="cannot be read here; convert it"):
            open_multiscale(address)


def store_of(address, **access):
    address = Address.parse(address)
    return Store(address, Access(timeout=5, retries=0, **access))


@pytest.mark.parametrize(("name", "what"), [
    ("x.wkw", "WebKnossos"), ("x.h5", "BigDataViewer HDF5"), ("x.HDF5", "BigDataViewer HDF5"),
    ("x.dzi", "a Deep Zoom tile stack"), ("x.zarr", None),
])  # fmt: skip
def test_formats_that_are_told_by_their_names(tmp_path, name, what):
    said = foreign_format(store_of(str(tmp_path / name)))
    assert said is None if what is None else said.startswith(what)


@pytest.mark.parametrize(("count", "end"), [(12, "i11); choose"), (13, "i11, ...); choose")])
def test_a_dozen_images_are_named(count, end):
    said = str(several_images([f"i{i}" for i in range(count)]))
    assert said.startswith(f"{count} images lie here (i0, i1, ") and end in said


def test_images_are_looked_for_five_folders_deep(tmp_path):
    for folder in ("a", "b/c", "1/2/3/4/5", "x/1/2/3/4/5/6", "b/c/inner", "levels/s0", "p"):
        (tmp_path / folder).mkdir(parents=True)
    for folder in ("a", "b/c", "b/c/inner", "levels/s0", "1"):
        write_json(tmp_path / folder / ".zattrs", {})
    write_json(tmp_path / "p/info", {})
    for folder in ("a", "b/c", "p"):
        (tmp_path / folder / "0").mkdir()
    deep = tmp_path / "d/d/d/d/d"
    write_json(deep / "one/.zattrs", {})
    write_json(deep / "d/two/.zattrs", {})
    assert images_below(store_of(str(tmp_path))) == ["a", "b/c", "d/d/d/d/d/one", "p"]


@pytest.mark.parametrize(("name", "asked"), [
    ("c.n5", ["attributes.json"]), ("c.zarr/x", [".zattrs", "zarr.json"]),
    ("c", [".zattrs", "attributes.json", "info", "zarr.json"]),
])  # fmt: skip
def test_where_nothing_can_be_listed_the_usual_places_are_looked_at(tmp_path, name, asked):
    write_json(tmp_path / name / "raw" / asked[-1], {})
    with serving(tmp_path) as server:
        assert images_below(store_of(f"{server.url}/{name}")) == ["raw"]
        looked = {path.rpartition("/")[2] for path in server.log if "/volumes/raw/" in path}
    assert sorted(looked) == asked


@contextmanager
def bucket(keys, answer=None):
    """A server that lists a bucket of these keys as S3 and GCS do, or gives another answer; yields its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
            prefix = query.get("prefix", "")
            rest = [key.removeprefix(prefix) for key in keys if key.startswith(prefix)]
            files = "".join(f"<Contents><Key>{prefix}{name}</Key></Contents>" for name in rest if "/" not in name)
            folders = sorted({name.partition("/")[0] for name in rest if "/" in name})
            inner = "".join(f"<CommonPrefixes><Prefix>{prefix}{name}/</Prefix></CommonPrefixes>" for name in folders)
            body = (
                f'<L xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{files}{inner}</L>' if answer is None else answer
            )
            self.send_response(200 if query.get("list-type") == "2" and body else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_):
            pass

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.usefixtures("fresh_hosts")
@pytest.mark.parametrize("below", ["", "in"])
def test_a_bucket_is_listed(below):
    keys = ["in/a.zarr/.zattrs", "in/a.zarr/0/0.0", "in/readme", "in/deep/b.pc/info", "in/deep/b.pc/4_4/0-1", "top/x"]
    with bucket(keys) as endpoint:
        found = images_below(store_of(f"s3://bkt/{below}", endpoint=endpoint))
    assert found == [name if below else f"in/{name}" for name in ("a.zarr", "deep/b.pc")]


@pytest.mark.usefixtures("fresh_hosts")
@pytest.mark.parametrize("answer", ["", "no XML", '<!DOCTYPE a [<!ENTITY b "c">]><a/>'])
def test_a_listing_that_is_none_names_nothing(answer):
    with bucket(["in/a.zarr/.zattrs", "in/a.zarr/0/0.0"], answer) as endpoint:
        assert images_below(store_of("s3://bkt/in", endpoint=endpoint)) == []
