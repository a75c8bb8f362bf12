"""Random fields, noise, gradients: their figures by seed, their mean and deviation."""

import numpy as np
import pytest

from drawn import assert_drawn
from utils.training.synthetic.fields import background, field, gradient, noise, standard

SIZE = 48
DRAWN = {
    field: [
        [0.0, 1.0, 0.91, -1.27],
        [0.0, 1.0, 1.02, 1.36],
        [0.0, 1.0, -0.89, 0.79],
    ],
    noise: [
        [0.0, 1.0, 1.28, 1.45],
        [0.0, 1.0, -0.5, -0.57],
        [0.0, 1.0, -0.2, -1.06],
        [0.01, 0.99, -0.23, 1.1],
        [0.0, 1.0, 0.15, 0.28],
        [0.01, 1.0, 1.64, -1.79],
        [0.0, 1.0, -0.8, -0.86],
        [0.0, 1.0, -0.65, 2.01],
        [-0.01, 0.98, 0.35, 1.42],
        [0.02, 1.0, 0.5, 1.01],
        [0.0, 1.0, 1.41, 1.05],
        [0.0, 1.0, 0.32, 0.22],
    ],
    gradient: [
        [0.17, 0.19, 0.08, 0.34],
        [-0.14, 0.31, -0.49, -0.38],
        [-0.18, 0.19, -0.11, -0.7],
        [0.0, 0.42, 0.14, -0.8],
    ],
    background: [
        [160.29, 25.9, 206.45, 137.05],
        [130.4, 12.39, 123.94, 142.21],
        [72.45, 5.28, 82.71, 69.62],
        [26.07, 20.01, 31.87, -5.22],
        [236.05, 22.87, 231.25, 244.79],
    ],
}


@pytest.mark.parametrize("draw", DRAWN, ids=lambda draw: draw.__name__)
def test_a_seed_draws_the_same(draw):
    more = (5,) if draw is field else ()
    assert_drawn(lambda rng: draw(rng, SIZE, *more), DRAWN[draw], 0.05)


def test_what_is_standard():
    image = standard(np.array([[1.0, 3.0], [5.0, 7.0]]))
    np.testing.assert_allclose(image, np.array([[-3, -1], [1, 3]]) / 5**0.5, atol=1e-5)
    assert image.dtype == np.float32 and not standard(np.full((2, 2), 9.0)).any()
    for seed in range(5):
        rng = np.random.default_rng(seed)
        for drawn in (field(rng, SIZE, 9), noise(rng, SIZE)):
            assert drawn.shape == (SIZE, SIZE) and drawn.dtype == np.float32
            assert abs(drawn.mean()) < 0.1 and drawn.std() == pytest.approx(1, abs=0.1)
        assert np.abs(gradient(rng, SIZE)).max() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("grain", [2, 5, 20.5])
def test_a_field_changes_over_its_grain(grain):
    drawn = field(np.random.default_rng(0), 64, grain)
    assert drawn.shape == (64, 64)
    step = np.abs(np.diff(drawn)).mean()
    assert 0.3 / grain < step < 6 / grain
