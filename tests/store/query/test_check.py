import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onyxstore.errors import BadQuery
from onyxstore.store.query.check import check_query
from onyxstore.store.query.traits import Traits
from tests.store.query.conftest import DAY, NOW, figures, row
from tests.store.query.test_parse import PIECES

ROWS = [
    row(
        "Base",
        labels=("v1", "paper"),
        group="bert",
        created=NOW - 3 * DAY,
        step=100,
        configs={"training": {"lr": 0.1, "optimizer": "adamw", "amp": True, "layers": [1, 2], "acts": ["relu", "gelu"], "note": None}},
        curves={"loss": figures(3.0, 1.0, 2.0, at_best=1.0), "val/loss": figures(0.5), "ok": figures(*[True])},
    ),
    row(
        "tuned",
        status="failed",
        group=None,
        created=NOW - DAY,
        step=None,
        configs={"training": {"lr": "high", "amp": 1}},
        curves={"loss": figures(1.0, math.nan)},
    ),
    row("live", status="running", ended=None, labels=("v2",), created=NOW, values={"loss": figures(0.25)}),
]


@pytest.fixture(autouse=True)
def _utc(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


def found(query, rows=ROWS):
    """The names of the runs for which a query holds."""
    holds = check_query(query, Traits(rows), NOW)
    return [each.name for each in rows if holds(each)]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("loss < 2.5", ["Base", "live"]),
        ("2.5 > loss", ["Base", "live"]),
        ("loss.min <= 1", ["Base", "tuned", "live"]),
        ("loss.max > 2 or loss.best == 0.25", ["Base", "live"]),
        ("loss.at_best == 1", ["Base"]),
        ("loss == nan", ["tuned"]),
        ("loss != nan", ["Base", "live"]),
        ("loss.last > loss.min", ["Base"]),
        ('"val/loss" < 0.6', ["Base"]),
        ("ok == true", ["Base"]),
        ("ok", ["Base"]),
        ("loss in [2, 0.25]", ["Base", "live"]),
        ("status == 'running'", ["live"]),
        ("status in ['failed', 'running']", ["tuned", "live"]),
        ("status != 'running' and not status == 'failed'", ["Base"]),
        ("status ~ 'f*'", ["Base", "tuned"]),
        ("name == 'BASE'", ["Base"]),
        ("name ~ 'BA*'", ["Base"]),
        ("name !~ 'BA*'", ["tuned", "live"]),
        ("name < 'live'", ["Base"]),
        ("group == 'bert'", ["Base"]),
        ("group == null", ["tuned"]),
        ("group != 'bert'", ["live"]),
        ("'v1' in labels", ["Base"]),
        ("'v1' not in labels", ["tuned", "live"]),
        ("labels ~ 'v*'", ["Base", "live"]),
        ("labels !~ 'p*'", ["live"]),
        ("group in labels", []),
        ("created > '2d'", ["tuned", "live"]),
        (f"created < '{time.strftime('%Y-%m-%d', time.gmtime(NOW // 10**9 - 86_400))}'", ["Base"]),
        ("ended == null", ["live"]),
        ("created <= ended", ["Base", "tuned"]),
        ("step >= 100", ["Base"]),
        ("step == null or step < 50", ["tuned", "live"]),
        ("training.optimizer == 'adamw'", ["Base"]),
        ("optimizer ~ '*am*'", ["Base"]),
        ("lr < 1", ["Base"]),
        ("lr > 'a'", ["tuned"]),
        ("lr == 'high' or lr == 0.1", ["Base", "tuned"]),
        ("amp", ["Base"]),
        ("amp == 1", ["tuned"]),
        ("not amp", ["tuned", "live"]),
        ("layers == [1, 2.0]", ["Base"]),
        ("layers.1 == 2", ["Base"]),
        ("'relu' in training.acts", ["Base"]),
        ("2 in layers", ["Base"]),
        ("acts ~ 're*'", ["Base"]),
        ("note == null", ["Base", "tuned", "live"]),
        ("note != null", []),
        ("note in [null]", ["Base", "tuned", "live"]),
        ("lr < loss", ["Base"]),
    ],
)
def test_a_query_holds_for_these_runs(query, names):
    assert found(query) == names


