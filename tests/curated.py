"""Runs of curate.sh, and what must hold of what they leave."""

import os
import shutil
import subprocess
import sys
import warnings
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
import tifffile

from conftest import ROOT
from utils.contrast import to_uint8
from utils.files import list_entries
from utils.names import parse_name
from utils.records.kept_patch import read_kept_record
from utils.volumes import list_volumes, open_volume, volume_name

needs_bash = pytest.mark.skipif(os.name == "nt" or not shutil.which("bash"), reason="curate.sh needs bash")
SETTINGS = {"WEIGHTS": "lite", "CROP": 20, "THRESHOLD": 0, "LIMIT": 6, "PROCESSES": 1, "PYTHON": sys.executable}


def start(folder: Path, out: Path, **options: object) -> subprocess.Popen[str]:
    """Start curate.sh in a process group of its own."""
    environment = {**os.environ, **{name: str(value) for name, value in (SETTINGS | options).items()}}
    return subprocess.Popen(
        ["bash", str(ROOT / "examples" / "curate.sh"), str(folder), str(out)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def curate(folder: Path, out: Path, **options: object) -> tuple[int, str, str]:
    """Run curate.sh; exit code, stdout and stderr."""
    process = start(folder, out, **options)
    stdout, stderr = process.communicate()
    return process.returncode, stdout, stderr


def assert_traced(out: Path) -> int:
    """Every kept patch of a volume equals that region of the volume; returns how many there are."""
    volumes = {volume_name(path): path for path in list_volumes(out / "volumes")[0]}
    patches = [patch for folder in list_entries(out / "filtered" / "3d").folders for patch in folder.glob("*.tiff")]
    for source, own in groupby(sorted(patches, key=source_of), key=source_of):
        with warnings.catch_warnings(action="ignore"), open_volume(volumes[source]) as volume:  # missing voxel sizes
            voxels, size = volume[:], volume.voxel_size
        for patch in own:
            assert read_kept_record(patch).voxel_size == size
            assert_region(patch, voxels)
    return len(patches)


def source_of(patch: Path) -> str:
    """The volume that a patch was cut from."""
    return parse_name(patch.stem).source


def assert_region(patch: Path, voxels: np.ndarray) -> None:
    """A kept patch equals its region of the volume."""
    place, said = parse_name(patch.stem), read_kept_record(patch)
    assert place.axis is not None and said.contrast is not None
    box = [slice(place.box.y0, place.box.y1), slice(place.box.x0, place.box.x1)]
    box.insert(place.axis, slice(place.first, place.first + 1))
    region = to_uint8(voxels[tuple(box)], said.contrast)
    assert np.array_equal(tifffile.imread(patch), region.squeeze(place.axis)), patch


def assert_stacks_hold_patches(out: Path) -> int:
    """The slice in the middle of every stack is the patch that it was made around; returns how many there are."""
    stacks = [stack for folder in list_entries(out / "flipbooks").folders for stack in folder.glob("*.tif")]
    for stack in stacks:
        around = parse_name(stack.stem)
        voxels = tifffile.imread(stack)
        middle = around.first + len(voxels) // 2
        own = [
            patch
            for patch in (out / "filtered" / "3d" / stack.parent.name).glob("*.tiff")
            for place in [parse_name(patch.stem)]
            if (place.source, place.axis, place.first, place.box) == (around.source, around.axis, middle, around.box)
        ]
        assert len(own) == 1
        assert np.array_equal(voxels[len(voxels) // 2], tifffile.imread(own[0]))
    return len(stacks)
