"""utils/ngff/connections.py: answers without end are cut, and long ones come where they were asked for."""

import sys

import pytest

from loopback import serving
from ngff_images import pyramid, write_ome_zarr
from utils.ngff.access import Access, ask
from utils.ngff.connections import CONNECTIONS
from utils.ngff.multiscale import open_volume_level
from utils.settings import MAX_GB

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a connection has brought")


@on_linux
@pytest.mark.usefixtures("fresh_hosts")
@pytest.mark.parametrize(
    ("part", "failed", "answer"),
    [
        (".zattrs", ".zattrs", "endless"),
        ("0/.zarray", "0/.zarray", "endless"),
        ("0/0.0.0", "0", "endless"),
        ("0/0.0.0", "0", "bomb"),
    ],
)
def test_an_answer_without_end_is_cut(tmp_path, monkeypatch, part, failed, answer):
    monkeypatch.setattr(CONNECTIONS, "longest", 1 << 20)
    monkeypatch.setenv(MAX_GB, "0.5")
    for name in "ab":
        write_ome_zarr(tmp_path / f"{name}.zarr", pyramid()[:1], compressors=None)
    with serving(tmp_path, lambda path, nth: answer if path.endswith(f"a.zarr/{part}") else None) as server:
        access = Access(timeout=5, retries=0)
        with pytest.raises(OSError, match=rf"a\.zarr/{failed}: comes without end, or .* \(1 MB\)"):
            open_volume_level(f"{server.url}/a.zarr", access=access)[:]
        assert (open_volume_level(f"{server.url}/b.zarr", access=access)[:] == pyramid()[0]).all()


@on_linux
@pytest.mark.usefixtures("fresh_hosts")
def test_chunks_and_lists_of_zip_files_may_be_long(tmp_path, monkeypatch):
    monkeypatch.setattr(CONNECTIONS, "longest", 4000)
    write_ome_zarr(tmp_path / "a.zarr", pyramid()[:1], compressors=None)
    with open_volume_level(tmp_path / "a.zarr") as volume:
        assert CONNECTIONS.longest == 2 * 16**3
        assert volume.level.chunk == (16, 16, 16)


@on_linux
@pytest.mark.usefixtures("fresh_hosts")
def test_an_answer_of_our_own_ends(tmp_path, monkeypatch):
    monkeypatch.setattr("utils.ngff.access.LONGEST", 1000)
    with serving(tmp_path, lambda path, nth: "endless") as server:
        assert ask(f"{server.url}/list", 5, body=True).body == b" " * 1000
