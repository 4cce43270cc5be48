import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onyxstore.errors import BadQuery
from onyxstore.store.query.parse import DEEPEST, parse_name, parse_query
from onyxstore.store.query.tokens import Segment, needs_quotes
from onyxstore.store.query.tree import And, Comparison, Holds, Name, Not, Or, Value, Values


def bare(node):
    """A tree without its columns, in a form in which equal means the same, kinds of numbers included."""
    if isinstance(node, Name):
        return "name", node.segments
    if isinstance(node, Value):
        return "value", type(node.value).__name__, repr(node.value)
    if isinstance(node, Values):
        return "values", *map(bare, node.items)
    if isinstance(node, Comparison):
        return bare(node.left), node.sign, bare(node.right)
    if isinstance(node, Holds):
        return "holds", bare(node.name)
    return type(node).__name__, *map(bare, node.parts if isinstance(node, (And, Or)) else [node.part])


def name(text, *, is_quoted=False):
    return Name((Segment(text, is_quoted),))


def test_and_binds_closer_than_or_and_not_closer_than_both():
    a, b, c, d = (Holds(name(letter)) for letter in "abcd")
    assert bare(parse_query("a or not b and c or d")) == bare(Or((a, And((Not(b), c)), d)))


def test_parentheses_come_first():
    a, b, c = (Holds(name(letter)) for letter in "abc")
    assert bare(parse_query("not (a or b) and ((c))")) == bare(And((Not(Or((a, b))), c)))


@pytest.mark.parametrize(
    ("query", "left", "sign", "right"),
    [
        ('"val/loss" < 0.4', name("val/loss", is_quoted=True), "<", Value(0.4)),
        ("optimizer == 'adamw'", name("optimizer"), "==", Value("adamw")),
        ("'a' == 'b'", name("a", is_quoted=True), "==", Value("b")),
        ("'v1' in labels", Value("v1"), "in", name("labels")),
        ("'v1' not in labels", Value("v1"), "not in", name("labels")),
        ("'lr' in [1, null, 'x', true]", name("lr", is_quoted=True), "in", Values((Value(1), Value(None), Value("x"), Value(value=True)))),
        ("lr not in []", name("lr"), "not in", Values(())),
        ("layers == [1, -2]", name("layers"), "==", Values((Value(1), Value(-2)))),
        ("0.4 >= loss", Value(0.4), ">=", name("loss")),
        ("loss.last > loss.best", Name((Segment("loss"), Segment("last"))), ">", Name((Segment("loss"), Segment("best")))),
        ("name !~ 'b*'", name("name"), "!~", Value("b*")),
        ("amp == false", name("amp"), "==", Value(value=False)),
    ],
)
def test_a_comparison_is_a_name_a_sign_and_what_it_is_compared_with(query, left, sign, right):
    assert bare(parse_query(query)) == bare(Comparison(left, sign, right))


def test_a_quoted_name_may_stand_alone_and_behind_not():
    amp, b = (Holds(name(text, is_quoted=True)) for text in ("use amp", "b"))
    assert bare(parse_query("not 'use amp' or 'b'")) == bare(Or((Not(amp), b)))


def test_every_part_of_a_tree_knows_where_it_stood():
    tree = parse_query("  'val/loss'  in  [1, 2]")
    assert (tree.left.column, tree.left.length, tree.column, tree.right.column, tree.right.length) == (3, 10, 15, 19, 6)


@pytest.mark.parametrize(
    ("query", "column", "why"),
    [
        ("", 1, "the query is empty"),
        ("   ", 1, "the query is empty"),
        ("a <", 4, "the query ends where a name or a value should follow"),
        ("a and", 6, "the query ends where a name or a value should follow"),
        ("a < b < c", 7, "two comparisons are joined with 'and': a < b and b < c"),
        ("(a or b", 1, "the parenthesis that begins here is not closed"),
        ("a)", 2, "no parenthesis was opened before this one"),
        ("a AND b", 3, "'AND' cannot stand here; did you mean 'and'?"),
        ("a b", 3, "'b' cannot stand here; 'and' or 'or' joins two conditions"),
        ("a not b", 3, "behind a name 'not' is followed by 'in'"),
        ("3 < 4", 3, "two values are compared; one side should be the name of"),
        ("'a' in 'b'", 5, "two values are compared"),
        ("x in 'abc'", 6, "behind 'in' stands a list, as ['a', 'b'], or a name"),
        ("5", 1, "a value by itself asks nothing; compare a name with it"),
        ("not true", 5, "a value by itself asks nothing"),
        ("[1] == x", 1, "a list stands behind '==', '!=' or 'in'"),
        ("x < [1]", 5, "a list stands behind '==', '!=' or 'in'"),
        ("x == [1, 2", 11, "the values of a list stand between commas, and ']' after them"),
        ("x == [1 2]", 9, "the values of a list stand between commas"),
        ("x in [y]", 7, "text is quoted: 'y'"),
        ("a == and", 6, "'and' cannot stand here; it is a name only in quotes"),
        ("a == )", 6, "')' cannot stand here; a name or a value should stand here"),
        ("< 3", 1, "'<' cannot stand here"),
    ],
)
def test_what_is_no_query_is_said_with_its_column(query, column, why):
    with pytest.raises(BadQuery) as raised:
        parse_query(query)
    assert (raised.value.query, raised.value.column) == (query, column)
    assert why in raised.value.why


