"""Stacks to write: what they are made of, and how they stand."""

import os

import numpy as np
import pytest

from kept_patches import save_kept
from utils.formats.nrrd import write_nrrd
from utils.names import parse_name
from utils.reconstruction.kept_patches import KeptPatch
from utils.reconstruction.stacks import StackOptions, VolumeGroup, stack_recipe, stands
from utils.reconstruction.subvolumes import Subvolume
from utils.records.fingerprints import fingerprint
from utils.records.recipes import fingerprints, record_of, save_record
from utils.results import Scope
from utils.sources import volume_sources

NAME = "fly-ROI-x0-8_y0-8_z0-6-LOC-0_3_0-4_0-4"


@pytest.fixture
def group(tmp_path):
    """A volume, and one subvolume to be cut from it."""
    volume = tmp_path / "fly-ROI-x0-8_y0-8_z0-6.nrrd"
    write_nrrd(volume, np.zeros((6, 8, 8), np.uint8), (1.0, 1.0, 1.0))
    patch = KeptPatch(save_kept(tmp_path / "kept", NAME, np.zeros((4, 4), np.uint8), None), parse_name(NAME))
    (source,), _ = volume_sources(str(volume))
    wanted = Subvolume(patch, 1, 6, tmp_path / "out/fly/a.tif")
    wanted.target.parent.mkdir(parents=True)
    return VolumeGroup(source, (wanted,), {})


def scope_of(group):
    root = group.wanted[0].target.parents[1]
    return Scope("reconstruct3d", root, root)


def make(group, options=None, flipbook=None):
    (wanted,) = group.wanted
    scope, volume = scope_of(group), fingerprint(group.volume_paths())
    recipe = stack_recipe(wanted, volume, group.source, options or StackOptions(), scope)
    for path in wanted.files(flipbook):
        path.touch()
        save_record(path, record_of(recipe, path, fingerprints(recipe), fingerprint([path])))


def test_what_decides_a_stack(group):
    assert StackOptions().as_options() == {
        "slices": 5,
        "contrast": "percentile",
        "raw": False,
        "accept-differences": False,
    }
    assert StackOptions(7, "minmax", True, False, "gif").as_options() == {
        "slices": 7, "contrast": "minmax", "raw": True, "accept-differences": True,
    }  # fmt: skip
    recipe = stack_recipe(
        group.wanted[0], fingerprint(group.volume_paths()), group.source, StackOptions(), scope_of(group)
    )
    assert set(recipe.inputs) == {f"{NAME}.tiff", "fly-ROI-x0-8_y0-8_z0-6"} and recipe.options["slices"] == 5


def test_where_runs_take_turns(group, tmp_path):
    assert not group.spread  # unless it is said
    assert group.lock_path(tmp_path) == tmp_path / "fly/fly-ROI-x0-8_y0-8_z0-6"
    assert [path.name for path in group.volume_paths()] == ["fly-ROI-x0-8_y0-8_z0-6.nrrd"] and str(group).endswith(
        ".nrrd"
    )


def test_how_they_stand(group):
    def standing(**options):
        return stands(group, StackOptions(**options), scope_of(group))

    assert standing() == [None]
    make(group)
    assert standing() == [""] and standing(flipbook="gif") == [None]
    make(group, flipbook="gif")
    assert standing(flipbook="gif") == [""]
    assert standing(slices=7) == ["made with --slices 5, now 7"]
    volume = group.volume_paths()[0]
    os.utime(volume, ns=(0, 0))
    assert standing() == [""]  # the content is the same
    write_nrrd(volume, np.ones((6, 8, 8), np.uint8), (1.0, 1.0, 1.0))
    (reason,) = standing()
    assert reason is not None and "has changed" in reason
