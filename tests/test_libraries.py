"""Why some readers are our own: what libraries make of our users' files. ARCHITECTURE.md names these tests."""

import subprocess
import sys
from pathlib import Path

import nrrd
import numpy as np
import pytest

from conftest import ROOT
from utils.volumes import open_volume

OURS = """from pathlib import Path
from utils.volumes import open_volume
open_volume(Path(sys.argv[1]))[:1, :9, :9]"""
SIMPLEITK = """import SimpleITK
reader = SimpleITK.ImageFileReader()
reader.SetFileName(sys.argv[1])
reader.SetExtractSize((9, 9, 1))
reader.Execute()"""
VOXELS = np.random.default_rng(0).integers(0, 200, (3, 4, 5), dtype=np.uint8)


@pytest.mark.parametrize("names", ["LIST 2\nslice0.raw\nslice1.raw\nslice2.raw", "slice%d.raw 0 2 1 2"])
def test_nrrd_of_several_files(tmp_path, names):
    """pynrrd takes one data file only."""
    for index, one in enumerate(VOXELS):
        one.tofile(tmp_path / f"slice{index}.raw")
    header = tmp_path / "several.nhdr"
    header.write_text(f"NRRD0004\ntype: uint8\ndimension: 3\nsizes: 5 4 3\nencoding: raw\ndata file: {names}\n")
    with open_volume(header) as volume:
        assert (volume[:] == VOXELS).all()
    with pytest.raises((OSError, ValueError, nrrd.NRRDError)):
        nrrd.read(str(header))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc")
def test_nrrd_by_region(tmp_path):
    """SimpleITK's reader of NRRD decodes the whole for a region; ours reads what is asked for."""
    zeros = tmp_path / "large.nhdr"
    zeros.write_text("NRRD0004\ntype: uint8\ndimension: 3\nsizes: 512 512 512\nencoding: raw\ndata file: large.raw\n")
    with (tmp_path / "large.raw").open("wb") as file:
        file.truncate(512**3)
    # VmHWM begins anew with a program; ru_maxrss begins with what the parent had.
    peak = "(int(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')).split()[1]) >> 10)"
    read = f"before = {peak}\n{{}}\nprint({peak} - before)"
    grown = {}
    for name, code in {"ours": OURS, "SimpleITK": SIMPLEITK}.items():
        run = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{read.format(code)}", str(zeros)]
        grown[name] = int(subprocess.run(run, capture_output=True, text=True, check=True).stdout)
    assert grown["ours"] < 50 < 128 <= grown["SimpleITK"]
