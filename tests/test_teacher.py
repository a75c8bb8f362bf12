"""What a teacher sees, the bank of patches it looked at, and the student that guesses it."""

from pathlib import Path

import numpy as np
import pytest
import torch

from utils.classification.models import build_model
from utils.training.bank import Bank, make_bank
from utils.training.batches import BatchRule
from utils.training.labels import Labelled
from utils.training.student import Student
from utils.training.teacher import EfficientNetLite0, SameConv, Teacher, find_teacher


@pytest.fixture(scope="module")
def teacher(tmp_path_factory) -> Teacher:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("teacher") / "t.pth"
    torch.save({**EfficientNetLite0().state_dict(), "_fc.weight": torch.zeros(2, 1280)}, path)
    return Teacher(path)


def data() -> Labelled:
    rng = np.random.default_rng(0)
    patches = tuple(rng.integers(0, 256, (40, 40)).astype(np.uint8) for _ in range(8))
    return Labelled(tuple(Path(f"{i}.png") for i in range(8)), patches, np.arange(8) % 2 == 0, ("a", "b") * 4)


@pytest.mark.parametrize(("size", "kernel", "stride"), [(8, 3, 2), (9, 3, 2), (9, 5, 2), (8, 5, 1)])
def test_odd_padding_goes_right_and_below(size, kernel, stride):
    """A kernel that takes its first tap shows where the padding is: as TensorFlow's SAME, more of it at the end."""
    conv = SameConv(1, 1, kernel, stride=stride, bias=False)
    with torch.no_grad():
        conv.weight.zero_()[..., 0, 0] = 1
        seen = conv(torch.arange(1.0, size * size + 1).view(1, 1, size, size))
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    before = total // 2
    assert seen.shape[2:] == (-(-size // stride),) * 2
    first = seen[0, 0, -(-before // stride), -(-before // stride)]
    place = -(-before // stride) * stride - before
    assert first == place * size + place + 1


def test_features_do_not_depend_on_how_many_are_asked_for(teacher):
    patches = np.random.default_rng(0).integers(0, 256, (6, 64, 64)).astype(np.uint8)
    together = teacher.features(patches)
    assert together.shape == (6, 1280 + 2 * (112 + 192)) and together.dtype == np.float16
    assert np.allclose(together[5:], teacher.features(patches[5:]), atol=1e-2)


def test_other_weights_are_no_teacher(tmp_path):
    torch.save(build_model("lite").state_dict(), tmp_path / "lite.pth")
    with pytest.raises(ValueError, match="not the weights of EfficientNet-Lite0"):
        Teacher(tmp_path / "lite.pth")
    with pytest.raises(FileNotFoundError, match="--teacher takes lite0 or a path"):
        find_teacher(str(tmp_path / "none.pth"))


def test_a_bank_is_made_once_and_knows_its_origins(teacher, tmp_path):
    rule = BatchRule(8, 32, 0.5, "heavy", 0)
    bank = make_bank(tmp_path / "bank.npz", rule, data(), 20, teacher)
    assert bank.images.shape == (20, 32, 32) and bank.images.dtype == np.uint8 and len(bank) == 20
    assert set(bank.origins) <= set(range(-1, 8)) and set(bank.labels) == {0, 1}
    labelled = bank.origins >= 0
    assert labelled.any() and not labelled.all()
    again = make_bank(tmp_path / "bank.npz", rule, data(), 20, teacher)
    assert all(np.array_equal(getattr(bank, name), getattr(again, name)) for name in vars(bank))
    with pytest.raises(ValueError, match="other options or labels"):
        make_bank(tmp_path / "bank.npz", rule, data(), 21, teacher)


def test_a_fold_learns_nothing_from_what_it_leaves_out(teacher, tmp_path):
    bank = make_bank(tmp_path / "bank.npz", BatchRule(8, 32, 0.5, "heavy", 0), data(), 20, teacher)
    left = bank.without(np.array([0, 1, 2]))
    assert not set(left.origins) & {0, 1, 2} and len(left) < 20
    assert (left.origins == -1).sum() == (bank.origins == -1).sum()


def test_a_student_says_what_its_network_says():
    rng = np.random.default_rng(0)
    bank = Bank(*(rng.normal(0, 1, shape).astype(np.float32) for shape in ((5, 8, 8), 5, 5, (5, 7))))
    network = build_model("lite").eval()
    student = Student(network, bank).eval()
    x = torch.randn(2, 1, 64, 64)
    with torch.inference_mode():
        logits, guess = student(x)
        assert torch.equal(logits, network(x).squeeze(1)) and guess is not None and guess.shape == (2, 7)
    aims = (torch.from_numpy(bank.targets[:2]) - student.mean) / student.deviation
    assert float(student.distance(aims, torch.from_numpy(bank.targets[:2]))) == pytest.approx(0, abs=1e-9)
    assert Student(build_model("lite"), None).eval()(x)[1] is None
