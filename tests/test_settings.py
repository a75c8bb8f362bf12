"""utils/settings.py: what workers elsewhere are told."""

import os

import pytest

from utils.settings import DATASET, MAX_GB, PLACE, apply_settings, choose, place, settings


def test_another_processs_settings_replace_ones_own(monkeypatch):
    monkeypatch.setenv(MAX_GB, "3")
    monkeypatch.setenv(DATASET, "a/b")
    there = settings()
    assert there == {MAX_GB: "3", DATASET: "a/b"}
    apply_settings({MAX_GB: "5"})
    assert settings() == {MAX_GB: "5"}
    apply_settings(there)
    assert os.environ[DATASET] == "a/b" and os.environ[MAX_GB] == "3"
    choose(DATASET, "c")
    assert settings()[DATASET] == "c"
    choose(DATASET, None)
    assert DATASET not in settings()


@pytest.mark.parametrize(("said", "number"), [("", 0), ("7", 7), ("x", 0), ("-1", 0)])
def test_a_worker_s_place_on_its_machine(monkeypatch, said, number):
    monkeypatch.setenv(PLACE, said)
    assert place() == number
    monkeypatch.delenv(PLACE)
    assert place() == 0
