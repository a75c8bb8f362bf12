"""What has been labelled: stored before it is told, told to each page once, taken back step by step."""

import io

import numpy as np
import pytest
from PIL import Image

from made_collection import add_dataset, image_names, pixels
from utils.collection.label_board import Board
from utils.collection.label_queue import Item
from utils.collection.labels import LabelFile
from utils.collection.stock import Stock

NAMES = image_names(["a"])


@pytest.fixture
def board(tmp_path):
    """A board of four patches."""
    add_dataset(tmp_path, "tem", NAMES)
    items = [Item(name, "tem", tmp_path / "patches/tem.pkl") for name in NAMES]
    (tmp_path / "scratch").mkdir()
    return Board(items, Stock(items, tmp_path / "scratch"), LabelFile(tmp_path / "mine.csv", "me"), None)


def picture(board, i):
    return board.table.path.parent / f"mine_patches/tem/{NAMES[i]}.png"


def test_pictures_and_table_are_there_when_it_returns(board):
    board.label([1, 3], "informative")
    for i in (1, 3):
        found = np.asarray(Image.open(io.BytesIO(picture(board, i).read_bytes())))
        np.testing.assert_array_equal(found, pixels(NAMES[i]))
    assert not picture(board, 0).exists()
    assert board.table.labels() == {f"mine_patches/tem/{NAMES[i]}.png": "informative" for i in (1, 3)}


def test_each_page_is_told_once(board):
    assert board.news(0) == {"revision": 0, "changes": []}
    board.label([1], "informative")
    board.label([2, 1], "uninformative")
    assert board.news(0) == {"revision": 3, "changes": [[1, "uninformative"], [2, "uninformative"]]}
    assert board.news(1)["changes"] == [[1, "uninformative"], [2, "uninformative"]]
    assert board.news(3) == {"revision": 3, "changes": []} and board.news(-5)["revision"] == 3
    board.label([2], "uninformative")  # nothing new
    assert board.news(3) == {"revision": 3, "changes": []}


def test_steps_are_taken_back(board):
    board.label([1], "informative")
    board.label([2, 3], "uninformative")
    assert board.undo() == [2, 3]
    assert board.news(3) == {"revision": 5, "changes": [[2, ""], [3, ""]]}
    assert board.undo() == [1] and board.undo() == []


def test_what_others_write_is_news(board):
    LabelFile(board.table.path, "you").put({f"mine_patches/tem/{NAMES[0]}.png": "informative"}, {})
    assert board.news(0) == {"revision": 1, "changes": [[0, "informative"]]}


def test_what_was_labelled_before_is_shown(board):
    board.label([1], "informative")
    again = Board(board.items, board.stock, LabelFile(board.table.path, "me"), None)
    assert again.news(0) == {"revision": 1, "changes": [[1, "informative"]]}


def test_names_that_are_no_files_are_refused(board):
    board.items[0] = Item("..", "tem", board.items[0].where)
    board._paths[0] = "mine_patches/tem/.."
    with pytest.raises(ValueError, match=r"\.\."):
        board.label([0], "informative")
