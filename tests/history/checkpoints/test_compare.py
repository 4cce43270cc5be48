import math
from functools import reduce
from itertools import pairwise
from operator import add

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onyxstore.history.checkpoints import compare as compare_module
from onyxstore.history.checkpoints.compare import Comparison, are_comparable, compare
from onyxstore.history.checkpoints.elements import FLOAT4
from onyxstore.history.checkpoints.tensors import WIDTHS

ORDINARY = st.floats(-1e6, 1e6, allow_subnormal=False).map(lambda value: value if abs(value) > 1e-6 else 0.0)


def compared(old, new, dtype=None, new_dtype=None) -> Comparison:
    old, new = np.asarray(old), np.asarray(new)
    return compare(dtype or old.dtype.name, old.tobytes(), new_dtype or dtype or new.dtype.name, new.tobytes())


def figures(found: Comparison):
    return found.norm, found.cosine, found.share


@given(pairs=st.lists(st.tuples(ORDINARY, ORDINARY), max_size=50))
def test_the_figures_are_those_of_the_definitions(pairs):
    old, new = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    found = compared(np.array(old, float), np.array(new, float))
    before, after, apart = (math.sqrt(math.fsum(x * x for x in side)) for side in (old, new, [b - a for a, b in pairs]))
    norm = apart / before if before else math.inf if apart else 0.0
    cosine = math.fsum(a * b for a, b in pairs) / (before * after) if before and after else None
    assert found.norm == pytest.approx(norm, rel=1e-12)
    assert found.cosine == (None if cosine is None else pytest.approx(cosine, abs=1e-12))
    assert found.changed == sum(repr(a) != repr(b) for a, b in pairs)


@pytest.mark.parametrize("dtype", WIDTHS)
def test_a_tensor_of_any_dtype_does_not_differ_from_itself(dtype):
    data = bytes(range(256)) * WIDTHS[dtype]
    found = compare(dtype, data, dtype, data)
    assert (found.norm, found.share, found.difference) == (0.0, 0.0, 0.0)
    assert found.cosine == pytest.approx(1.0)


@given(values=st.lists(st.tuples(st.floats(width=32), st.floats(width=32)), min_size=1, max_size=40), cuts=st.sets(st.integers(1, 39)))
def test_parts_add_up_to_the_whole(values, cuts):
    old, new = (np.array([pair[side] for pair in values], np.float32) for side in (0, 1))
    bounds = [0, *sorted(cut for cut in cuts if cut < len(values)), len(values)]
    parts = [compared(old[start:stop], new[start:stop]) for start, stop in pairwise(bounds)]
    whole, sums = compared(old, new), reduce(add, parts, Comparison())
    assert (sums.values, sums.changed, sums.finite, sums.nan, sums.inf) == (whole.values, whole.changed, whole.finite, whole.nan, whole.inf)
    for one, other in zip(figures(sums), figures(whole), strict=True):
        assert one == (other if other is None or math.isinf(other) else pytest.approx(other, rel=1e-9, abs=1e-9))


def test_windows_larger_than_a_block_are_compared_whole(monkeypatch):
    monkeypatch.setattr(compare_module, "BLOCK", 4)
    found = compared(np.arange(11.0), np.arange(11.0) + 1)
    assert figures(found) == (pytest.approx(math.sqrt(11 / 385)), pytest.approx(440 / math.sqrt(385 * 506)), 1.0)


def test_what_is_empty_differs_in_nothing():
    assert figures(compared(np.zeros(0), np.zeros(0))) == (0.0, None, 0.0)


def test_from_zeros_the_norm_is_infinite_and_there_is_no_angle():
    assert figures(compared(np.zeros(4), np.array([0.0, 1, 0, 0]))) == (math.inf, None, 0.25)
    assert figures(compared(np.array([0.0, 1, 0, 0]), np.zeros(4))) == (1.0, None, 0.25)
    assert figures(compared(np.zeros(4), np.zeros(4))) == (0.0, None, 0.0)


