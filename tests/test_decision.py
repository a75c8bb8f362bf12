"""What lies beside the weights: threshold, calibration, familiarity; read back, refused when damaged or foreign."""

import base64
import json

import numpy as np
import pytest

from utils.classification.decision import (
    UNFITTED,
    Decision,
    Familiarity,
    decision_path,
    read_decision,
    save_decision,
    unfamiliar_line,
)
from utils.files import sha256_of


def familiarity(limit: float = 0.5) -> Familiarity:
    return Familiarity(np.array([[1.0, 0, 0], [-1, 0, 2]]), np.array([0.0, 0.5]), limit)


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "w.pth"
    path.write_bytes(b"weights")
    return path


def test_round_trip(weights):
    decision = Decision(0.25, 2.0, -1.0, familiarity(), "recall 0.99: 0.9912 of 80 patches not trained on", 112)
    save_decision(weights, sha256_of(weights), decision)
    assert decision_path(weights).name == "w.decision.json"
    back = read_decision(weights)
    assert (back.threshold, back.scale, back.bias, back.aim, back.side) == (0.25, 2.0, -1.0, decision.aim, 112)
    assert back.familiarity is not None and back.familiarity.limit == 0.5
    for name in ("weights", "biases"):
        assert np.array_equal(getattr(back.familiarity, name), getattr(familiarity(), name))
    for least_or_most in (Decision(0.0, side=1), Decision(1.0, side=4096)):
        save_decision(weights, sha256_of(weights), least_or_most)
        assert read_decision(weights) == least_or_most


def test_familiarity_of_the_first_release_is_passed_over(weights):
    save_decision(weights, sha256_of(weights), Decision(0.4))
    content = json.loads(decision_path(weights).read_text())
    content |= {"schema": "patch classifier decision 1", "familiarity": {"limit": 1.0, "mean": {}}}
    decision_path(weights).write_text(json.dumps(content))
    assert read_decision(weights) == Decision(0.4)


def test_weights_alone_decide_at_half(weights):
    assert read_decision(weights) is UNFITTED and UNFITTED.threshold == 0.5
    assert UNFITTED.scores(np.array([0.0, np.log(3), 1000.0, -1000.0])).tolist() == pytest.approx([0.5, 0.75, 1, 0])


def test_other_weights_and_damage_are_refused(weights):
    save_decision(weights, sha256_of(weights), Decision(0.4))
    weights.write_bytes(b"others")
    with pytest.raises(ValueError, match="belongs to other weights"):
        read_decision(weights)
    weights.write_bytes(b"weights")
    content = json.loads(decision_path(weights).read_text())

    def zeros(*shape):
        return {"shape": shape, "float32": base64.b64encode(bytes(4 * int(np.prod(shape)))).decode()}

    no_base64 = {"shape": [1], "float32": "AACA!Pw=="}
    for damage in (
        {"schema": "patch classifier decision 3"},
        {"schema": None},
        {"threshold": 1.5},
        {"threshold": None},
        {"calibration": {"scale": -1, "bias": 0}},
        {"calibration": {"scale": 0, "bias": 0}},
        {"calibration": {"scale": float("inf"), "bias": 0}},
        {"familiarity": {"limit": 1, "weights": zeros(1, 2), "biases": {"shape": [1], "float32": "AADAfw=="}}},
        {"familiarity": {"limit": 1, "weights": zeros(2, 2), "biases": zeros(3)}},
        {"familiarity": 3},
        {"familiarity": {"limit": 1, "weights": no_base64, "biases": no_base64}},
        {"side": 0},
        {"side": 5000},
        {"side": "wide"},
    ):
        decision_path(weights).write_text(json.dumps({**content, **damage}))
        with pytest.raises(ValueError, match=r"w\.decision\.json"):
            read_decision(weights)
    decision_path(weights).write_text("[]")
    with pytest.raises(ValueError, match="not a classifier's decision"):
        read_decision(weights)


def test_scores_and_their_logits_agree():
    decision = Decision(scale=0.5, bias=1.0)
    for score in (0.01, 0.5, 0.9):
        assert decision.scores(np.array([decision.logit_at(score)]))[0] == pytest.approx(score)
    assert decision.logit_at(0) == -np.inf and decision.logit_at(1) == np.inf


def test_distance_is_how_far_heads_disagree():
    features = np.array([[0.25, 9, 0], [0, 0, 0], [1000, 0, 0], [-1000, 0, -2000]])
    half = 1 / (1 + np.exp(-0.5))
    expected = [0, (half - 0.5) / 2, 0.5, 0]
    assert familiarity().distances(features).tolist() == pytest.approx(expected, abs=1e-12)


def test_a_dataset_is_unfamiliar_by_its_mean():
    decision = Decision(familiarity=familiarity(0.5))
    assert decision.is_unfamiliar(np.array([0.1, 0.4, 1.3])) and not decision.is_unfamiliar(np.array([0.25, 0.5, 0.75]))
    assert not decision.is_unfamiliar(np.array([])) and not UNFITTED.is_unfamiliar(np.array([99.0]))


def test_what_is_said_names_the_sheet():
    assert unfamiliar_line("leaf").startswith("leaf: unlike anything") and "leaf.png" in unfamiliar_line("leaf")
