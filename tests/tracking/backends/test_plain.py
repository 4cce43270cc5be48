"""Plain trees and flat rows of what was logged."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onyxstore.tracking.backends.plain import flatten, plain_tree
from onyxstore.tracking.metadata import ExperimentMetadata
from onyxstore.yaml12 import read_yaml, write_yaml

LEAVES = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | st.text(st.characters(codec="ascii"))
WORDS = st.text(st.characters(min_codepoint=97, max_codepoint=122), min_size=1, max_size=3)
TREES = st.dictionaries(WORDS, st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3)))


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        ({1: {True: (1, 2)}}, {"1": {"True": [1, 2]}}),
        ({"path": Path("a/b")}, {"path": "a/b"}),
        ({"at": datetime(2024, 1, 15, 10, 30, tzinfo=UTC)}, {"at": "2024-01-15T10:30:00+00:00"}),
        (frozenset({3}), [3]),
        (
            ExperimentMetadata("a", "b", "c", datetime(2024, 1, 15, tzinfo=UTC), ["t"]),
            {
                "experiment_id": "a",
                "experiment_name": "b",
                "project_name": "c",
                "created_at": "2024-01-15T00:00:00+00:00",
                "tags": ["t"],
                "description": "",
                "git_commit": None,
                "python_version": None,
            },
        ),
    ],
)
def test_a_tree_has_text_for_keys_and_what_json_has_words_for(value, plain):
    assert plain_tree(value) == plain


@given(TREES)
def test_what_is_plain_already_stays_and_can_be_written(tree):
    assert plain_tree(tree) == tree
    assert read_yaml(write_yaml(plain_tree(tree)), "tree.yaml").value == tree


@pytest.mark.parametrize(
    ("tree", "flat"),
    [
        ({}, {}),
        ({"a": {"b": {"c": 1}, "d": None}, "e": True}, {"a/b/c": 1, "a/d": None, "e": True}),
        ({"a": [1, {"b": "ü"}], "c": {}}, {"a": '[1, {"b": "ü"}]', "c": "{}"}),
        ({3: {4: 0.5}}, {"3/4": 0.5}),
    ],
)
def test_a_tree_is_flattened_by_its_paths(tree, flat):
    assert flatten(tree) == flat


@given(TREES)
def test_no_leaf_is_lost(tree):
    def count(value):
        return sum(map(count, value.values())) if isinstance(value, dict) and value else 1

    assert len(flatten(tree)) == sum(map(count, tree.values()))
