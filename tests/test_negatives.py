"""Uninformative patches: their figures by seed, how much is covered, how often they are made of a good one."""

import numpy as np
import pytest

from drawn import assert_drawn
from utils.training.synthetic.negatives import (
    blurred,
    cover_mask,
    covered,
    filler,
    island_mask,
    lettering,
    pressed,
    scrambled,
    uninformative,
)

GOOD = (np.add.outer(np.arange(48), 2 * np.arange(48)) % 200).astype(np.float32)
RUINED = {
    covered: [
        [154.05, 11.17, 170.55, 145.83],
        [55.37, 23.07, 98.81, 37.0],
    ],
    blurred: [
        [128.0, 14.37, 101.49, 120.76],
        [128.0, 45.07, 36.47, 83.51],
    ],
    pressed: [
        [152.56, 1.52, 154.24, 154.69],
        [170.58, 21.83, 151.33, 157.16],
    ],
    scrambled: [
        [197.3, 36.81, 185.21, 178.35],
        [162.97, 40.55, 170.19, 215.24],
    ],
}
MASKS = [
    [0.3, 0.46, 0.0, 1.0],
    [0.3, 0.45, 1.0, 1.0],
    [0.3, 0.45, 0.96, 0.0],
    [0.3, 0.44, 1.0, 1.0],
    [0.3, 0.44, 0.0, 0.0],
]
FILLERS = [
    [81.79, 11.59, 111.45, 75.0],
    [237.82, 7.28, 229.66, 244.51],
    [255.0, 0.0, 255.0, 255.0],
    [0.0, 0.0, 0.0, 0.0],
]
LETTERS = [
    [69.57, 44.55, 109.5, 121.14],
    [98.22, 115.21, 160.19, 0.0],
    [83.46, 40.12, 109.97, 51.17],
    [115.93, 106.08, 80.34, 255.0],
    [127.04, 86.49, 179.54, 192.47],
]
DRAWN = [
    [26.15, 46.76, 53.73, -12.28],
    [102.21, 21.22, 97.8, 64.66],
    [39.34, 12.54, 48.45, 58.19],
    [121.63, 28.67, 131.77, 131.77],
    [249.1, 34.19, 230.71, 258.8],
    [122.3, 15.08, 103.4, 91.84],
    [104.7, 80.79, 251.69, 249.38],
    [156.57, 14.97, 157.76, 142.33],
]


@pytest.mark.parametrize("ruin", RUINED, ids=lambda ruin: ruin.__name__)
def test_a_seed_ruins_the_same(ruin):
    assert_drawn(lambda rng: ruin(rng, GOOD), RUINED[ruin], 0.3)


def test_a_seed_draws_the_same():
    assert_drawn(lambda rng: uninformative(rng, GOOD)[0], DRAWN, 0.3)
    assert_drawn(lambda rng: lettering(rng, 48), LETTERS, 0.3)
    assert_drawn(lambda rng: cover_mask(rng, 48, 0.3), MASKS, 0.05)
    assert_drawn(lambda rng: filler(rng, 48), FILLERS, 0.3)


@pytest.mark.parametrize("draw", [cover_mask, island_mask])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.85])
def test_masks_cover_their_share(draw, share):
    for seed in range(12):
        mask = draw(np.random.default_rng(seed), 64, share)
        assert mask.mean() == pytest.approx(share, abs=0.02) and mask.min() >= 0 and mask.max() <= 1 + 1e-6


def test_islands_are_discs_and_rectangles():
    kinds = set()
    for seed in range(40):
        left = island_mask(np.random.default_rng(seed), 64, 0.95) < 0.5
        (height, width), area = (np.ptp(np.argwhere(left), axis=0) + 1), left.sum()
        if left[0].any() or left[-1].any() or left[:, 0].any() or left[:, -1].any():
            continue
        kinds.add("rectangle" if area > 0.95 * height * width else "disc")
        assert area > 0.7 * height * width
    assert kinds == {"rectangle", "disc"}


def test_at_least_85_in_a_hundred_are_covered():
    for seed in range(20):
        changed = np.abs(covered(np.random.default_rng(seed), np.full((64, 64), -1e4, np.float32)) + 1e4) > 5e3
        assert changed.mean() > 0.84


def test_a_third_is_made_of_the_good_patch():
    touched = [uninformative(np.random.default_rng(seed), GOOD)[1] for seed in range(150)]
    assert 0.2 < np.mean(touched) < 0.4
