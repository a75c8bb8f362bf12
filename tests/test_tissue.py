"""Drawn cells: their figures by seed, borders darker than insides, organelles that need room."""

import numpy as np
import pytest

from drawn import assert_drawn
from utils.training.synthetic import tissue as room
from utils.training.synthetic.tissue import tissue

TISSUE = [
    [138.98, 54.93, 157.34, 115.77],
    [115.02, 26.24, 116.32, 102.2],
    [148.22, 22.92, 199.41, 108.39],
    [82.5, 45.09, 64.05, 42.47],
    [127.82, 59.99, 21.84, 199.55],
    [143.44, 18.61, 154.37, 149.43],
]
ORGANELLES = {
    room._mitochondrion: [
        [126.56, 9.71, 128.0, 128.0],
        [126.09, 12.89, 128.0, 128.0],
        [127.61, 3.5, 128.0, 128.0],
    ],
    room._vesicles: [
        [127.93, 2.06, 128.0, 128.0],
        [127.65, 4.33, 128.0, 128.0],
        [127.77, 3.46, 128.0, 128.0],
    ],
    room._reticulum: [
        [127.74, 4.02, 128.0, 128.0],
        [127.43, 4.07, 128.0, 128.0],
        [127.91, 2.03, 128.0, 128.0],
    ],
    room._nucleus: [
        [130.41, 11.79, 128.0, 128.0],
        [127.44, 6.93, 128.0, 128.0],
        [127.21, 4.74, 128.0, 128.0],
    ],
}


def drawn(organelle, rng, gap=30.0):
    image = np.full((64, 64), 128, np.float32)
    organelle(rng, image, np.full((64, 64), gap, np.float32))
    return image


def test_a_seed_draws_the_same():
    assert_drawn(lambda rng: tissue(rng, 48), TISSUE, 0.3)


@pytest.mark.parametrize("organelle", ORGANELLES, ids=lambda organelle: organelle.__name__)
def test_organelles(organelle):
    assert_drawn(lambda rng: drawn(organelle, rng), ORGANELLES[organelle], 0.3)
    for seed in range(5):
        assert (drawn(organelle, np.random.default_rng(seed), 0.0) == 128).all()  # no room


@pytest.mark.parametrize("seed", range(4))
def test_territories(seed):
    label, gap = room._territories(np.random.default_rng(seed), 64)
    assert label.shape == gap.shape == (64, 64) and gap.min() >= 0 and gap.dtype == np.float32
    assert 4 <= label.max() + 1 <= 45 and len(np.unique(label)) > 1
    border = np.zeros_like(label, bool)
    border[:, 1:] |= label[:, 1:] != label[:, :-1]
    border[1:] |= label[1:] != label[:-1]
    assert gap[border].mean() < gap[~border].mean() / 2


def test_places_have_room():
    gap = np.zeros((64, 64), np.float32)
    gap[20:40, 30:50] = 5
    for seed in range(30):
        place = room._place(np.random.default_rng(seed), gap, 4)
        if place is not None:
            assert 30 <= place[0] < 50 and 20 <= place[1] < 40
    assert room._place(np.random.default_rng(0), gap, 5) is None
