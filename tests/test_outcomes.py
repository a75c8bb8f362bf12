"""utils/outcomes.py: what became of a job, in one line."""

from pathlib import Path

import pytest

from utils.outcomes import Job, Outcome, SomeFailed, describe, failed, reason_of


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (KeyError("x"), "KeyError: 'x'"),
        (ValueError(""), "ValueError"),
        (
            OSError("9 requested and 4 written"),
            "could not be written whole (9 requested and 4 written bytes); is the disk full?",
        ),
        (
            RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534"),
            "could not be written whole (576 vs 534 bytes); is the disk full?",
        ),
    ],
)
def test_describe_says_something(error, sentence):
    assert describe(error) == sentence


def test_describe_names_the_file(tmp_path):
    with pytest.raises(OSError) as caught:
        (tmp_path / "absent").read_text()
    assert describe(caught.value) == f"No such file or directory ({tmp_path / 'absent'})"


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ValueError("two\n lines:  "), "two lines:"),
        (
            UnicodeEncodeError("utf-8", "m\udcfcll", 1, 2, "x"),
            r"'m\udcfcll' is no UTF-8; rename what it is called after",
        ),
        (UnicodeEncodeError("utf-8", "m" * 90, 1, 2, "x"), f"'{'m' * 80}' is no UTF-8; rename what it is called after"),
        (OSError("no number"), "no number"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (IndexError("out of range"), "IndexError: out of range"),
        (AttributeError("no x"), "AttributeError: no x"),
        (TypeError(), "TypeError"),
        (AssertionError("odd"), "AssertionError: odd"),
        (RuntimeError("x 9 requested and 4 written"), "x 9 requested and 4 written"),
    ],
)
def test_describe_keeps_to_one_line(error, sentence):
    assert describe(error) == sentence


def test_a_job_that_fails_as_a_whole_is_named_by_its_source():
    job = Job("a.tif", Path("a.pkl"))
    assert failed(job, "damaged", "Traceback") == Outcome(
        job, "failed", "damaged", failures=(("a.tif", "damaged"),), trace="Traceback"
    )
    assert failed(job, "damaged").trace == ""


def test_parts_that_failed_are_told_apart():
    error = SomeFailed({"a.tif": "damaged", "b.tif": "empty"})
    assert str(error) == "a.tif: damaged; b.tif: empty" and error.failures == {"a.tif": "damaged", "b.tif": "empty"}


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
