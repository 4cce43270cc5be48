import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onyxstore.hashing import address_of
from onyxstore.history.metrics.records import Artifact, Points, Rewind, Summary, order_of
from onyxstore.history.metrics.series import artifacts_of, series_of, standing_of, summary_of
from onyxstore.history.metrics.standing import Standing, Statistics
from tests.history.metrics.conftest import LOG, RunFolder
from tests.history.metrics.records_strategy import points

SECOND = 1_000_000_000


def logged(run, records, seal_at=()):
    """The log of these records, sealed before some of them."""
    writer = run.open()
    for number, record in enumerate(records):
        if number in seal_at:
            writer.seal()
        writer.append(record)
    return run.read()


def curve(log, name="loss", **options):
    series = series_of(log, **options)[name]
    return list(zip(series.steps.tolist(), series.values.tolist(), strict=True))


def test_a_curve_has_its_points_in_the_order_in_which_they_were_logged(run):
    records = [
        Points(3, 1, 10 * SECOND, {"loss": 0.5}),
        Points(1, None, 11 * SECOND, {"loss": 0.25, "acc": 1.0}),
        Points(3, 0.5, 12 * SECOND + 500_000_000, {"loss": 0.125}),
    ]
    series = series_of(logged(run, records))["loss"]
    assert [array.dtype for array in (series.steps, series.epochs, series.times, series.values)] == [np.int64, *[np.float64] * 3]
    assert (series.name, len(series), series.steps.tolist(), series.values.tolist()) == ("loss", 3, [3, 1, 3], [0.5, 0.25, 0.125])
    assert (np.nan_to_num(series.epochs, nan=-1).tolist(), series.times.tolist()) == ([1, -1, 0.5], [10, 11, 12.5])


@pytest.mark.parametrize("seal_at", [(), (2,), (1, 3), (4,)])
def test_a_curve_does_not_show_where_segments_end(run, seal_at):
    log = logged(run, points(5.0, 4.0, 3.0, 2.0, 1.0), seal_at)
    assert curve(log) == [(0, 5.0), (1, 4.0), (2, 3.0), (3, 2.0), (4, 1.0)]


def test_names_come_in_the_order_in_which_they_were_first_logged(run):
    log = logged(run, [Points(0, None, 0, {"z": 1, "b": 2}), Summary({"s": 1}, 0), Points(1, None, 0, {"a": 1.0, "z": 1.0})], (2,))
    series = series_of(log)
    assert (list(series), len(series), "s" in series) == (["z", "b", "a"], 3, False)
    with pytest.raises(KeyError):
        series["s"]


@pytest.mark.parametrize(
    ("values", "dtype", "expected", "last"),
    [
        ([0.5, 1, True], np.float64, [0.5, 1.0, 1.0], True),
        ([1, True, -5], np.int64, [1, 1, -5], -5),
        ([True, False], np.int64, [1, 0], False),
        ([2**53 + 1, 3], np.int64, [2**53 + 1, 3], 3),
        ([2**64, True, 3], object, [2**64, 1, 3], 3),
        ([2**64, 0.5], np.float64, [2.0**64, 0.5], 0.5),
        ([0.5, 2**64], np.float64, [0.5, 2.0**64], 2**64),
    ],
)
def test_values_have_the_narrowest_kind_that_holds_them_and_the_last_its_own(run, values, dtype, expected, last):
    for seal_at in ((), (1,)):
        series = series_of(logged(run, points(*values), seal_at))["loss"]
        assert (series.values.dtype, series.values.tolist()[-len(values) :]) == (dtype, expected)
        assert (type(series.last), series.last) == (type(last), last)


@pytest.mark.parametrize(
    ("values", "least", "greatest"),
    [([0.5, math.nan, -1.5], -1.5, 0.5), ([3, -4], -4, 3), ([2**70, 5], 5, 2**70), ([math.inf, 1.0], 1.0, math.inf), ([True, False], 0, 1)],
)
def test_the_least_and_the_greatest_pass_over_nan(run, values, least, greatest):
    series = series_of(logged(run, points(*values)))["loss"]
    assert [(type(number), number) for number in (series.min, series.max)] == [(type(least), least), (type(greatest), greatest)]


def test_a_curve_of_nothing_but_nan_has_nan_as_its_extremes(run):
    series = series_of(logged(run, points(math.nan, math.nan)))["loss"]
    assert [math.isnan(number) for number in (series.last, series.min, series.max)] == [True] * 3


def test_the_standing_is_that_of_the_line(run):
    log = logged(run, [*points(3.0, 9.0, 1.0), Rewind(1, None, 0), Points(1, 2, 0, {"loss": 2.0, "ok": True}), Summary({"s": 5}, 0)])
    curves = {"loss": Statistics(2.0, 2.0, 3.0, 2), "ok": Statistics(last=True, min=1, max=1, points=1)}
    assert standing_of(log) == Standing(LOG, 6, curves, {"s": 5}, 1, 2)
    assert standing_of(log, 2) == Standing(LOG, 2, {"loss": Statistics(9.0, 3.0, 9.0, 2)}, {}, 1, None)
    assert standing_of(log, 0) == Standing(LOG, 0, {}, {})


