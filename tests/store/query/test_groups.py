import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onyxstore.store.query.groups import Group, Several, Spread, fold_groups, spread
from onyxstore.store.query.traits import FIELDS, key_trait, metric_trait
from tests.store.query.conftest import figures, row


def seed(number, loss=None, group="lr", **config):
    curves = {} if loss is None else {"loss": figures(loss)}
    return row(f"{group}-{number}", group=group, step=100 * number, curves=curves, configs={"train": {"seed": number, **config}})


def test_groups_stand_in_the_order_of_their_first_runs():
    rows = [seed(1, group="b"), seed(1, group="a"), seed(2, group="b"), row("alone", group=None)]
    assert [(group.name, [each.name for each in group.rows]) for group in fold_groups(rows)] == [
        ("b", ["b-1", "b-2"]),
        ("a", ["a-1"]),
        ("alone", ["alone"]),
    ]


def test_numbers_become_their_mean_and_deviation_over_the_runs_that_have_one():
    group = Group("lr", [seed(1, 1.0), seed(2, 3.0), seed(3)])
    assert group.value(metric_trait("loss", "last")) == Spread(2.0, math.sqrt(2), 2)
    assert group.value(FIELDS["step"]) == Spread(200.0, 100.0, 3)


def test_one_number_has_no_deviation():
    assert Group("lr", [seed(1, 5), seed(2)]).value(metric_trait("loss", "last")) == Spread(5.0, None, 1)


def test_of_what_all_have_alike_the_one_value_is_told_of_others_how_many():
    group = Group("lr", [seed(1, lr=0.1, layers=[1]), seed(2, lr=0.1, layers=[1, 2])])
    values = [group.value(key_trait("train", name)) for name in ("lr", "seed", "layers", "none")]
    assert values == [0.1, Several(2), Several(2), None]


def test_statuses_are_counted():
    group = Group("lr", [seed(1), seed(2), seed(3)._replace(status="failed")])
    assert dict(group.statuses) == {"finished": 2, "failed": 1}


@pytest.mark.parametrize("values", [[math.inf, -math.inf], [10**400, 1], [math.nan, 1.0]])
def test_what_has_no_mean_has_none(values):
    mean, deviation, runs = spread(values)
    assert (math.isnan(mean), math.isnan(deviation), runs) == (True, True, 2)


@given(st.lists(st.floats(-1e100, 1e100), min_size=2, max_size=20))
def test_the_mean_lies_among_the_values_and_the_deviation_is_none_where_they_are_one(values):
    found = spread(values)
    slack = 1e-9 * max(map(abs, values))
    assert min(values) - slack <= found.mean <= max(values) + slack
    assert 0 <= found.deviation <= max(values) - min(values) + slack
