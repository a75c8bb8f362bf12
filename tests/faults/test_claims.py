"""Metadata that claim what nobody has, tables and XML that would fill the memory: one sentence, and soon."""

import bz2
import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from conftest import ROOT
from utils import memory
from utils.cubes import grid
from utils.volumes import open_volume

VAST = [10**6] * 3


def write_json(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def zarr(folder: Path, shape: list, chunks: list) -> Path:
    scale = [{"type": "scale", "scale": [8, 8, 8]}]
    axes = [{"name": name, "type": "space", "unit": "nanometer"} for name in "zyx"]
    levels = [{"path": "0", "coordinateTransformations": scale}]
    array = {"shape": shape, "chunks": chunks, "dtype": "|u1", "compressor": None, "fill_value": 0, "order": "C"}
    write_json(folder / ".zgroup", {"zarr_format": 2})
    write_json(folder / ".zattrs", {"multiscales": [{"version": "0.4", "axes": axes, "datasets": levels}]})
    write_json(folder / "0" / ".zarray", {"zarr_format": 2, "filters": None, **array})
    return folder


def zarr3(folder: Path, shape: list, chunks: list) -> Path:
    array = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": shape,
        "data_type": "uint8",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunks}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0,
        "codecs": [{"name": "bytes"}],
        "dimension_names": ["z", "y", "x"],
    }
    write_json(folder / "zarr.json", array)
    return folder


def n5(folder: Path, shape: list, chunks: list) -> Path:
    array = {"dimensions": shape, "blockSize": chunks, "dataType": "uint8", "compression": {"type": "raw"}}
    write_json(folder / "attributes.json", {"n5": "2.0.0"})
    write_json(folder / "s0" / "attributes.json", {**array, "resolution": [8, 8, 8]})
    return folder


def precomputed(folder: Path, shape: list, chunks: list) -> Path:
    scale = {"key": "8", "size": shape, "chunk_sizes": [chunks], "resolution": [8, 8, 8], "encoding": "raw"}
    write_json(folder / "info", {"type": "image", "data_type": "uint8", "num_channels": 1, "scales": [scale]})
    return folder


KINDS = {".zarr": zarr, "3.zarr": zarr3, ".n5": n5, ".precomputed": precomputed}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("ending", KINDS)
def test_a_chunk_that_fits_nowhere_is_refused(tmp_path, ending):
    with pytest.raises(ValueError, match=r"a chunk of 1000000 x .* takes 1e\+09 GB .* allowed \(--max-gb\)"):
        open_volume(KINDS[ending](tmp_path / f"a{ending}", VAST, VAST))


def test_a_chunk_that_fits_nowhere_costs_its_dataset_not_the_run(tmp_path, run_script):
    (zarr(tmp_path / "a.zarr", VAST, VAST) / "0" / "0.0.0").write_bytes(bytes(99))
    ended = run_script("scraping/ngff_download.py", tmp_path / "a.zarr", tmp_path / "out", "-gb", "0.0001", "-cs", "32")
    assert (ended.returncode, "a chunk of 1000000 x" in ended.stderr) == (1, True), ended.stderr
    assert "datasets: 0 done, 0 done before, 1 failed" in ended.stdout


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("ending", KINDS)
@pytest.mark.parametrize("garbled", [[0, 64, 64], [-64, 64, 64], [6.5, 64, 64], ["64", 64, 64], [None, 64, 64], [64]])
def test_chunks_that_are_no_lengths(tmp_path, ending, garbled):
    with pytest.raises((ValueError, OSError)):
        open_volume(KINDS[ending](tmp_path / f"a{ending}", [100, 100, 100], garbled))


def test_a_chunk_that_is_no_length_along_an_axis_beside_z_y_and_x(tmp_path):
    image = n5(tmp_path / "a.n5", [100, 100, 100, 1], [64, 64, 64, "x"])
    with pytest.raises(ValueError, match=r"its metadata are garbled: chunks \[64, 64, 64, 'x'\]"):
        open_volume(image)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("ending", KINDS)
def test_a_vast_volume_that_is_mostly_empty_is_read_by_region(tmp_path, ending):
    with open_volume(KINDS[ending](tmp_path / f"a{ending}", VAST, [64, 64, 64])) as volume:
        assert volume.shape == tuple(VAST) and not volume[:3, 5:70, -9:].any()
        with memory.limited_to(0.5), pytest.raises(ValueError, match="a region of 1 x 1000000 x 1000000 voxels takes"):
            volume[7]


def test_a_precomputed_chunk_is_cut_at_the_end(tmp_path):
    with open_volume(precomputed(tmp_path / "a.precomputed", [40, 50, 60], VAST)) as volume:
        assert volume.shape == (60, 50, 40)


def test_patches_without_end_are_refused_before_they_are_listed():
    with pytest.raises(
        ValueError, match=r"1000000 x .* voxels give 59808675000000 patches, .* \(--max-gb\): take a coarser"
    ):
        grid(VAST, 224)
    with memory.limited_to(0.001):
        assert len(grid((600, 600, 600), 600)) == 1
        with pytest.raises(ValueError, match="give 6480000 patches"):
            grid((600, 600, 600), 10)
    assert len(grid((600, 600, 600), 224)) == 27


