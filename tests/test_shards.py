"""Units of an export: which patches lie together, when one stands, and patches that cannot be read."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import tifffile

from utils.collection.ledger import Ledger
from utils.collection.places import Sample
from utils.collection.shards import (
    Rows,
    Shard,
    as_made,
    dataset_folders,
    make_shard,
    mixed_shards,
    patches_by_split,
    readable,
    slices,
)
from utils.jobs import SKIPPED, Job, SomeFailed


def sample(name, dataset="fly", key=0, folder=Path("x")):
    return Sample(name, dataset, dataset, "s", folder / f"{name}.tiff", 0.5, None, None, key)


def row(sample, split):
    return {"name": sample.name, "split": split}


def rows(samples, split):
    return [row(sample, split) for sample in samples]


def test_rows_are_made_of_samples_when_asked_for_wherever_they_are():
    samples = [sample("a", "fly"), sample("b", "bee")]
    free = {"fly": {"license": "CC0"}, "bee": {"license": ""}, "elsewhere": {"license": "x" * 1000}}
    packed = pickle.dumps(Rows(samples, "train", free))
    assert len(packed) < 1000, "a shard carries the columns of its own datasets only"
    for made in (Rows(samples, "train", free), pickle.loads(packed)):
        assert [(r["split"], r["name"], r["license"]) for r in made] == [("train", "a", "CC0"), ("train", "b", "")]
        assert len(made) == 2 and made[1]["dataset"] == "bee"


@pytest.mark.parametrize(
    ("count", "size", "even", "full"),
    [
        (0, 3, [], []),
        (1, 3, [1], [1]),
        (6, 3, [3, 3], [3, 3]),
        (7, 3, [3, 2, 2], [3, 3, 1]),
        (8, 3, [3, 3, 2], [3, 3, 2]),
        (10, 4, [4, 3, 3], [4, 4, 2]),
    ],
)
def test_slices_cover_all(count, size, even, full):
    for found, lengths in ((slices(count, size, even=True), even), (slices(count, size, even=False), full)):
        assert [part.stop - part.start for part in found] == lengths
        assert [i for part in found for i in range(count)[part]] == list(range(count))


def test_shards_mix_datasets_by_keys():
    samples = {"train": [sample("c", "fly", 3), sample("a", "bee", 1), sample("b", "fly", 1)], "test": [sample("d")]}
    first, second, test = mixed_shards(samples, rows, 2, "data/{split}-{index}-of-{count}.tar", even=True)
    assert [s.name for s in first.samples] == ["a", "b"] and [s.name for s in second.samples] == ["c"]
    assert [shard.files for shard in (first, second, test)] == [
        ("data/train-0-of-2.tar",), ("data/train-1-of-2.tar",), ("data/test-0-of-1.tar",),
    ]  # fmt: skip
    assert (test.split, test.rows) == ("test", [{"name": "d", "split": "test"}])
    assert patches_by_split([first, second, test]) == {"train": 3, "test": 1}
    assert "/" not in first.name and str(first) == first.name != second.name
    four = {"train": [sample(str(i)) for i in range(4)]}
    assert [len(s.samples) for s in mixed_shards(four, rows, 3, "{index}", even=False)] == [3, 1]
    assert [len(s.samples) for s in mixed_shards(four, rows, 3, "{index}", even=True)] == [2, 2]


def test_a_folder_for_each_dataset():
    samples = {"train": [sample("b", "fly"), sample("a", "fly"), sample("c", "bee")], "test": []}
    bee, fly = dataset_folders(samples, rows)
    assert bee.files == ("train/bee/c.png",) and fly.files == ("train/fly/a.png", "train/fly/b.png")
    assert [fly.file_of(i) for i in (0, 1)] == list(fly.files)
    assert [r["name"] for r in fly.rows] == ["a", "b"]


@pytest.fixture
def shard(tmp_path):
    """A shard of three patches."""
    samples = [sample(name, folder=tmp_path) for name in "abc"]
    for i, one in enumerate(samples):
        tifffile.imwrite(one.path, np.full((4, 4), i, np.uint8), photometric="minisblack", metadata=None)
    return Shard("u", "train", samples, ("u.bin",), [row(s, "train") for s in samples])


def write(shard, reads, folder):
    (folder / shard.files[0]).write_bytes(b"".join(read.patch.tobytes() for read in reads))


def test_what_cannot_be_read_is_left_out(shard, tmp_path):
    shard.samples[1].path.write_bytes(b"no")
    failures: dict[str, str] = {}
    found = list(readable(shard, failures))
    assert [(r.sample.name, r.file, r.row["name"], r.patch.mean()) for r in found] == [
        ("a", "u.bin", "a", 0.0), ("c", "u.bin", "c", 2.0),
    ]  # fmt: skip
    assert list(failures) == [str(tmp_path / "b.tiff")] and failures[str(tmp_path / "b.tiff")]


def test_a_shard_is_made_once(shard, tmp_path):
    out, job = tmp_path / "out", Job(shard, tmp_path / "out/u")
    assert make_shard(out, "raw", write, job) == "3 patches"
    assert (out / "u.bin").read_bytes() == bytes(16) + b"\1" * 16 + b"\2" * 16
    assert make_shard(out, "raw", write, job) == SKIPPED
    assert make_shard(out, "other", write, job) == "3 patches"
    assert as_made(shard, Ledger(out)) is shard


def test_a_shard_without_damaged_patches_names_them_until_they_are_mended(shard, tmp_path):
    out, job, path = tmp_path / "out", Job(shard, tmp_path / "out/u"), shard.samples[1].path
    whole = path.read_bytes()
    path.write_bytes(b"no")
    for _ in range(2):
        with pytest.raises(SomeFailed) as caught:
            make_shard(out, "raw", write, job)
        assert list(caught.value.failures) == [str(path)]
    assert (out / "u.bin").read_bytes() == bytes(16) + b"\2" * 16
    made = as_made(shard, Ledger(out))
    assert [s.name for s in made.samples] == ["a", "c"] == [r["name"] for r in made.rows] and made.files == ("u.bin",)
    path.write_bytes(whole)
    assert make_shard(out, "raw", write, job) == "3 patches"
    assert as_made(shard, Ledger(out)) is shard


@pytest.mark.parametrize("count", [2, 3])
def test_files_of_their_own_go_with_their_patches(shard, tmp_path, count):
    from dataclasses import replace

    left = ["b.png", "c.png"][: count - 1]
    files = ("e/d/a.png", *(f"e/d/{name}" for name in left))
    each = replace(shard, files=files, samples=shard.samples[:count], rows=shard.rows[:count])
    each.samples[0].path.write_bytes(b"no")
    with pytest.raises(SomeFailed):
        make_shard(tmp_path / "out", "f", lambda s, reads, folder: [(folder / r.file).touch() for r in reads],
                   Job(each, tmp_path / "out/u"))  # fmt: skip
    assert as_made(each, Ledger(tmp_path / "out")).files == files[1:]
    assert sorted(p.name for p in (tmp_path / "out/e/d").iterdir()) == left


def test_a_shard_of_nothing_readable_is_there_all_the_same(shard, tmp_path):
    from dataclasses import replace

    one = replace(shard, samples=shard.samples[:1], rows=shard.rows[:1])
    one.samples[0].path.write_bytes(b"no")
    with pytest.raises(SomeFailed):
        make_shard(tmp_path / "out", "raw", write, Job(one, tmp_path / "out/u"))
    made = as_made(one, Ledger(tmp_path / "out"))
    assert (made.files, made.samples, made.rows) == (("u.bin",), [], [])
    assert (tmp_path / "out/u.bin").read_bytes() == b""


def test_what_decides_a_unit_s_bytes(shard):
    from dataclasses import replace

    first = shard.fingerprint("raw")
    assert first == shard.fingerprint("raw") != shard.fingerprint("tar")
    assert replace(shard, files=("v",)).fingerprint("raw") != first
    assert replace(shard, rows=[{**r, "x": 1} for r in shard.rows]).fingerprint("raw") != first
    patch = shard.samples[0].path
    seen = patch.stat()
    patch.write_bytes(patch.read_bytes()[::-1])  # of the same size and date
    os.utime(patch, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert shard.fingerprint("raw") != first
