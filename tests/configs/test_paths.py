import pytest
from hypothesis import given
from hypothesis import strategies as st

from onyxstore.configs.paths import at, dotted, is_at, leaves, nested, path_from, put

VALUES = {"a": {"b": [1, {"c": 2}], "x.y": 3, "x": {"z": 4}}, "e": {}, "n": None}


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("a", ("a",)),
        ("a.b", ("a", "b")),
        ("a.b.0", ("a", "b", 0)),
        ("a.b.1.c", ("a", "b", 1, "c")),
        ("a.x.y", ("a", "x.y")),
        ("a.x.z", ("a", "x", "z")),
        ("a.b.7", ("a", "b", 7)),
        ("a.b.first", ("a", "b", "first")),
        ("new.0", ("new", "0")),
        ("n.k", ("n", "k")),
        ("e.k", ("e", "k")),
    ],
)
def test_a_dotted_key_means_what_is_there(text, path):
    assert path_from(text, VALUES) == path
    assert dotted(path) == text


@pytest.mark.parametrize(
    ("path", "value"),
    [((), VALUES), (("a", "b", 1, "c"), 2), (("n",), None), (("e",), {})],
)
def test_a_path_leads_to_what_is_there(path, value):
    assert (at(VALUES, path), is_at(VALUES, path)) == (value, True)


@pytest.mark.parametrize("path", [("b",), ("a", "b", 2), ("a", "b", "0"), ("a", "b", -1), ("n", "k"), ("a", "b", 0, "x")])
def test_a_path_to_nothing_is_a_lookup_error(path):
    assert not is_at(VALUES, path)
    with pytest.raises(LookupError):
        at(VALUES, path)


@pytest.mark.parametrize(
    ("path", "value", "made"),
    [
        (("n",), 5, {**VALUES, "n": 5}),
        (("new", "deep"), 5, {**VALUES, "new": {"deep": 5}}),
        (("n", "deep"), 5, {**VALUES, "n": {"deep": 5}}),
        (("a", "b", 0), 5, {**VALUES, "a": {**VALUES["a"], "b": [5, {"c": 2}]}}),
        (("a", "b", 1, "d"), 5, {**VALUES, "a": {**VALUES["a"], "b": [1, {"c": 2, "d": 5}]}}),
        ((), 5, 5),
    ],
)
def test_a_value_is_put_where_a_path_leads_and_nothing_else_changes(path, value, made):
    before = repr(VALUES)
    assert put(VALUES, path, value) == made
    assert repr(VALUES) == before


def test_nothing_is_put_beside_a_list():
    with pytest.raises(LookupError):
        put({"a": [1]}, ("a", 1), 2)


def test_leaves_are_what_is_no_mapping_and_empty_mappings():
    assert dict(leaves(VALUES)) == {("a", "b"): [1, {"c": 2}], ("a", "x.y"): 3, ("a", "x", "z"): 4, ("e",): {}, ("n",): None}
    assert list(leaves(5, ("a",))) == [(("a",), 5)]


@given(st.lists(st.text(), max_size=4).map(tuple), st.integers())
def test_what_is_nested_lies_where_the_path_leads(path, value):
    assert at(nested(path, value), path) == value
