"""utils/collection/failures.py: a sentence for each file that cannot be read."""

from pathlib import Path

import pytest

from utils.collection.failures import reason_of, say_failures


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("a.csv: no table\n  of scores"), "no table of scores"),
        (ValueError("b.csv: no table"), "b.csv: no table"),
        (FileNotFoundError(2, "No such file or directory", "a.csv"), "No such file or directory"),
        (OSError("a.csv: gone"), "gone"),
        (OSError(), "OSError"),
    ],
)
def test_reasons_are_one_line_without_the_path(error, reason):
    assert reason_of(error, Path("a.csv")) == reason


def test_failures_are_named_and_count(capsys):
    assert say_failures({}) == 0 and capsys.readouterr().err == ""
    assert say_failures({"a.csv": "gone", "b.csv": "damaged"}) == 1
    assert capsys.readouterr().err == "a.csv: gone\nb.csv: damaged\n"
