"""Who is answered, and what: the token, the host, pictures, labels told once, requests that mean nothing."""

import http.client
import io
import json
import threading

import numpy as np
import pytest
from PIL import Image

from made_collection import add_dataset, image_names, pixels
from utils.collection.label_queue import Item, Neighbours, Stock
from utils.collection.label_server import Board, LabelServer
from utils.collection.labels import LabelFile
from utils.formats.writers import write_nrrd

NAMES = image_names(["a"])


@pytest.fixture
def server(tmp_path):
    """A server of four patches."""
    add_dataset(tmp_path, "tem", NAMES)
    items = [Item(name, "tem", tmp_path / "patches/tem.pkl", 0.5) for name in NAMES]
    (tmp_path / "scratch").mkdir()
    (tmp_path / "volumes").mkdir()
    write_nrrd(tmp_path / "volumes/fly.nrrd", np.zeros((2, 4, 4), np.uint8), (1.0, 1.0, 1.0))
    stock, table = Stock(items, tmp_path / "scratch"), LabelFile(tmp_path / "mine.csv", "me")
    server = LabelServer(
        Board(items, stock, table, Neighbours([str(tmp_path / "volumes")])), 0, "secret", {"who": "me"}
    )
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def ask(server, path="", method="GET", body=None, token="secret", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)
    headers = {"Host": f"127.0.0.1:{server.server_port}", **{k.replace("_", "-"): v for k, v in headers.items()}}
    connection.request(method, f"/{token}/{path}", body, headers)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, content, answer.headers


def post(server, path, said, **headers):
    status, content, _ = ask(server, path, "POST", json.dumps(said), **headers)
    return status, json.loads(content) if status == 200 else None


def test_the_page(server):
    status, content, headers = ask(server)
    assert status == 200 and b"<html" in content and headers["Content-Type"] == "text/html; charset=utf-8"
    assert headers["Cache-Control"] == "no-store" and "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Frame-Options"] == "DENY" and server.address == f"http://127.0.0.1:{server.server_port}/secret/"
    assert ask(server, "label.js")[2]["Content-Type"].startswith("text/javascript")
    said = json.loads(ask(server, "items.json")[1])
    assert said["who"] == "me" and said["datasets"] == ["tem"] and said["slices"] is True
    assert said["items"] == [[name, 0, 0.5] for name in NAMES] and said["revision"] == 0


@pytest.mark.parametrize(
    ("token", "host", "status"),
    [
        ("secret", "localhost:{}", 200),
        ("secret", "127.0.0.1:{}", 200),
        ("secret", "evil.example:{}", 403),
        ("secret", "127.0.0.1", 403),
        ("wrong", "127.0.0.1:{}", 403),
        ("", "127.0.0.1:{}", 403),
        ("secre", "127.0.0.1:{}", 403),
    ],
)
def test_who_is_answered(server, token, host, status):
    assert ask(server, "news", token=token, Host=host.format(server.server_port))[0] == status
    assert ask(server, "undo", "POST", "{}", token=token, Host=host.format(server.server_port))[0] == status


def test_pictures(server):
    status, content, headers = ask(server, "patch/2")
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(content))), pixels(NAMES[2]))
    assert status == 200 and headers["Content-Type"] == "image/png" and headers["Cache-Control"].startswith("private")
    for path in ("patch/4", "patch/-1", "patch/x", "patch", "slice/0/1", "slice/9/1", "slice/0/x", "slice/0", "else",
                 "slice/0/--1", "slice/0/", "patch/2/1", f"patch/{'9' * 5000}"):  # fmt: skip
        assert ask(server, path)[0] == 404, path


def test_labels_and_undo(server):
    assert post(server, "label", {"items": [1], "label": "good"}) == (
        200, {"revision": 1, "changes": [[1, "good"]]},
    )  # fmt: skip
    origin = f"http://127.0.0.1:{server.server_port}"
    status, said = post(server, "label", {"items": [2, "3"], "label": "bad", "since": 1}, Origin=origin)
    assert status == 200 and said["changes"] == [[2, "bad"], [3, "bad"]]
    assert post(server, "undo", {"since": 3}) == (200, {"undone": [2, 3], "revision": 5, "changes": [[2, ""], [3, ""]]})
    assert json.loads(ask(server, "news?since=4")[1]) == {"revision": 5, "changes": [[3, ""]]}
    for since in ("x", "-7", "9" * 5000):
        assert json.loads(ask(server, f"news?since={since}")[1])["revision"] == 5


