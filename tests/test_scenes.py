"""utils/training/synthetic/scenes.py and negatives.py: drawn patches."""

from pathlib import Path

import numpy as np
import pytest

from utils.training.synthetic.negatives import RUINS
from utils.training.synthetic.scenes import SCENES
from utils.training.synthetic.tissue import tissue

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("draw", [*dict.fromkeys(SCENES), tissue], ids=lambda f: f.__name__)
def test_scenes(draw):
    one, two = (draw(np.random.default_rng(7), 48) for _ in range(2))
    assert one.shape == (48, 48) and np.isfinite(one).all() and np.array_equal(one, two)


@pytest.mark.parametrize("ruin", [*dict.fromkeys(RUINS)], ids=lambda f: f.__name__)
def test_ruins(ruin):
    good = np.random.default_rng(0).uniform(0, 255, (48, 48)).astype(np.float32)
    ruined = ruin(np.random.default_rng(1), good)
    assert ruined.shape == good.shape and np.isfinite(ruined).all()
    if ruin.__name__ == "covered":
        assert np.mean(np.abs(ruined - good) > 1) > 0.75


def test_nothing_but_training_imports_what_it_draws():
    paths = [*(ROOT / "utils").rglob("*.py"), *ROOT.glob("*.py"), *(ROOT / "benchmarks").glob("*.py")]
    users = {path.parent.name for path in paths if "training.synthetic" in path.read_text(encoding="utf-8")}
    assert users == {"training", "synthetic", "benchmarks"}
