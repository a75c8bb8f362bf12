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
