"""The page for labels, served to this machine's user alone; all pages share what has been labelled."""

import hmac
import json
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np

from utils.collection.label_queue import Item, Neighbours, Stock
from utils.collection.labels import LABELS, LabelFile
from utils.collection.page_files import PAGES
from utils.collection.pixels import png_bytes
from utils.files import atomic_path, safe_name
from utils.foreign_text import parse_json
from utils.locks import sweep

STATIC = {
    "": ("label.html", "text/html; charset=utf-8"),
    "label.js": ("label.js", "text/javascript; charset=utf-8"),
    "label.css": ("label.css", "text/css; charset=utf-8"),
}
POLICY = "default-src 'none'; img-src 'self' data:; script-src 'self'; style-src 'self'; connect-src 'self'"
LARGEST_REQUEST = 1 << 20


class Board:
    """What has been labelled, and what each page has not been told of yet."""

    def __init__(self, items: Sequence[Item], stock: Stock, table: LabelFile, neighbours: Neighbours | None) -> None:
        self.items, self.stock, self.table, self.neighbours = items, stock, table, neighbours
        self._lock = threading.Lock()
        # Of pictures, from the folder of the table.
        self._paths = [f"{table.path.stem}_patches/{item.dataset}/{item.name}.png" for item in items]
        self._index = {path: i for i, path in enumerate(self._paths)}
        self._shown = [""] * len(items)
        self._log: list[int] = []
        self._is_open = True
        for folder in {"", *(path.rpartition("/")[0] for path in self._paths)}:
            sweep(table.path.parent / folder)
        self._compare()

    @contextmanager
    def _saving(self) -> Iterator[None]:
        with self._lock:
            if not self._is_open:
                raise OSError("the server has ended")
            yield

    def close(self) -> None:
        """Wait for what is being saved; nothing is from now on."""
        with self._lock:
            self._is_open = False

    def label(self, chosen: Sequence[int], label: str) -> None:
        """Label items: pictures first, then the table, all on disk before this returns."""
        with self._saving():
            for i in chosen if label else ():
                self._store_picture(i)
            self.table.put(
                {self._paths[i]: label for i in chosen}, {self._paths[i]: self.items[i].dataset for i in chosen}
            )
            self._compare()

    def undo(self) -> list[int]:
        """Take back the last step; the items that it was about."""
        with self._saving():
            paths = self.table.undo()
            self._compare()
            return [self._index[path] for path in paths if path in self._index]

    def news(self, since: int) -> dict[str, object]:
        """What has changed since a revision; looks at the file, which others may write, too."""
        with self._lock:
            if self.table.refresh():
                self._compare()
            changed = sorted(set(self._log[max(0, since) :]))
            return {"revision": len(self._log), "changes": [[i, self._shown[i]] for i in changed]}

    def _compare(self) -> None:
        labels = self.table.labels()
        for i, path in enumerate(self._paths):
            label = labels.get(path, "")
            if label != self._shown[i]:
                self._shown[i] = label
                self._log.append(i)

    def _store_picture(self, i: int) -> None:
        target = self.table.path.parent / self._paths[i]
        safe_name(target.name), safe_name(target.parent.name)
        content = png_bytes(self.stock.pixels(i))
        # A dictionary that was made anew may show something else under a name: the label is for what was looked at.
        if not target.exists() or target.read_bytes() != content:
            with atomic_path(target) as scratch:
                scratch.write_bytes(content)


