"""Answers without end are cut, and what asked for them fails by name; others come as ever."""

import sys

import pytest

from loopback import serving
from ngff_images import pyramid, write_ome_zarr
from utils.ngff.access import Access
from utils.ngff.endless import CONNECTIONS
from utils.ngff.hosts import ask
from utils.ngff.multiscale import open_volume_level

pytestmark = [
    pytest.mark.usefixtures("fresh_hosts"),
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a connection has brought"),
]


@pytest.mark.parametrize(("part", "failed"), [(".zattrs", ".zattrs"), ("0/.zarray", "0/.zarray"), ("0/0.0.0", "0")])
def test_an_answer_without_end_is_cut(tmp_path, monkeypatch, part, failed):
    monkeypatch.setattr(CONNECTIONS, "longest", 1 << 20)
    for name in "ab":
        write_ome_zarr(tmp_path / f"{name}.zarr", pyramid()[:1], compressors=None)
    with serving(tmp_path, lambda path, nth: "endless" if path.endswith(f"a.zarr/{part}") else None) as server:
        access = Access(timeout=5, retries=0)
        with pytest.raises(OSError, match=rf"a\.zarr/{failed}: comes without end, or .* \(1 MB\)"):
            open_volume_level(f"{server.url}/a.zarr", access=access)[:]
        assert (open_volume_level(f"{server.url}/b.zarr", access=access)[:] == pyramid()[0]).all()


def test_chunks_and_lists_of_zip_files_may_be_long(tmp_path, monkeypatch):
    monkeypatch.setattr(CONNECTIONS, "longest", 4000)
    write_ome_zarr(tmp_path / "a.zarr", pyramid()[:1], compressors=None)
    with open_volume_level(tmp_path / "a.zarr") as volume:
        assert CONNECTIONS.longest == 2 * 16**3
        assert volume.level.chunk == (16, 16, 16)


def test_an_answer_of_our_own_ends(tmp_path, monkeypatch):
    monkeypatch.setattr("utils.ngff.hosts.LONGEST", 1000)
    with serving(tmp_path, lambda path, nth: "endless") as server:
        assert ask(f"{server.url}/list", 5, body=True).body == b" " * 1000
