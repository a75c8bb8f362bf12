"""utils/outliers.py: fill values and lone pixels are told from what a picture shows, however rare or saturated."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from utils.histogram import Histogram
from utils.outliers import OutlierRange, _gap, _median_of_3, _suspects, window, without_outliers

SHAPE = (400, 500)
RNG = np.random.default_rng(3)
SMOOTH = gaussian_filter(RNG.normal(size=SHAPE), 4)
# 12-bit: blobs, noise, and no value that stands out.
PICTURE = np.clip(2000 + SMOOTH / SMOOTH.std() * 500 + RNG.normal(0, 100, SHAPE), 5, 4095).astype(np.uint16)
SOME = {share: np.random.default_rng(4).random(SHAPE) < share for share in (0.002, 0.005, 0.01, 0.05, 0.3, 0.5, 0.97)}
BAND = {share: np.arange(SHAPE[0])[:, None] < SHAPE[0] * share + np.zeros(SHAPE) for share in (0.05, 0.7, 0.98)}


def measured(values: np.ndarray) -> tuple[tuple[float, float], list[OutlierRange]]:
    """The window of a picture, and what was left out."""
    picture, fills, lone = without_outliers(values, values[np.isfinite(values)])
    return window(picture), [*fills, *lone]


def assert_seen_through(values: np.ndarray, picture: np.ndarray, tolerance: float = 0.03) -> None:
    """The window is nearly that of the picture without what spoils it."""
    (low, high), expected = measured(values)[0], np.percentile(picture.astype(np.float64), (0.1, 99.9))
    assert np.abs(expected - (low, high)).max() <= tolerance * (expected[1] - expected[0])


FILLS = {
    "uint16": (0, 65535, 40000),
    "int16": (-32768, 32767, -9999),
    "int32": (-(2**31), 2**31 - 1, -9999),
    "float32": (-9999, 1e38, -1e30, np.finfo(np.float32).max, 65535),
    "float64": (-9999, 1e308, -1e308),
}


@pytest.mark.parametrize(("dtype", "fill"), [(dtype, fill) for dtype in FILLS for fill in FILLS[dtype]])
@pytest.mark.parametrize("where", [SOME[0.005], SOME[0.05], SOME[0.3], SOME[0.97], BAND[0.05], BAND[0.98]])
def test_fill_values(dtype, fill, where):
    picture = (PICTURE + (20000 if fill == 0 else 0)).astype(dtype)
    values = np.where(where, np.array(fill, dtype), picture)
    assert_seen_through(values, picture[~where], 0.06)
    ((left_out),) = measured(values)[1]
    assert left_out == OutlierRange(float(np.array(fill, dtype)), float(np.array(fill, dtype)), where.mean())


def test_fills_at_both_ends():
    values = (PICTURE - 2000.0).astype(np.float32)
    values[:30], values[30:40], values[40:60], values[60:64] = -1e30, -9999, 1e38, np.nan
    assert_seen_through(values, PICTURE[64:] - 2000.0)
    assert [entry.low for entry in measured(values)[1]] == pytest.approx([-1e30, -9999, 1e38])


def test_zeros_in_the_middle_of_signed_data():
    values = PICTURE.astype(np.int16) - 2000
    values[BAND[0.98]] = 0
    assert_seen_through(values, PICTURE[~BAND[0.98]] - 2000.0)


@pytest.mark.parametrize("share", [0.002, 0.01])
@pytest.mark.parametrize("kind", ["one value", "any value", "dead", "both"])
def test_hot_and_dead_pixels(share, kind):
    picture = PICTURE.astype(np.int32) + 30000
    bad = {
        "one value": 65535,
        "any value": RNG.integers(40000, 65536, SHAPE),
        "dead": RNG.integers(0, 25000, SHAPE),
        "both": np.where(RNG.random(SHAPE) < 0.5, 65535, RNG.integers(0, 10000, SHAPE)),
    }[kind]
    values = np.where(SOME[share], bad, picture).astype(np.uint16)
    assert_seen_through(values, picture, 0.13)  # no wider than the picture's own range
    if share > 0.002 or kind != "both":  # a thousandth at each end is what percentiles leave out anyway
        assert sum(entry.share for entry in measured(values)[1]) == pytest.approx(SOME[share].mean(), rel=0.1)


def test_lone_pixels_of_large_images_are_told_in_bands(monkeypatch):
    monkeypatch.setattr("utils.planes.SAMPLE", 30_000)
    values = np.where(SOME[0.01], 60000, PICTURE).astype(np.uint16) + RNG.integers(0, 500, SHAPE, np.uint16)
    assert_seen_through(values, PICTURE + 250, 0.15)


def test_hot_pixels_beside_a_fill_and_blends_between_them():
    values = PICTURE.astype(np.float32)
    values[SOME[0.002]] = RNG.uniform(5000, 60000, int(SOME[0.002].sum()))
    values[:20], values[20] = 65535, (65535 + values[20]) / 2
    values[-20:] = np.nan
    assert_seen_through(values, PICTURE[21:-20])


def test_a_fill_that_hot_pixels_would_hide():
    """Beside a window that hot pixels made wide, the step from the fill to the picture would look small."""
    values = PICTURE + np.uint16(3000)
    values[BAND[0.05]] = 0
    values[::29, ::17] = 65535 - np.arange(values[::29, ::17].size).reshape(values[::29, ::17].shape)
    assert_seen_through(values, PICTURE[~BAND[0.05]] + 3000.0)


def test_what_is_rare_but_wider_than_a_pixel_stays():
    values = RNG.normal(1000, 5, SHAPE).round().astype(np.uint16)
    values[100:120, 100:120] = PICTURE[:20, :20] + 1000  # 0.2 % of the picture: a cell in resin
    assert not measured(values)[1]
    assert measured(values)[0][1] > 2500


def test_a_few_lone_pixels_are_not_worth_a_word():
    values = RNG.normal(1000, 5, SHAPE).round().astype(np.uint16)
    values[100:120, 100:120] = PICTURE[:20, :20] + 1000
    values[::60, ::60] = 65000  # 0.03 %: the percentiles leave them out anyway
    assert not measured(values)[1]


@pytest.mark.parametrize(("count", "left_out"), [(7, []), (8, [OutlierRange(9999, 9999, 0.01)])])
def test_fewer_than_eight_values_are_no_picture_beside_which_others_are_wrong(count, left_out):
    values = (100 + np.arange(10_000).reshape(100, 100) * 37 % count).astype(np.uint16)
    values[::10, ::10] = 9999
    assert measured(values)[1] == left_out


def test_lone_pixels_of_pictures_between_0_and_1():
    values = (PICTURE / 2**16).astype(np.float32)
    values[SOME[0.005]] = RNG.uniform(0.5, 1, int(SOME[0.005].sum()))
    assert_seen_through(values, PICTURE / 2**16)


@pytest.mark.parametrize("fill", [0.0, 0.5])
def test_what_lone_pixels_were_is_recorded_exactly(fill):
    values = (PICTURE + 30000).astype(np.uint16)
    hot, dead = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
    hot[3::20, ::15], dead[13::20, 7::15] = True, True
    values[hot], values[dead] = 50000 + np.arange(hot.sum()), 9000 - np.arange(dead.sum())
    rows = int(SHAPE[0] * fill)
    values[:rows] = 65535
    below, above = measured(values)[1][-2:]
    assert (below.low, below.high, below.share) == (
        9001 - dead.sum(),
        values[dead & (values < 9999)].max(),
        dead[rows:].sum() / hot.size,
    )
    assert (above.low, above.high) == (values[rows:][hot[rows:]].min(), 49999 + hot.sum())
    assert above.share == pytest.approx(hot[rows:].sum() / hot.size)


def test_pixels_that_are_known_padding_are_no_neighbours_and_have_no_share():
    values = (PICTURE + 30000).astype(np.uint16)
    values[3::20, ::15] = 50000 + np.arange(values[3::20, ::15].size).reshape(20, -1)
    values[:200] = 7
    (above,) = without_outliers(values, values[200:], padding=7.0)[2]
    assert above.share == pytest.approx(10 * 34 / values[200:].size)
    assert without_outliers(values, values[200:], padding=7.0)[1] == []


def test_planes_of_two_rows_are_judged_along_them():
    values = np.stack([PICTURE[:200], PICTURE[200:]], 1)
    values[::10, 0, ::20] = 60000 + np.arange(20 * 25).reshape(20, 25)
    assert_seen_through(values, PICTURE)


def test_many_fills():
    values = PICTURE.astype(np.float32)
    for row, value in enumerate((-9999, -5e5, -1e7, 1e9, 1e12, 1e15)):
        values[10 * row : 10 * row + 10] = value
    assert_seen_through(values, PICTURE[60:])
    assert len(measured(values)[1]) == 6
    for row in range(6, 10):
        values[10 * row : 10 * row + 10] = 10.0 ** (10 + 2 * row)
    assert len(measured(values)[1]) == 7  # at most: more are no fills


@pytest.mark.parametrize(("value", "fills"), [(97, 0), (96, 1)])
def test_a_common_value_within_three_steps_of_the_picture_is_its_end(value, fills):
    """Eight rare values, then 22 common ones; the fill holds a tenth, many times what those beside it do."""
    values = np.repeat(np.arange(100, 130), [20] * 8 + [400] * 22)
    assert len(measured(np.append(values, [value] * 1000))[1]) == fills


def test_a_picture_s_steps_are_those_of_its_middle_nine_tenths():
    """95.4 % are one apart, the rest ten; a fill that is twenty away would be the end of what has such steps."""
    values = np.repeat([*range(100, 138), *range(150, 610, 10)], [251] * 38 + [10] * 46)
    assert measured(np.append(values, [80] * 5000))[1] == [OutlierRange(80, 80, 5000 / (5000 + values.size))]


def test_a_fill_beside_few_values_need_not_be_common():
    """Each of 64 values holds 1.5 % of the picture; the fill, a band of 1 %, lies further off than all are wide."""
    values = (30000 + np.arange(PICTURE.size).reshape(SHAPE) * 37 % 64).astype(np.uint16)
    values[:4] = 65535
    assert_seen_through(values, values[4:])
    assert measured(values)[1] == [OutlierRange(65535, 65535, 0.01)]


def test_a_common_value_between_two_phases_is_the_picture_s():
    tails = RNG.exponential(100, SHAPE)
    values = np.where(SOME[0.5], 1000 - tails, 1100 + tails)
    values[: int(SHAPE[0] * 0.45)] = 1050
    assert measured(values)[1] == []


def spots(side: int) -> np.ndarray:
    values = RNG.normal(1000, 5, SHAPE)
    for y, x in RNG.integers(0, 390, (int(1000 / side**2), 2)):
        values[y : y + side, x : x + side] = RNG.uniform(20000, 30000)
    return values


@pytest.mark.parametrize("side", [2, 3, 4])
def test_gold_particles_stay(side):
    assert not measured(spots(side))[1]


def levels(count: int, black: float = 0.0) -> np.ndarray:
    quantised = (PICTURE.astype(int) * count // 4096) * (60000 // count)
    return np.where(quantised < np.quantile(quantised, black), 0, quantised).astype(np.uint16)


REAL = {
    "plain": PICTURE,
    "offset": PICTURE + 30000,
    "saturated": np.clip(PICTURE, 1200, 2800),
    "saturated float": np.clip(PICTURE / 4095, 0.3, 0.7).astype(np.float32),
    "zeros beside the data": np.where(SOME[0.3], 0, np.clip(PICTURE.astype(int) - 1500, 0, None)).astype(np.uint16),
    "4-bit": levels(16),
    "4-bit, much black": levels(16, 0.4),
    "counts": np.random.default_rng(1).poisson(0.3, SHAPE).astype(np.uint16),
    "few counts": np.random.default_rng(1).poisson(0.02, SHAPE).astype(np.uint16),
    "exponential": np.random.default_rng(1).exponential(1, SHAPE).astype(np.float32),
    "gamma": ((PICTURE / 4095) ** 4 * 65535).astype(np.uint16),
    "mask": np.where(PICTURE > 2000, 65535, 0).astype(np.uint16),
    "labels": (PICTURE // 1000 * 10000).astype(np.uint16),
    "constant": np.full(SHAPE, 7, np.uint16),
    "one row": PICTURE[:1],
    "tiny": PICTURE[:3, :3],
}


@pytest.mark.parametrize("name", REAL)
def test_real_values_are_left_in(name):
    assert measured(REAL[name])[1] == []


def test_one_row_of_pixels_has_no_neighbours():
    values = PICTURE.astype(np.uint16).reshape(-1)
    values = np.where(SOME[0.01].reshape(-1), RNG.integers(9000, 60000, values.size), values).astype(np.uint16)
    assert measured(values)[1] == []
    assert measured(values.reshape(SHAPE))[1] != []


def test_too_many_lone_pixels_are_the_picture():
    values = np.where(np.random.default_rng(2).random(SHAPE) < 0.08, RNG.integers(9000, 60000, SHAPE), PICTURE)
    assert measured(values.astype(np.uint16))[1] == []
    for rows, columns, shown in ((4, 4, 0), (4, 5, 1), (5, 5, 1)):  # a sixteenth of the pixels, a twentieth, less
        values = PICTURE.copy()
        values[::rows, ::columns] = RNG.integers(9000, 60000, values[::rows, ::columns].shape)
        assert len(measured(values)[1]) == shown


def test_a_stack_of_planes_is_judged_plane_by_plane():
    values = np.stack([PICTURE] * 3)
    values[1][SOME[0.01]] = 60000 + np.arange(int(SOME[0.01].sum())) % 500
    assert_seen_through(values, PICTURE)


def test_what_is_left_out_reads_well():
    assert str(OutlierRange(65535, 65535, 0.0123)) == "65535 (1.23%)"
    assert str(OutlierRange(5000, 9000.5, 0.002)) == "5000 to 9000.5 (0.20%)"


def test_medians_of_three_neighbours_along_an_axis():
    row = np.array([[5, 9, 1, 4]])
    for values, expected in ((row, [5, 5, 4, 4]), (row[:, :3], [5, 5, 1]), (row[:, :2], [5, 9])):
        assert _median_of_3(values, -1).tolist() == [expected]
        assert _median_of_3(values.T, -2).T.tolist() == [expected]


def test_a_picture_between_the_bands_that_are_looked_at_keeps_its_window(monkeypatch):
    monkeypatch.setattr("utils.planes.SAMPLE", 24 * 64)
    values = np.zeros((64, 64), np.uint16)
    values[5] = np.where(np.arange(64) < 62, 100 + np.arange(64) % 20, 900 * np.arange(64))
    picture, fills, lone = without_outliers(values, values.ravel())
    assert [fill.low for fill in fills] == [0] and lone == [] and picture.total == 64


@pytest.mark.parametrize(("stray", "gap"), [(1, 100), (3, 1)])
def test_a_picture_s_nearest_thousandth_may_be_stray(stray, gap):
    picture = Histogram(np.array([1.0, 100.0, 101.0]), np.array([stray, 1500, 500]))
    assert _gap(picture, 0.0) == gap


@pytest.mark.parametrize(("common", "places"), [(9, [0, 9]), (10, [0, 9, 4])])
def test_the_commonest_of_all_holds_more_than_half(common, places):
    counts = np.ones(10, np.int64)
    counts[4] = common
    assert _suspects(Histogram(np.arange(10.0), counts)) == places
