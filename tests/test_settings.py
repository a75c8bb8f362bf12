"""utils/settings.py: what workers elsewhere are told."""

import os

from utils.settings import DATASET, MAX_GB, set_dataset, settings, take_settings


def test_another_processs_settings_replace_ones_own(monkeypatch):
    monkeypatch.setenv(MAX_GB, "3")
    monkeypatch.setenv(DATASET, "a/b")
    there = settings()
    assert there == {MAX_GB: "3", DATASET: "a/b"}
    take_settings({MAX_GB: "5"})
    assert settings() == {MAX_GB: "5"}
    take_settings(there)
    assert os.environ[DATASET] == "a/b" and os.environ[MAX_GB] == "3"
    set_dataset("c")
    assert settings()[DATASET] == "c"
    set_dataset(None)
    assert DATASET not in settings()
