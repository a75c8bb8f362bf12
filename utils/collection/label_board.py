"""What has been labelled: shared by all pages, and told to each of them once."""

import threading
from collections.abc import Sequence

from utils.collection.label_queue import Item
from utils.collection.labels import LabelFile
from utils.collection.pixels import png_bytes
from utils.collection.stock import Neighbours, Stock
from utils.files import atomic_path, safe_name


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
        self._compare()

    def label(self, chosen: Sequence[int], label: str) -> None:
        """Label items: pictures first, then the table, all on disk before this returns."""
        with self._lock:
            for i in chosen:
                self._store_picture(i)
            self.table.put(
                {self._paths[i]: label for i in chosen}, {self._paths[i]: self.items[i].dataset for i in chosen}
            )
            self._compare()

    def undo(self) -> list[int]:
        """Take back the last step; the items that it was about."""
        with self._lock:
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
        if not target.exists():
            with atomic_path(target) as scratch:
                scratch.write_bytes(png_bytes(self.stock.pixels(i)))
