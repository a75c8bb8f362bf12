"""utils/duplicates/embedding.py: codes of patches and of their views."""

import hashlib
from itertools import product

import cv2
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tissue import cut, texture
from utils.duplicates import embedding
from utils.duplicates.embedding import RELATIVE_VIEWS, code_views, embed_all, transform, view_of


def embed(patch):
    return embed_all([patch])[0]


def cosine(a, b):
    return float(a.astype(float) @ b.astype(float) / (np.linalg.norm(a) * np.linalg.norm(b)))


@given(st.integers(0, 50), st.integers(0, 7))
def test_the_code_of_a_view_is_the_view_of_the_code(seed, view):
    patch = cut(texture(seed % 4, (256, 256)), seed % 30, seed // 2, 192)
    assert np.array_equal(embed(view_of(patch, view)), code_views(embed(patch)[np.newaxis])[0, view])


def test_views_are_eight_and_names_tell_them():
    patch = np.arange(12, dtype=np.uint8).reshape(3, 4)
    seen = {(view_of(patch, v).shape, view_of(patch, v).tobytes()) for v in range(8)}
    assert len(seen) == 8 and len({embedding.view_name(v) for v in range(8)}) == 8
    assert np.array_equal(view_of(patch, 6), np.rot90(patch)) and embedding.view_name(6) == "rot90"
    assert np.array_equal(view_of(patch, 5), np.rot90(patch, 3)) and embedding.view_name(5) == "rot270"
    assert np.array_equal(view_of(patch, 3), np.rot90(patch, 2)) and embedding.view_name(3) == "rot180"


def test_every_machine_makes_the_same_codes():
    i = np.arange(224)
    patch = ((np.multiply.outer(i, i) // 7 + np.add.outer(i * i, 3 * i)) % 256).astype(np.uint8)
    codes = embed_all([patch, patch[:96, :100], patch[:150, :170]])
    assert hashlib.sha256(codes.tobytes()).hexdigest()[:16] == "e9c86cdcb7371bb4"


def test_inversion_is_the_negative_and_contrast_does_not_count():
    patch = cut(texture(0), 0, 0)
    code = embed(patch)
    assert np.array_equal(embed(255 - patch), -code)
    assert np.array_equal(embed(patch // 2 * 2 // 2 + 60), embed(patch // 2))
    assert not embed(np.full((224, 224), 7, np.uint8)).any()
    assert code[0] == 0 and code.dtype == np.int8 and abs(code).max() <= 120


def test_sizes_of_one_field_have_one_code():
    patch = cut(texture(1), 10, 10)
    half = cv2.resize(patch, (112, 112), interpolation=cv2.INTER_AREA)
    odd = cv2.resize(patch, (150, 150), interpolation=cv2.INTER_AREA)
    assert cosine(embed(patch), embed(half)) > 0.999 and cosine(embed(patch), embed(odd)) > 0.99
    for image in (odd, odd[:129]):  # 22 rows, and one, beyond whole blocks
        assert embedding._block_sums(image).sum() == 32 * 32 * image.sum(dtype=np.int64)


def test_transform_is_a_cosine_transform_without_a_constant_part():
    sums = np.random.default_rng(0).integers(0, 4080, (5, 40, 40)).astype(float)
    assert np.array_equal(transform(sums + 1000)[:, 1:], transform(sums)[:, 1:])
    mine = transform(sums)[0, 1:, 1:]
    reference = cv2.dct(sums[0])[1:8, 1:8]
    assert np.allclose(mine / mine.std(), reference / reference.std(), atol=0.02)


def test_the_view_by_which_one_view_is_like_another():
    patch = np.arange(12).reshape(3, 4)
    for view, its_view in product(range(8), repeat=2):
        other = view_of(patch, RELATIVE_VIEWS[view, its_view])
        assert np.array_equal(view_of(patch, view), view_of(other, its_view))
