"""utils/components.py: what pairs tie together, numbered as it appears."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from utils.components import connected


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
