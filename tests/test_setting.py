"""What all trainings of one command share: plain values with defaults that add nothing."""

from dataclasses import FrozenInstanceError, fields

import numpy as np
import pytest

from utils.training.labels import Labelled
from utils.training.recipe import PUBLISHED
from utils.training.setting import Aim, Judging, Setting


def test_nothing_is_wished_for_unless_it_is_said():
    assert Aim() == Aim(recall=None, precision=None) != Aim(recall=0.9)
    setting = Setting(PUBLISHED, Labelled((), (), np.zeros(0, bool), ()), np.zeros(0, int), None, "cpu", False, True)
    assert Judging().folds == {} and Judging().held.tolist() == []
    assert setting.log is None and setting.bank is None
    assert [field.name for field in fields(setting)][:4] == ["recipe", "data", "groups", "start"]
    with pytest.raises(FrozenInstanceError):
        setting.device = "cuda"
