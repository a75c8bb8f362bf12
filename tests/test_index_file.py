"""utils/duplicates/index_file.py: an index that is current is kept, another is made anew."""

import json
import os

import numpy as np
import pytest

from tissue import dictionary
from utils.dictionaries import load_patches
from utils.duplicates.dictionary_index import index_dictionary
from utils.duplicates.index_file import current_index, make_index, read_index
from utils.jobs import SKIPPED
from utils.records.fingerprints import glance


def test_a_new_date_keeps_the_index_and_new_content_does_not(indexed):
    before = (indexed.target / "codes.bin").stat()
    os.utime(indexed.source, ns=(1, 1))
    assert index_dictionary(indexed) == SKIPPED
    assert (indexed.target / "codes.bin").stat().st_mtime_ns == before.st_mtime_ns
    assert read_index(indexed.target).meta["source"][1] == glance([indexed.source]).stamp
    content = load_patches(indexed.source)
    dictionary(indexed.source, {"c": content["patches"][0]})
    assert index_dictionary(indexed) == "1 patches"
    indexed.source.unlink()
    assert current_index(indexed.target, indexed.source) is None


def test_where_nothing_can_be_written_an_index_serves_all_the_same(indexed):
    resource = pytest.importorskip("resource")
    os.utime(indexed.source, (2, 2))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        assert len(current_index(indexed.target, indexed.source)["codes"]) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("harm", ["cut", "json", "version", "gone"])
def test_a_damaged_index_is_made_anew(indexed, harm):
    if harm == "cut":
        (indexed.target / "codes.bin").write_bytes(b"123")
    elif harm == "gone":
        (indexed.target / "names.bin").unlink()
    else:
        meta = json.loads((indexed.target / "index.json").read_text())
        text = "{" if harm == "json" else json.dumps({**meta, "version": 0})
        (indexed.target / "index.json").write_text(text)
    assert read_index(indexed.target) is None
    assert index_dictionary(indexed) == "2 patches"
    assert len(read_index(indexed.target)["codes"]) == 2


def test_an_index_is_mapped_where_it_is_used(indexed, monkeypatch):
    """A process may map so many parts of files, and a collection has more dictionaries."""
    with monkeypatch.context() as patch:
        patch.setattr("mmap.mmap", None)
        index = current_index(indexed.target, indexed.source)
        assert index.rows("codes") == 2 and index.rows("names") > 2
    assert len(index["codes"]) == 2 and index["codes"] is index["codes"]


def test_voxels_beside_their_header_are_a_source_too(tmp_path):
    header = tmp_path / "a.nhdr"
    header.write_text("NRRD0004\ntype: uint8\ndimension: 3\nsizes: 2 2 2\nencoding: raw\ndata file: a.raw\n\n")
    (tmp_path / "a.raw").write_bytes(b"01234567")
    make_index(tmp_path / "i", header, lambda writer, source: {})
    assert current_index(tmp_path / "i", header)
    (tmp_path / "a.raw").write_bytes(b"76543210")
    assert current_index(tmp_path / "i", header) is None


def test_arrays_come_back_as_they_were_appended(tmp_path):
    numbers = np.arange(12, dtype=">i4").reshape(4, 3)

    def fill(writer, source):
        writer.append(numbers=numbers[:3], none=np.zeros((0, 5), np.float32))
        writer.append(numbers=numbers[3:])
        return {"said": "so"}

    source = tmp_path / "source"
    source.write_text("content")
    assert make_index(tmp_path / "i", source, fill)
    assert not make_index(tmp_path / "i", source, fill)
    index = read_index(tmp_path / "i")
    np.testing.assert_array_equal(index["numbers"], numbers)
    assert (index["numbers"].dtype, index["none"].shape, index["none"].dtype) == ("<i4", (0, 5), "f4")
    assert (index.rows("numbers"), index.rows("none"), index.meta["said"]) == (4, 0, "so")
    assert index.rows("never") == 0
