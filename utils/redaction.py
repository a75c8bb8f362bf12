"""Redaction: addresses are used with their secrets, and never printed nor written with them; names obey no terminal."""

import re
import sys

_USER = re.compile(r"(?<=://)[^/\s?#]*@")
_QUERY = re.compile(r"(?<=[?&])([^=&\s#?]*)=(?:[^&\s#'\",;):]|:(?!\s))*")
# How values are called that let somebody in; others, such as an id, lead to what is meant.
_SECRET = re.compile(r"(?i)(sig|signature|token|credential|password|secret|auth|key|keyid)$")
# The last ones turn the direction of writing: a name could end in what is its middle.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def one_line(text: str) -> str:
    """A text with its control characters as escapes: a file's name may hold newlines, and what terminals obey.

    >>> one_line("a\\nb.png: no image")
    'a\\\\nb.png: no image'
    """
    return _CONTROL.sub(lambda found: repr(found[0])[1:-1], text)


def redacted(text: str) -> str:
    """A text without the user names, passwords and query values of the addresses in it.

    >>> redacted("https://me:p@w@host/a.zarr?sig=abc&x=1: 404")
    'https://***@host/a.zarr?sig=***&x=***: 404'
    """
    return _QUERY.sub(r"\1=***", _USER.sub("***@", text)) if "://" in text else text


def published(text: str) -> str:
    """What somebody wrote of a dataset, as others may read it: its addresses lead to the source, but let nobody in.

    >>> published("https://me:p@w@host/a?id=5&X-Amz-Signature=abc")
    'https://***@host/a?id=5&X-Amz-Signature=***'
    """
    if "://" not in text:
        return text
    return _QUERY.sub(lambda pair: f"{pair[1]}=***" if _SECRET.search(pair[1]) else pair[0], _USER.sub("***@", text))


def say(sentence: str) -> None:
    """Print a sentence to the log, which is stderr: on one line, without secrets."""
    print(one_line(redacted(sentence)), file=sys.stderr)
