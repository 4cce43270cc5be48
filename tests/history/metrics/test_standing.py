import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onyxstore.history.metrics.records import Points, Rewind, Summary, order_of
from onyxstore.history.metrics.series import series_of, standing_of, summary_of
from onyxstore.history.metrics.standing import Standing, Statistics, carry_on, joined
from tests.history.metrics.conftest import LOG, RunFolder
from tests.history.metrics.records_strategy import RECORDS, points

EMPTY = Standing(LOG, 0, {}, {})


def exact(standing):
    """A form in which equal means the same: kinds of numbers included, NaN equal to NaN."""
    curves = {name: repr(tuple(figures)) for name, figures in standing.curves.items()}
    return standing.log, standing.position, curves, repr(standing.summary), standing.step, standing.epoch


def test_what_follows_is_added():
    before = carry_on(EMPTY, points(3.0, 1.0), 2)
    after = carry_on(before, [Points(2, 1, 0, {"loss": 2.0, "ok": True}), Summary({"s": 1}, 0), Summary({"s": 2}, 0)], 5)
    ok = Statistics(last=True, min=1, max=1, points=1)
    assert after == Standing(LOG, 5, {"loss": Statistics(2.0, 1.0, 3.0, 3), "ok": ok}, {"s": 2}, 2, 1)
    assert before == Standing(LOG, 2, {"loss": Statistics(1.0, 1.0, 3.0, 2)}, {}, 1, None)


def test_a_rewind_cannot_be_carried_over():
    with pytest.raises(ValueError, match="rewind"):
        carry_on(EMPTY, [Rewind(0, None, 0)], 1)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2.5], Statistics(2.5, 1.0, 2.5, 2)),
        ([2.5, 1], Statistics(1, 1.0, 2.5, 2)),
        ([True, False], Statistics(last=False, min=0, max=1, points=2)),
        ([True, 0.5], Statistics(0.5, 0.5, 1.0, 2)),
        ([2**200, 1], Statistics(1, 1, 2**200, 2)),
        ([math.nan, 1.0, math.nan, 2.0], Statistics(2.0, 1.0, 2.0, 4)),
        ([1.0, math.nan], Statistics(math.nan, 1.0, 1.0, 2)),
        ([math.inf, -math.inf], Statistics(-math.inf, -math.inf, math.inf, 2)),
    ],
)
def test_the_least_and_the_greatest_are_of_the_kind_that_all_values_are(values, expected):
    figures = None
    for value in values:
        figures = joined(figures, Statistics(value, value, value, 1))
    assert repr(figures) == repr(expected)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(st.lists(RECORDS, max_size=20), st.lists(st.integers(0, 20), max_size=3), st.integers(0, 20))
def test_carried_on_from_any_record_on_it_is_what_the_points_say(tmp_path_factory, records, seal_at, start):
    run = RunFolder(tmp_path_factory.mktemp("log"))
    writer = run.open()
    for number, record in enumerate(records):
        if number in seal_at:
            writer.seal()
        writer.append(record)
    log = run.read()
    curves = {name: Statistics(curve.last, curve.min, curve.max, len(curve)) for name, curve in series_of(log).items()}
    whole = standing_of(log)
    assert exact(whole)[:4] == exact(Standing(LOG, len(records), curves, summary_of(log)))[:4]
    rest = records[start:]
    if not any(isinstance(record, Rewind) for record in rest):
        start = min(start, len(records))
        assert exact(carry_on(standing_of(log, start), log.records(start), log.position)) == exact(whole)


@given(st.lists(RECORDS, max_size=20))
def test_the_step_is_that_of_the_point_that_lies_furthest(records):
    of_points = [record for record in records if isinstance(record, Points)]
    standing = carry_on(EMPTY, [record for record in records if not isinstance(record, Rewind)], len(records))
    furthest = max((order_of(record.epoch, record.step) for record in of_points), default=None)
    assert (None if standing.step is None else order_of(standing.epoch, standing.step)) == furthest


def test_following_a_tail_decodes_no_columns(run, monkeypatch):
    writer = run.open()
    writer.append_many(points(*map(float, range(9))))
    monkeypatch.setattr("onyxstore.history.metrics.columns.columns_of", lambda _: pytest.fail("columns were made"))
    log = run.read()
    assert carry_on(EMPTY, log.records(), log.position).curves["loss"] == Statistics(8.0, 0.0, 8.0, 9)
