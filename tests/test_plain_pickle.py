"""utils/plain_pickle.py: plain values and numeric arrays come back as pickle itself reads them, the rest is refused."""

import io
import os
import pickle
import pickletools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays, scalar_dtypes

from utils import memory, plain_pickle
from utils.dictionaries import save_patches
from utils.pickled_arrays import PlainPickleError, StoredArray, array_of
from utils.plain_pickle import load

PROTOCOLS = (2, 3, 4, 5)
NUMERIC = scalar_dtypes().filter(
    lambda dtype: dtype.kind in "biufc" and dtype.itemsize <= 16 and dtype != np.longdouble
)


def read(path: Path, content: bytes) -> Any:
    """Load bytes through a file, the arrays in memory."""
    path.write_bytes(content)
    with path.open("rb") as f:
        return in_memory(load(f), f)


def in_memory(value: Any, file: io.BufferedReader) -> Any:
    """Plain data with its arrays."""
    if isinstance(value, StoredArray):
        return array_of(value, file)
    if isinstance(value, dict):
        return {key: in_memory(item, file) for key, item in value.items()}
    return type(value)(in_memory(item, file) for item in value) if isinstance(value, list | tuple) else value


def same(one: Any, other: Any) -> bool:
    """Equal in type and content, arrays too."""
    if isinstance(one, np.ndarray | np.generic):
        return (
            type(one) is type(other)
            and one.dtype == other.dtype
            and np.array_equal(one, other, equal_nan=one.dtype.kind in "fc")
        )
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and (one == other or one != one)


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text() | st.binary(max_size=2000)
    | arrays(NUMERIC, array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=6))
    | arrays(NUMERIC, ()).map(lambda array: array[()]),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.tuples(inner, inner),
    max_leaves=12,
)  # fmt: skip


@given(value=plain, protocol=st.sampled_from(PROTOCOLS))
@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
def test_what_pickle_writes_comes_back(tmp_path, value, protocol):
    assert same(value, read(tmp_path / "a.pkl", pickle.dumps(value, protocol)))


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("order", ["C", "F", "K"])
def test_arrays_of_every_order_and_size(tmp_path, protocol, order):
    array = np.arange(24_000, dtype=">u2").reshape(20, 30, 40)
    array = {"C": array, "F": array.T, "K": array.transpose(1, 0, 2)}[order]
    content = pickle.dumps({"a": array, "again": (array, array)}, protocol)
    found = read(tmp_path / "a.pkl", content)
    assert same(found, {"a": array, "again": (array, array)})


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_names_that_numpy_1_used(tmp_path, protocol):
    content = pickle.dumps({"a": np.arange(9, dtype="f4"), "b": np.float64(3)}, protocol)
    for new in (b"numpy._core.multiarray", b"numpy._core.numeric"):
        old = new.replace(b"_core", b"core")
        content = content.replace(bytes([0x8C, len(new)]) + new, bytes([0x8C, len(old)]) + old).replace(
            b"c" + new, b"c" + old
        )
    found = read(tmp_path / "a.pkl", content.replace(b"\x95", b"\x95"))
    assert same(found, {"a": np.arange(9, dtype="f4"), "b": np.float64(3)})


def test_strings_of_python_2(tmp_path):
    assert read(tmp_path / "a.pkl", b"\x80\x02U\x02a\xe9T\x03\x00\x00\x00abc\x86.") == ("aé", "abc")


def test_large_arrays_stay_in_the_file(tmp_path):
    array = np.arange(100_000)
    (tmp_path / "a.pkl").write_bytes(pickle.dumps([array, array[:3]], 5))
    with (tmp_path / "a.pkl").open("rb") as f:
        large, small = load(f)
        assert not isinstance(large.data, bytes) and isinstance(small.data, bytes)
        assert large.nbytes == 800_000
        np.testing.assert_array_equal(array_of(large, f), array)
        (tmp_path / "a.pkl").write_bytes((tmp_path / "a.pkl").read_bytes()[:1000])
        with pytest.raises(ValueError, match="became shorter"):
            array_of(large, f)


