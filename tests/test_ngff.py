"""NGFF: voxels and voxel sizes under every convention, written by other libraries."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import numcodecs
import numpy as np
import pytest
import zarr
from zarr.codecs import BloscCodec

from loopback import serving
from n5_images import write_bdv_xml, write_cosem, write_modern, write_spark, write_viewer, write_viewer_above
from ngff_images import (
    COMPRESSIONS,
    FACTORS,
    SIZES,
    check,
    pyramid,
    write_bdv,
    write_json,
    write_n5_array,
    write_ome_zarr,
    write_precomputed,
)
from utils.cli import UsageError
from utils.names import image_name, split_level
from utils.ngff.access import Access
from utils.ngff.metadata import Level
from utils.ngff.opening import open_multiscale, open_volume_level
from utils.sources import volume_sources

MADE = Path(__file__).parents[2] / "shared" / "data" / "ngff_made"
REAL = MADE.with_name("ngff")


@pytest.mark.parametrize(
    "options",
    [
        {"version": "0.4", "chunk_key_encoding": {"name": "v2", "separator": "/"}},
        {"version": "0.4", "chunk_key_encoding": {"name": "v2", "separator": "."}},
        {"version": "0.4", "compressors": numcodecs.LZ4()},
        {"version": "0.4", "compressors": numcodecs.LZMA(), "filters": [numcodecs.Delta(dtype="u2")]},
        {"version": "0.4", "order": "F"},
        {"version": "0.5"},
        {"version": "0.5", "shards": (32, 32, 32), "chunk": 8},
        {"version": "0.5", "compressors": BloscCodec(cname="zstd")},
        {"version": "0.5", "axes": "tczyx"},
        {"version": "0.4", "axes": "czyx"},
    ],
    ids=lambda options: "-".join(options),
)
def test_ome_zarr_of_zarr_python(tmp_path, options):
    levels = pyramid(dtype="uint16")
    if "shards" in options:
        levels = levels[:1]
    check(write_ome_zarr(tmp_path / "a.ome.zarr", levels, **options), levels)


def test_big_endian_and_units(tmp_path):
    levels = [level.astype(">u2") for level in pyramid(dtype="uint16")]
    sizes = [tuple(n / 1000 for n in size) for size in SIZES]
    check(write_ome_zarr(tmp_path / "a.zarr", levels, sizes=sizes, unit="micrometer"), levels)


def test_scale_of_the_multiscale_multiplies(tmp_path):
    root = write_ome_zarr(tmp_path / "a.zarr", pyramid(), sizes=[(1, 1, 1), (1, 2, 2), (2, 4, 4)])
    attributes = json.loads((root / ".zattrs").read_text())
    attributes["multiscales"][0]["coordinateTransformations"] = [{"type": "scale", "scale": [30, 8, 6]}]
    write_json(root / ".zattrs", attributes)
    check(root, pyramid())


@pytest.mark.parametrize("listed", [False, True])
def test_bioformats2raw_layouts(tmp_path, listed):
    group = zarr.open_group(store=str(tmp_path / "a.zarr"), mode="w", zarr_format=2)
    group.attrs["bioformats2raw.layout"] = 3
    write_ome_zarr(tmp_path / "a.zarr/0", pyramid(seed=0))
    check(tmp_path / "a.zarr", pyramid(seed=0))
    write_ome_zarr(tmp_path / "a.zarr/1", pyramid(seed=1))
    if listed:
        group.create_group("OME").attrs["series"] = ["0", "1", "7"]
    sentence = r"3 images lie here \(0, 1, 7\)" if listed else r"2 images lie here \(0, 1\)"
    with pytest.raises(ValueError, match=sentence + "; choose one by --image, or by its address"):
        open_multiscale(tmp_path / "a.zarr")
    check(tmp_path / "a.zarr/1", pyramid(seed=1))
    check(tmp_path / "a.zarr", pyramid(seed=1), access=Access(image="1"))


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_n5_compressions(tmp_path, compression):
    level = pyramid(dtype="uint16")[0]
    write_n5_array(tmp_path / "a.n5", level, COMPRESSIONS[compression])
    attributes = json.loads((tmp_path / "a.n5" / "attributes.json").read_text())
    attributes["compression"] |= {"nthreads": 1, "checksum": False, "id": "x"}  # z5py and n5-java write such
    write_json(tmp_path / "a.n5" / "attributes.json", attributes)
    check(tmp_path / "a.n5", [level], sizes=None)


@pytest.mark.parametrize("framed", [True, False])
def test_n5_lz4(tmp_path, framed):
    level = pyramid(dtype="uint16")[0]
    write_n5_array(tmp_path / "a.n5", level, COMPRESSIONS["raw"])
    for file in (tmp_path / "a.n5").rglob("[0-9]"):
        if file.is_file():
            head, body = file.read_bytes()[:16], file.read_bytes()[16:]
            packed = numcodecs.LZ4().encode(body)[4:]
            counts = [len(packed).to_bytes(4, "little"), len(body).to_bytes(4, "little"), bytes(4)]
            frame = b"LZ4Block" + b"\x26" + b"".join(counts) if framed else b""
            file.write_bytes(head + frame + packed)
    attributes = json.loads((tmp_path / "a.n5" / "attributes.json").read_text())
    write_json(tmp_path / "a.n5" / "attributes.json", attributes | {"compression": {"type": "lz4", "blockSize": 65536}})
    check(tmp_path / "a.n5", [level], sizes=None)


@pytest.mark.parametrize(
    "write", [write_cosem, write_viewer, write_viewer_above, write_spark, write_modern, write_bdv, write_bdv_xml]
)
def test_n5_conventions(tmp_path, write):
    levels = pyramid()
    check(write(tmp_path, levels), levels)


def test_n5_levels_keep_their_place_where_a_finer_one_is_absent(tmp_path):
    levels = pyramid()
    for index in (1, 2):
        write_n5_array(tmp_path / "a.n5/c0" / f"s{index}", levels[index])
    about = {"scales": FACTORS, "pixelResolution": {"dimensions": [6, 8, 30], "unit": "nm"}}
    write_json(tmp_path / "a.n5/c0/attributes.json", about)
    check(tmp_path / "a.n5/c0", levels[1:], SIZES[1:])
    check(tmp_path / "a.n5/c0/s2", levels[2:], SIZES[2:])


def test_bdv_xml_names_the_first_setup_and_time_point(tmp_path):
    levels = pyramid()
    write_bdv(tmp_path, levels)
    (tmp_path / "a.n5/setup0/timepoint0").rename(tmp_path / "a.n5/setup0/timepoint3")
    (tmp_path / "a.n5/setup0").rename(tmp_path / "a.n5/setup2")
    times = '</ViewSetups><Timepoints type="range"><first>3</first><last>4</last></Timepoints>'
    text = (tmp_path / "a.xml").read_text().replace("<id>0", "<id>2").replace("</ViewSetups>", times)
    (tmp_path / "a.xml").write_text(text)
    with pytest.warns(UserWarning, match="time points 3 to 4 lie here; setup 2 at 3 is taken"):
        check(tmp_path / "a.xml", levels)


def test_paintera_needs_a_unit(tmp_path):
    levels = pyramid()
    for i, level in enumerate(levels):
        write_n5_array(tmp_path / "a.n5/raw/data" / f"s{i}", level, downsamplingFactors=FACTORS[i])
    about = {"painteraData": {"type": "raw"}, "multiScale": True, "resolution": [6, 8, 30]}
    write_json(tmp_path / "a.n5/raw/attributes.json", about)
    image = open_multiscale(tmp_path / "a.n5/raw")
    assert image.levels[0].voxel_size is None and "without a unit" in image.levels[0].size.why_missing
    assert [level.voxel_size for level in image.in_unit("nm").levels] == SIZES


@pytest.mark.parametrize("encoding", ["raw", "png", "jpeg"])
def test_precomputed(tmp_path, encoding):
    levels = pyramid()
    if encoding == "jpeg":
        levels = [
            np.broadcast_to(np.arange(level.shape[0], dtype="u1")[:, None, None] * 4, level.shape) for level in levels
        ]
    root = write_precomputed(tmp_path / "a", levels, encoding, offset=(100, 200, 50))
    check(root, levels, tolerance=4 if encoding == "jpeg" else 0)
    assert open_multiscale(f"precomputed://{root}").levels[0].offset == (50, 200, 100)


def test_precomputed_sharded(tmp_path):
    sharding = {
        "@type": "neuroglancer_uint64_sharded_v1",
        "data_encoding": "gzip",
        "hash": "identity",
        "minishard_bits": 1,
        "minishard_index_encoding": "gzip",
        "preshift_bits": 1,
        "shard_bits": 1,
    }
    levels = pyramid()
    check(write_precomputed(tmp_path / "a", levels, sharding=sharding), levels)


def test_precomputed_gzip_files_and_encoding(tmp_path):
    levels = pyramid()
    root = write_precomputed(tmp_path / "a", levels)
    for file in [f for f in root.rglob("*_*_*") if f.is_file()]:
        file.write_bytes(gzip.compress(file.read_bytes()))
    with serving(tmp_path, lambda path, nth: "gzip" if path.count("_") > 1 and "-" in path else None) as server:
        check(f"{server.url}/a", levels)
    for file in [f for f in root.rglob("*_*_*") if f.is_file()]:
        file.rename(file.with_name(file.name + ".gz"))
    check(root, levels)


def test_plain_chunks_beside_gzip_files_are_read(tmp_path):
    levels = pyramid()
    root = write_precomputed(tmp_path / "a", levels)
    for file in [f for f in sorted(root.rglob("*_*_*")) if f.is_file()][1::2]:
        file.with_name(file.name + ".gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    check(root, levels)


def test_precomputed_brotli_is_refused(tmp_path):
    root = write_precomputed(tmp_path / "a", pyramid())
    for file in [f for f in root.rglob("*_*_*") if f.is_file()]:
        file.rename(file.with_name(file.name + ".br"))
    with pytest.raises(ValueError, match=r"\.br files"):
        open_volume_level(root)


@pytest.mark.skipif(not MADE.is_dir(), reason="the project's sample data is not here")
@pytest.mark.parametrize(
    "path",
    [
        "cosem.n5/em/fibsem-uint8",
        "viewer.n5",
        "viewer.n5/c0",
        "bdv.n5",
        "bdv.xml",
        "raw.pc",
        "jpeg.pc",
        "sharded.pc",
        "omezarr04.zarr",
        "omezarr05.zarr",
        "ngffz05_sharded.zarr",
    ],
)
def test_made_by_independent_libraries(path):
    truth = np.load(MADE / "truth.npz")
    image = open_multiscale(MADE / path)
    assert [level.voxel_size for level in image.levels] == [pytest.approx(size) for size in SIZES]
    # Two of the writers made the coarser levels themselves, jpeg loses a little.
    exact = {"bdv.n5": 1, "bdv.xml": 1, "ngffz05_sharded.zarr": 1, "jpeg.pc": 0}.get(path, 3)
    for index in range(3):
        voxels = image.open_level(index)[:]
        assert voxels.shape == truth[f"s{index}"].shape
        error = np.abs(voxels.astype(int) - truth[f"s{index}"])
        assert error.max() == 0 if index < exact else error.mean() < 5


@pytest.mark.skipif(not MADE.is_dir(), reason="the project's sample data is not here")
@pytest.mark.parametrize("codec", [*COMPRESSIONS, "lz4"])
def test_made_by_z5(codec):
    truth = np.load(MADE / "truth.npz")["s2"].astype("u2") * 257
    volume = open_volume_level(MADE / "codecs.n5" / codec)
    assert (volume[:] == truth).all()
    with pytest.warns(UserWarning, match="voxel size missing"):
        assert volume.voxel_size is None


@pytest.mark.skipif(not REAL.is_dir(), reason="the project's sample data is not here")
@pytest.mark.parametrize("path", sorted(REAL.glob("*")), ids=lambda path: path.name)
def test_real_samples_are_read_or_refused_in_a_sentence(path):
    try:
        image = open_multiscale(path)
    except ValueError as error:
        assert "2-D data" in str(error)
    else:
        assert image.open_level(0)[:].shape == image.levels[0].shape


def test_names_and_levels(tmp_path):
    assert split_level("s3://b/a.zarr#s2") == ("s3://b/a.zarr", 2)
    assert image_name("s3://b/jrc_hela-2.n5/em/fibsem-uint8") == "fibsem-uint8"
    assert image_name("gs://b/h01/8nm_raw/") == "8nm_raw"
    root = write_ome_zarr(tmp_path / "cell.ome.zarr", pyramid())
    assert open_volume_level(f"{root}#s1").name == "cell_s1"
    assert open_volume_level(root, 2, name="fly", voxel_size=(1, 2, 3)).voxel_size == (1, 2, 3)
    assert open_multiscale(root).nearest(11) == 1
    with pytest.raises(ValueError, match="no level 3; it has 3"):
        open_volume_level(root, 3)


def test_a_table_that_gives_one_side_of_a_voxel(tmp_path):
    root, path = write_ome_zarr(tmp_path / "cell.zarr", pyramid()), tmp_path / "a.csv"
    path.write_text(f"download_url,mip,voxel_x,voxel_y,voxel_z\n{root},1,x,,40\n")
    (source,), _ = volume_sources(str(path))
    with pytest.warns(UserWarning, match="contradict"), source.open() as volume:
        assert volume.voxel_size == (40.0, 16.0, 12.0)
    path.write_text("name\ncell\n")
    with pytest.raises(UsageError, match="expected a column download_url"):
        volume_sources(str(path))


def test_absurd_sizes_count_as_missing():
    level = Level("", (2, 2, 2), (1, 1, 1), np.dtype("u1"), scale=(0.0, 1.0, 1.0), unit="nm")
    assert level.voxel_size is None


def test_importing_is_cheap():
    heavy = "{'tensorstore', 'zarr', 'torch', 'SimpleITK', 'skimage'} & set(sys.modules)"
    code = f"import sys; import utils.ngff.multiscale, utils.ngff.table; print({heavy})"
    root = Path(__file__).parents[1]
    assert (
        subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True).stdout.strip() == "set()"
    )
