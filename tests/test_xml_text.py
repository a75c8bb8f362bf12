"""utils/xml_text.py: XML, or nothing."""

import pytest

from utils.xml_text import parse_xml

BOMB = '<!DOCTYPE a [<!ENTITY b "b">]><a>&b;</a>'


@pytest.mark.parametrize("text", [None, "", b"", "no xml", "<a>", b"\xff", BOMB, BOMB.encode()])
def test_what_is_no_plain_xml_is_nothing(text):
    assert parse_xml(text) is None


@pytest.mark.parametrize("text", ["<a><b>1</b></a>", b"<a><b>1</b></a>"])
def test_the_root_of_xml(text):
    root = parse_xml(text)
    assert root.tag == "a" and root.findtext("b") == "1"


def test_text_is_text_whatever_it_says_of_its_bytes():
    assert parse_xml('<?xml version="1.0" encoding="latin-1"?><a>µm</a>').text == "µm"
