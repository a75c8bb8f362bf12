"""Contact sheets of datasets: which patches, in what order, under which headings."""

from types import SimpleNamespace

import numpy as np
import pytest

from utils.classification import sheets as room
from utils.classification.decision import Decision, Familiarity
from utils.classification.sheets import SheetSource, draw_dataset, unfamiliar_datasets
from utils.dictionaries import save_patches
from utils.jobs import Job
from utils.records.scores import Score, save_distances, save_scores


@pytest.fixture
def drawn(monkeypatch):
    """Sheets of two patches a group; the sections that are drawn."""
    seen = []
    monkeypatch.setattr(room, "SHOWN", 2)
    monkeypatch.setattr(room, "save_sheet", lambda path, sections: seen.extend(sections))
    return seen


@pytest.fixture
def parts(tmp_path):
    """Two dictionaries of one dataset: scores .1 to .6, and .9."""
    jobs = []
    for name, scores in (("fly-ROI-a", [0.1, 0.2, 0.3, 0.55, 0.6, 0.7]), ("fly-ROI-b", [0.9])):
        names = [f"{name}-LOC-0_{i}_0-8_0-8" for i in range(len(scores))]
        grays = np.array([round(100 * s) for s in scores], np.uint8)
        save_patches(tmp_path / f"{name}.pkl", names, grays[:, None, None] * np.ones((1, 8, 8), np.uint8))
        table = tmp_path / f"{name}.csv"
        save_scores(table, [Score(n, s, s > 0.5, "") for n, s in zip(names, scores, strict=True)])
        jobs.append(Job(tmp_path / f"{name}.pkl", table))
    return jobs


def draw(parts, folder, unfamiliar=()):
    tables, dictionaries = zip(*((part.target, part.source) for part in parts), strict=True)
    dataset = SheetSource("fly", tables, dictionaries, "fly" in unfamiliar, 0.5)
    return draw_dataset(Job(dataset, folder / "fly.png"), folder / "s")


def shown(section):
    return [(tile.caption, int(tile.patch[0, 0])) for tile in section.tiles]


def test_groups_by_score(parts, tmp_path, drawn):
    assert draw(parts, tmp_path) == "7 patches of 2 dictionaries"
    kept, rejected, border = drawn
    assert kept.heading == "fly: kept 4 of 7 (score above 0.5)" and rejected.heading == "rejected 3"
    assert shown(kept) == [("0.900 0_0_0-8_0-8", 90), ("0.550 0_3_0-8_0-8", 55)]  # from the highest to the lowest
    assert shown(rejected) == [("0.300 0_2_0-8_0-8", 30), ("0.100 0_0_0-8_0-8", 10)]
    assert shown(border) == [("0.600 0_4_0-8_0-8", 60), ("0.550 0_3_0-8_0-8", 55)]


def test_all_where_they_are_few(parts, tmp_path, drawn, monkeypatch):
    monkeypatch.setattr(room, "SHOWN", 4)
    draw(parts, tmp_path, ["fly"])
    warning, kept, rejected, border = drawn
    assert warning.heading.startswith("fly: unlike anything the model was trained on") and warning.tiles == []
    assert [gray for _, gray in shown(kept)] == [90, 70, 60, 55] and len(rejected.tiles) == 3
    assert [gray for _, gray in shown(border)] == [70, 60, 55, 30]


def test_a_patch_that_is_gone_is_left_out(parts, tmp_path, drawn):
    save_patches(tmp_path / "fly-ROI-b.pkl", ["other"], np.zeros((1, 8, 8), np.uint8))
    draw(parts, tmp_path)
    assert [gray for _, gray in shown(drawn[0])] == [55]


def test_datasets_that_are_unlike_all(tmp_path):
    targets = {name: tmp_path / f"{name}.csv" for name in ("near", "far", "mixed")}
    for name, distances in (("near", [0.1, 0.1]), ("far", [0.4]), ("mixed", [0.1, 0.5])):
        save_distances(targets[name], np.array(distances))
    jobs = {name: [SimpleNamespace(target=path)] for name, path in targets.items()}
    jobs["both"] = [*jobs["near"], *jobs["far"]]
    known = Familiarity(np.zeros((1, 1)), np.zeros(1), 0.25)
    assert unfamiliar_datasets({**jobs, "none": []}, Decision(familiarity=known)) == ["far", "mixed"]
    assert unfamiliar_datasets(jobs, Decision()) == []