# ------------------------------------------------------------------------------------------------------- the one true curve


def test_a_resumed_attempt_supersedes_what_lies_at_or_after_its_start(run):
    log = logged(run, [*points(0.0, 1.0, 2.0, 3.0), Rewind(2, None, 0), *points(20.0, 30.0, start=2)])
    assert curve(log) == [(0, 0.0), (1, 1.0), (2, 20.0), (3, 30.0)]
    assert curve(log, superseded=True) == [(2, 2.0), (3, 3.0)]


def test_epochs_come_before_steps(run):
    records = [Points(5, 1, 0, {"loss": 1.0}), Points(0, 2, 0, {"loss": 2.0}), Points(9, None, 0, {"loss": 0.0}), Rewind(0, 2, 0)]
    assert curve(logged(run, records)) == [(5, 1.0), (9, 0.0)]


def test_a_rewind_without_an_epoch_lies_before_every_epoch(run):
    log = logged(run, [Points(0, None, 0, {"loss": 0.0}), Points(0, 0, 0, {"loss": 1.0}), Rewind(5, None, 0)])
    assert (curve(log), curve(log, superseded=True)) == ([(0, 0.0)], [(0, 1.0)])


def test_late_points_and_repeated_steps_are_data(run):
    log = logged(run, [*points(0.0, 1.0), Rewind(1, None, 0), *points(9.0, start=1), *points(5.0), *points(8.0, start=1)])
    assert curve(log) == [(0, 0.0), (1, 9.0), (0, 5.0), (1, 8.0)]


def test_a_prefix_knows_no_later_rewind(run):
    log = logged(run, [*points(0.0, 1.0), Rewind(0, None, 0), *points(7.0)])
    assert [curve(log, upto=2), curve(log, upto=1), curve(log, upto=4)] == [[(0, 0.0), (1, 1.0)], [(0, 0.0)], [(0, 7.0)]]
    assert list(series_of(log, upto=3)) == list(series_of(log, upto=0)) == []


ORDERS = st.tuples(st.none() | st.integers(0, 2) | st.sampled_from([0.5, 1.5]), st.integers(-1, 3))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.lists(st.tuples(st.booleans(), ORDERS), max_size=25), st.lists(st.integers(0, 25), max_size=3), st.integers(0, 26))
def test_the_line_is_what_no_later_rewind_lies_at_or_before(tmp_path_factory, entries, seal_at, upto):
    records = [
        Rewind(step, epoch, 0) if rewinds else Points(step, epoch, 0, {"loss": number})
        for number, (rewinds, (epoch, step)) in enumerate(entries)
    ]
    log = logged(RunFolder(tmp_path_factory.mktemp("log")), records, seal_at)

    def off(number):
        order = order_of(records[number].epoch, records[number].step)
        later = (record for record in records[number:upto] if isinstance(record, Rewind))
        return any(order >= order_of(rewind.epoch, rewind.step) for rewind in later)

    numbers = [number for number, record in enumerate(records[:upto]) if isinstance(record, Points)]
    for superseded in (False, True):
        expected = [number for number in numbers if off(number) == superseded]
        found = series_of(log, upto, superseded=superseded)
        assert (found["loss"].values.tolist() if found else []) == expected


# ------------------------------------------------------------------------------------------------- artifacts and summaries


def artifact(name, step):
    return Artifact(name, address_of(b""), 1, "text", step, None, 0)


def test_artifacts_follow_the_line(run):
    records = [artifact("a", 0), artifact("b", 5), artifact("c", None), Rewind(5, None, 0), artifact("d", 5)]
    log = logged(run, records, (3,))
    found = (artifacts_of(log), artifacts_of(log, superseded=True), artifacts_of(log, upto=2))
    assert [[each.name for each in each_list] for each_list in found] == [["a", "c", "d"], ["b"], ["a", "b"]]


def test_a_later_summary_replaces_what_it_names(run):
    log = logged(run, [Summary({"a": 1, "b": 2.0}, 0), *points(1.0), Summary({"a": True}, 0)], (1,))
    assert [summary_of(log), summary_of(log, upto=2), summary_of(log, upto=0)] == [{"a": True, "b": 2.0}, {"a": 1, "b": 2.0}, {}]


def test_what_is_damaged_leaves_the_rest_of_the_curve(run):
    log = logged(run, points(0.0, 1.0, 2.0, 3.0), (2,))
    log.parts[0]._fetch = lambda: run.objects.get("gone")
    assert curve(log) == [(2, 2.0), (3, 3.0)]
    (damage,) = series_of(log).damage
    assert damage.startswith("records 0 to 1 are lost: ")


def test_reading_one_metric_decodes_no_other(run):
    writer = run.open()
    writer.append_many([Points(step, None, step, {f"m{k}": float(step) for k in range(20)}) for step in range(50)])
    writer.close()
    log = run.read()
    assert series_of(log)["m7"].values.tolist() == list(range(50))
    assert sorted(log.parts[0].columns.arrays._decoded) == ["shapes", "steps", "times", "values.7"]