def opcodes(*parts: bytes | str) -> bytes:
    """A pickle put together by hand."""
    return b"".join(part.encode("latin1") if isinstance(part, str) else part for part in parts) + b"."


U1 = b"cnumpy\ndtype\nX\x02\x00\x00\x00u1\x89\x88\x87R"
STATE = b"(K\x03X\x01\x00\x00\x00|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
EMPTY = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"
TEXT = b"cnumpy\ndtype\nX\x02\x00\x00\x00U1\x89\x88\x87R(K\x03X\x01\x00\x00\x00<NNNK\x04K\x04K\x08tb"
HOSTILE = {
    "an array's own constructor": (
        opcodes("cnumpy\nndarray\n(K\x01\x85X\x01\x00\x00\x00OC\x08AAAAAAAAtR"),
        "it calls numpy.ndarray",
    ),
    "objects": (opcodes("cnumpy\ndtype\nX\x02\x00\x00\x00O8\x89\x88\x87R"), "values of type 'O8'"),
    "records": (opcodes("cnumpy\ndtype\nX\x03\x00\x00\x00V16\x89\x88\x87R"), "values of type 'V16'"),
    "no bytes": (opcodes(EMPTY), "it holds StoredArray"),
    "too few bytes": (
        opcodes(EMPTY, b"(K\x01M\xe0\x00M\xe0\x00\x86", U1, STATE, b"\x89C\x01atb"),
        r"shape \(224, 224\) uint8 has 1 bytes",
    ),
    "a huge shape": (
        opcodes(EMPTY, b"(K\x01J\xff\xff\xff\x7fJ\xff\xff\xff\x7f\x86", U1, STATE, b"\x89C\x01atb"),
        "has 1 bytes of data",
    ),
    "a negative shape": (opcodes(EMPTY, b"(K\x01J\xff\xff\xff\xff\x85", U1, STATE, b"\x89C\x01atb"), "shape is"),
    "a dtype of fields": (
        opcodes(U1, b"(K\x03X\x01\x00\x00\x00|N)}J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"),
        "no plain number's",
    ),
    "a dtype that counts references": (opcodes(U1, STATE.replace(b"K\x00tb", b"K\x3ftb")), "no plain number's"),
    "a dtype told twice": (opcodes(U1, STATE, STATE[:-1] + b"b"), "no plain number's"),
    "an array filled twice": (
        opcodes(EMPTY, (b"(K\x01K\x01\x85" + U1 + STATE + b"\x89C\x01atb") * 2),
        "sets the state of StoredArray",
    ),
    "a shape of another kind": (
        opcodes("cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x05\x85C\x01b\x87R"),
        "makes an array of",
    ),
    "a function": (opcodes("cos\nsystem\nX\x02\x00\x00\x00id\x85R"), "it asks for os.system"),
    "a function by its parts": (opcodes(b"\x8c\x02os\x8c\x06system\x93"), "it asks for os.system"),
    "numpy's own doors": (opcodes("cnumpy\nfromfile\n"), "it asks for numpy.fromfile"),
    "a name that is left": (opcodes("cnumpy\ndtype\n"), "it holds numpy.dtype"),
    "a mark that is left": (opcodes("((\x85"), "it holds a mark"),
    "a mark in a tuple": (opcodes("(\x85"), "it holds a mark"),
    "lists of a tuple": (opcodes("cbuiltins\nlist\n(K\x01t\x85R"), "makes list of"),
    "an instance": (opcodes("(ios\nsystem\n"), "an instance of a class"),
    "a new instance": (opcodes("cnumpy\ndtype\n)\x81"), "an instance of a class"),
    "an extension": (opcodes(b"\x82\x01"), "registered extension"),
    "a persistent object": (opcodes("Pabc\n"), "stored elsewhere"),
    "a buffer": (opcodes(b"\x97"), "stored elsewhere"),
    "a set": (opcodes(b"\x8f"), "a set"),
    "text": (opcodes("I5\n"), "protocol 0 or 1"),
    "no opcode": (opcodes(b"\xff"), "no pickle has the opcode"),
    "a later protocol": (opcodes(b"\x80\x06N"), "protocol 6"),
    "a list in itself": (opcodes(b"]\x94h\x00a"), "used twice"),
    "a list in itself by a copy": (opcodes(b"]2a"), "thrown away"),
    "items for a tuple": (opcodes(b")N\x61"), "puts items into"),
    "a key of a list": (opcodes(b"}]Ns"), "key is list"),
    "a key without a value": (opcodes(b"}(Nu"), "without a value"),
    "a value that was never put": (opcodes(b"h\x07"), "damaged"),
    "nothing": (b"", "cut short"),
    "an empty stack": (opcodes(b""), "damaged"),
    "bytes that are not there": (opcodes(b"\x8e" + (2**40).to_bytes(8, "little")), "cut short"),
    "more bytes than numbers count": (opcodes(b"\x8e" + (2**64 - 1).to_bytes(8, "little")), "cut short"),
    "a long text": (opcodes(b"\x8d" + (2**40).to_bytes(8, "little")), "a string of"),
    "a long integer": (opcodes(b"\x8b\xff\xff\xff\x7f"), "an integer of"),
    "a text of a negative length": (opcodes(b"T\xff\xff\xff\xff"), "cut short"),
    "tuples in tuples": (opcodes(b")" + b"\x85" * 200), "nested too deeply"),
    "tuples that double": (
        opcodes(b")\x94", *(bytes([104, i, 104, i]) + b"\x86\x94" for i in range(60))),
        "nested too deeply",
    ),
    "a scalar of too many bytes": (
        opcodes("cnumpy.core.multiarray\nscalar\n", U1, STATE, b"C\x02ab\x86R"),
        "has 2 bytes",
    ),
    "text in a scalar that is no character": (
        opcodes("cnumpy.core.multiarray\nscalar\n", TEXT, b"C\x04\xff\xff\xff\xff\x86R"),
        "characters that there are not",
    ),
    "a tuple of nothing": (opcodes("N\x87"), "damaged: values that are not there"),
    "a call of no function": (opcodes("N)R"), "calls None"),
    "a call without arguments": (opcodes("cnumpy\ndtype\nNR"), "calls numpy.dtype"),
    "a state that is too short": (opcodes(EMPTY, b"(K\x01K\x01\x85", U1, STATE, b"\x89tb"), "the state of an array is"),
    "a state of another version": (
        opcodes(EMPTY, b"(K\x02K\x01\x85", U1, STATE, b"\x89C\x01atb"),
        "the state of an array is",
    ),
    "an order that is a number": (
        opcodes(EMPTY, b"(K\x01K\x01\x85", U1, STATE, b"K\x00C\x01atb"),
        "the state of an array is",
    ),
    "an integer of too many bytes": (opcodes(b"\x8a\x41", bytes(65)), "an integer of 65 bytes"),
    "a number that is cut short": (b"M\x01", "damaged"),
    "one level too deep": (opcodes(b")" + b"\x85" * 101), "nested too deeply"),
    "other encodings": (opcodes("c_codecs\nencode\nX\x01\x00\x00\x00aX\x05\x00\x00\x00rot13\x86R"), "encodes"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_not_plain_is_refused_by_name(tmp_path, name):
    content, reason = HOSTILE[name]
    with pytest.raises(PlainPickleError, match=reason):
        read(tmp_path / "a.pkl", content)


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (opcodes(b"\x8a\x40", bytes(63), b"\x01"), 256**63),
        (opcodes(b"\x8a\x01\xff"), -1),
        (opcodes(b"](", b"N" * 2000, b"e"), [None] * 2000),
        (opcodes(b"(NNt"), (None, None)),
        (opcodes(b"C\x03abc"), b"abc"),
        (opcodes(b"B\x00\x04\x00\x00", b"a" * 1024), b"a" * 1024),
    ],
)
def test_values_at_the_limits_are_read(tmp_path, content, value):
    assert read(tmp_path / "a.pkl", content) == value


