"""utils/duplicates/decisions.py: what was decided is remembered while its key holds."""

import pytest

from tissue import cut, dictionary, texture
from utils.duplicates.decisions import key_of, remembered
from utils.duplicates.dictionary_index import index_dictionary, index_path
from utils.jobs import Job
from utils.records.duplicates import Duplicate


@pytest.fixture
def indexed(tmp_path):
    image = texture(6)
    path = dictionary(
        tmp_path / "d" / "fly.pkl", {"a": cut(image, 0, 0), "b": cut(image, 200, 64)}, voxel_size=(9, 4, 4)
    )
    job = Job(path, index_path(path))
    assert index_dictionary(job) == "2 patches"
    return job


def test_decisions_are_remembered_while_their_key_holds(indexed):
    rows = [(0, Duplicate("a", "fly", "b", "bee", 0.5, 0.7, "same"))]
    assert remembered(indexed.source, "duplicates", key_of(1), lambda: rows) == rows
    assert remembered(indexed.source, "duplicates", key_of(1), lambda: []) == rows
    assert remembered(indexed.source, "duplicates", key_of(2), lambda: []) == []
    assert remembered(indexed.source, "duplicates", key_of(1), lambda: rows) == rows
