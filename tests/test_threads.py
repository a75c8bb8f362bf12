"""Threads of the networks' library: so many, and asleep while they wait."""

import os
import subprocess
import sys

import pytest
import torch

from utils.classification.threads import use_threads
from utils.memory import retain_freed

PAGES = """
import resource
import numpy as np
from utils.classification.classifier import Classifier
from utils.classification.state_files import load_weights
from utils.classification.threads import use_threads
from utils.classification.weights import LITE

network, patches = Classifier(load_weights(LITE), device="cpu", views=1), np.zeros((64, 96, 96), np.uint8)
for keeps in (False, True):
    if keeps:
        use_threads(1)
    network.scores(patches)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    network.scores(patches)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not retain_freed(), reason="no glibc")
def test_memory_that_one_layer_leaves_serves_the_next():
    told = subprocess.run([sys.executable, "-c", PAGES], capture_output=True, text=True, check=True)
    without, kept = map(int, told.stdout.split())
    assert kept < without / 3, "pages that the system cleared"


def test_so_many_threads_that_sleep(monkeypatch):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    before = torch.get_num_threads()
    try:
        use_threads(2)
        assert torch.get_num_threads() == 2
        use_threads(1)
        assert torch.get_num_threads() == 1 and os.environ["OMP_WAIT_POLICY"] == "PASSIVE"
        monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")  # the user's own word
        use_threads()
        assert torch.get_num_threads() == 1 and os.environ["OMP_WAIT_POLICY"] == "ACTIVE"
    finally:
        torch.set_num_threads(before)