def test_a_lone_array_is_read(tmp_path):
    array = read(tmp_path / "a.pkl", opcodes(EMPTY, b"(K\x01K\x02K\x01\x86", U1, STATE, b"\x89C\x02abtb"))
    assert same(array, np.array([[97], [98]], np.uint8))


def test_a_hundred_levels_are_read(tmp_path):
    value = read(tmp_path / "a.pkl", opcodes(b")" + b"\x85" * 100))
    for _ in range(100):
        (value,) = value
    assert value == ()


def test_keys_that_are_no_names_are_few(tmp_path, monkeypatch):
    monkeypatch.setattr("utils.plain_pickle._MOST_OTHER_KEYS", 3)
    keys = [b"K%c" % number for number in range(5)]
    few, many = (opcodes(b"}(", *(key + b"N" for key in keys[:count]), b"u") for count in (4, 5))
    assert read(tmp_path / "a.pkl", few) == dict.fromkeys(range(4))
    with pytest.raises(PlainPickleError, match="more than 3 keys"):
        read(tmp_path / "a.pkl", many)
    names = {str(number): None for number in range(9)}
    assert read(tmp_path / "a.pkl", pickle.dumps(names)) == names


def test_texts_are_bounded_and_count_as_the_values_that_they_weigh(tmp_path, monkeypatch):
    def text(length):
        return b"X" + length.to_bytes(4, "little") + b"a" * length

    with monkeypatch.context() as patch:
        patch.setattr("utils.plain_pickle._LONGEST_TEXT", 9)
        assert read(tmp_path / "a.pkl", opcodes(text(9))) == "a" * 9
        with pytest.raises(PlainPickleError, match="a string of 10 bytes"):
            read(tmp_path / "a.pkl", opcodes(text(10)))
    monkeypatch.setenv("EM_MAX_GB", "1.25e-6")  # ten values of 120 bytes
    assert read(tmp_path / "a.pkl", opcodes(b"(", b"N" * 8, b"t")) == (None,) * 8
    assert read(tmp_path / "a.pkl", opcodes(text(119), text(119), b"\x86")) == ("a" * 119,) * 2
    assert read(tmp_path / "a.pkl", opcodes(text(840), b"N\x86")) == ("a" * 840, None)
    for content in (opcodes(b"(", b"N" * 9, b"t"), opcodes(text(960), b"N\x86")):
        with pytest.raises(PlainPickleError, match="more values"):
            read(tmp_path / "a.pkl", content)


