"""A multiscale image: what lies at an address, its levels by number and by size, and a level as a volume."""

import base64
import json
import zipfile
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest

import ngff_download
from loopback import serving
from ngff_images import (
    SIZES,
    check,
    ome_attributes,
    pyramid,
    write_json,
    write_n5_array,
    write_ome_zarr,
    write_precomputed,
)
from utils.ngff.access import Access
from utils.ngff.metadata import Level
from utils.ngff.multiscale import Multiscale, _mirrored, open_multiscale, open_volume_level
from utils.sources import volume_sources


@pytest.fixture
def image(tmp_path):
    """Levels whose finest sides are 6, 12 and 24 nm."""
    return open_multiscale(write_ome_zarr(tmp_path / "cell.zarr", pyramid()))


def test_levels_by_number(image):
    assert [image.index(i) for i in range(3)] == [0, 1, 2]
    for absent in (-1, 3):
        with pytest.raises(ValueError, match=rf"^no level {absent}; it has 3 \(0 to 2\)$"):
            image.index(absent)
    broken = Multiscale("u", "zarr", image.store, (image.levels[0], Level.broken("1", "no array")))
    with pytest.raises(ValueError, match=r"^level 1 cannot be read: no array$"):
        broken.open_level(1)


def test_levels_are_finest_first_however_they_are_listed(tmp_path):
    root = write_ome_zarr(tmp_path / "cell.zarr", pyramid()[::-1], sizes=SIZES[::-1])
    check(root, pyramid())
    info = write_precomputed(tmp_path / "pc", pyramid()) / "info"
    described = json.loads(info.read_text())
    write_json(info, described | {"scales": described["scales"][::-1]})
    check(tmp_path / "pc", pyramid())
    assert [level.path for level in open_multiscale(root).levels] == ["2", "1", "0"]
    part = pyramid()[0][:8, :8, :8]
    of_a_part = write_ome_zarr(tmp_path / "part.zarr", [part, *pyramid()[1:]])
    check(of_a_part, [part, *pyramid()[1:]])


@pytest.mark.parametrize(("nm", "level"), [(1, 0), (8.4, 0), (8.5, 1), (12, 1), (16.9, 1), (17, 2), (900, 2)])
def test_the_nearest_level_is_nearest_by_ratio(image, nm, level):
    assert image.nearest(nm) == level  # 6 and 12 part at 8.49, 12 and 24 at 16.97


def test_sizes_that_are_not_known(tmp_path):
    image = open_multiscale(write_ome_zarr(tmp_path / "a.zarr", pyramid(), unit=None))
    with pytest.raises(ValueError, match="no voxel sizes to compare 8 nm with; choose a --level"):
        image.nearest(8)
    assert image.in_unit(None) is image
    assert next(level.voxel_size for level in image.in_unit("um").levels) == (30000.0, 8000.0, 6000.0)


def test_a_level_is_a_volume(image):
    with image.open_level(1) as volume:
        assert (volume.name, volume.shape, volume.voxel_size) == ("cell_s1", (24, 20, 26), SIZES[1])
        np.testing.assert_array_equal(volume[3:5, 2:, :7], pyramid()[1][3:5, 2:, :7])
        assert volume[4:4].shape == (0, 20, 26)
        assert volume[30:40].shape == (0, 20, 26)
        assert volume.shown(7.0) == 7.0 and volume.streams
    assert image.open_level(0, name="fly").name == "fly_s0"
    assert image.open_level(0, voxel_size=(1.0, 2.0, 3.0)).voxel_size == (1.0, 2.0, 3.0)


@pytest.mark.parametrize(
    ("values", "others"),
    [
        (np.array([0, 1, 255], "u1"), [255, 254, 0]),
        (np.array([0, 65535], "u2"), [65535, 0]),
        (np.array([-32768, -1, 0, 5], "i2"), [32767, 0, -1, -6]),
        (np.array([-0.5, 2.0], "f4"), [0.5, -2.0]),
        (np.array([True, False]), [False, True]),
    ],
)
def test_what_was_bright_is_dark(tmp_path, values, others):
    assert _mirrored(values).tolist() == others
    assert _mirrored(values).dtype == values.dtype
    voxels = np.resize(values, (2, 2, 8))
    volume = open_multiscale(write_ome_zarr(tmp_path / "a.zarr", [voxels])).open_level(0, invert=True)
    np.testing.assert_array_equal(volume[:], _mirrored(voxels))
    assert [volume.shown(float(value)) for value in values] == others


