"""The whole chain over real volumes and videos, where there are some."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT
from curated import assert_stacks_hold_patches, assert_traced, curate, needs_bash
from utils.files import list_dirs

pytestmark = needs_bash
# Of the real volumes an isotropic one and a stack of sections: the others are cut by other tests.
REAL = ("flyem_medulla_signed", "isbi2012")


@pytest.fixture(scope="module")
def real(tmp_path_factory) -> Path:
    """Real volumes and videos in many formats, built from the data beside the project."""
    tool = ROOT.parent / "shared" / "tools" / "make_volumes.py"
    if not tool.is_file():
        pytest.skip("no real data beside the project")
    folder = tmp_path_factory.mktemp("real")
    subprocess.run([sys.executable, str(tool), str(folder)], check=True, capture_output=True)
    for path in (folder / "3d").iterdir():
        if not path.name.startswith(REAL):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return folder


def test_real_volumes_and_videos(real, tmp_path):
    code, stdout, stderr = curate(real, tmp_path, CROP=400, THRESHOLD=0.5, PROCESSES=1)
    assert code == 0, stdout + stderr
    assert assert_traced(tmp_path) > 50
    assert assert_stacks_hold_patches(tmp_path) > 0
    kept = {p.name for p in list_dirs(tmp_path / "filtered" / "3d")}
    assert kept >= {"flyem_medulla_signed", "isbi2012"}
