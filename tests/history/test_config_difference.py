import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onyxstore.canonical import canonical_bytes
from onyxstore.history.config_difference import Change, config_difference

scalars = st.none() | st.booleans() | st.integers(-2, 2) | st.floats() | st.text(max_size=2)
keys = st.text(max_size=2) | st.integers(0, 2) | st.booleans()
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=12)


def test_two_configs_differ_in_these_ways():
    old = {"lr": 1e-3, "seed": 1, "model": {"name": "bert", "layers": [64, 32]}, "debug": True, "note": None}
    new = {"seed": 1, "model": {"layers": [64, 16, 8], "name": "bert"}, "lr": 2e-5, "note": None, "data": {"path": "x", "shards": []}}
    assert config_difference(old, new) == (
        Change(("lr",), "changed", 1e-3, 2e-5),
        Change(("model", "layers", 1), "changed", 32, 16),
        Change(("model", "layers", 2), "added", new=8),
        Change(("debug",), "removed", old=True),
        Change(("data", "path"), "added", new="x"),
        Change(("data", "shards"), "added", new=[]),
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (1, 1.0),
        (1, True),
        (1.0, True),
        (0.0, -0.0),
        (0, False),
        (None, False),
        ("1", 1),
        ([], {}),
        ({}, None),
        (math.nan, math.inf),
        ([1], {0: 1}),
    ],
)
def test_values_of_two_kinds_are_two_values(old, new):
    assert config_difference({"a": old}, {"a": new}) == (Change(("a",), "changed", old, new),)


def test_nan_is_nan_and_the_order_of_keys_is_none():
    assert config_difference({"a": math.nan, "b": [math.nan, {}]}, {"b": [math.nan, {}], "a": math.nan}) == ()


def test_keys_of_two_kinds_are_two_keys():
    assert config_difference({1: "a"}, {True: "a"}) == (Change((1,), "removed", old="a"), Change((True,), "added", new="a"))
    assert config_difference({"1": "a"}, {1: "a"}) == (Change(("1",), "removed", old="a"), Change((1,), "added", new="a"))


def test_what_fills_or_empties_a_mapping_is_listed_by_its_leaves():
    assert config_difference({"a": {}, "b": [1]}, {"a": {"x": {"y": 1}}, "b": []}) == (
        Change(("a", "x", "y"), "added", new=1),
        Change(("b", 0), "removed", old=1),
    )


def test_a_set_of_configs_is_compared_by_its_names():
    changes = config_difference({"train": {"lr": 1}, "data": {"n": 1}}, {"train": {"lr": 2}, "model": {"d": 3}})
    assert [(change.name, change.kind) for change in changes] == [("train.lr", "changed"), ("data.n", "removed"), ("model.d", "added")]


def test_a_scalar_config_has_a_difference_without_a_path():
    assert config_difference(None, {"a": 1}) == (Change((), "changed", None, {"a": 1}),)


@given(values, values)
def test_there_is_a_difference_exactly_when_the_canonical_values_differ(old, new):
    assert (config_difference(old, new) == ()) == (canonical_bytes(old) == canonical_bytes(new))


@given(values, values)
def test_the_way_back_is_the_same_with_the_sides_exchanged(old, new):
    other = {"added": "removed", "removed": "added", "changed": "changed"}
    back = {(typed(change.path), other[change.kind], repr(change.new), repr(change.old)) for change in config_difference(new, old)}
    assert back == {(typed(change.path), change.kind, repr(change.old), repr(change.new)) for change in config_difference(old, new)}


def typed(path):
    return tuple(map(repr, path))
