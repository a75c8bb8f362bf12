"""XML that others wrote: read only where it defines nothing of its own, which could grow without bound."""

from xml.etree import ElementTree


def parse_xml(text: str | bytes | None) -> ElementTree.Element | None:
    """The root of an XML text; None where there is no text, or it is no XML, or defines entities."""
    if text is None:
        return None
    if b"<!ENTITY" in (text if isinstance(text, bytes) else text.encode("utf-8", "replace")):
        return None
    try:
        return ElementTree.fromstring(text)
    except ElementTree.ParseError:
        return None
