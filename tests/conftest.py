"""Fixtures that several test files share, and the scripts as modules."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]
for folder in (ROOT, ROOT / "preprocess", ROOT / "scraping", ROOT / "3d"):
    sys.path.insert(0, str(folder))

settings.register_profile("suite", max_examples=40, deadline=None)
settings.load_profile("suite")

DATA = ROOT.parent / "shared" / "data"


@pytest.fixture
def real_data() -> Path:
    """Real EM files beside the project; tests that need them skip where they are absent."""
    if not DATA.is_dir():
        pytest.skip("no real data beside the project")
    return DATA


@pytest.fixture
def rng() -> np.random.Generator:
    """A seeded generator."""
    return np.random.default_rng(7)


@pytest.fixture
def run_script(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a script in a process of its own, from another folder."""

    def run(script: str, *args: object, **options) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(ROOT / script), *map(str, args)]
        environment = {**os.environ, **options.pop("env", {})}
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, **options)

    return run


def smooth_volume(shape: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    """A uint8 volume of soft blobs: neighbouring slices are alike, distant ones are not."""
    from scipy.ndimage import zoom

    coarse = np.random.default_rng(seed).random([side // 8 + 2 for side in shape])
    fine = zoom(coarse, [side / n for side, n in zip(shape, coarse.shape, strict=True)], order=1)
    return (fine[: shape[0], : shape[1], : shape[2]] * 255).astype(np.uint8)