@pytest.mark.parametrize("opening", ["(", "not "])
def test_nesting_has_an_end(opening):
    closing = ")" if opening == "(" else ""
    deep = DEEPEST - 1
    parse_query(opening * deep + "a" + closing * deep)
    with pytest.raises(BadQuery, match="it is nested deeper than 50 levels"):
        parse_query(opening * 900 + "a" + closing * 900)


# ------------------------------------------------------------------------------------------------------- any text, any tree


def tree_or_error(text):
    try:
        return parse_query(text)
    except BadQuery as error:
        return error


@given(st.text())
def test_any_text_is_a_query_or_a_bad_query(text):
    found = tree_or_error(text)
    assert not isinstance(found, BadQuery) or (1 <= found.column <= len(text) + 1 and str(found).isprintable())


PIECES = ["a", "b.c", "'q'", '"v/l"', "and", "or", "not", "in", "(", ")", "[", "]", ",", "<", "==", "~", "1", "-2.5", "true", "null", " "]


@given(st.lists(st.sampled_from(PIECES), max_size=12).map(" ".join))
def test_any_words_are_a_query_or_a_bad_query(text):
    found = tree_or_error(text)
    if isinstance(found, BadQuery):
        assert 1 <= found.column <= len(text) + 1
    else:
        assert bare(parse_query(str(found))) == bare(found)


WORDS = st.from_regex(r"[a-z_][a-z0-9_-]{0,5}", fullmatch=True).filter(lambda word: not needs_quotes(word))
SEGMENTS = st.builds(Segment, st.text(max_size=5), st.just(value=True)) | st.builds(Segment, WORDS, st.just(value=False))
NAMES = st.lists(SEGMENTS, min_size=1, max_size=3).map(lambda parts: Name(tuple(parts)))
BEHIND = NAMES.filter(lambda some: len(some.segments) > 1 or not some.segments[0].is_quoted)
"""Names behind a sign: one quoted word is text there."""
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
VALUES = st.builds(Value, SCALARS)
LISTS = st.lists(VALUES, max_size=3).map(lambda items: Values(tuple(items)))
COMPARISONS = (
    st.builds(Comparison, NAMES, st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "~", "!~"]), VALUES)
    | st.builds(Comparison, NAMES, st.sampled_from(["==", "!=", "in", "not in"]), LISTS)
    | st.builds(Comparison, VALUES, st.sampled_from(["in", "not in"]), BEHIND)
    | st.builds(Comparison, NAMES, st.sampled_from(["==", "<"]), BEHIND)
)
LEAVES = COMPARISONS | st.builds(Holds, NAMES)
TREES = st.recursive(
    LEAVES,
    lambda parts: st.builds(Not, parts)
    | st.lists(parts, min_size=2, max_size=3).map(lambda some: And(tuple(some)))
    | st.lists(parts, min_size=2, max_size=3).map(lambda some: Or(tuple(some))),
    max_leaves=8,
)


@given(TREES)
def test_a_tree_is_printed_as_a_query_that_reads_back_to_it(tree):
    assert bare(parse_query(str(tree))) == bare(tree)


# ------------------------------------------------------------------------------------------------------------ names alone


@pytest.mark.parametrize(
    ("text", "segments"),
    [
        ("loss", [("loss", False)]),
        ("loss.min", [("loss", False), ("min", False)]),
        ("val/loss", [("val/loss", True)]),
        ("val/loss.min", [("val/loss", True), ("min", False)]),
        ('"val/loss".min', [("val/loss", True), ("min", False)]),
        ("a b", [("a b", True)]),
        ("a < 3", [("a < 3", True)]),
        ("and", [("and", True)]),
        ("", [("", True)]),
        ("'", [("'", True)]),
        (".min", [(".min", True)]),
        ("3", [("3", True)]),
    ],
)
def test_where_only_a_name_can_stand_it_needs_no_quotes(text, segments):
    assert list(map(tuple, parse_name(text).segments)) == segments


def test_infinity_and_nan_are_numbers_in_either_direction():
    assert [math.isnan(parse_query("a == nan").right.value), str(parse_query("a < -inf"))] == [True, "a < -inf"]
