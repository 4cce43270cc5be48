import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onyxstore.errors import BadInput
from onyxstore.history.best import Candidate, check_mode, is_better, is_candidate

numbers = st.one_of(st.integers(), st.floats(allow_nan=False), st.booleans())
modes = st.sampled_from(["min", "max"])


def test_a_mode_is_min_or_max():
    assert [check_mode(mode) for mode in ("min", "max")] == ["min", "max"]


@pytest.mark.parametrize("mode", ["", "Min", "minimum", "maximize", None, 1])
def test_any_other_mode_is_refused_by_name(mode):
    with pytest.raises(BadInput, match=f"best_mode is 'min' or 'max', not {mode!r}"):
        check_mode(mode)


@pytest.mark.parametrize(
    ("value", "mode", "better"),
    [
        (0.1, "min", True),
        (0.3, "min", False),
        (0.3, "max", True),
        (-math.inf, "min", True),
        (math.inf, "max", True),
        (0.2, "min", False),
        (0.2, "max", False),
    ],
)
def test_better_is_strictly_lower_or_higher(value, mode, better):
    assert is_better(value, 0.2, mode) is better


@given(numbers, numbers, modes)
def test_of_two_values_one_is_better_unless_they_are_equal(one, other, mode):
    assert is_better(one, other, mode) + is_better(other, one, mode) == (one != other)


@given(numbers, modes)
def test_nan_is_no_candidate_and_beats_nothing(than, mode):
    assert (is_candidate(math.nan), is_better(math.nan, than, mode)) == (False, False)


@given(st.one_of(numbers, st.sampled_from([10**400, -(10**400)])))
def test_every_other_number_is_a_candidate_however_large(value):
    assert is_candidate(value)


@pytest.mark.parametrize("value", [None, "0.5", [], 1j])
def test_what_is_no_number_is_no_candidate(value):
    assert not is_candidate(value)


@pytest.mark.parametrize(
    ("moment", "value"),
    [((7, 2), 0.5), ((7, None), 0.5), ((7, 3), None), ((8, 2), None), ((None, 2), None)],
)
def test_a_logged_value_counts_for_the_moment_that_it_was_logged_at(moment, value):
    candidate = Candidate("loss")
    candidate.note((6, 2), {"loss": 0.1, "lr": 1})
    candidate.note((7, 2), {"loss": 0.5})
    candidate.note((9, 2), {"lr": 1})
    assert candidate.at(moment) == value


def test_without_a_metric_nothing_is_a_candidate():
    candidate = Candidate(None)
    candidate.note((1, None), {"loss": 0.1})
    assert candidate.at((1, None)) is None
