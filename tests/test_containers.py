"""utils/ngff/containers.py: several images in one container, and formats that are none of ours."""

import shutil

import pytest

import ngff_download
from loopback import serving
from ngff_images import (
    SIZES,
    pyramid,
    write_bdv,
    write_json,
    write_n5_array,
)
from utils.ngff.containers import CONVERTERS
from utils.ngff.opening import open_multiscale


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
