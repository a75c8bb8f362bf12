"""utils/parallel.py: results in order, few at a time, errors where they belong."""

import threading
import warnings
from collections.abc import Iterator

import numpy  # noqa: F401  brings a library of matrix products
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from utils.parallel import gathered_warnings, ordered_map


@pytest.mark.parametrize("threads", [0, 1, 2, 5])
def test_results_come_in_order(threads):
    assert list(ordered_map(lambda n: n * n, range(20), threads)) == [n * n for n in range(20)]
    assert list(ordered_map(str, [], threads)) == []


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_no_more_is_begun_than_is_in_flight(threads):
    begun: list[int] = []

    def items() -> Iterator[int]:
        for n in range(20):
            begun.append(n)
            yield n

    results = ordered_map(lambda n: n, items(), threads)
    assert next(results) == 0
    assert len(begun) == (threads + 1 if threads > 1 else 1)


@pytest.mark.parametrize("threads", [1, 2])
def test_matrix_products_take_one_thread(threads):
    def numbers(item: int) -> set[int]:
        return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}

    with threadpool_limits(2, user_api="blas"):
        assert list(ordered_map(numbers, range(2), threads)) == [{1}, {1}]


def test_work_is_done_side_by_side():
    meeting = threading.Barrier(3, timeout=30)
    assert list(ordered_map(lambda n: meeting.wait() >= 0, range(3), 3)) == [True] * 3


@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_comes_at_its_item(threads):
    results = ordered_map(lambda n: 6 // (2 - n), range(9), threads)
    assert (next(results), next(results)) == (3, 6)
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_warnings_come_at_the_end_once_each_as_lines():
    with gathered_warnings() as sentences:
        for said, kind in [("two\n lines", UserWarning), ("zero", RuntimeWarning), ("old", DeprecationWarning)] * 2:
            warnings.warn(said, kind, stacklevel=1)
        assert sentences == []
    assert sentences == ["two lines", "zero"]
