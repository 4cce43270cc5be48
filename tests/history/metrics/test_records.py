import math

from hypothesis import given
from hypothesis import strategies as st

from onyxstore.history.metrics.records import is_epoch, is_int64, is_value, order_of


def test_no_epoch_is_below_every_epoch():
    order = [(None, -5), (None, 7), (-3, 0), (-2.5, 0), (0, 9), (0.5, 1), (1, 0)]
    shuffled = [order[number] for number in (4, 2, 6, 0, 5, 1, 3)]
    assert sorted(shuffled, key=lambda pair: order_of(*pair)) == order


@given(st.integers(-(2**53), 2**53), st.floats(-(2.0**53), 2.0**53), st.integers(-(2**63), 2**63 - 1))
def test_int_and_float_epochs_compare_as_the_numbers_that_they_are(whole, broken, step):
    assert (order_of(whole, step) < order_of(broken, step)) == (whole < broken)


def test_a_step_is_an_int_of_64_bits_and_no_bool():
    assert [is_int64(value) for value in (0, -(2**63), 2**63 - 1, 2**63, -(2**63) - 1, True, 1.0, None)] == [True] * 3 + [False] * 5


def test_an_epoch_has_a_place_in_the_order():
    accepted = [None, 0, -1, 2**53, 0.5, -0.0]
    refused = [math.nan, math.inf, 2**53 + 1, True, "1"]
    assert [is_epoch(value) for value in accepted + refused] == [True] * len(accepted) + [False] * len(refused)


def test_a_value_is_a_number_that_a_float_can_come_near():
    accepted = [math.nan, -math.inf, 5e-324, 2**1000 - 1, True]
    refused = [2**1000, None, "1", 1j]
    assert [is_value(value) for value in accepted + refused] == [True] * len(accepted) + [False] * len(refused)
    assert math.isfinite(float(2**1000 - 1))