def test_a_memo_index_makes_no_table(tmp_path):
    assert read(tmp_path / "a.pkl", opcodes(b"Nr\xff\xff\xff\x7f0"[:6])) is None


def test_values_are_bounded_by_memory(tmp_path, monkeypatch):
    monkeypatch.setenv("EM_MAX_GB", "0.001")
    with pytest.raises(PlainPickleError, match=r"more values than 0\.001 GB"):
        read(tmp_path / "a.pkl", opcodes(b"]" * 10_000))
    text = b"X" + (60_000).to_bytes(4, "little") + b"a" * 60_000
    encoded = b"c_codecs\nencode\nh\x00X\x06\x00\x00\x00latin1\x86R"
    with pytest.raises(PlainPickleError, match="more values"):
        read(tmp_path / "a.pkl", opcodes(text, b"\x94", encoded * 100, b"K\x01" * 10))
    with pytest.raises(ValueError, match="--max-gb"):
        read(tmp_path / "a.pkl", pickle.dumps(np.zeros(2_000_000, np.uint8)))


operations = [op.code.encode("latin1") for op in pickletools.opcodes]
pieces = (
    st.sampled_from(operations)
    | st.sampled_from([U1, STATE, EMPTY, *(content[:-1] for content, _ in HOSTILE.values() if len(content) < 2000)])
    | st.sampled_from(
        [b"cnumpy\nndarray\n", b"cnumpy._core.numeric\n_frombuffer\n", b"K\x01\x85", b"C\x01b", b"\x89", b"|"]
    )
    | st.binary(max_size=9)
    | st.integers(0, 255).map(lambda n: b"K" + bytes([n]))
)


