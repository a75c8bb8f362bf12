"""utils/formats/voxel_size.py: units, and sizes that cannot be true."""

import pytest

from utils.formats.voxel_size import checked, checked_unitless, nm_per, nm_text, stated_size


@pytest.mark.parametrize(
    ("zyx", "unit", "nm"),
    [
        ((5, 4, 4), "nm", (5, 4, 4)),
        ((50, 40, 40), "Å", (5, 4, 4)),
        ((0.05, 0.004, 0.004), "microns", (50, 4, 4)),
        ((5e-8, 4e-9, 4e-9), "m", (50, 4, 4)),
        ((5e-6, 4e-6, 4e-6), "Millimeters", (5, 4, 4)),
        ((5000, 4000, 4000), "pm", (5, 4, 4)),
        ((0.01, 4, 1e6), "nm", (0.01, 4, 1e6)),
        ((0.0099, 4, 4), "nm", None),
        ((4, 4, 1000001), "nm", None),
        ((4, 0, 4), "nm", None),
        ((0.1 + 0.2, 4, 4), "nm", (0.3, 4, 4)),
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
    assert checked_unitless((0.002, 0.002, 0.002)).nm is None and checked_unitless((9e-4,) * 3).nm == (900, 900, 900)
    assert checked_unitless((9.5e-4,) * 3).nm == (950, 950, 950)
    assert checked_unitless((0, 0, 0)).why_missing == "the header says 0, 0, 0 nm (z, y, x)"
    assert nm_text((30, 4.5, None)) == "30 x 4.5 x ? nm"
    assert checked_unitless((1, 1, 2)).nm == (1, 1, 2) and checked_unitless(None).why_missing == "the header has none"


def test_what_a_row_states():
    assert stated_size({"voxel_z": "4,5", "voxel_y": "x", "name": "fly"}) == (4.5, None, None)
    for said, why in (("1e7", "voxel_x is 1e[+]07; expected 0.01 to 1e[+]06 nm"), ("two", "voxel_x is 'two'")):
        with pytest.raises(ValueError, match=why):
            stated_size({"voxel_x": said})
