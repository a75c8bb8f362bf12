"""utils/foreign_text.py: what is no JSON is a ValueError, what is no XML, and no time, nothing."""

import time
from email.utils import formatdate

import pytest

from utils.foreign_text import json_file, json_object, parse_json, parse_xml, retry_seconds


def test_plain_json():
    assert parse_json('{"a": [1, 2.5, null]}') == parse_json(b'{"a": [1, 2.5, null]}') == {"a": [1, 2.5, None]}


@pytest.mark.parametrize("text", ["", "{", b"\xff\xfe\x00", "[" * 1_000_000, '{"a":' * 1_000_000])
def test_damage_is_a_value_error(text):
    with pytest.raises(ValueError):
        parse_json(text)


@pytest.mark.parametrize("text", ["", "[1]", "null", b"\xff", "[" * 1_000_000])
def test_what_is_no_object_is_an_empty_one(text):
    assert json_object(text) == {} and json_object('{"a": {}}') == {"a": {}}


def test_a_file_that_cannot_be_read_is_an_empty_object(tmp_path):
    assert json_file(tmp_path / "absent") == json_file(tmp_path) == {}
    (tmp_path / "a.json").write_bytes(b"\xff")
    assert json_file(tmp_path / "a.json") == {}
    (tmp_path / "a.json").write_text('{"µ": 1}', encoding="utf-8")
    assert json_file(tmp_path / "a.json") == {"µ": 1}


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


def test_when_to_ask_again():
    assert 90 < retry_seconds(formatdate(time.time() + 100, usegmt=True)) <= 100
    assert retry_seconds(None) is retry_seconds("") is retry_seconds("soon") is retry_seconds("²") is None
    assert retry_seconds("Mon, 01 Jan 0001 00:00:00 +1400") in (None, 0)
