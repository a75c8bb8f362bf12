"""A dictionary classified: what is kept, when scores are asked for again, names that share a file."""

from types import SimpleNamespace

import numpy as np
import pytest

from utils.classification import classifying as room
from utils.classification.accounts import Account
from utils.classification.classifying import _stored_scores, classify_dictionary
from utils.dictionaries import save_patches
from utils.jobs import Job, Run, run_jobs
from utils.records.recipes import Recipe, known_record
from utils.records.scores import load_distances, read_scores

NAMES = [f"fly-LOC-0_{i}_0-4_0-4" for i in range(5)]
SCORES = np.array([0.1, 0.5, 0.51, 0.9, 0.7])


class Scorer:
    """Scores patches by their first pixel, two at a time; may come to doubt what it said before."""

    at_once, is_aside, weights = 2, False, "abc"

    def __init__(self, doubts=()):
        self.changes, self.batches, self.doubts, self.account = 0, [], set(doubts), Account()

    def examine(self, patches):
        self.batches.append(len(patches))
        if len(self.batches) in self.doubts:
            self.changes += 1
        places = [int(patch[0, 0]) for patch in patches]
        return SimpleNamespace(scores=SCORES[places], distances=np.array(places, float))


class LeftOut:
    def reasons(self, dictionary):
        return {NAMES[3]: "duplicate"}


@pytest.fixture
def classify(tmp_path, monkeypatch):
    """Runs the job of a dictionary of five patches, two at a time; gives its rows."""
    monkeypatch.setattr(room, "STORED", 2)
    path = tmp_path / "in/fly.pkl"
    save_patches(path, NAMES, np.arange(5, dtype=np.uint8)[:, None, None] * np.ones((1, 4, 4), np.uint8))

    def run(scorer, threshold=0.5, left_out=None, update=False):
        options = {"threshold": threshold, "without": left_out is not None, "compression": "none"}
        job = Job(path, tmp_path / "out/fly.csv", Recipe("c", {"fly.pkl": (path,)}, options, tmp_path))

        def work(job, scratch):
            return classify_dictionary(lambda: scorer, job, scratch, threshold=threshold, left_out=left_out)

        assert run_jobs(work, [job], Run(update=update)) == 0
        return [(row.kept, row.reason) for row in read_scores(job.target)]

    return run


def kept(folder):
    return sorted(path.stem for path in (folder / "out/fly").glob("*.tiff"))


def test_what_scores_above_the_threshold_is_kept(classify, tmp_path):
    scorer = Scorer()
    assert classify(scorer) == [(False, "low score")] * 2 + [(True, "kept")] * 3
    assert kept(tmp_path) == NAMES[2:] and scorer.batches == [2, 2, 1]
    assert load_distances(tmp_path / "out/fly.csv").tolist() == [0, 1, 2, 3, 4]


def test_what_computes_aside_is_given_the_next_meanwhile(classify, tmp_path):
    scorer = Scorer()
    scorer.is_aside = True
    assert [kept for kept, _ in classify(scorer)] == [False] * 2 + [True] * 3
    assert kept(tmp_path) == NAMES[2:] and scorer.batches == [2, 2, 1]


def test_what_is_left_out_is_not_kept(classify, tmp_path):
    assert classify(Scorer(), left_out=LeftOut())[3] == (False, "duplicate") and NAMES[3] not in kept(tmp_path)
    assert ",reason\n" in (tmp_path / "out/fly.csv").read_text()


def test_another_threshold_asks_no_network(classify, tmp_path):
    classify(Scorer())
    scorer = Scorer()
    assert classify(scorer, 0.8, update=True)[2:] == [(False, "low score"), (True, "kept"), (False, "low score")]
    assert scorer.batches == [] and kept(tmp_path) == [NAMES[3]]
    made = known_record(tmp_path / "out/fly.csv")
    assert made.options["weights"] == "abc", "known or not when the run began, other weights are others"
    assert load_distances(tmp_path / "out/fly.csv").tolist() == [0, 1, 2, 3, 4]


def test_a_doubt_does_the_dictionary_again(classify, tmp_path):
    scorer = Scorer(doubts={2})
    assert classify(scorer)[2:] == [(True, "kept")] * 3
    assert scorer.batches == [2, 2, 1] * 2 and kept(tmp_path) == NAMES[2:]
    assert len(load_distances(tmp_path / "out/fly.csv")) == 5


def test_scores_stand_where_all_that_decides_them_is_the_same(classify, tmp_path):
    classify(Scorer())
    path = tmp_path / "in/fly.pkl"

    def stored(names=NAMES, recipe=True, **options):
        options = {"threshold": 0.1, "without": True, "compression": "zstd", **options}
        made = Recipe("c", {"fly.pkl": (path,)}, options, tmp_path) if recipe else None
        return _stored_scores(Job(path, tmp_path / "out/fly.csv", made), names)

    np.testing.assert_allclose(stored().left, SCORES)
    assert stored(NAMES[:4]) is None and stored(recipe=False) is None
    (tmp_path / "out/fly.csv").write_text("damaged")
    assert stored() is None
    (tmp_path / "out/fly.csv").unlink()
    assert stored() is None


def test_a_name_that_is_too_long_for_what_lies_beside_a_table(tmp_path):
    job = Job(tmp_path / "a.pkl", tmp_path / f"{'x' * 230}.csv")
    with pytest.raises(ValueError, match="of 230 bytes is too long"):
        classify_dictionary(Scorer, job, tmp_path / "scratch", threshold=0.5)
