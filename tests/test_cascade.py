"""utils/classification/cascade.py: quick levels decide what they are trusted with, exact ones the rest."""

import numpy as np

from utils.classification.cascade import Cascade, Precision
from utils.classification.margins import LEAST


class Drawn:
    """Levels over patches that hold their own number: logits are known, and how far a quick level strays."""

    def __init__(self, count: int, error: float, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.exact = rng.normal(0, 3, count)
        self.quick = self.exact + rng.normal(0, error, count)
        self.calls: dict[str, int] = {}
        self.patches = [np.array([[i % 256, i // 256]], np.uint8) for i in range(count)]

    def level(self, name: str, logits: np.ndarray) -> Precision:
        def run(patches):
            self.calls[name] = self.calls.get(name, 0) + len(patches)
            chosen = [int(p[0, 0]) + 256 * int(p[0, 1]) for p in patches]
            return logits[chosen].copy(), np.zeros((len(chosen), 1), np.float32)

        return Precision(name, run)

    def cascade(self) -> Cascade:
        return Cascade([self.level("int8", self.quick), self.level("fp32", self.exact)], 0.2)


def test_the_margin_is_measured_and_decisions_are_the_exact_ones():
    drawn = Drawn(20_000, 0.05)
    cascade = drawn.cascade()
    logits = np.concatenate([cascade(drawn.patches[k : k + 250])[0] for k in range(0, 20_000, 250)])
    assert ((logits > 0.2) == (drawn.exact > 0.2)).all()
    (watch,) = cascade.watches
    assert 0.15 < watch.margin < 0.4 and watch.tally.failures == 0
    assert 100 < watch.tally.audited == watch.tally.equal < 200
    tally, measured = watch.tally, drawn.calls["int8"] - 20_000
    assert drawn.calls["fp32"] == measured + tally.again + tally.audited < 0.07 * 20_000
    share = 100 * np.mean(np.abs(drawn.quick - 0.2) < watch.margin)
    audited = watch.tally.audited
    assert [tally.summary() for tally in cascade.tallies()] == [
        f"int8: {share:.1f} % computed again; audited {audited} patches, {audited} decisions equal"
    ]


def test_more_is_measured_until_it_is_stable():
    steady, growing = Drawn(1000, 0.05), Drawn(1000, 0.05)
    growing.quick = growing.exact + np.arange(1000) / 500
    for drawn in (steady, growing):
        assert drawn.cascade().measure(drawn.patches)
    assert steady.calls["fp32"] < growing.calls["fp32"] == 512


def test_a_failed_audit_widens_the_margin_and_a_precision_that_strays_is_given_up(capsys):
    """After the first patches the quick level is wrong about everything near the threshold."""
    drawn = Drawn(20_000, 0.02)
    drawn.quick[1000:] += np.random.default_rng(1).normal(0, 0.5, 19_000)
    cascade = drawn.cascade()
    parts = [cascade(drawn.patches[k : k + 250])[0] for k in range(0, 20_000, 250)]
    wrong = (np.concatenate(parts)[1000:] > 0.2) != (drawn.exact[1000:] > 0.2)
    (watch,) = cascade.watches
    assert 1 <= cascade.changes == watch.tally.failures < 3 and watch.margin > 1
    assert wrong.mean() < 0.01 and "int8 strayed from fp32 in an audit: it now computes" in capsys.readouterr().err
    assert "margin widened" in cascade.tallies()[0].summary()
    drawn.quick = -drawn.exact + 0.4
    cascade.levels[0] = drawn.level("int8", drawn.quick)
    drawn.quick[:] = np.where(drawn.exact > 0, -100, 100)
    for k in range(0, 20_000, 2500):
        logits = cascade(drawn.patches[k : k + 2500])[0]
    assert [level.name for level in cascade.levels] == ["fp32"] and cascade.is_measured
    assert "fp32 takes its place" in capsys.readouterr().err and "given up" in cascade.tallies()[0].summary()
    assert ((logits > 0.2) == (drawn.exact[17_500:] > 0.2)).all()


def test_what_a_quick_level_doubts_the_next_one_decides_and_the_exact_one_last():
    drawn = Drawn(4000, 0.5)
    better = drawn.exact + np.random.default_rng(1).normal(0, 0.05, 4000)
    levels = [("int8", drawn.quick), ("bf16", better), ("fp32", drawn.exact)]
    cascade = Cascade([drawn.level(name, logits) for name, logits in levels], 0.2)
    assert not cascade.measure(drawn.patches[: LEAST - 1]) and cascade.measure(drawn.patches[:LEAST])
    logits, _ = cascade(drawn.patches)
    assert ((logits > 0.2) == (drawn.exact > 0.2)).all()
    int8, bf16 = cascade.watches
    assert (
        int8.tally.seen == 4000
        and int8.tally.again == bf16.tally.seen == (np.abs(drawn.quick - 0.2) < int8.margin).sum()
    )
    assert bf16.tally.again == ((np.abs(drawn.quick - 0.2) < int8.margin) & (np.abs(better - 0.2) < bf16.margin)).sum()


def test_too_few_patches_to_measure_on_are_computed_exactly():
    drawn = Drawn(100, 5.0)
    assert drawn.cascade()(drawn.patches)[0].tolist() == drawn.exact.tolist()
    assert Cascade([drawn.level("int8", drawn.quick), drawn.level("fp32", drawn.exact)], np.inf)(drawn.patches)[
        0
    ].tolist() == (drawn.quick.tolist())
