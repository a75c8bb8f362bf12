"""labels.csv as people fill it in: every label on disk before the next one, undone as far back as one likes."""

import csv
import io
import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from utils.files import write_whole
from utils.foreign_text import parse_json
from utils.locks import locked
from utils.table_text import row_writer

COLUMNS = ["path", "label", "source", "who", "time"]
LABELS = ("good", "bad", "none")

# Of one step: path, label before, label after.
Changes = list[tuple[str, str, str]]


class LabelFile:
    """The table that train_patch_classifier.py reads, one row per patch; several processes may write it.

    A new label is appended and flushed to the disk; one that changes a row rewrites the table under another name and
    renames it. Rows and columns of others stay. Beside the table a hidden file keeps what each person did, for `undo`.

    Raises
    ------
    ValueError
        If the file is there and has no columns path and label.
    OSError
        If no label could be saved.
    """

    def __init__(self, path: Path, who: str) -> None:
        self.path, self.who = path, who
        self._history_path = path.with_name(f".{path.name}.history")
        self._seen: tuple[int, int, int] | None = None
        self._columns: list[str] = list(COLUMNS)
        self._rows: dict[str, dict[str, str]] = {}
        self._whole = True
        with locked(path):  # which needs what saving needs
            self.refresh()

    def labels(self) -> dict[str, str]:
        """{path: label} as of the last look at the file."""
        return {path: (row.get("label") or "").strip().lower() for path, row in self._rows.items()}

    def refresh(self) -> bool:
        """Look at the file; whether somebody else has changed it.

        Raises
        ------
        ValueError
            If it has other columns, a quote that is not closed, or is not in UTF-8.
        """
        try:
            seen = self._stamp()
        except FileNotFoundError:
            return False
        if seen == self._seen:
            return False
        try:
            text = self.path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise ValueError(f"{self.path}: is not in UTF-8, in which labels are added; save it so") from error
        self._whole = not text or text.endswith("\n")
        if text[: text.rfind("\n") + 1].count('"') % 2:
            raise ValueError(f"{self.path}: a quote is not closed, so that labels after it would be lost: close it")
        reader = csv.DictReader(io.StringIO(text))
        columns = list(reader.fieldnames or COLUMNS)
        if not {"path", "label"} <= set(columns):
            raise ValueError(f"{self.path}: columns are {', '.join(columns)}; expected path,label[,source]")
        rows = list(reader)
        if rows and not self._whole and None in rows[-1].values():  # the beginning of a row, as a power cut leaves it
            del rows[-1]
        self._columns, self._rows, self._seen = columns, {row["path"]: row for row in rows}, seen
        return True

    def put(self, labels: Mapping[str, str], sources: Mapping[str, str]) -> None:
        """Label patches of these sources good, bad or none (empty: not at all), as one step that `undo` takes back."""
        with locked(self.path):
            self.refresh()
            before = {path: self._rows.get(path, {}).get("label", "") for path in labels}
            self._write(labels, sources)
            self._remember({"who": self.who, "changes": [[p, before[p], labels[p]] for p in labels]})

    def undo(self) -> list[str]:
        """Take back this person's last step that still stands; the paths, none if there is nothing left.

        What somebody else has labelled since stays.
        """
        with locked(self.path):
            self.refresh()
            steps = self._steps()
            if not steps:
                return []
            mine = [(p, old) for p, old, new in steps[-1] if self._rows.get(p, {}).get("label", "") == new]
            self._write(dict(mine), {})
            self._remember({"who": self.who, "undo": True})
            return [path for path, _, _ in steps[-1]]

    def _steps(self) -> list[Changes]:
        steps: list[Changes] = []
        history = self._history_path.read_bytes() if self._history_path.is_file() else b""
        for line in history.splitlines():
            if not (entry := _entry(line)) or entry.get("who") != self.who:
                continue
            if entry.get("undo"):
                del steps[-1:]
            else:
                steps.append(entry["changes"])
        return steps

    def _write(self, labels: Mapping[str, str], sources: Mapping[str, str]) -> None:
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        new = {}
        for path, label in labels.items():
            row = self._rows.get(path) or {"path": path, "source": sources.get(path, "")}
            new[path] = {**row, "label": label, "who": self.who, "time": time}
        if self.path.exists() and self._whole and self._columns == COLUMNS and not self._rows.keys() & new.keys():
            _append(self.path, self._text(new.values()))
            self._rows |= new
        else:
            self._columns += [name for name in COLUMNS if name not in self._columns]
            self._rows |= new
            for path in [path for path, row in new.items() if not row["label"]]:
                del self._rows[path]
            header = dict(zip(self._columns, self._columns, strict=True))
            write_whole(self.path, self._text([header, *self._rows.values()]))
            self._whole = True
        self._seen = self._stamp()

    def _stamp(self) -> tuple[int, int, int]:
        status = self.path.stat()
        return status.st_size, status.st_mtime_ns, status.st_ino

    def _text(self, rows: Any) -> str:
        out = io.StringIO()
        row_writer(out).writerows([row.get(name, "") for name in self._columns] for row in rows)
        return out.getvalue()

    def _remember(self, entry: Mapping[str, Any]) -> None:
        _append(self._history_path, json.dumps(entry) + "\n")


def _entry(line: bytes) -> dict[str, Any]:
    """A step of the history; empty where the line is none: a power cut's half, or what others wrote."""
    try:
        entry = parse_json(line)
        if not entry.get("undo"):
            entry["changes"] = [(str(path), str(old), str(new)) for path, old, new in entry["changes"]]
    except (ValueError, AttributeError, KeyError, TypeError):
        return {}
    return dict(entry)


def _append(path: Path, text: str) -> None:
    """Append all of it, and hand it to the disk."""
    with path.open("ab") as file:
        file.write(text.encode("utf-8"))
        file.flush()
        os.fsync(file.fileno())
