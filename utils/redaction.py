"""Redaction: addresses are used with their secrets, and never printed nor written with them."""

import re

_USER = re.compile(r"(?<=://)[^/\s?#]*@")
_QUERY = re.compile(r"(?<=[?&])([^=&\s#?]*)=(?:[^&\s#'\",;):]|:(?!\s))*")


def redacted(text: str) -> str:
    """A text without the user names, passwords and query values of the addresses in it.

    >>> redacted("https://me:p@w@host/a.zarr?sig=abc&x=1: 404")
    'https://***@host/a.zarr?sig=***&x=***: 404'
    """
    return _QUERY.sub(r"\1=***", _USER.sub("***@", text)) if "://" in text else text