def test_the_opposite_has_a_cosine_of_minus_one():
    assert figures(compared(np.array([1.0, 2]), np.array([-1.0, -2]))) == (2.0, pytest.approx(-1.0), 1.0)


def test_what_is_not_finite_is_counted_and_left_out():
    found = compared(np.array([math.nan, 1.0, math.inf, 3.0]), np.array([math.nan, 2.0, 5.0, -math.inf]))
    assert (found.values, found.changed, found.finite, found.nan, found.inf) == (4, 3, 1, (1, 1), (1, 1))
    assert figures(found) == (1.0, 1.0, 0.75)


def test_a_nan_is_itself_and_minus_zero_is_not_zero():
    assert figures(compared(np.array([math.nan, 1]), np.array([math.nan, 1]))) == (0.0, 1.0, 0.0)
    assert figures(compared(np.array([0.0, 1]), np.array([-0.0, 1]))) == (0.0, 1.0, 0.5)


def test_where_nothing_is_finite_there_is_no_norm():
    assert figures(compared(np.array([math.nan]), np.array([1.0]))) == (None, None, 1.0)


@pytest.mark.parametrize("scale", [1e-300, 1e-200, 1e200, 1.7e308])
def test_squares_that_no_float_holds_are_no_obstacle(scale):
    old, new = np.array([scale, 0, scale / 2]), np.array([scale, scale / 4, scale / 2])
    assert compared(old, new).norm == pytest.approx(0.25 / math.sqrt(1.25))
    assert compared(old, -old).norm == pytest.approx(2.0)
    assert compared(old, -old).cosine == pytest.approx(-1.0)
    assert compared(old, -old.astype(complex)).norm == pytest.approx(2.0)
    parts = compared(old, new) + compared(np.zeros(3), np.zeros(3))
    assert parts.norm == pytest.approx(0.25 / math.sqrt(1.25))


def test_ints_are_compared_exactly():
    old, new = np.array([2**62, 1], np.int64), np.array([2**62 + 1, 1], np.int64)
    assert compared(old, new).difference == 1.0
    assert compared(np.array([2**64 - 1], np.uint64), np.array([0], np.uint64)).norm == 1.0


def test_bools_are_numbers():
    root = pytest.approx(math.sqrt(0.5))
    assert figures(compared(np.array([True, True, False]), np.array([True, False, False]))) == (root, root, pytest.approx(1 / 3))


def test_complex_numbers_are_compared_by_modulus():
    found = compared(np.array([3 + 4j, math.nan + 1j], np.complex64), np.array([3 + 4j, 1j], np.complex64))
    assert (found.values, found.changed, found.finite, found.nan) == (2, 1, 1, (1, 0))
    assert figures(compared(np.array([3 + 4j]), np.array([4j]))) == (0.6, 0.8, 1.0)


def test_another_dtype_of_the_same_numbers_changes_none():
    old = np.array([1.5, -2, math.nan, 0.0], np.float32)
    narrow = (old.view(np.uint32) >> 16).astype(np.uint16)
    assert figures(compared(old, narrow, "float32", "bfloat16")) == (0.0, pytest.approx(1.0), 0.0)
    assert figures(compared([1, 2], [1.0, 4])) == (pytest.approx(2 / math.sqrt(5)), pytest.approx(9 / math.sqrt(85)), 0.5)


def test_a_real_number_is_a_complex_one_without_a_second_part():
    assert figures(compared(np.array([3.0]), np.array([3 + 4j]))) == (pytest.approx(4 / 3), 0.6, 1.0)
    assert figures(compared(np.array([3 + 0j]), np.array([3.0]))) == (0.0, 1.0, 0.0)


def test_a_pair_of_float4_is_compared_as_two_values():
    assert compare(FLOAT4, bytes([0x22]), FLOAT4, bytes([0x32])).share == 0.5
    assert [are_comparable(*pair) for pair in ((FLOAT4, FLOAT4), (FLOAT4, "uint8"), ("int8", "float64"))] == [True, False, True]
