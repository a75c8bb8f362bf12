"""utils/histogram.py: every value counted, percentiles as numpy has them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from utils import histogram
from utils.histogram import SAMPLE, Histogram

DTYPES = ("uint8", "int8", "int16", "uint16", "int32", "uint64", "float32", "float64")
finite = st.sampled_from(DTYPES).flatmap(
    lambda dtype: hnp.arrays(
        dtype,
        hnp.array_shapes(max_dims=3),
        elements=(
            {"allow_nan": False, "allow_infinity": False}
            if np.dtype(dtype).kind == "f"
            else {"min_value": max(np.iinfo(dtype).min, -(2**52)), "max_value": min(np.iinfo(dtype).max, 2**52)}
        ),
    )
)


@given(finite, st.floats(0, 100))
def test_counts_and_percentiles_are_numpys(values, share):
    histogram = Histogram.of(values)
    distinct, counts = np.unique(values, return_counts=True)
    assert np.array_equal(histogram.values, distinct.astype(np.float64))
    assert np.array_equal(histogram.counts, counts)
    assert (len(histogram), histogram.total) == (distinct.size, values.size)
    with np.errstate(over="ignore", invalid="ignore"):
        expected = np.percentile(values.astype(np.float64) / 4, share) * 4  # /4: numpy's differences may overflow
    scale = max(abs(float(distinct[0])), abs(float(distinct[-1])))
    assert histogram.percentile(share) == pytest.approx(expected, rel=1e-9, abs=1e-12 * scale)


def test_parts_of_a_histogram():
    histogram = Histogram.of(np.array([1, 1, 2, 5, 5, 5], np.int16))
    inner = histogram.within(2, 5)
    assert (inner.values.tolist(), inner.counts.tolist(), inner.ends.tolist()) == ([2, 5], [1, 3], [1, 4])
    assert histogram.chosen(np.array([True, False, True])).values.tolist() == [1, 5]


def test_long_arrays_are_sampled_the_same_way_each_time():
    values = np.arange(3 * SAMPLE, dtype=np.float32)
    one, other = Histogram.of(values), Histogram.of(values)
    assert one.total == SAMPLE and np.array_equal(one.values, other.values)
    assert Histogram.of(values.astype(np.uint16)).total == values.size


def test_many_values_are_sampled_alike_on_every_machine(monkeypatch):
    monkeypatch.setattr(histogram, "SAMPLE", 100)
    values = np.arange(101, dtype=np.float32)
    found = Histogram.of(values)
    drawn, counts = np.unique(np.random.default_rng(0).integers(0, 101, 100), return_counts=True)
    assert found.values.tolist() == drawn.tolist() and found.counts.tolist() == counts.tolist()
    assert len(Histogram.of(values[:100])) == 100  # so many are counted, all of them
    assert Histogram.of(values > 50).counts.tolist() == [51, 50]  # truth values always
