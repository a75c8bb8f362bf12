"""utils/sources.py: what is worth all processes, or a whole cluster."""

import pytest
import SimpleITK as sitk

from conftest import smooth_volume
from utils import sources
from utils.sources import VolumeSource


@pytest.mark.parametrize("name", ["v.mhd", "v.nhdr", "v.mha", "v.nrrd"])
def test_a_volume_is_as_large_as_its_voxels_wherever_they_lie(tmp_path, monkeypatch, name):
    """Beside a header of a few hundred bytes, too."""
    sitk.WriteImage(sitk.GetImageFromArray(smooth_volume((20, 20, 20))), str(tmp_path / name))
    source = VolumeSource("v", tmp_path / name)
    for limit, large in ((8000, True), (10_000, False)):
        monkeypatch.setattr(sources, "LARGE_BYTES", limit)
        assert source.is_large() is large and source.is_worth_spreading() is large
