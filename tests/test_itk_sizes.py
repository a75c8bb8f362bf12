"""Files that ITK would fill up with what its memory held are refused."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from utils.formats.itk_sizes import require_all_voxels
from utils.volumes import open_volume

VOXELS = np.arange(5 * 6 * 7, dtype=np.int16).reshape(5, 6, 7)
VTK = (
    "# vtk DataFile Version 3.0\nof a test\n{kind}\nDATASET STRUCTURED_POINTS\nDIMENSIONS 7 6 5\nSPACING 1 1 1\n"
    "ORIGIN 0 0 0\nPOINT_DATA 210\nSCALARS scalars short 1\nLOOKUP_TABLE default\n"
)


def written(path: Path) -> Path:
    import SimpleITK as sitk

    sitk.WriteImage(sitk.GetImageFromArray(VOXELS), str(path))
    return path


def text(path: Path, numbers: int) -> Path:
    path.write_text(VTK.format(kind="ASCII") + "\n".join(map(str, VOXELS.reshape(-1)[:numbers].tolist())))
    return path


@pytest.mark.filterwarnings("ignore:voxel size")
@pytest.mark.parametrize("name", ["a.vtk", "a.gipl"])
def test_what_is_whole_is_read_and_what_is_cut_is_refused(tmp_path, name):
    path = written(tmp_path / name)
    with open_volume(path) as volume:
        assert np.array_equal(volume[:], VOXELS)
    path.write_bytes(path.read_bytes()[:-3])
    with open_volume(path) as volume, pytest.raises(ValueError, match=r"cut short: .* bytes where its header promises"):
        volume[:]


def test_packed_gipl_is_unpacked_to_tell(tmp_path):
    whole = written(tmp_path / "a.gipl").read_bytes()
    path = tmp_path / "a.gipl.gz"
    path.write_bytes(gzip.compress(whole))
    require_all_voxels(path, VOXELS.nbytes, VOXELS.size)
    path.write_bytes(gzip.compress(whole[:-1]))
    with pytest.raises(ValueError, match="675 bytes where its header promises 676"):
        require_all_voxels(path, VOXELS.nbytes, VOXELS.size)


def test_numbers_in_text_are_counted_across_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr("utils.formats.itk_sizes._PIECE", 5)
    require_all_voxels(text(tmp_path / "a.vtk", 210), VOXELS.nbytes, VOXELS.size)
    with pytest.raises(ValueError, match="209 numbers where its header promises 210"):
        require_all_voxels(text(tmp_path / "b.vtk", 209), VOXELS.nbytes, VOXELS.size)


def test_other_heads_and_formats(tmp_path):
    (tmp_path / "a.pic").write_bytes(bytes(76 + 9))
    require_all_voxels(tmp_path / "a.pic", 9, 9)
    with pytest.raises(ValueError, match="85 bytes where its header promises 86"):
        require_all_voxels(tmp_path / "a.pic", 10, 10)
    for name, size in (("a.spr", 1), ("a.sdt", 8)):
        (tmp_path / name).write_bytes(bytes(size))
    require_all_voxels(tmp_path / "a.spr", 8, 8)
    with pytest.raises(ValueError, match="8 bytes"):
        require_all_voxels(tmp_path / "a.spr", 9, 9)
    require_all_voxels(tmp_path / "absent.dcm", 10, 10)