@pytest.mark.parametrize(
    "script", ["patchify3d.py", "preprocess/binvol.py -o", "scraping/crop_rois_from_volume.py -gb 0.001 -cs 64"]
)
def test_scripts_go_on_after_a_vast_one(tmp_path, run_script, script):
    zarr(tmp_path / "in" / "vast.zarr", VAST, [64, 64, 1024])
    done = run_script(*_between(script, tmp_path / "in", tmp_path / "out"), "--max-gb", 1, "-p", 1, timeout=60)
    assert done.returncode in (0, 1) and "Traceback" not in done.stderr
    assert done.returncode == 0 or "(--max-gb)" in done.stderr, done.stderr


def _between(script: str, source: Path, target: Path) -> list[object]:
    name, *options = script.split()
    return [name, source, "-o", target] if "-o" in options else [name, source, target, *options]


@pytest.mark.parametrize(("ending", "opener"), [(".gz", gzip.open), (".bz2", bz2.open)])
def test_packed_mrc_is_held_to_its_claims(tmp_path, ending, opener):
    plain = tmp_path / "a.mrc"
    with mrcfile.new(plain) as mrc:
        mrc.set_data(np.arange(2400, dtype=np.int16).reshape(4, 30, 20))
        mrc.voxel_size = 10.0
    packed = tmp_path / f"a.mrc{ending}"
    data = bytearray(plain.read_bytes())
    with opener(packed, "wb") as f:
        f.write(data)
    with open_volume(packed) as volume, open_volume(plain) as wanted:
        np.testing.assert_array_equal(volume[:], wanted[:])
        with memory.limited_to(1e-6), pytest.raises(ValueError, match="--max-gb"), open_volume(packed) as again:
            again._whole()
    data[:12] = np.array([100_000] * 3, np.int32).tobytes()
    with opener(packed, "wb") as f:
        f.write(data)
    with pytest.raises(ValueError, match=r"more than .* can hold"):
        open_volume(packed)


@pytest.mark.parametrize("name", ["a.mrc", "a.mrc.gz", "a.mrc.bz2"])
def test_a_pipe_is_no_mrc(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(ValueError, match=r"is a pipe|is empty"):
        open_volume(tmp_path / name)


@pytest.mark.parametrize("ending", ["dm3", "dm4"])
def test_gatans_own_format_is_named(tmp_path, ending):
    (tmp_path / f"a.{ending}").write_bytes(b"\0\0\0\3" + bytes(99))
    with pytest.raises(ValueError, match=rf"\.{ending} is Gatan .*: convert it with IMOD's dm2mrc"):
        open_volume(tmp_path / f"a.{ending}")


BOMB = (
    '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b0 "ha">'
    + "".join(f'<!ENTITY b{i} "{f"&b{i - 1};" * 10}">' for i in range(1, 30))
    + "]><SpimData><a>&b29;</a></SpimData>"
)
# What a file says, by name: as an address, or as a table.
HOSTILE = {
    "bomb.xml": BOMB,
    "outside.xml": '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><SpimData>&x;</SpimData>',
    "deep.xml": "<a>" * 200_000,
    "cell.csv": "notes,url\n" + "x" * 300_000 + ",nowhere.zarr\n",
    "zeros.csv": "\0" * 10_000,
    "quote.csv": 'name,url\n"' + "a,b\n" * 10_000,
    "deep.zarr/.zattrs": "[" * 200_000,
    "deep.zarr/.zarray": '{"shape": ' + "[" * 200_000,
    "number.n5/attributes.json": '{"dimensions": [1'
    + "0" * 6000
    + ', 1, 1], "blockSize": [1,1,1], "dataType": "uint8"}',
    "nan.precomputed/info": '{"scales": [{"key": "1", "size": [NaN, Infinity, 1e999], "chunk_sizes": [[1, 1, 1]]}]}',
}


# One process reads them all, one after another: what ends it shows in every test.
ONE_BY_ONE = """
import contextlib, io, json, sys
sys.path.insert(0, sys.argv[1])
import patchify3d
for out, address in enumerate(sys.argv[2:]):
    with contextlib.redirect_stderr(io.StringIO()) as said, contextlib.redirect_stdout(io.StringIO()):
        try:
            code = patchify3d.main([address, f"out{out}", "-p", "1"])
        except SystemExit as end:
            code = end.code
    print(json.dumps([code, said.getvalue()]), flush=True)
"""


@pytest.fixture(scope="module")
def ended(tmp_path_factory) -> dict[str, list]:
    """Exit code and stderr of patchify3d by what it was given."""
    folder, addresses = tmp_path_factory.mktemp("hostile"), []
    for number, (name, text) in enumerate(HOSTILE.items()):
        path = folder / str(number) / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
        addresses.append(path if name.endswith((".xml", ".csv")) else path.parent)
    command = [sys.executable, "-c", ONE_BY_ONE, str(ROOT), *map(str, addresses)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=folder)
    assert done.returncode == 0, done.stderr[-2000:]
    return dict(zip(HOSTILE, map(json.loads, done.stdout.splitlines()), strict=True))


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_a_sentence(ended, name):
    code, said = ended[name]
    assert code in (1, 2) and "Traceback" not in said, said[-2000:]
    assert 0 < len(said) < 3000
