"""Arrays, dtypes and scalars as pickles spell them: checked before anything is made of them."""

import io

import numpy as np
import pytest

from utils import memory
from utils.pickled_arrays import (
    MAKERS,
    Global,
    PlainPickleError,
    Stored,
    StoredArray,
    StoredDtype,
    array_of,
    arrays_alike,
    possible_text,
    shown,
)

NDARRAY = (Global("numpy", "ndarray"), (0,), b"b")


def dtype(code="u2", order="<"):
    found = StoredDtype(code)
    found.order = order
    return found


def test_an_array_in_memory_or_in_the_file():
    values = np.arange(6, dtype="<u2")
    inside = StoredArray().fill(values.tobytes(), dtype(), (2, 3), "C")
    np.testing.assert_array_equal(array_of(inside, io.BytesIO()), values.reshape(2, 3))
    fortran = StoredArray().fill(values.tobytes().decode("latin1"), dtype(), (2, 3), "F")
    np.testing.assert_array_equal(array_of(fortran, io.BytesIO()), values.reshape(2, 3, order="F"))
    assert inside.nbytes == 12 and array_of(inside, io.BytesIO()).dtype == "<u2"


def test_bytes_left_in_the_file(tmp_path):
    (tmp_path / "a").write_bytes(b"head" + np.arange(6, dtype=">u2").tobytes())
    stored = StoredArray().fill(Stored(4, 12), dtype(order=">"), (3, 2), "C")
    with (tmp_path / "a").open("rb") as file:
        np.testing.assert_array_equal(array_of(stored, file), [[0, 1], [2, 3], [4, 5]])
        with memory.limited_to(11e-9), pytest.raises(ValueError, match="an array"):
            array_of(stored, file)
        array_of(stored, file)


@pytest.mark.parametrize(
    ("data", "kind", "shape", "order", "reason"),
    [
        (b"ab", "u2", (1,), "C", "not spelled as numpy spells"),
        (7, dtype(), (1,), "C", "not spelled"),
        (b"ab", dtype(), (1,), "K", "not spelled"),
        (b"ab", dtype(), [1], "C", "an array's shape is list"),
        (b"ab", dtype(), (-1,), "C", r"an array's shape is \(-1\)"),
        (b"ab", dtype(), (True,), "C", r"an array's shape is \(True\)"),
        (b"ab", dtype(), (1,) * 33, "C", r"an array's shape is \(1, 1, 1, 1, 1, ...\)"),
        (b"abc", dtype(), (1,), "C", r"an array of shape \(1\) uint16 has 3 bytes of data"),
        (Stored(0, 3), dtype(), (1,), "C", "has 3 bytes of data"),
    ],
)
def test_what_is_no_array(data, kind, shape, order, reason):
    with pytest.raises(PlainPickleError, match=reason):
        StoredArray().fill(data, kind, shape, order)


@pytest.mark.parametrize(
    ("code", "state", "order"),
    [
        ("u2", (3, "<", None, None, None, -1, -1, 0), "<"),
        ("f8", (3, ">", None, None, None, -1, -1, 0), ">"),
        ("b1", (3, "|", None, None, None, -1, -1, 0), "|"),
        ("U0", (3, "<", None, None, None, 0, 4, 8), "<"),
        ("U5", (3, "<", None, None, None, 20, 4, 8), "<"),
    ],
)
def test_states_of_dtypes(code, state, order):
    found = StoredDtype(code)
    found.set_state(state)
    assert found.order == order and found.checked() == np.dtype(order + code)
    with pytest.raises(PlainPickleError, match="is no plain number's"):
        found.set_state(state)  # said twice
    assert StoredDtype("u2").checked() == np.dtype("u2")


@pytest.mark.parametrize(
    "state",
    [
        (3, "<", None, None, None, -1, -1), (4, "<", None, None, None, -1, -1, 0),
        (3, "x", None, None, None, -1, -1, 0),
        (3, "<", ("u1", 2), None, None, -1, -1, 0), (3, "<", None, None, None, 8, -1, 0), "<", (3,),
    ],
)  # fmt: skip
def test_states_that_say_more(state):
    with pytest.raises(PlainPickleError, match="the state of dtype u2 is no plain number's"):
        StoredDtype("u2").set_state(state)


