"""What `docs/queries.md` shows is so."""

import re
from pathlib import Path

import pytest

from onyxstore.errors import BadQuery
from onyxstore.store.query.check import check_query
from onyxstore.store.query.parse import DEEPEST
from onyxstore.store.query.tokens import LONGEST
from onyxstore.store.query.traits import FIELDS, FIGURES, Traits
from tests.store.query.conftest import NOW, figures, row

PAGE = (Path(__file__).parents[3] / "docs" / "queries.md").read_text()
BLOCKS = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)
ROWS = [
    row(
        configs={"training": {"lr": 0.1, "optimizer": "adamw", "amp": True, "betas": [1, 2]}, "model": {"layers": ["relu"], "my key": 1}},
        curves={name: figures(0.5) for name in ("loss", "val_loss", "val/loss")},
    ),
]


def holds(query):
    return check_query(query, Traits(ROWS), NOW)(ROWS[0])


@pytest.mark.parametrize("query", BLOCKS[0].splitlines())
def test_the_first_examples_are_queries(query):
    assert holds(query) in {True, False}


TEXT = "".join(PAGE.split("```")[::2])
INLINE = [query for query in re.findall(r"`([^`]+)`", TEXT) if re.match(r"(?!not )[\w\"'.]+ (==|!=|<|>|~|in) ", query)]


@pytest.mark.parametrize("query", INLINE)
def test_what_looks_like_a_query_is_one(query):
    if query == "a < b < c":
        with pytest.raises(BadQuery, match="joined with 'and'"):
            holds(query)
    elif query != "a < b and b < c":
        assert holds(query) in {True, False}


def test_the_error_is_the_one_that_is_shown():
    query = re.search(r'--where "(.*)"', BLOCKS[1])[1]
    with pytest.raises(BadQuery) as raised:
        check_query(query, Traits([row(curves={"val_loss": figures(0.5)})]), NOW)
    first, text, sign = (line.removeprefix("onyx: ") for line in BLOCKS[1].splitlines()[1:])
    assert (first, text.strip(), sign.strip()) == (str(raised.value), query, "^" * raised.value.length)


def test_every_field_and_every_figure_is_named():
    named = set(re.findall(r"`([\w.]+)`", PAGE))
    assert set(FIELDS) <= named
    assert {f"loss.{figure}" for figure in FIGURES} <= named


def test_the_limits_are_those_of_the_code():
    assert f"at most {LONGEST:,} characters, and\n{DEEPEST} parentheses" in PAGE