class Handler(BaseHTTPRequestHandler):
    """Answers requests that carry the token and ask for this very host."""

    protocol_version = "HTTP/1.1"
    server: "LabelServer"

    def do_GET(self) -> None:
        """Pages, pictures and news."""
        if (path := self._asked()) is None:
            return
        name, _, rest = path.partition("/")
        board = self.server.board
        if path in STATIC:
            file, kind = STATIC[path]
            self._answer((PAGES / file).read_bytes(), kind)
        elif path == "items.json":
            self._answer_json(self.server.describe())
        elif path == "news":
            since = parse_qs(urlsplit(self.path).query).get("since", ["0"])[0]
            self._answer_json(board.news(_number(since) or 0))
        elif name in ("patch", "slice") and (cut := self._cut(name, rest)):
            self._picture(cut)
        else:
            self._refuse(HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:
        """Labels and undo."""
        if (path := self._asked()) is None:
            return
        length = _number(self.headers.get("Content-Length", ""))
        origin = self.headers.get("Origin")
        if origin is not None and origin != f"http://{self.headers['Host']}":
            return self._refuse(HTTPStatus.FORBIDDEN)
        if length is None or not 0 <= length <= LARGEST_REQUEST:
            return self._refuse(HTTPStatus.BAD_REQUEST)
        try:
            said = parse_json(self.rfile.read(length) or b"{}")
            since = int(said.get("since", 0))
            answer = self._act(path, said)
        except (ValueError, TypeError, LookupError, AttributeError, OverflowError):
            return self._refuse(HTTPStatus.BAD_REQUEST)
        except OSError as error:
            return self._answer_json(
                {"error": f"not saved: {error.strerror or error}"}, HTTPStatus.INSUFFICIENT_STORAGE
            )
        self._answer_json({**answer, **self.server.board.news(since)})

    def _act(self, path: str, said: dict[str, Any]) -> dict[str, object]:
        board = self.server.board
        if path == "undo":
            return {"undone": board.undo()}
        # By its digits: half an item, or a yes, is none.
        chosen, label = [int(str(i)) for i in said["items"]], said["label"]
        if path != "label" or label not in (*LABELS, "") or not all(0 <= i < len(board.items) for i in chosen):
            raise ValueError(f"{path} {label!r}")
        board.label(chosen, label)
        return {}

    def _cut(self, name: str, rest: str) -> Callable[[], np.ndarray | None] | None:
        """What gives the pixels at ``patch/{item}`` or ``slice/{item}/{step}``; None where an address means neither."""
        board = self.server.board
        number, _, steps = rest.partition("/")
        i, step = _number(number), _number(steps)
        if i is None or not 0 <= i < len(board.items):
            return None
        if name == "patch":
            return None if steps else partial(board.stock.pixels, i)
        return None if board.neighbours is None or step is None else partial(board.neighbours.cut, board.items[i], step)

    def _picture(self, cut: Callable[[], np.ndarray | None]) -> None:
        try:
            patch = cut()
        except (ValueError, OSError):
            patch = None
        if patch is None:
            return self._refuse(HTTPStatus.NOT_FOUND)
        self._answer(png_bytes(patch), "image/png", "private, max-age=86400")

    def _asked(self) -> str | None:
        """The path behind the token; None, and refused, where host or token are wrong."""
        port = self.server.server_port
        token, slash, path = urlsplit(self.path).path[1:].partition("/")
        is_here = self.headers.get("Host") in {f"127.0.0.1:{port}", f"localhost:{port}"}
        if is_here and slash and hmac.compare_digest(token.encode(), self.server.token.encode()):
            return path
        self._refuse(HTTPStatus.FORBIDDEN)
        return None

    def _answer_json(self, content: object, status: HTTPStatus = HTTPStatus.OK) -> None:
        self._answer(json.dumps(content).encode(), "application/json", status=status)

    def _answer(self, content: bytes, kind: str, cache: str = "no-store", status: HTTPStatus = HTTPStatus.OK) -> None:
        self.send_response(status)
        for name, value in (
            ("Content-Type", kind),
            ("Content-Length", str(len(content))),
            ("Cache-Control", cache),
            ("Content-Security-Policy", POLICY),
            ("Referrer-Policy", "no-referrer"),
            ("X-Content-Type-Options", "nosniff"),
            ("X-Frame-Options", "DENY"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def _refuse(self, status: HTTPStatus) -> None:
        self.close_connection = True
        self._answer(status.phrase.encode(), "text/plain", status=status)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def _number(text: str) -> int | None:
    """A whole number; None where the text is none."""
    return int(text) if re.fullmatch("-?[0-9]{1,9}", text) else None


class LabelServer(ThreadingHTTPServer):
    """Serves a board on this machine only, to who knows the token; `about` is what the page says of itself."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, board: Board, port: int, token: str, about: dict[str, object]) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.board, self.token, self.about = board, token, about

    @property
    def address(self) -> str:
        """Where the page is."""
        return f"http://127.0.0.1:{self.server_port}/{self.token}/"

    def server_close(self) -> None:
        """End, but no label in the middle."""
        super().server_close()
        self.board.close()

    def describe(self) -> dict[str, object]:
        """Everything that the page needs to begin."""
        datasets = list(dict.fromkeys(item.dataset for item in self.board.items))
        number = {dataset: i for i, dataset in enumerate(datasets)}
        items = [[item.name, number[item.dataset], item.score] for item in self.board.items]
        slices = self.board.neighbours is not None
        return {**self.about, "datasets": datasets, "items": items, "slices": slices, **self.board.news(0)}

    def handle_error(self, request: object, client_address: object) -> None:
        """A page that was closed in the middle of an answer is no error."""
