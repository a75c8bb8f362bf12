"""What others wrote, as JSON, XML or Retry-After: what cannot be read is one kind of error, or nothing."""

import json
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree


def parse_json(text: str | bytes) -> Any:
    """Parse JSON.

    Raises
    ------
    ValueError
        If it is none, or nested deeper than a parser goes.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def json_object(text: str | bytes) -> dict[str, Any]:
    """A JSON object; empty where the text is none."""
    try:
        content = parse_json(text)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def json_file(path: Path) -> dict[str, Any]:
    """A file's JSON object; empty where it is none, or cannot be read."""
    try:
        return json_object(path.read_bytes())
    except OSError:
        return {}


def parse_xml(text: str | bytes | None) -> ElementTree.Element | None:
    """The root of an XML text; None where there is no text, or it is no XML.

    Nor where it defines entities, which could grow without bound.
    """
    if text is None:
        return None
    if b"<!ENTITY" in (text if isinstance(text, bytes) else text.encode("utf-8", "replace")):
        return None
    try:
        return ElementTree.fromstring(text)
    except ElementTree.ParseError:
        return None


def retry_seconds(said: str | None) -> float | None:
    """Seconds to wait, from a Retry-After of seconds or of a date (RFC 9110, 10.2.3); None where it says neither.

    >>> retry_seconds(" 7 "), retry_seconds("Thu, 01 Jan 1970 00:00:00 GMT"), retry_seconds("soon")
    (7.0, 0.0, None)
    """
    from email.utils import parsedate_to_datetime

    text = (said or "").strip()
    if text.isdecimal():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None
