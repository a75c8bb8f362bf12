"""utils/contrast.py: one window per image, defined results for every kind of number."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from utils.contrast import CONTRASTS, Contrast, measure_contrast, to_uint8

REAL_DTYPES = ("bool", "uint8", "uint16", "uint32", "int8", "int16", "int32", "float32", "float64")


@pytest.mark.filterwarnings("ignore:.*(constant|finite|leaves out)")
@given(
    st.sampled_from(REAL_DTYPES).flatmap(lambda d: hnp.arrays(d, hnp.array_shapes(min_dims=2, max_dims=3))),
    st.sampled_from(CONTRASTS),
)
def test_any_array_becomes_uint8_of_its_shape_and_order(values, method):
    result = to_uint8(values, method)
    assert result.dtype == np.uint8
    assert result.shape == values.shape
    finite = np.isfinite(values)
    order = np.argsort(values[finite], kind="stable")
    assert (np.diff(result[finite][order].astype(int)) >= 0).all()


def test_uint8_passes_untouched(rng):
    values = rng.integers(0, 256, (9, 9), dtype=np.uint8)
    for method in CONTRASTS:
        assert to_uint8(values, method) is values


def test_twelve_bit_camera_fills_the_range(rng):
    values = rng.integers(0, 4096, (300, 300)).astype(np.uint16)
    result = to_uint8(values)
    assert (result.min(), result.max()) == (0, 255)
    assert abs(float(result.mean()) - 127.5) < 2


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "uint16", "uint32"])
def test_full_range_of_the_dtype(dtype):
    limits = np.iinfo(dtype)
    values = np.array([[limits.min, limits.max]], dtype)
    assert to_uint8(values, "dtype").tolist() == [[0, 255]]


def test_signed_bytes_shift_by_128():
    values = np.arange(-128, 128, dtype=np.int8).reshape(16, 16)
    assert np.array_equal(to_uint8(values, "dtype"), (values.astype(np.int16) + 128).astype(np.uint8))


def test_minmax_and_rounding():
    values = np.array([[-10.0, 0.0, 245.0]])
    assert to_uint8(values, "minmax").tolist() == [[0, 10, 255]]
    assert to_uint8(np.array([[0, 255, 510]], np.int32), "minmax").tolist() == [[0, 128, 255]]


def test_not_finite_values_have_a_defined_result():
    values = np.array([[np.nan, -np.inf, np.inf, 0.0, 1.0]], np.float32)
    with pytest.warns(UserWarning, match="3 values are not finite"):
        assert to_uint8(values, "minmax").tolist() == [[0, 0, 255, 0, 255]]


@pytest.mark.parametrize("values", [np.zeros((4, 4), np.float32), np.full((4, 4), -7, np.int16)])
def test_constant_images_become_zero_aloud(values):
    with pytest.warns(UserWarning, match="constant"):
        assert not to_uint8(values).any()


def test_beside_one_value_only_infinity_is_bright():
    values = np.array([[3, 3, np.inf, -np.inf, np.nan]])
    assert to_uint8(values, Contrast("minmax", 3.0, 3.0)).tolist() == [[0, 0, 255, 0, 0]]


def test_masks_are_black_and_white():
    assert measure_contrast(np.ones((2, 2), bool)) == Contrast("dtype", 0.0, 1.0)
    assert to_uint8(np.array([[False, True]])).tolist() == [[0, 255]]


def test_nothing_finite():
    with pytest.warns(UserWarning):
        assert not to_uint8(np.full((3, 3), np.nan)).any()


def test_mostly_constant_images_fall_back_to_minmax():
    values = np.zeros((200, 200), np.uint16)
    values[0, 0] = 900
    assert measure_contrast(values) == Contrast("minmax", 0.0, 900.0)


@pytest.mark.filterwarnings("ignore:.*(constant|leaves out)")
@given(hnp.arrays(st.sampled_from(["int8", "uint16", "int16"]), hnp.array_shapes(min_dims=2, max_dims=2, max_side=40)))
def test_percentiles_are_numpys(values):
    window = measure_contrast(values)
    if window.method == "percentile" and not window.left_out:
        assert np.allclose(
            [window.low, window.high], np.percentile(values.astype(np.float64), (0.1, 99.9)), rtol=0, atol=1e-6
        )


def test_a_window_is_shared_and_repeated_exactly(rng):
    volume = rng.normal(size=(6, 40, 40)).astype(np.float32)
    window = measure_contrast(volume)
    whole = to_uint8(volume, window)
    again = Contrast.from_dict(window.as_dict())
    assert np.array_equal(to_uint8(volume[3:5, 7:], again), whole[3:5, 7:])


def test_what_set_no_window_is_said_once_recorded_and_clipped(rng):
    values = rng.integers(0, 4096, (200, 300)).astype(np.float32)
    values[:10], values[10:12] = -9999, 1e30
    with pytest.warns(UserWarning) as said:
        contrast = measure_contrast(values, name="a.tif")
    expected = "a.tif: the contrast window leaves out fill values -9999 (5.00%), 1e+30 (1.00%)"
    assert [str(warning.message) for warning in said] == [expected]
    assert contrast.as_dict()["left_out"] == [
        {"low": -9999.0, "high": -9999.0, "share": 0.05},
        {"low": pytest.approx(1e30), "high": pytest.approx(1e30), "share": 0.01},
    ]
    assert Contrast.from_dict(json.loads(json.dumps(contrast.as_dict()))) == contrast
    gray = to_uint8(values, contrast)
    assert not gray[:10].any() and (gray[10:12] == 255).all() and gray[12:].std() > 60


def test_lone_pixels_are_called_so(rng):
    values = rng.normal(1000, 50, (300, 300)).astype(np.uint16)
    values[rng.random(values.shape) < 0.004] = 0
    values[::37, ::11] = rng.integers(5000, 65000, values[::37, ::11].shape)
    with pytest.warns(
        UserWarning, match=r"leaves out fill values 0 \(0.36%\) and hot or dead pixels .*50\d\d to \d+ \(0.2"
    ):
        measure_contrast(values)


@pytest.mark.parametrize("method", ["minmax", "dtype"])
def test_other_methods_leave_nothing_out(method, rng):
    values = rng.integers(0, 4096, (200, 300)).astype(np.uint16)
    values[:10] = 65535
    assert measure_contrast(values, method) == Contrast(method, 0.0, 65535.0)


def test_records_of_older_versions():
    old = {"method": "percentile", "low": 3, "high": 9.5}
    assert Contrast.from_dict(old) == Contrast("percentile", 3.0, 9.5)
    assert Contrast.from_dict(old).as_dict() == old
    assert measure_contrast(np.zeros((2, 2), np.uint8)).as_dict() == {"method": "none", "low": 0.0, "high": 255.0}


def test_bytes_are_stretched_where_that_is_wanted(rng):
    values = rng.integers(100, 142, (200, 200), dtype=np.uint8)
    values[:20] = 0
    with pytest.warns(UserWarning, match=r"fill values 0 \(10"):
        contrast = measure_contrast(values, stretch=True)
    assert contrast.as_dict()["stretch"] is True
    gray = to_uint8(values, Contrast.from_dict(contrast.as_dict()))
    assert set(np.unique(gray[20:])) == {round(i * 255 / 41) for i in range(42)} and not gray[:20].any()
    assert to_uint8(values, Contrast("percentile", 100.0, 141.0)) is values
    assert measure_contrast(values, "minmax", stretch=True) == Contrast("minmax", 0.0, 141.0, stretch=True)


@pytest.mark.parametrize("order", ["<", ">"])
def test_byte_order_does_not_matter(order, rng):
    values = rng.integers(-3000, 3000, (50, 50)).astype(f"{order}i2")
    assert np.array_equal(to_uint8(values), to_uint8(values.astype(np.int16)))


def test_complex_and_unknown_methods_are_refused():
    with pytest.raises(ValueError, match="complex64"):
        to_uint8(np.ones((2, 2), np.complex64))
    with pytest.raises(ValueError, match="'gamma' is none of"):
        to_uint8(np.ones((2, 2)), "gamma")


@pytest.mark.parametrize("method", ["percentile", "minmax"])
def test_the_whole_range_of_float64_has_a_window(method):
    values = np.linspace(-1.0, 1.0, 10_000).reshape(100, 100)
    expected = to_uint8(values, method)
    assert np.array_equal(to_uint8(values * 1.7e308, method), expected) and expected.max() == 255
