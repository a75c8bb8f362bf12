"""NGFF: voxels and voxel sizes under every convention, written by other libraries."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ngff_images import COMPRESSIONS, SIZES, pyramid, write_ome_zarr
from utils.cli import UsageError
from utils.names import image_name, split_level
from utils.ngff.metadata import Level
from utils.ngff.multiscale import open_multiscale, open_volume_level
from utils.sources import volume_sources

MADE = Path(__file__).parents[2] / "shared" / "data" / "ngff_made"
REAL = MADE.with_name("ngff")


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
    assert open_volume_level(f"{root}#s2").shape == pyramid()[2].shape
    assert open_multiscale(root).nearest(11) == 1
    with pytest.raises(ValueError, match="no level 3; it has 3"):
        open_volume_level(f"{root}#s3")


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
