"""What there is along z, y and x."""

import pytest

from utils.axes import triple


def test_three_and_no_other_number():
    assert triple(iter("zyx")) == ("z", "y", "x")
    for wrong in ("zy", "czyx"):
        with pytest.raises(ValueError, match="values to unpack"):
            triple(wrong)