@pytest.mark.parametrize("sign", ["==", "!=", "<", "<=", ">", ">="])
def test_a_comparison_with_what_a_run_does_not_have_does_not_hold_but_its_opposite_does(sign):
    assert "live" not in found(f"optimizer {sign} 'adamw'")
    assert "live" in found(f"not optimizer {sign} 'adamw'")


@pytest.mark.parametrize(
    ("query", "column", "length", "why"),
    [
        ("los < 1", 1, 3, "no run has 'los'; did you mean 'loss'?"),
        ("loss < 1 and (nothing == 2)", 15, 7, "no run has 'nothing'"),
        ("status == failed", 11, 6, "no run has 'failed' (text is quoted: 'failed')"),
        ("loss < 'low'", 8, 5, "loss is a number, and this is text"),
        ("step == '100'", 9, 5, "step is a number, and this is text"),
        ("loss < null", 8, 4, "nothing is less or more than null; write == null or != null"),
        ("name == 5", 9, 1, "name is text; text is quoted: '5'"),
        ("status == 'finshed'", 11, 9, "no status is called 'finshed'; did you mean 'finished'?"),
        ("status in ['running', 'x']", 23, 3, "no status is called 'x'; it is one of open, running"),
        ("created == '2026-01-01'", 12, 12, "created is a moment, which is compared with < <= > >="),
        ("created > 5", 11, 1, "created is a moment; write '2026-11-01', or how long ago: '2d'"),
        ("created > 'soon'", 11, 6, "'soon' is no moment"),
        ("created > step", 11, 4, "created and step do not compare"),
        ("labels == 'v1'", 1, 6, "labels are asked for with 'word' in labels, or labels ~ 'wo*'"),
        ("labels", 1, 6, "labels are asked for with"),
        ("5 in labels", 1, 1, "labels are words; text is quoted"),
        ("'x' in name", 8, 4, "name is no list, which could hold something"),
        ("loss ~ '1*'", 1, 4, "loss is no text, which a pattern could fit"),
        ("name ~ 5", 8, 1, "a pattern is text in quotes, behind the sign"),
        ("'x' ~ name", 7, 4, "a pattern is text in quotes, behind the sign"),
        ("name ~ '[a'", 8, 4, "the '[' in the pattern has no ']'"),
        ("status == ['failed']", 11, 10, "status is no list; write status in ['failed']"),
    ],
)
def test_what_makes_no_sense_is_said_where_it_stands(query, column, length, why):
    with pytest.raises(BadQuery) as raised:
        found(query)
    assert why in raised.value.why
    assert (raised.value.query, raised.value.column, raised.value.length) == (query, column, length)


def test_an_ambiguous_key_names_what_it_could_be():
    rows = [row(configs={"a": {"lr": 1}, "b": {"lr": 2}})]
    with pytest.raises(BadQuery, match="'lr' could be 'a.lr' or 'b.lr'; write it with the config's name"):
        found("lr > 1", rows)
    assert found("b.lr > 1", rows) == ["run"]


def test_where_there_are_no_runs_every_query_is_about_none():
    assert found("anything > 3 and nothing ~ 'x'", []) == []


NAMED = ["loss", "name", "status", "labels", "lr", "layers", "created", "step", "'x'", "'2d'", "'failed'"]


@given(st.lists(st.sampled_from([*PIECES, *NAMED]), max_size=9).map(" ".join))
def test_any_words_say_of_every_run_whether_they_hold_or_are_a_bad_query(text):
    try:
        holds = check_query(text, Traits(ROWS), NOW)
    except BadQuery:
        return
    assert all(type(holds(each)) is bool for each in ROWS)
