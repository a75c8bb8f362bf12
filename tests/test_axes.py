"""What there is along z, y and x; boxes that do not cover each other too much."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils import axes
from utils.axes import TakenBoxes, triple


def test_three_and_no_other_number():
    assert triple(iter("zyx")) == ("z", "y", "x")
    for wrong in ("zy", "czyx"):
        with pytest.raises(ValueError, match="values to unpack"):
            triple(wrong)


SPANS = st.tuples(st.integers(-5, 40), st.integers(1, 12)).map(lambda s: (s[0], s[0] + s[1]))
BOXES = st.lists(st.tuples(SPANS, SPANS, SPANS), max_size=60)


def shared(one, other):
    return int(np.prod([max(0, min(a[1], b[1]) - max(a[0], b[0])) for a, b in zip(one, other, strict=True)]))


def free(boxes, most):
    taken = TakenBoxes()
    for box in boxes:
        if is_free := not taken.covers(box, most):
            taken.add(box)
        yield is_free


def plainly(boxes, most):
    taken = []
    for box in boxes:
        free = all(shared(box, other) <= most * shared(box, box) for other in taken)
        taken += [box] if free else []
        yield free


@given(BOXES, st.sampled_from([0, 0.01, 0.3, 0.999, 1]))
def test_overlap_is_what_comparing_all_with_all_finds(boxes, most):
    assert list(free(boxes, most)) == list(plainly(boxes, most))


@given(BOXES)
def test_taken_boxes_find_every_shared_voxel(boxes):
    taken = TakenBoxes()
    for i, box in enumerate(boxes):
        assert taken.covers(box) == any(shared(box, other) for other in boxes[:i])
        taken.add(box)


def test_a_hundred_thousand_boxes_meet_their_neighbours_only(monkeypatch):
    looks = []
    real = axes._shared
    monkeypatch.setattr(axes, "_shared", lambda a, b: looks.append(1) or real(a, b))
    grid = [
        ((z, z + 5), (y, y + 224), (x, x + 224))
        for z in range(0, 300, 2)
        for y in (0, 224)
        for x in range(0, 2240, 224)
    ]
    assert sum(free(grid, 0)) == 50 * 20 and len(looks) < 8 * len(grid)