def test_chunks_that_no_memory_holds_are_refused(image):
    from dataclasses import replace

    large = Multiscale("u", "zarr", image.store, (replace(image.levels[0], chunk=(1 << 14,) * 3),))
    with pytest.raises(ValueError, match="a chunk of 16384 x 16384 x 16384 voxels"):
        large.open_level(0)


pytestmark = pytest.mark.usefixtures("fresh_hosts")


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A folder with an image in each format, and zip files of some."""
    root = tmp_path_factory.mktemp("served")
    write_ome_zarr(root / "bucket/x.zarr", pyramid(), compressors=None)
    write_ome_zarr(root / "bucket/v3.zarr", pyramid(), version="0.5")
    write_precomputed(root / "bucket/x.pc", pyramid())
    for i, level in enumerate(pyramid()):
        transform = {"axes": ["z", "y", "x"], "scale": SIZES[i], "units": ["nm"] * 3}
        write_n5_array(root / "bucket/c.n5/em/raw" / f"s{i}", level, transform=transform)
    zipped(root / "bucket/x.zarr", root / "bucket/plain.ozx")
    zipped(root / "bucket/v3.zarr", root / "bucket/inner.zip", "deep/v3.zarr")
    return root


def zipped(folder: Path, target: Path, inner: str = "") -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, str(Path(inner, file.relative_to(folder))))


@pytest.mark.parametrize(
    "path",
    [
        "x.zarr/|zarr2:",
        "v3.zarr/|zarr3:",
        "x.zarr|zarr:",
        "c.n5/|n5:em/raw/",
        "x.pc/|neuroglancer-precomputed:",
        "inner.zip|zip:deep/v3.zarr/|zarr3:",
        "plain.ozx",
        "inner.zip/deep/v3.zarr",
        "x.pc/info",
        "x.zarr/.zattrs",
        "v3.zarr/zarr.json",
        "x.zarr",
    ],
)
@pytest.mark.parametrize("scheme", ["http", "file", "local", "s3", "s3+http"])
def test_addresses_of_one_image(served, path, scheme):
    with serving(served) as server:
        starts = {"http": f"{server.url}/bucket", "local": str(served / "bucket"), "file": (served / "bucket").as_uri()}
        starts |= {"s3": "s3://bucket", "s3+http": server.url.replace("http://", "s3+http://") + "/bucket"}
        access = Access(timeout=10, endpoint=server.url if scheme == "s3" else None)
        check(f"{starts[scheme]}/{path}", pyramid(), access=access)


def link(state: dict) -> str:
    return "https://viewer.example/v/1/#!" + quote(json.dumps(state))


def test_viewer_links(served, tmp_path, capsys):
    with serving(served) as server:
        layers = [
            {"type": "image", "name": "em", "source": {"url": f"zarr://{server.url}/bucket/x.zarr"}},
            {"type": "segmentation", "name": "seg", "source": "precomputed://gs://b/seg"},
        ]
        url = link({"layers": layers})
        check(url, pyramid())
        (source,), _ = volume_sources(url)
        assert source.name == "em_s0"
        layers.append(
            {"type": "image", "name": "raw", "source": [f"{server.url}/bucket/x.pc/|neuroglancer-precomputed:"]}
        )
        with pytest.raises(ValueError, match=r"2 image layers \(em, raw\); choose one by --layer"):
            open_multiscale(link({"layers": layers}))
        write_json(served / "bucket/state.json", {"layers": layers})
        argv = [
            f"https://viewer.example/#!{server.url}/bucket/state.json",
            str(tmp_path),
            "-cs",
            "16",
            "-gb",
            "0.00001",
        ]
        assert ngff_download.main([*argv, "--layer", "raw"]) == 0
        assert ngff_download.main([*argv, "--layer", "none"]) == 2
        assert "no image layer 'none'" in capsys.readouterr().err
        (tmp_path / "t.csv").write_text(f"download_url,volume_name\n{argv[0]},listed\n")
        listed = [str(tmp_path / "t.csv"), *argv[1:]]
        assert ngff_download.main([*listed, "--layer", "raw"]) == 0
        assert ngff_download.main([*listed, "--layer", "em"]) == 0
        said = capsys.readouterr().err
        assert "made of" in said and "bucket/x.pc, now" in said and "bucket/x.zarr" in said
    assert list(tmp_path.glob("raw_s0-ROI-*")) and list(tmp_path.glob("listed_s0-ROI-*"))
    with pytest.raises(ValueError, match="no JSON"):
        open_multiscale("https://viewer.example/#!{oops")


@pytest.mark.parametrize("path", ["x.zarr", "v3.zarr"])
def test_a_levels_own_address_has_its_size(served, path):
    for index in range(3):
        image = open_multiscale(served / "bucket" / path / str(index))
        assert image.levels[0].voxel_size == SIZES[index]
        assert (image.open_level(0)[:] == pyramid()[index]).all()


def test_queries_are_sent_with_every_request_and_said_nowhere(served, tmp_path, capsys):
    with serving(served) as server:
        seen = server.queries
        argv = [f"{server.url}/bucket/x.zarr?sig=s3cret", str(tmp_path), "-cs", "16", "-gb", "0.00001"]
        assert ngff_download.main(argv) == 0
        assert seen
        assert set(seen) == {"sig=s3cret"}
        assert ngff_download.main([f"{server.url}/bucket/none.zarr?sig=s3cret", str(tmp_path)]) == 1
    said = capsys.readouterr()
    assert "s3cret" not in said.out + said.err + "".join(p.read_text() for p in tmp_path.glob("*.json"))


@pytest.mark.parametrize("path", ["x.zarr", "c.n5/em/raw", "x.pc"])
def test_redirects_are_followed(served, path):
    with serving(served) as server, serving(served, lambda p, nth: f"{server.url}{p}") as moved:
        check(f"{moved.url}/bucket/{path}", pyramid(), access=Access(timeout=10))


def test_redirects_by_path_alone_are_followed(served):
    with serving(
        served, lambda path, nth: f"302 {path.replace('/old/', '/bucket/')}" if "/old/" in path else None
    ) as server:
        check(f"{server.url}/old/x.zarr", pyramid(), access=Access(timeout=10))


@pytest.mark.parametrize("target", ["{url}{path}", "302 {path}", "file:///etc{path}"])
def test_redirects_that_lead_nowhere_end(served, target):
    with serving(served) as server:
        server.fault = lambda path, nth: target.format(url=server.url, path=path)
        with pytest.raises(OSError, match=r"the server redirects \(302\)"):
            open_multiscale(f"{server.url}/bucket/x.zarr", Access(timeout=5))
        assert len(server.log) < 20


@pytest.mark.parametrize("elsewhere", [False, True])
def test_headers_are_for_the_server_that_was_named(served, elsewhere):
    access = Access(timeout=10, headers=("Authorization: Bearer tok",))
    with serving(served) as other, serving(served) as server:
        to = other if elsewhere else server
        server.fault = lambda path, nth: f"{to.url}{path.replace('/old/', '/bucket/')}" if "/old/" in path else None
        check(f"{server.url}/old/x.zarr", pyramid(), access=access)
        assert set(other.authorizations) == ({None} if elsewhere else set())
        assert set(server.authorizations) == {"Bearer tok"}


@pytest.mark.parametrize("transforms", ["scale", "sequence", "rotation"])
def test_ome_zarr_with_coordinate_systems(tmp_path, transforms):
    root = write_ome_zarr(tmp_path / "a.zarr", pyramid()[:1], version="0.5")
    (described,) = ome_attributes([SIZES[0]])["multiscales"]
    scale = {"type": "scale", "scale": list(SIZES[0])}
    moved = {"type": "sequence", "transformations": [scale, {"type": "translation", "translation": [1, 2, 3]}]}
    turned = {"type": "rotation", "rotation": [[1, 0, 0], [0, 0, 1], [0, 1, 0]]}
    chosen = {"scale": scale, "sequence": moved, "rotation": turned}[transforms]
    multiscale = {
        "coordinateSystems": [{"name": "physical", "axes": described["axes"]}],
        "datasets": [{"path": "0", "coordinateTransformations": [{**chosen, "input": "0", "output": "physical"}]}],
    }
    group = json.loads((root / "zarr.json").read_text())
    group["attributes"] = {"ome": {"version": "0.6", "multiscales": [multiscale]}}
    write_json(root / "zarr.json", group)
    if transforms == "rotation":
        with pytest.raises(ValueError, match="'rotation' is more than scale and translation"):
            open_multiscale(root)
    else:
        check(root, pyramid()[:1])


def test_headers_and_passwords_reach_the_server(served):
    with serving(served) as server:
        check(f"{server.url}/bucket/x.zarr", pyramid(), access=Access(headers=("Authorization: Bearer tok",)))
        assert set(server.authorizations) == {"Bearer tok"}
        server.authorizations.clear()
        check(server.url.replace("://", "://me:pw@") + "/bucket/x.zarr", pyramid())
        assert set(server.authorizations) == {"Basic " + base64.b64encode(b"me:pw").decode()}


def test_zip_files_are_volumes_of_every_script(served):
    (source,), _ = volume_sources(str(served / "bucket/plain.ozx"))
    with source.open() as volume:
        assert volume.name == "plain_s0"
        assert np.array_equal(volume[:], pyramid()[0])
    assert open_volume_level(f"{served}/bucket/plain.ozx#s1").name == "plain_s1"


@pytest.mark.parametrize(("name", "asked"), [
    ("a.zarr", {".zarray", "zarr.json", ".zattrs", ".zgroup"}), ("a.n5", {"attributes.json"}),
    ("a.precomputed", {"info"}),
])  # fmt: skip
def test_a_name_that_ends_as_a_format_s_saves_the_other_formats_requests(tmp_path, name, asked):
    if name == "a.n5":
        write_n5_array(tmp_path / name, pyramid()[0])
    else:
        {"a.zarr": write_ome_zarr, "a.precomputed": write_precomputed}[name](tmp_path / name, pyramid()[:1])
    with serving(tmp_path) as server:
        assert open_multiscale(f"{server.url}/{name}").format in name
        assert {path.rpartition("/")[2] for path in server.log if path.count("/") == 2} == asked


def test_a_name_may_end_as_another_format_s(tmp_path):
    write_precomputed(tmp_path / "a.zarr", pyramid())
    assert open_multiscale(tmp_path / "a.zarr").format == "precomputed"
    write_ome_zarr(tmp_path / "b.n5", pyramid())
    assert open_multiscale(tmp_path / "b.n5").format == "zarr"
    write_n5_array(tmp_path / "c/s0", pyramid()[0])  # whose group has no attributes of its own
    assert open_multiscale(tmp_path / "c").format == "n5"


def test_a_folder_with_one_image_is_that_image_aloud(tmp_path):
    write_ome_zarr(tmp_path / "in/fly.zarr", pyramid())
    with pytest.warns(UserWarning, match=r"one image lies here, in/fly\.zarr$"):
        assert len(open_multiscale(tmp_path).levels) == 3
    with pytest.warns(UserWarning, match="one image"), open_volume_level(tmp_path) as volume:
        np.testing.assert_array_equal(volume[:], pyramid()[0])


def test_local_paths_that_are_no_folders(tmp_path):
    (tmp_path / "a.h5").touch()
    with pytest.raises(FileNotFoundError, match="no such folder"):
        open_multiscale(tmp_path / "absent.h5")
    with pytest.raises(ValueError, match="BigDataViewer HDF5 cannot be read here"):
        open_multiscale(tmp_path / "a.h5")


def test_servers_that_are_no_stores_are_refused_by_their_scheme():
    with pytest.raises(ValueError, match="a DVID server cannot be read here; convert it"):
        open_multiscale("DVID://host/x")
