"""On a GPU, where there is one: the same decisions as on a CPU, by one process and by several that share it."""

import numpy as np
import pytest
import torch

import classify_patches
from conftest import results
from utils.classification.classifier import Classifier
from utils.dictionaries import save_patches
from utils.records.scores import read_scores

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")


def blobs(count: int, side: int = 224) -> list[np.ndarray]:
    """Patches of smooth fields and of noise, by turns."""
    import cv2

    rng = np.random.default_rng(0)
    made = []
    for i in range(count):
        nodes = rng.integers(30, 220, (8 + 40 * (i % 3),) * 2).astype(np.uint8)
        made.append(cv2.resize(nodes, (side, side), interpolation=cv2.INTER_LINEAR))
    return made


@pytest.mark.parametrize("network", ["resnet", "lite"])
@pytest.mark.parametrize("precision", ["fp32", "auto"])
def test_a_gpu_decides_as_a_cpu(request, network, precision):
    state, patches = request.getfixturevalue(network), blobs(150)
    exact = Classifier(state, device="cpu", precision="fp32").outputs(patches)[0]
    doubt = float(np.median(exact))
    threshold = 1 / (1 + np.exp(-doubt))
    gpu = Classifier(state, device="cuda", precision=precision, threshold=threshold)
    found = gpu.outputs(patches)[0]
    if precision == "fp32":
        assert found == pytest.approx(exact, abs=2e-3)
    sure = np.abs(exact - doubt) > 1e-3
    assert ((found > gpu.doubt) == (exact > doubt))[sure].all()


def test_batches_of_many_sizes_keep_their_order(lite):
    patches = [*blobs(5, 224), *blobs(4, 100), *blobs(6, 300)]
    whole = Classifier(lite, device="cuda", precision="fp32").scores(patches)
    small = Classifier(lite, device="cuda", precision="fp32", batch_size=2).scores(patches[::-1])[::-1]
    assert whole == pytest.approx(small, abs=1e-3)


def test_processes_that_share_a_gpu_keep_the_same(tmp_path):
    for k in range(3):
        save_patches(tmp_path / f"in/v{k}.pkl", [f"v{k}-LOC-0_{i}" for i in range(40)], blobs(40 + k)[k:])
    tables = []
    for device, processes in (("cuda", "1"), ("cuda", "3"), ("auto", "2"), ("cpu", "1")):
        out = tmp_path / f"{device}{processes}"
        options = ["--weights", "lite", "--device", device, "-p", processes]
        assert classify_patches.main([str(tmp_path / "in"), str(out), *options]) == 0
        tables.append([[row.kept for row in read_scores(path)] for path in sorted(out.glob("*.csv"))])
        if device == "cuda":
            tables[-1].append(list(results(out)))
    assert tables[0] == tables[1]
    assert tables[2] == tables[3] == tables[0][:-1]
