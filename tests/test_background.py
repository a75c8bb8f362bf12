"""utils/classification/background.py: read ahead and written behind, within bounds."""

import threading

import numpy as np
import pytest

from utils.classification.background import background_calls, in_parts, prefetched


def test_what_comes_next_is_taken_on_a_thread():
    taken = []

    def items():
        for i in range(3):
            taken.append((i, threading.current_thread()))
            yield i
        raise ValueError("the fourth is broken")

    seen = []
    with pytest.raises(ValueError, match="the fourth is broken"):
        for item in prefetched(items()):
            seen.append(item)
    assert seen == [0, 1, 2] == [i for i, _ in taken] and list(prefetched([])) == []
    assert threading.main_thread() not in {thread for _, thread in taken}


def test_calls_that_wait_are_bounded_and_their_errors_raised():
    going, most = threading.Semaphore(0), []

    def call(i):
        most.append(i)
        going.acquire()

    with background_calls(1, 3) as write:
        for i in range(3):
            write(call, i)
        threading.Thread(target=going.release, args=(10,)).start()
        for i in range(3, 6):
            write(call, i)
            assert len(write._open) <= 3
    assert most == list(range(6))
    with pytest.raises(OSError, match="full"), background_calls(2, 2) as write:
        write(_fail)
        write.finish()
    with pytest.raises(OSError, match="full"), background_calls(2, 2) as write:
        write(_fail)


def test_after_an_error_what_waits_is_not_begun_and_nothing_goes_on():
    begun, cancelled, made = threading.Event(), threading.Event(), []

    def call(i):
        made.append(i)
        begun.set()
        cancelled.wait(5)

    with pytest.raises(OSError, match="full"), background_calls(1, 9) as write:
        for i in range(5):
            write(call, i)
        assert begun.wait(60)
        for future in write._open:
            future.add_done_callback(lambda _: cancelled.set())
        _fail()
    assert made == [0] and not [t for t in threading.enumerate() if t.name.startswith("write-behind")]


def _fail():
    raise OSError("the disk is full")


@pytest.mark.parametrize(("count", "sizes"), [(9, [4, 4, 1]), (5, [3, 2]), (2, [1, 1]), (1, [1]), (0, [0])])
def test_parts_are_made_by_threads_and_put_together_in_order(count, sizes):
    seen = []

    def run(patches):
        seen.append((len(patches), threading.current_thread()))
        return np.array(patches, int), np.array(patches, int) * 10

    first, second = in_parts(run, 2, 4)(list(range(count)))
    assert first.tolist() == list(range(count)) and second.tolist() == [10 * i for i in range(count)]
    assert sorted(size for size, _ in seen) == sorted(sizes)
    assert threading.main_thread() not in {thread for _, thread in seen}
    assert in_parts(run, 1, 4) is run


def test_two_parts_are_made_at_the_same_time_and_an_error_is_raised():
    both = threading.Barrier(2, timeout=60)

    def run(patches):
        both.wait()
        if 3 in patches:
            raise ValueError("the fourth is broken")
        return np.array(patches), np.array(patches)

    with pytest.raises(ValueError, match="the fourth is broken"):
        in_parts(run, 2, 2)([0, 1, 2, 3])
