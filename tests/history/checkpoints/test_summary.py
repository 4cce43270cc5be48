import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onyxstore.history.checkpoints import summary as summary_module
from onyxstore.history.checkpoints.summary import Summary, summarize


def summary_of(values, dtype=None) -> Summary:
    array = np.asarray(values)
    return summarize(dtype or array.dtype.name, [array.tobytes()])


def test_a_summary_has_range_mean_deviation_and_the_first_values():
    assert summary_of([1.0, 2, 3, 4]) == Summary(4, 0, 0, 1.0, 4.0, 2.5, math.sqrt(1.25), (1.0, 2.0, 3.0, 4.0))


def test_what_is_not_finite_is_counted_and_left_out():
    found = summary_of([math.nan, 1.0, -math.inf, 3.0])
    assert (found.values, found.nan, found.inf, found.min, found.max, found.mean, found.std) == (4, 1, 1, 1.0, 3.0, 2.0, 1.0)
    assert list(map(repr, found.first)) == ["nan", "1.0", "-inf", "3.0"]


@pytest.mark.parametrize("values", [[], [math.nan, math.inf]])
def test_without_a_finite_value_there_are_no_figures(values):
    found = summary_of(np.array(values, np.float32))
    assert (found.values, found.min, found.max, found.mean, found.std) == (len(values), None, None, None, None)


def test_ints_keep_every_digit():
    found = summary_of(np.array([-(2**63), 2**63 - 1, 5], np.int64))
    assert (found.min, found.max, found.first) == (-(2**63), 2**63 - 1, (-(2**63), 2**63 - 1, 5))
    mean, std = pytest.approx(2 / 3), pytest.approx(math.sqrt(2) / 3)
    assert summary_of(np.array([True, False, True])) == Summary(3, 0, 0, 0, 1, mean, std, (1, 0, 1))


def test_complex_numbers_are_taken_by_their_modulus():
    assert summary_of(np.array([3 + 4j, 0j], np.complex64)) == Summary(2, 0, 0, 0.0, 5.0, 2.5, 2.5, (3 + 4j, 0j))


def test_narrow_floats_are_summarized_too():
    assert summary_of(np.array([0x3FC0, 0xBF80], np.uint16), "bfloat16").first == (1.5, -1.0)
    assert summary_of(np.array([0x10], np.uint8), "float4_e2m1fn_x2").first == (0.0, 0.5)


def test_only_the_first_values_are_there():
    assert summary_of(np.arange(100)).first == tuple(range(8))


def test_values_beyond_what_sums_hold_have_no_deviation_and_are_no_error():
    found = summary_of([1.7e308, 1.7e308, -1.7e308])
    assert (found.min, found.max, math.isfinite(found.std)) == (-1.7e308, 1.7e308, False)


@given(values=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60), cuts=st.sets(st.integers(1, 59)))
def test_windows_and_blocks_make_no_difference(values, cuts):
    array = np.array(values)
    bounds = [0, *sorted(cut for cut in cuts if cut < len(values)), len(values)]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(summary_module, "BLOCK", 4)
        found = summarize("float64", [array[start:stop].tobytes() for start, stop in pairwise(bounds)])
    assert (found.values, found.min, found.max) == (len(values), min(values), max(values))
    assert (found.mean, found.std) == (pytest.approx(array.mean(), abs=1e-6), pytest.approx(array.std(), rel=1e-6, abs=1e-3))
