"""One axis for backends: it never goes back, and each row has a place of its own on it."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from onyxstore.tracking.steps import GlobalSteps

ROWS = st.lists(
    st.tuples(
        st.integers(-5, 30) | st.integers(-(2**63), 2**63 - 1),
        st.none() | st.integers(0, 3) | st.sampled_from([0.5, 1.0]),
        st.sets(st.sampled_from("abc"), min_size=1),
    ),
    max_size=60,
)


def placed(rows, steps=None):
    steps = steps or GlobalSteps()
    return [steps.place(*row) for row in rows]


@given(ROWS)
def test_places_never_go_back_and_are_not_below_0(rows):
    places = placed(rows)
    assert places == sorted(places)
    assert min(places, default=0) >= 0


@given(ROWS)
def test_rows_that_share_a_place_are_of_one_moment_and_have_no_metric_in_common(rows):
    for _, group in itertools.groupby(zip(placed(rows), rows, strict=True), key=lambda each: each[0]):
        shared = [row for _, row in group]
        assert len({(epoch, step) for step, epoch, _ in shared}) == 1
        assert sum(len(names) for *_, names in shared) == len(set().union(*(names for *_, names in shared)))


@given(ROWS)
def test_rows_of_one_moment_in_a_row_share_a_place_where_they_can(rows):
    for row in rows:
        steps = GlobalSteps()
        placed(rows[: rows.index(row)], steps)
        first = steps.place(*row)
        assert (steps.place(row[0], row[1], {"other"}), steps.last) == (first, first)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30), st.integers(0, 1000))
def test_within_an_epoch_places_are_as_far_apart_as_steps(gaps, first):
    steps = [first + sum(gaps[:n]) + n for n in range(len(gaps))]
    assert placed([(step, 0, {"loss"}) for step in steps]) == steps


@given(st.integers(1, 5), st.integers(1, 8), st.integers(1, 50))
def test_epochs_that_restart_follow_one_another(epochs, rows, every):
    places = placed([(row * every, epoch, {"loss"}) for epoch in range(epochs) for row in range(rows)])
    length = (rows - 1) * every + 1
    assert places == [epoch * length + row * every for epoch in range(epochs) for row in range(rows)]


def test_metrics_of_one_moment_share_a_place_and_a_second_value_has_the_next():
    assert placed([(7, 0, {"loss"}), (7, 0, {"lr"}), (7, 0, {"loss", "acc"}), (7, 0, {"lr"}), (8, 0, {"loss"})]) == [7, 7, 8, 8, 9]


def test_a_late_row_comes_next_and_the_loop_finds_back_to_its_own_steps():
    assert placed([(100, 0, {"loss"}), (40, 0, {"val"}), (101, 0, {"loss"}), (200, 0, {"loss"})]) == [100, 101, 102, 200]


def test_steps_that_restart_without_epochs_are_late_and_all_have_a_place():
    assert placed([(step, None, {"loss"}) for _ in range(3) for step in range(4)]) == list(range(12))


def test_what_goes_on_later_goes_on_behind_all_that_was():
    steps = GlobalSteps()
    steps.go_on_after([(0, 0), (5, 0), (0, 1), (5, 1)])
    assert placed([(3, 1, {"loss"}), (4, 1, {"loss"}), (0, 2, {"loss"})], steps) == [12, 13, 14]


@given(ROWS, ROWS)
def test_no_place_of_an_earlier_attempt_is_given_again(earlier, later):
    steps = GlobalSteps()
    steps.go_on_after((step, epoch) for step, epoch, _ in earlier)
    last = max(placed(earlier), default=-1)
    assert all(place > last for place in placed(later, steps))


def test_what_nobody_logged_before_changes_nothing():
    steps = GlobalSteps()
    steps.go_on_after([])
    assert placed([(3, 0, {"loss"})], steps) == [3]
