"""utils/classification/margins.py: how far a quick logit is trusted, and what an audit changes."""

import numpy as np
import pytest

from utils.classification.accounts import Tally
from utils.classification.margins import AUDIT_EVERY, MOST_FAILURES, ROUND, Watch, is_audited, margin_of


def test_the_margin_is_of_the_half_that_lies_nearest_to_the_threshold():
    exact = np.concatenate([np.linspace(-1.1, -0.9, 100), np.linspace(1, 5, 100)])
    quick = exact.copy()
    quick[:100] += 0.01
    quick[100:] += 3
    assert margin_of(quick, exact, -1.0) == pytest.approx(0.05)
    quick[0] = exact[0] + 0.1  # the last of that half
    assert margin_of(quick, exact, -1.0) == pytest.approx(0.15)


def test_one_large_move_counts_once_and_a_half():
    exact = np.linspace(-1, 1, 400)
    quick = exact.copy()
    quick[200] += 1
    assert margin_of(quick, exact, 0.0) == 1.5


def test_of_few_patches_no_fewer_than_half_a_round_count():
    exact = np.linspace(0, 1, ROUND // 2)
    quick = exact.copy()
    quick[-1] += 1  # the farthest of them
    assert margin_of(quick, exact, 0.0) == pytest.approx(1.5)


def test_the_audit_is_a_sample_by_pixels():
    patches = np.random.default_rng(0).integers(0, 256, (20 * AUDIT_EVERY, 4, 4), np.uint8)
    chosen = [is_audited(patch) for patch in patches]
    assert 10 <= sum(chosen) <= 32 and np.flatnonzero(chosen)[:4].tolist() == [136, 288, 332, 355]
    assert chosen == [is_audited(np.asfortranarray(patch)) for patch in patches]


def test_what_lies_within_the_margin_is_doubtful():
    assert Watch(Tally("int8"), 1.0, 0.5).doubtful(np.array([0.4, 0.5, 0.6, 1.0, 1.4, 1.5, np.nan])).tolist() == [
        False, False, True, True, True, False, True,
    ]  # fmt: skip


def test_an_audit_that_agrees_changes_nothing():
    watch = Watch(Tally("int8"), 0.0, 0.5)
    assert watch.passes(np.array([-1.0, 2.0]), np.array([-1.2, 2.4]))
    assert (watch.tally, watch.margin) == (Tally("int8", audited=2, equal=2), 0.5)


def test_what_lies_on_the_threshold_is_not_kept():
    assert Watch(Tally("int8"), 0.0, 0.5).passes(np.zeros(1), np.array([-0.1]))
    assert not Watch(Tally("int8"), 0.0, 0.5).passes(np.zeros(1), np.array([0.1]))
    assert Watch(Tally("int8"), 0.0, 0.5).passes(np.array([-0.1]), np.zeros(1))


def test_another_decision_widens_the_margin_twice_beyond_it():
    watch = Watch(Tally("int8"), 0.0, 0.5)
    assert not watch.passes(np.array([-1.0, 2.0]), np.array([0.5, 2.0]))
    assert (watch.tally, watch.margin) == (Tally("int8", audited=2, equal=1, failures=1), 3.0)


def test_a_large_move_near_the_margin_counts_though_it_decides_alike():
    watch = Watch(Tally("int8"), 0.0, 0.5)
    assert watch.passes(np.array([1.0]), np.array([2.0]))  # twice the margin away
    assert watch.passes(np.array([0.9]), np.array([1.4]))  # moved by the margin
    assert not watch.passes(np.array([0.9]), np.array([1.5]))
    assert (watch.tally.equal, watch.tally.failures) == (3, 1) and watch.margin == pytest.approx(1.2)


def test_the_summary_tells_what_became_of_it():
    watch = Watch(Tally("bf16"), 0.0, 0.5)
    assert watch.tally.summary().startswith("bf16: 0.0 % computed again")
    watch.count(seen=150, again=10, audited=4)
    watch.count(seen=50, again=3, equal=4)
    assert watch.tally.summary() == "bf16: 6.5 % computed again; audited 4 patches, 4 decisions equal"
    for failures in range(1, MOST_FAILURES):
        assert not watch.passes(np.array([-1.0]), np.array([1.0]))
        assert watch.tally.summary().endswith(f"; margin widened {failures} times")
    assert not watch.passes(np.array([-1.0]), np.array([1.0]))
    assert watch.tally.given_up == 1 and watch.tally.summary().endswith("; given up after 3 failures")
