from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onyxstore.history.metrics.wide import column_names, free_names, wide_of

NONE = float("nan")


@dataclass(frozen=True)
class Curve:
    """Points as (epoch, step, value); the time of each is its number."""

    points: tuple

    @property
    def epochs(self):
        return np.array([NONE if epoch is None else epoch for epoch, _, _ in self.points], np.float64)

    @property
    def steps(self):
        return np.array([step for _, step, _ in self.points], np.int64)

    @property
    def times(self):
        return np.arange(len(self.points), dtype=np.float64)

    @property
    def values(self):
        return np.array([value for _, _, value in self.points])


def rows(wide):
    """Each row as (epoch, step, value of each metric)."""
    columns = [wide.listed(name) for name in wide.columns]
    return list(zip(wide.listed_epochs(), wide.steps.tolist(), *columns, strict=True))


def test_metrics_of_one_epoch_and_step_stand_in_one_row_and_others_have_nothing_there():
    wide = wide_of({"loss": Curve(((0, 1, 0.5), (0, 2, 0.25))), "acc": Curve(((0, 2, 7), (1, 2, 8)))})
    assert rows(wide) == [(0, 1, 0.5, None), (0, 2, 0.25, 7), (1, 2, None, 8)]
    assert wide.times.tolist() == [0, 0, 1]


def test_a_repeated_step_has_a_row_for_each_point_in_the_order_in_which_they_were_logged():
    wide = wide_of({"loss": Curve(((None, 5, 0.9), (None, 1, 0.1), (None, 5, 0.2))), "lr": Curve(((None, 5, 3),))})
    assert rows(wide) == [(None, 1, 0.1, None), (None, 5, 0.9, 3), (None, 5, 0.2, None)]


def test_rows_without_an_epoch_come_before_those_with_one_and_whole_epochs_are_ints():
    wide = wide_of({"loss": Curve(((0.5, 1, 1.0), (None, 9, 2.0), (-3, 9, 3.0), (1.0, 0, 4.0)))})
    assert rows(wide) == [(None, 9, 2.0), (-3, 9, 3.0), (0.5, 1, 1.0), (1, 0, 4.0)]
    assert [type(epoch) for epoch in wide.listed_epochs()] == [type(None), int, float, int]


def test_the_last_rows_keep_every_column():
    wide = wide_of({"loss": Curve(((0, 1, 1.0), (0, 2, 2.0), (0, 3, 3.0))), "acc": Curve(((0, 1, 7),))})
    assert rows(wide.last(2)) == [(0, 2, 2.0, None), (0, 3, 3.0, None)]
    assert rows(wide.last(9)) == rows(wide)
    assert (rows(wide.last(0)), list(wide.last(0).columns)) == ([], ["loss", "acc"])


def test_no_curves_make_no_rows():
    wide = wide_of({})
    assert (len(wide), rows(wide), wide.listed("loss")) == (0, [], [])


POINTS = st.lists(st.tuples(st.sampled_from([None, 0, 1, 2.5]), st.integers(-3, 3), st.integers(0, 99)), min_size=1, max_size=12).map(tuple)


@given(st.dictionaries(st.sampled_from("abc"), POINTS.map(Curve)))
def test_each_point_stands_in_one_row_of_its_epoch_and_step_and_rows_are_in_order(curves):
    wide = wide_of(curves)
    keys = list(zip(wide.listed_epochs(), wide.steps.tolist(), strict=True))
    assert keys == sorted(keys, key=lambda key: (float("-inf") if key[0] is None else key[0], key[1]))
    for name, curve in curves.items():
        there = [(*key, value) for key, value in zip(keys, wide.listed(name), strict=True) if value is not None]
        # Sorting is stable: points of one (epoch, step) stay in the order in which they were logged.
        assert there == sorted(curve.points, key=lambda point: (float("-inf") if point[0] is None else point[0], point[1]))
    most = [max([sum(point[:2] == key for point in curve.points) for curve in curves.values()]) for key in dict.fromkeys(keys)]
    assert len(wide) == sum(most)


@pytest.mark.parametrize(
    ("metrics", "columns"),
    [
        (["loss", "epoch"], ["loss", "metric/epoch"]),
        (["step", "metric/step"], ["metric/metric/step", "metric/step"]),
        (["metric/step", "step"], ["metric/step", "metric/metric/step"]),
    ],
)
def test_a_metric_that_is_called_as_a_fixed_column_gives_way(metrics, columns):
    assert list(column_names(metrics).items()) == list(zip(metrics, columns, strict=True))


@given(st.lists(st.text("am/", max_size=6), unique=True), st.sets(st.text("am/", max_size=3)))
def test_free_names_are_all_different_and_none_is_taken(names, taken):
    found = free_names(names, taken, "m")
    assert list(found) == names
    assert len({*found.values(), *taken}) == len(names) + len(taken)
    assert all(found[name] == name for name in names if name not in taken)
