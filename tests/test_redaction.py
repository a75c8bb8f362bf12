"""utils/redaction.py: secrets of addresses never show."""

import pytest

from utils.redaction import one_line, published, redacted, say


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://me:pw@host/a", "https://***@host/a"),
        ("s3://me@host/a: no; s3://you:x@y@host/b", "s3://***@host/a: no; s3://***@host/b"),
        ("http://h/a?token=abc&b=2#s1", "http://h/a?token=***&b=***#s1"),
        ("http://h/a?X-Sig=a%2Fb: 403 Forbidden", "http://h/a?X-Sig=***: 403 Forbidden"),
        ("a@b.org wrote ?x=1", "a@b.org wrote ?x=1"),
        ("http://h/a (me@host)", "http://h/a (me@host)"),
        ("at s3+https://me@h/b?a=1&token=x%20y, no", "at s3+https://***@h/b?a=***&token=***, no"),
        ("('http://h/a?sig=1')", "('http://h/a?sig=***')"),
    ],
)
def test_what_is_shown(text, shown):
    assert redacted(text) == shown


def test_what_is_published():
    said = "see https://me:pw@h/a?id=5&sig=abc&X-Amz-Security-Token=d&AWSAccessKeyId=e&design=f"
    expected = "see https://***@h/a?id=5&sig=***&X-Amz-Security-Token=***&AWSAccessKeyId=***&design=f"
    assert published(said) == expected
    assert published("me@h wrote ?token=1") == "me@h wrote ?token=1"


def test_names_obey_no_terminal():
    assert one_line("a\nb\x1b[2J\u2028.png: none") == r"a\nb\x1b[2J\u2028.png: none"
    assert one_line("a\u202egnp.exe, \u2066b\u2069, ü 電") == r"a\u202egnp.exe, \u2066b\u2069, ü 電"


def test_what_is_said(capsys):
    say("a\x1b[2J\n.png at http://me:pw@host: none")
    assert capsys.readouterr() == ("", "a\\x1b[2J\\n.png at http://***@host: none\n")
