"""utils/training/labels.py: lists of labels, and what is wrong with them."""

import numpy as np
import pytest
from PIL import Image

import train_patch_classifier
from tiny_training import table, train
from utils.training.labels import read_labelled


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([("a.png", "good")] * 32 + [("a.png", "bad")] * 31, "63 patches of 63 .* at least 64"),
        ([("a.png", "good")] * 70, "all 70 labels are 'good'"),
        ([("a.png", "bad")] * 70 + [("a.png", "none")] * 9, "all 70 labels are 'bad'"),
        ([("a.png", "good"), ("gone.png", "bad")] * 40, "40 of 80 patches do not exist, the first is .*gone.png"),
        ([("a.png", "good"), ("a.png", "fine")] * 40, "unknown labels 'fine'"),
        ([("a.png", "good"), ("broken.png", "bad")] * 40, "broken.png: "),
    ],
)
def test_labels_that_cannot_be_used(tmp_path, capsys, rows, words):
    path = table(tmp_path / "in", rows)
    Image.new("L", (32, 32)).save(path.with_name("a.png"))
    path.with_name("broken.png").write_bytes(b"no picture")
    assert train(path, tmp_path / "out") == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    import re

    assert re.search(words, said), said


def test_lists_are_read(tmp_path, monkeypatch):
    kinds = ["good", "Informative", "bad", "uninformative", "none", ""] * 20
    for at, name in ((tmp_path / "in", "beside.png"), (tmp_path, "here.png")):
        at.mkdir(exist_ok=True)
        Image.new("L", (8, 6), 9).save(at / name)
    monkeypatch.chdir(tmp_path)
    rows = [("beside.png" if i % 6 < 2 else "here.png", kind, f"s{i % 3}") for i, kind in enumerate(kinds)]
    found = read_labelled(table(tmp_path / "in", rows, ("path", "label", "source")))
    assert len(found) == 80 and found.good.tolist() == [True, True, False, False] * 20
    assert {str(path) for path in found.paths} == {"here.png", str(tmp_path / "in/beside.png")}
    assert found.sources[:5] == ("s0", "s1", "s2", "s0", "s0") and found.patches[7].tolist() == [[9] * 8] * 6
    assert found.joined_sources([("s0", "s2")])[:5] == ("s0", "s1", "s0", "s0", "s0")
    with pytest.raises(ValueError, match=r"no patch has the source 's9'; there are s0, s1, s2"):
        found.joined_sources([("s0", "s9")])
    few = found.subset(np.array([5, 0]))
    assert (few.paths, few.good.tolist()) == ((found.paths[5], found.paths[0]), [True, True])
    assert few.sources == (found.sources[5], "s0")
    names, labels = tmp_path / "in/paths.npy", tmp_path / "in/labels.npy"
    np.save(names, np.array([row[0] for row in rows]))
    np.save(labels, np.array([f" {row[1]}" for row in rows]))
    same = read_labelled(names, labels)
    assert (same.paths, same.good.tolist(), same.sources) == (found.paths, found.good.tolist(), ())
    assert same.subset(np.array([3])).sources == ()
    np.save(labels, np.array(kinds[1:]))
    with pytest.raises(ValueError, match=r"paths\.npy holds 120 paths, but .*labels\.npy holds 119 labels"):
        read_labelled(names, labels)


def test_sixty_four_labels_are_enough(tmp_path):
    path = table(tmp_path / "in", [("a.png", "good")] * 32 + [("a.png", "bad")] * 32)
    Image.new("L", (8, 8)).save(path.with_name("a.png"))
    with pytest.warns(UserWarning, match=r"labelled both good and bad: 1 of the patches, one is .*a\.png$"):
        assert len(read_labelled(path)) == 64
    path.write_text("path,kind\n")
    with pytest.raises(ValueError, match=r"columns are path, kind; expected path,label\[,source\]"):
        read_labelled(path)


def test_object_arrays_are_not_run(tmp_path, capsys):
    np.save(tmp_path / "a.npy", np.array(["x", None], dtype=object), allow_pickle=True)
    assert train(tmp_path / "a.npy", tmp_path / "a.npy", tmp_path / "out") == 2
    assert "astype(str)" in capsys.readouterr().err


def test_a_table_in_another_encoding_is_named(tmp_path, capsys):
    (tmp_path / "a.csv").write_bytes("path,label\né.png,good\n".encode("latin-1"))
    assert train_patch_classifier.main([str(tmp_path / "a.csv"), str(tmp_path / "out")]) == 2
    assert f"{tmp_path / 'a.csv'}: is not a text file in UTF-8" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"\x93NUMPY", b"\x93NUMPY\x01\x00\x10\x00{'descr': '<U4', (", b"PK\x03\x04", b""])
def test_damaged_arrays_of_labels_are_a_sentence(tmp_path, content):

    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.npy: not a \.npy array of strings"):
        read_labelled(tmp_path / "a.npy", tmp_path / "a.npy")


def test_a_table_of_excel_in_utf_16_is_read(tmp_path):

    (tmp_path / "a.csv").write_text("path;label\nx.png;good\n", encoding="utf-16")
    with pytest.raises(ValueError, match="1 patches of 1 are labelled"):
        read_labelled(tmp_path / "a.csv")
