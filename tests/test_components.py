"""utils/components.py: what has one key, and what pairs tie together, numbered as it appears."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from utils.components import by_key, connected


def test_what_has_one_key_stays_in_its_order():
    assert by_key(iter([5, 2, 4, 3]), lambda n: n % 2) == {1: [5, 3], 0: [2, 4]}
    assert list(by_key([2, 1], lambda n: n % 2)) == [0, 1] and by_key([], len) == {}


@given(st.integers(1, 12).flatmap(lambda n: st.tuples(st.just(n), st.lists(st.tuples(*[st.integers(0, n - 1)] * 2)))))
def test_members_are_together_where_a_way_leads(drawn):
    count, pairs = drawn
    ways = np.eye(count, dtype=bool)
    for one, other in pairs:
        ways[one, other] = ways[other, one] = True
    for _ in range(count):
        ways |= ways @ ways
    first = ways.argmax(axis=1).tolist()
    assert connected(count, pairs) == [sorted(set(first)).index(i) for i in first]


def test_long_chains():
    assert set(connected(20_000, ((i, i + 1) for i in reversed(range(19_999))))) == {0}
    assert connected(0, []) == []
