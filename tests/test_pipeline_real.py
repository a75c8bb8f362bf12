"""The whole chain over real volumes and a video, where there are some."""

import runpy
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from conftest import ROOT, only_fuzzed
from curated import assert_stacks_hold_patches, assert_traced, curate, needs_bash
from utils.files import list_entries

# The same chain over made data is test_pipeline's, in every `make test`.
pytestmark = [needs_bash, pytest.mark.fuzz, only_fuzzed]


@pytest.fixture
def real(real_data, tmp_path) -> Path:
    """An isotropic volume, a stack of sections and a video of them: others are cut by other tests."""
    tool = ROOT.parent / "shared" / "tools" / "make_volumes.py"
    if not tool.is_file():
        pytest.skip("no tool for real volumes beside the project")
    make, folder = runpy.run_path(str(tool)), tmp_path / "real"
    for kind in ("3d", "video"):
        (folder / kind).mkdir(parents=True)
    medulla = make["stack"](real_data / "3d" / "flyem_medulla_training1_slices")
    signed = (medulla.astype(np.int16) - 128).astype(np.int8)
    make["write_mrc"](folder / "3d" / "flyem_medulla_signed.mrc", signed, 100.0, signed_bytes=True)
    sections = make["stack"](real_data / "3d" / "isbi2012_train_slices")
    spacing = {"spacing": 0.05, "unit": "um", "axes": "ZYX"}
    place = folder / "3d" / "isbi2012.tif"
    tifffile.imwrite(place, sections, imagej=True, resolution=(250.0, 250.0), metadata=spacing)
    film = cv2.VideoWriter(str(folder / "video" / "film.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (512, 512))
    for frame in sections[::6]:
        film.write(cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR))
    film.release()
    return folder


def test_real_volumes_and_a_video(real, tmp_path):
    out = tmp_path / "out"
    code, stdout, stderr = curate(real, out, CROP=400, THRESHOLD=0.5)
    assert code == 0, stdout + stderr
    assert assert_traced(out) > 50
    assert assert_stacks_hold_patches(out) > 0
    assert {p.name for p in list_entries(out / "filtered" / "3d").folders} >= {"flyem_medulla_signed", "isbi2012"}
