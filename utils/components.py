"""What belongs together: by a key, or by pairs that tie (connected components)."""

from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

Item = TypeVar("Item")
Key = TypeVar("Key", bound=Hashable)


def by_key(items: Iterable[Item], key: Callable[[Item], Key]) -> dict[Key, list[Item]]:
    """Items in lists of one key each, all in the order in which they come.

    >>> by_key(["fly", "mouse", "worm", "bee"], len)
    {3: ['fly', 'bee'], 5: ['mouse'], 4: ['worm']}
    """
    found: dict[Key, list[Item]] = {}
    for item in items:
        found.setdefault(key(item), []).append(item)
    return found


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
