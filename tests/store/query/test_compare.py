import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onyxstore.store.query.compare import COMPARISONS, is_ordered, less, same

SIGNS = ["==", "!=", "<", "<=", ">", ">="]


def holding(one, other):
    """The signs that may stand between two values."""
    return [sign for sign in SIGNS if COMPARISONS[sign](one, other)]


@pytest.mark.parametrize(
    ("one", "other", "signs"),
    [
        *((1, 1.0, ["==", "<=", ">="]), (1, 2.5, ["!=", "<", "<="]), ("b", "a", ["!=", ">", ">="]), ("a", "a", ["==", "<=", ">="])),
        *((True, 1, ["!="]), (True, True, ["=="]), (True, False, ["!="]), ("1", 1, ["!="]), ([1], 1, ["!="])),
        *(([1, "a"], [1.0, "a"], ["=="]), ([1], [1, 2], ["!="]), ([True], [1], ["!="])),
        *((math.nan, math.nan, ["=="]), (math.nan, 1.0, ["!="]), (math.inf, 1, ["!=", ">", ">="])),
        *((None, 1, []), (None, "a", []), (None, None, ["=="]), (1, None, ["!="]), ([None], [None], ["=="])),
    ],
)
def test_values_of_one_kind_compare_and_others_are_only_not_equal(one, other, signs):
    assert holding(one, other) == signs


def test_a_list_holds_what_is_equal_to_one_of_its_items():
    held = [COMPARISONS["in"](value, [1, "a", None]) for value in (1.0, True, "a", None, 2)]
    missing = [COMPARISONS["not in"](value, [1, "a", None]) for value in (1.0, True, "a", None, 2)]
    assert (held, missing) == ([True, False, True, True, False], [False, True, False, False, True])


def test_what_is_no_list_holds_nothing_and_lacks_nothing():
    assert [COMPARISONS[sign]("a", container) for sign in ("in", "not in") for container in ("abc", None, 3)] == [False] * 6


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.lists(st.integers(0, 2), max_size=2)


@given(VALUES, VALUES)
def test_at_most_one_of_less_equal_and_greater_holds(one, other):
    assert sum([less(one, other), same(one, other), less(other, one)]) <= 1
    if is_ordered(one, other) and not any(isinstance(value, float) and math.isnan(value) for value in (one, other)):
        assert sum([less(one, other), same(one, other), less(other, one)]) == 1


@given(VALUES, VALUES)
def test_what_a_run_does_not_have_is_not_even_different(one, other):
    if one is not None and other is not None:
        assert COMPARISONS["=="](one, other) != COMPARISONS["!="](one, other)
    assert not any(COMPARISONS[sign](None, one) for sign in SIGNS if one is not None)
