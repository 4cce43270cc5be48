import enum
import math

import numpy as np
import pytest
import torch
from hypothesis import given

from onyxstore.errors import BadMetric, BadName
from onyxstore.history.metrics.plain import plain_columns, plain_epoch, plain_metrics, plain_step, plain_value
from onyxstore.history.metrics.records import Points
from tests.history.metrics.records_strategy import METRICS


class Level(enum.IntEnum):
    HIGH = 3


def kinds(metrics):
    return {name: (type(value), value) for name, value in metrics.items()}


@given(METRICS)
def test_plain_numbers_stay_what_they_are(metrics):
    assert repr(plain_metrics(metrics)) == repr(metrics)


def test_a_dict_of_floats_is_not_copied_once_its_names_are_known():
    plain_metrics({"loss": 0.5})
    metrics = {"loss": 0.25}
    assert plain_metrics(metrics) is metrics


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (np.float64(0.1), 0.1),
        (np.float32(0.1), 0.10000000149011612),
        (np.int32(-4), -4),
        (np.uint64(2**64 - 1), 2**64 - 1),
        (np.bool_(1), True),
        (np.array(0.5), 0.5),
        (np.array([[7]]), 7),
        (torch.tensor(0.1), 0.10000000149011612),
        (torch.tensor(0.1, dtype=torch.bfloat16), 0.10009765625),
        (torch.tensor([3]), 3),
        (torch.ones((), dtype=torch.bool), True),
        (torch.tensor(0.5, requires_grad=True), 0.5),
        (Level.HIGH, 3),
    ],
)
def test_what_holds_one_number_is_that_number(value, plain):
    assert kinds(plain_metrics({"m": value})) == kinds({"m": plain})


def test_nested_dicts_are_joined_with_slashes():
    assert plain_metrics({"val": {"loss": 1.0, "acc": {"top1": 0.5}}, "lr": 1}) == {"val/loss": 1.0, "val/acc/top1": 0.5, "lr": 1}


@pytest.mark.parametrize(
    ("metrics", "words"),
    [
        ({"m": "0.5"}, "m cannot be logged: a str is no number"),
        ({"m": None}, "m cannot be logged: a NoneType is no number"),
        ({"m": [1.0]}, "m cannot be logged: a list is no number"),
        ({"m": 1j}, "m cannot be logged: a complex is no number"),
        ({"m": np.zeros(3)}, "m cannot be logged: it holds 3 numbers, shape (3,)"),
        ({"m": torch.zeros(2, 2)}, "m cannot be logged: it holds 4 numbers, shape (2, 2)"),
        ({"m": np.array("x")}, "m cannot be logged: it holds a str, no number"),
        ({"m": np.complex64(1)}, "m cannot be logged: it holds a complex, no number"),
        ({"m": torch.empty((), device="meta")}, "m cannot be logged: its number cannot be had"),
        ({"m": 2**1000}, "m cannot be logged: an int of more than 1000 bits"),
        ({"val": {"m": "x"}}, "val/m cannot be logged: a str is no number"),
        ({"a/b": 1, "a": {"b": 2}}, "a/b cannot be logged: two values have this name"),
        ([("m", 1)], "what was handed in cannot be logged: it is a list, no dict of names and numbers"),
    ],
)
def test_what_is_no_number_is_refused_by_its_name(metrics, words):
    with pytest.raises(BadMetric) as caught:
        plain_metrics(metrics)
    assert str(caught.value).startswith(words)


@pytest.mark.parametrize("metrics", [{1: 2.0}, {"": 2.0}, {"a\nb": 2.0}, {"x" * 501: 2.0}, {"\ud800": 1.0}, {2: {"m": 1}}])
def test_a_name_that_no_metric_may_have_is_refused(metrics):
    with pytest.raises(BadName):
        plain_metrics(metrics)


def test_a_dict_that_holds_itself_is_refused():
    metrics = {"a": 1}
    metrics["b"] = metrics
    with pytest.raises(BadMetric, match="nested deeper"):
        plain_metrics(metrics)


def test_steps_are_whole_numbers_of_64_bits():
    assert [plain_step(5), plain_step(np.int64(5)), plain_step(torch.tensor(5))] == [5, 5, 5]
    for step in (0.5, "1", None, 2**63):
        with pytest.raises(BadMetric, match=r"^step cannot be logged"):
            plain_step(step)


def test_epochs_are_numbers_with_a_place_in_the_order():
    assert kinds(dict(enumerate(map(plain_epoch, (None, 3, 0.5, np.float32(0.5), np.int8(2)))))) == kinds(
        {0: None, 1: 3, 2: 0.5, 3: 0.5, 4: 2}
    )
    for epoch in (math.nan, math.inf, 2**60, "1", True):
        with pytest.raises(BadMetric, match=r"^epoch cannot be logged"):
            plain_epoch(epoch)


def test_one_value_alone_is_converted_the_same_way():
    assert kinds({"m": plain_value("m", np.float32(2.5))}) == kinds({"m": 2.5})


def test_columns_become_a_record_a_row():
    columns = {"loss": np.array([0.5, 0.25], np.float32), "n": [1, None], "acc": torch.tensor([True, False])}
    assert plain_columns(columns, steps=range(2), epochs=None, time=7) == [
        Points(0, None, 7, {"loss": 0.5, "n": 1, "acc": True}),
        Points(1, None, 7, {"loss": 0.25, "acc": False}),
    ]


def test_epochs_of_columns_are_one_or_a_column():
    one = plain_columns({"m": [1, 2]}, [0, 1], 3, time=0)
    column = plain_columns({"m": [1, 2]}, [0, 1], [3, 4.5], time=0)
    assert [[point.epoch for point in rows] for rows in (one, column)] == [[3, 3], [3, 4.5]]


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"m": [1]}, "m cannot be logged: its column has 1 rows, the steps have 2"),
        ({"m": "ab"}, "m cannot be logged: a str is no column of numbers"),
        ({"m": 5}, "m cannot be logged: a int is no column of numbers"),
        ({"m": [1, "x"]}, "m cannot be logged: a str is no number"),
    ],
)
def test_columns_that_do_not_fit_are_refused(columns, words):
    with pytest.raises(BadMetric) as caught:
        plain_columns(columns, [0, 1], None, time=0)
    assert str(caught.value) == words