@given(parts=st.lists(pieces, max_size=40))
@example(parts=[b"]", b"\x94", b"\x94"])
@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
def test_any_opcodes_end_in_plain_data_or_a_sentence(tmp_path, parts):
    try:
        value = read(tmp_path / "a.pkl", b"".join(parts) + b".")
    except PlainPickleError as error:
        assert str(error)
    else:
        assert is_plain(value)


def is_plain(value: Any) -> bool:
    """Whether nothing but plain values and numeric arrays is in it."""
    if isinstance(value, dict):
        return all(map(is_plain, value)) and all(map(is_plain, value.values()))
    if type(value) in (list, tuple):
        return all(map(is_plain, value))
    if isinstance(value, np.ndarray | np.generic):
        return value.dtype.kind in "biufcU"
    return value is None or type(value) in (str, bytes, int, float, bool)


@given(
    cut=st.integers(0, 400),
    flips=st.lists(st.tuples(st.integers(0, 600), st.integers(0, 255)), max_size=3),
    protocol=st.sampled_from(PROTOCOLS),
)
@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
def test_mutated_dictionaries_end_in_plain_data_or_a_sentence(tmp_path, cut, flips, protocol):
    whole = {
        "names": ["a", "b"],
        "patches": [np.zeros((9, 8), np.uint8), np.ones((9, 8), np.uint8)],
        "meta": {"x": 1.5},
    }
    content = bytearray(pickle.dumps(whole, protocol))
    for place, value in flips:
        content[place % len(content)] = value
    try:
        assert is_plain(read(tmp_path / "a.pkl", bytes(content[: len(content) - max(0, cut - 200)])))
    except ValueError as error:
        assert str(error)


def alike(path, count, limit, monkeypatch):
    """What is read of a dictionary of patches, with memory for so many values."""
    save_patches(path, [str(number) for number in range(count)], [np.full((40, 50), n, np.uint8) for n in range(count)])
    monkeypatch.setenv("EM_MAX_GB", str((limit + 0.5) * 120 / 1e9))
    with path.open("rb") as f:
        return in_memory(load(f), f)["patches"]


def test_arrays_alike_count_as_three_values_each(tmp_path, monkeypatch):
    """The first two are looked at opcode by opcode; how many follow is told by the bytes alone."""
    patches = alike(tmp_path / "a.pkl", 40, 300, monkeypatch)
    assert [int(patch[39, 49]) for patch in patches] == list(range(40))
    assert all(patch.shape == (40, 50) for patch in patches)
    with pytest.raises(PlainPickleError, match="more values"):
        alike(tmp_path / "a.pkl", 40, 200, monkeypatch)
    monkeypatch.delattr(os, "pread")  # as on Windows
    assert len(alike(tmp_path / "a.pkl", 40, 2000, monkeypatch)) == 40
    with pytest.raises(PlainPickleError, match="more values"):
        alike(tmp_path / "a.pkl", 40, 300, monkeypatch)


def spelled(values, protocol=4) -> bytes:
    """A pickle without a memo, as dictionaries are written."""
    out = io.BytesIO()
    pickler = pickle.Pickler(out, protocol)
    pickler.fast = True
    pickler.dump(values)
    return out.getvalue()