@pytest.mark.parametrize(
    ("path", "body", "headers", "status"),
    [
        ("label", '{"items": [4], "label": "good"}', {}, 400),
        ("label", '{"items": [-1], "label": "good"}', {}, 400),
        ("label", '{"items": [0], "label": "wonderful"}', {}, 400),
        ("other", '{"items": [0], "label": "good"}', {}, 400),
        ("label", '{"items": 1}', {}, 400),
        ("label", "[1]", {}, 400),
        ("label", '{"items": [1e999], "label": "good"}', {}, 400),
        ("label", '{"items": [0.5], "label": "good"}', {}, 400),
        ("label", '{"items": [true], "label": "good"}', {}, 400),
        ("undo", "[1]", {}, 400),
        ("undo", '{"since": "x"}', {}, 400),
        ("undo", '{"since": null}', {}, 400),
        ("label", "{", {}, 400),
        ("label", "{}", {"Content_Length": str((1 << 20) + 1)}, 400),
        ("label", "{}", {"Content_Length": "x"}, 400),
        ("label", "{}", {"Content_Length": "-1"}, 400),
        ("undo", "{}", {"Origin": "http://evil.example"}, 403),
    ],
)
def test_requests_that_mean_nothing(server, path, body, headers, status):
    assert ask(server, path, "POST", body, **headers)[0] == status
    assert server.board.news(0)["revision"] == 0


def test_a_refusal_ends_the_connection(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=5)
    connection.request("GET", "/wrong/")
    assert connection.getresponse().read() == b"Forbidden" and connection.sock.recv(1) == b""
    connection.close()


def test_a_full_disk_is_said(server, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(server.board, "label", full)
    status, content, _ = ask(server, "label", "POST", '{"items": [0], "label": "good"}')
    assert status == 507 and json.loads(content) == {"error": "not saved: No space left on device"}


def test_it_ends_when_what_is_being_saved_is(server, monkeypatch):
    begun, goes_on, pixels_of = threading.Event(), threading.Event(), server.board.stock.pixels

    def slow(i):
        begun.set()
        goes_on.wait()
        return pixels_of(i)

    monkeypatch.setattr(server.board.stock, "pixels", slow)
    said, closing = [], threading.Thread(target=server.board.close)
    asking = threading.Thread(target=lambda: said.append(post(server, "label", {"items": [0], "label": "good"})))
    asking.start()
    begun.wait()
    closing.start()
    closing.join(0.05)
    assert closing.is_alive()
    goes_on.set()
    closing.join()
    asking.join()
    assert said == [(200, {"revision": 1, "changes": [[0, "good"]]})]
    status, content, _ = ask(server, "label", "POST", '{"items": [1], "label": "good"}')
    assert status == 507 and json.loads(content) == {"error": "not saved: the server has ended"}
    assert list(server.board.table.labels().values()) == ["good"]


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
    seen = picture(board, 1).read_bytes()
    picture(board, 1).write_bytes(b"of the dictionary before")
    board.label([0, 1], "")
    assert not picture(board, 0).exists() and picture(board, 1).read_bytes() != seen
    board.label([1], "uninformative")
    assert picture(board, 1).read_bytes() == seen, "what is labelled is what is looked at now"


def test_each_page_is_told_once(board):
    assert board.news(0) == {"revision": 0, "changes": []}
    board.label([1], "informative")
    board.label([2, 1], "uninformative")
    assert board.news(0) == {"revision": 3, "changes": [[1, "uninformative"], [2, "uninformative"]]}
    assert board.news(1)["changes"] == [[1, "uninformative"], [2, "uninformative"]]
    assert board.news(3) == {"revision": 3, "changes": []} and board.news(-5) == board.news(0)
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


def test_what_was_labelled_before_is_shown_and_what_a_kill_left_goes(board):
    board.label([1], "informative")
    scratch = picture(board, 1).with_name(f".{NAMES[0]}.png.part.png")
    scratch.touch()
    again = Board(board.items, board.stock, LabelFile(board.table.path, "me"), None)
    assert again.news(0) == {"revision": 1, "changes": [[1, "informative"]]} and not scratch.exists()


def test_names_that_are_no_files_are_refused(board):
    board.items[0] = Item("..", "tem", board.items[0].where)
    board._paths[0] = "mine_patches/tem/.."
    with pytest.raises(ValueError, match=r"\.\."):
        board.label([0], "informative")
