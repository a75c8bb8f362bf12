"""utils/training/progress.py: what a training says of an epoch."""

from pathlib import Path

import numpy as np

from utils.training.labels import Labelled
from utils.training.progress import report_epoch
from utils.training.recipe import PUBLISHED
from utils.training.setting import Setting

NOTHING = Labelled((), (), np.zeros(0, bool), ())
ROW = {"epoch": 3.0, "train_loss": 0.25, "validation_auroc": 0.98765}


def setting(*, quiet: bool) -> Setting:
    return Setting(PUBLISHED, NOTHING, np.zeros(0, int), None, "cpu", half=False, quiet=quiet)


def test_a_line_an_epoch(capsys):
    report_epoch(setting(quiet=False), Path(), ROW)
    assert capsys.readouterr().err == "epoch 3.0/30: train loss 0.2500, validation auroc 0.9877\n"


def test_quiet_says_nothing(capsys):
    report_epoch(setting(quiet=True), Path(), ROW)
    assert capsys.readouterr().err == ""
