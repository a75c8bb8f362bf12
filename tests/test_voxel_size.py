"""utils/formats/voxel_size.py: units, and sizes that cannot be true."""

import pytest

from utils.formats.voxel_size import checked, checked_unitless, nm_per


@pytest.mark.parametrize(
    ("zyx", "unit", "nm"),
    [
        ((5, 4, 4), "nm", (5, 4, 4)),
        ((50, 40, 40), "Å", (5, 4, 4)),
        ((0.05, 0.004, 0.004), "microns", (50, 4, 4)),
        ((5e-8, 4e-9, 4e-9), "m", (50, 4, 4)),
        ((float("inf"), 4, 4), "nm", None),
        ((1e7, 4, 4), "nm", None),
        ((1e-4, 4, 4), "nm", None),
        ((5, 4, 4), "furlong", None),
        (None, "nm", None),
    ],
)
def test_units(zyx, unit, nm):
    found = checked(zyx, unit)
    assert found.nm == nm
    assert bool(found.why_missing) == (nm is None)


def test_units_without_a_name():
    assert nm_per("pixel") is None
    assert checked_unitless((30, 8, 8)).nm == (30, 8, 8)
    assert checked_unitless((3e-5, 8e-6, 8e-6)).nm == (30, 8, 8)
    assert checked_unitless((1, 1, 1)).nm is None