SHAPES = {
    "of one shape": [(60, 60)] * 40,
    "with frames of their own": [(300, 300)] * 5,
    "of shapes by turns": [(60, 60), (40, 90)] * 8,
    "with others between": [(60, 60)] * 5 + [(3, 4)] + [(60, 60)] * 5 + [(61, 60)] * 3,
    "in batches of a thousand": [(33, 33)] * 2100,
}


@pytest.mark.parametrize("positioned", [True, False])
@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("shapes", SHAPES.values(), ids=SHAPES)
def test_arrays_spelled_alike(tmp_path, monkeypatch, shapes, protocol, positioned):
    if not positioned:
        monkeypatch.delattr(os, "pread")
    rng = np.random.default_rng(0)
    arrays = [rng.integers(0, 256, shape).astype(np.uint8) for shape in shapes]
    path = tmp_path / "alike.pkl"
    for content in (
        spelled([arrays, "end", arrays[:3]], protocol),
        pickle.dumps([arrays, "end", arrays[3:5]], protocol),
    ):
        path.write_bytes(content)
        with path.open("rb") as file:
            found, end, again = load(file)
            assert end == "end" and len(found) == len(arrays)
            for stored, array in zip([*found, *again], [*arrays, *pickle.loads(content)[2]], strict=True):
                assert np.array_equal(array_of(stored, file), array)


def test_of_arrays_spelled_alike_all_but_two_are_compared_alone(tmp_path, monkeypatch):
    path = tmp_path / "alike.pkl"
    path.write_bytes(spelled([np.full((60, 60), i % 256, np.uint8) for i in range(900)]))
    run = []
    monkeypatch.setitem(
        plain_pickle._HANDLERS, b"b", lambda machine: (run.append(1), plain_pickle._Machine.build(machine))
    )
    with path.open("rb") as file:
        assert len(load(file)) == 900
    assert len(run) < 10


@pytest.mark.parametrize("cut", [1, 3000, 3700])
def test_arrays_spelled_alike_that_are_cut_short(tmp_path, cut):
    path = tmp_path / "alike.pkl"
    whole = spelled([np.full((60, 60), i, np.uint8) for i in range(9)])
    path.write_bytes(whole[:-cut])
    with path.open("rb") as file, pytest.raises(PlainPickleError, match="cut short"):
        load(file)


def test_what_puts_an_array_elsewhere_meanwhile_is_run_each_time(tmp_path):
    """Between two arrays the one before is put into a list: the same bytes, but not the same effect."""
    array = spelled(np.zeros((60, 60), np.uint8))[2:-1]
    array = array[9:] if array[:1] == b"\x95" else array
    path = tmp_path / "appended.pkl"
    path.write_bytes(b"\x80\x04]" + (array + b"a") * 6 + b".")
    with path.open("rb") as file:
        assert len(load(file)) == 6
    path.write_bytes(b"\x80\x04](" + array + b"\x94" + (array + b"h\x00") * 4 + b"e.")
    with path.open("rb") as file:
        found = load(file)
    assert len(found) == 9 and found[2] is found[4] is found[0] and found[1] is not found[3]


def test_arrays_spelled_alike_count_as_what_they_take(tmp_path, monkeypatch):
    path = tmp_path / "alike.pkl"
    path.write_bytes(spelled([np.full((60, 60), i % 256, np.uint8) for i in range(900)]))
    with memory.limited_to(200e-6), path.open("rb") as file, pytest.raises(PlainPickleError, match="max-gb"):
        load(file)


class Twin:
    """Pickles as an array whose bytes are those of others."""

    DATA = bytes(range(256)) * 8

    def __reduce__(self):
        make, arguments, _ = np.zeros(3, np.uint8).__reduce__()
        return make, arguments, (1, (2048,), np.dtype(np.uint8), False, self.DATA)


def test_arrays_that_share_their_bytes(tmp_path):
    found = read(tmp_path / "a.pkl", pickletools.optimize(pickle.dumps([Twin(), Twin(), Twin()], 4)))
    assert [array.tobytes() for array in found] == [Twin.DATA] * 3
