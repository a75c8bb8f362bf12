"""utils/training/report.py: what its pictures and tables show of scores and labels."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from utils.training import report as room
from utils.training.folds import Doubt
from utils.training.labels import Labelled
from utils.training.recipe import PUBLISHED
from utils.training.report import report_epoch, save_history, save_pictures, save_suspects, save_worst
from utils.training.setting import Setting

SCORES = np.array([0.1, 0.4, 0.35, 0.8, 0.5])
GOOD = np.array([False, False, True, True, True])
PATHS = tuple(Path(f"a source of long name/{i}.png") for i in range(5))
PATCHES = tuple(np.full((8, 8), i, np.uint8) for i in range(5))
DATA = Labelled(PATHS, PATCHES, GOOD, ())


@pytest.fixture
def sheets(monkeypatch):
    """Sections by the file that they are drawn to."""
    drawn = {}
    monkeypatch.setattr(room, "save_sheet", lambda path, sections: drawn.update({path.name: sections}))
    return drawn


def shown(section):
    """What a section says, which patches it shows, and what is written below them."""
    return section.heading, [int(tile.patch[0, 0]) for tile in section.tiles], [tile.caption for tile in section.tiles]


def test_a_training_s_pictures_are_the_same_bytes_again(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        save_pictures(tmp_path / name, DATA, SCORES, "of five")
    names = ["confusion_matrix.png", "roc_curve.png", "worst_errors.png"]
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == names
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    with Image.open(tmp_path / "a/roc_curve.png") as picture:
        assert picture.size == (495, 462) and "Software" not in picture.info


def test_what_curve_and_matrix_show(tmp_path, monkeypatch, sheets):
    figures = {}
    monkeypatch.setattr(room, "_save", lambda figure, path: figures.update({path.stem: figure.axes[0]}))
    save_pictures(tmp_path, DATA, SCORES, "of five")
    roc, matrix = figures["roc_curve"], figures["confusion_matrix"]
    assert roc.get_title() == matrix.get_title() == "of five" and "worst_errors.png" in sheets
    curve, chance = (list(zip(*map(list, line.get_data()), strict=True)) for line in roc.lines)
    assert curve[0] == (0, 0) and (0, 2 / 3) in curve and curve[-1] == (1, 1) and chance == [(0, 0), (1, 1)]
    assert roc.get_legend().get_texts()[0].get_text() == "AUROC 0.8333"
    assert (roc.get_xlim(), roc.get_ylim()) == ((-0.01, 1.01), (-0.01, 1.01))
    cells = {text.get_position(): (text.get_text(), text.get_color()) for text in matrix.texts}
    assert cells == {(0, 0): ("2", "white"), (1, 0): ("0", "black"), (0, 1): ("2", "white"), (1, 1): ("1", "black")}
    assert [label.get_text() for label in matrix.get_xticklabels()] == ["rejected", "kept"]
    assert [label.get_text() for label in matrix.get_yticklabels()] == ["bad", "good"]
    assert (matrix.get_xticks().tolist(), matrix.get_yticks().tolist()) == ([0, 1], [0, 1])


def test_the_worst_come_first_and_no_more_than_fit(tmp_path, monkeypatch, sheets):
    save_worst(tmp_path / "w.png", DATA, SCORES)
    captions = ["0.40 a source of", "0.10 a source of"]
    assert shown(sheets["w.png"][0]) == ("highest scores of 2 bad patches (0 wrong at 0.5)", [1, 0], captions)
    assert shown(sheets["w.png"][1])[:2] == ("lowest scores of 3 good patches (2 wrong at 0.5)", [2, 4, 3])
    monkeypatch.setattr(room, "WORST", 2)
    save_worst(tmp_path / "w.png", DATA, np.full(5, 0.7))
    assert shown(sheets["w.png"][0])[:2] == ("highest scores of 2 bad patches (2 wrong at 0.5)", [0, 1])
    assert shown(sheets["w.png"][1])[:2] == ("lowest scores of 3 good patches (0 wrong at 0.5)", [2, 3])


def test_doubtful_labels_are_listed_and_the_first_are_shown(tmp_path, monkeypatch, sheets):
    monkeypatch.setattr(room, "SUSPECTS", 2)
    doubts = [Doubt(3, 0.01234, 4, 5), Doubt(0, 0.98, 5, 5), Doubt(2, 0.4, 5, 5)]
    save_suspects(tmp_path, DATA, doubts)
    assert (tmp_path / "suspects.csv").read_text().splitlines() == [
        "path,label,score,against,folds",
        f"{PATHS[3].as_posix()},good,0.0123,4,5",
        f"{PATHS[0].as_posix()},bad,0.9800,5,5",
        f"{PATHS[2].as_posix()},good,0.4000,5,5",
    ]
    said = "contradicted by networks that had not seen it: 1"
    assert list(map(shown, sheets["suspects.png"])) == [
        (f"labelled good, {said}", [3], ["0.01 a source of"]),
        (f"labelled bad, {said}", [0], ["0.98 a source of"]),
    ]


def test_a_history_has_every_figure_that_some_epoch_has(tmp_path):
    save_history(tmp_path / "h.csv", [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25, "auroc": 0.9}])
    assert (tmp_path / "h.csv").read_text() == "epoch,loss,auroc\n1,0.5,\n2,0.25,0.9\n"


@pytest.mark.parametrize(
    ("quiet", "said"), [(False, "epoch 3.0/30: train loss 0.2500, validation auroc 0.9877\n"), (True, "")]
)
def test_a_line_an_epoch(capsys, quiet, said):
    setting = Setting(PUBLISHED, DATA, np.zeros(0, int), None, "cpu", half=False, quiet=quiet)
    report_epoch(setting, Path(), {"epoch": 3.0, "train_loss": 0.25, "validation_auroc": 0.98765})
    assert capsys.readouterr().err == said