def test_makers():
    assert MAKERS["_reconstruct"](NDARRAY).shape == (0,)
    assert MAKERS["encode"](("\xff", "latin1")) == b"\xff"
    assert MAKERS["list"](()) == [] and MAKERS["bytes"](()) == b""
    assert MAKERS["scalar"]((dtype("i4"), b"\1\0\0\0")) == 1 and MAKERS["scalar"]((dtype("U1"), b"a\0\0\0")) == "a"
    array = MAKERS["_frombuffer"]((bytes(range(6)), dtype("u1", "|"), (1, 2, 3), "C", (2, 0, 1)))
    np.testing.assert_array_equal(array_of(array, io.BytesIO()), np.arange(6).reshape(1, 2, 3).transpose(2, 0, 1))
    assert MAKERS["_frombuffer"]((b"a", dtype("u1", "|"), (1,), "K", (0,))).order == "C"
    assert MAKERS["dtype"](("f4", False, True)).code == "f4"


@pytest.mark.parametrize(
    ("maker", "arguments", "reason"),
    [
        ("_reconstruct", (Global("os", "system"), (0,), b"b"), r"it makes an array of \(os.system, \(...\), b'b'\)"),
        ("_reconstruct", (*NDARRAY[:1], (1,), b"b"), "refused"),
        ("dtype", ("O8", False, True), "values of type 'O8'; only numbers are read"),
        ("dtype", ("u3", False, True), "only numbers"),
        ("dtype", ("u2x", False, True), "only numbers"),
        ("dtype", ("f4", True, True), "a dtype is"),
        ("dtype", ("f4", False), "a dtype is"),
        ("scalar", (dtype("i4"), Stored(0, 4)), "a single value of 4 bytes"),
        ("encode", ("a", "utf-8"), "encodes"),
        ("encode", ("a",), "encodes"),
        ("encode", (7, "latin1"), "encodes"),
        ("list", ("a",), r"refused: it makes list of \('a'\)"),
        ("_frombuffer", (b"ab", dtype("u1", "|"), (1, 2), "C", (0, 0)), "the axes of an array"),
        ("_frombuffer", (b"ab", dtype("u1", "|"), (1, 2), "C", (0, 1), 1), "the axes of an array"),
        ("_frombuffer", (b"ab", dtype("u1", "|"), (1, 2), "C", [0, 1]), "the axes of an array"),
    ],
)
def test_what_is_refused(maker, arguments, reason):
    with pytest.raises(PlainPickleError, match=reason):
        MAKERS[maker](arguments)


def test_text_of_characters_that_there_are():
    good = np.array(["a", "\U0010ffff"])
    assert possible_text(good) is good and possible_text(np.arange(3)) is not None
    with pytest.raises(PlainPickleError, match="characters that there are not"):
        possible_text(np.array([0x110000], "<u4").view("<U1"))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("x" * 100, "'" + "x" * 79), (None, "None"), (Global("os", "system"), "os.system"), (Global("", "x"), "a x"),
        (Stored(1, 2), "Stored"), ((1, (2,)), "(1, (...))"), (tuple(range(6)), "(0, 1, 2, 3, 4, ...)"), ([1], "list"),
        (tuple(range(5)), "(0, 1, 2, 3, 4)"),
    ],
)  # fmt: skip
def test_values_in_messages_are_short(value, text):
    assert shown(value) == text


def test_what_follows_and_is_spelled_alike(tmp_path):
    (tmp_path / "a").write_bytes(b"".join(b"head" + bytes([n]) * 8 + b"tail" for n in range(4)) + b"headDIFFERENTtail")
    first = StoredArray(Stored(20, 8), np.dtype(np.uint8), (8,))  # the second, which ends at byte 32
    with (tmp_path / "a").open("rb") as file:
        found = list(arrays_alike(file, 16, first, 32))
        assert [(array.data, end) for array, end in found] == [(Stored(36, 8), 48), (Stored(52, 8), 64)]
        assert [array_of(array, file).tolist() for array, _ in found] == [[2] * 8, [3] * 8]
        assert not list(arrays_alike(file, 16, StoredArray(bytes(8), first.dtype, (8,)), 32))
