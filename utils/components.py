"""Connected components: what pairs tie together."""

from collections.abc import Iterable


def connected(count: int, pairs: Iterable[tuple[int, int]]) -> list[int]:
    """The component of each of `count` members, numbered from 0 in the order of their first members.

    >>> connected(4, [(3, 1)])
    [0, 1, 2, 1]
    """
    parent = list(range(count))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for one, other in pairs:
        low, high = sorted((root(one), root(other)))
        parent[high] = low
    number: dict[int, int] = {}
    return [number.setdefault(root(i), len(number)) for i in range(count)]
