import enum
import math
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onyxstore.configs.fields import Pattern, at_least, such_as
from onyxstore.configs.kinds import fits, fitted, found, kind_at, misfits, words_for
from onyxstore.configs.types import ConfigType
from tests.configs.strategies import every_config, type_of, values_of


class Colour(enum.StrEnum):
    RED = "red"


class Size(enum.IntEnum):
    SMALL = 1


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (bool, [True, False], [0, 1, "true", None]),
        (int, [0, -5, 10**30, Size.SMALL], [True, 1.0, "1", None, np.int64(1)]),
        (float, [0.5, 3, np.float64(0.5)], [True, "0.5", None, math.nan, math.inf, 10**400]),
        (str, ["a", " ", Colour.RED], ["", 1, None, b"a", "\ud800"]),
        (int | None, [1, None], [True, 1.5, "x"]),
        (Literal["min", "max"], ["min", "max"], ["", "mi", None, 1, ["min"]]),
        (list[int], [[], [1, 2]], [[1, "a"], [True], (1, 2), None, "ab", {1: 2}]),
        (str | list[str], ["a", [], ["a", "b"]], [1, None, [1], [""], ["a", None]]),
        (dict[str, Any], [{}, {"a": {"b": [1, None]}}], [None, [], {1: 2}, {"a": object()}, {"a": (1,)}, {"a": {1, 2}}]),
    ],
)
def test_a_kind_takes_what_cannot_have_been_meant_otherwise(kind, good, bad):
    assert [value for value in good if not fits(value, kind)] == []
    assert [value for value in bad if fits(value, kind)] == []


def test_a_mapping_that_holds_itself_is_refused():
    knot = {}
    knot["again"] = knot
    assert not fits(knot, dict[str, Any])


def test_each_item_of_a_list_that_does_not_fit_is_named():
    assert [(each.path, each.found) for each in misfits([0, 5, "a", 2.5], list[int], at_least(1), ("sizes",))] == [
        (("sizes", 0), "0"),
        (("sizes", 2), '"a"'),
        (("sizes", 3), "2.5"),
    ]


@pytest.mark.parametrize(
    ("kind", "rule", "words"),
    [
        (bool, None, "true or false"),
        (int, at_least(1), "a whole number of at least 1"),
        (float | None, None, "a number, or null"),
        (str | None, such_as("a", "b"), "text (for example a, b), or null"),
        (str | list[str], such_as("a"), "text, or a list of texts (for example a)"),
        (list[int], at_least(1), "a list of whole numbers of at least 1"),
        (Literal["a", "b", "c"], None, "a, b or c"),
        (dict[str, Any], None, "a mapping of names to values"),
        (str, Pattern("^/", "a path"), "a path"),
    ],
)
def test_a_kind_is_said_in_words(kind, rule, words):
    assert words_for(kind, rule) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "null"),
        (True, "true"),
        (32.7, "32.7"),
        (math.nan, ".nan"),
        ("a\nb", '"a\\nb"'),
        ("", "an empty text"),
        ("x" * 100, '"' + "x" * 59 + "…"),
        (10**2000, "an int of more than 1000 digits"),
        (np.float64(-0.5), "-0.5"),
        (Size.SMALL, "1"),
        ([1], "a list"),
        ({}, "a mapping"),
        ((1,), "a tuple"),
        ("\ud800", "half of a surrogate pair is no text"),
    ],
)
def test_what_was_found_is_short_and_one_line(value, words):
    assert found(value) == words


@pytest.mark.parametrize(
    ("value", "kind", "plain"),
    [
        (3, float, 3.0),
        (np.float64(0.5), float, 0.5),
        (Colour.RED, str, "red"),
        (Size.SMALL, int, 1),
        (True, bool, True),
        (None, int | None, None),
        ([1], list[int], [1]),
    ],
)
def test_what_fits_becomes_the_plain_type_of_its_field(value, kind, plain):
    assert (fitted(value, kind), type(fitted(value, kind))) == (plain, type(plain))


@pytest.mark.parametrize(
    ("kind", "path", "inside"),
    [
        (int, (), int),
        (list[int], (3,), int),
        (str | list[str], (0,), str),
        (dict[str, Any], ("a",), Any),
        (dict[str, Any], ("a", "b"), Any),
        (int, ("a",), Any),
    ],
)
def test_a_path_leads_to_the_kind_of_what_is_there(kind, path, inside):
    assert kind_at(kind, path) == inside


@given(st.data(), st.sampled_from(ConfigType))
def test_whatever_a_field_says_that_it_takes_it_takes(data, config_type):
    for name, known in config_type.fields.items():
        value = data.draw(values_of(known.kind, known.rule), label=name)
        assert list(misfits(value, known.kind, known.rule)) == []


@given(every_config)
def test_plain_values_of_a_config_equal_those_that_it_had(config):
    assert {name: fitted(getattr(config, name), known.kind) for name, known in type_of(config).fields.items()} == vars(config)
