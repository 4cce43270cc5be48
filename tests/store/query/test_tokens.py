import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onyxstore.errors import BadQuery
from onyxstore.store.query.tokens import LONGEST, Segment, Token, needs_quotes, quoted, tokens_of


def kinds(query):
    return [(token.kind, token.text) for token in tokens_of(query)[:-1]]


def test_a_query_is_names_signs_numbers_text_and_words():
    assert kinds("val_loss<=-0.4 and not'a b' in labels") == [
        *(("name", "val_loss"), ("sign", "<="), ("number", "-0.4"), ("word", "and"), ("word", "not")),
        *(("text", "'a b'"), ("word", "in"), ("name", "labels")),
    ]


def test_every_token_knows_its_column():
    assert [(token.text, token.column) for token in tokens_of('  a <  "b"  ')] == [("a", 3), ("<", 5), ('"b"', 8), ("", 11)]


@pytest.mark.parametrize(
    ("text", "segments"),
    [
        ("training.optimizer", [("training", False), ("optimizer", False)]),
        ("layers.0.w-1", [("layers", False), ("0", False), ("w-1", False)]),
        ("größe.überall", [("größe", False), ("überall", False)]),
        ("\"my config\".lr.'a.b'", [("my config", True), ("lr", False), ("a.b", True)]),
        ("and.or", [("and", False), ("or", False)]),
        ("info", [("info", False)]),
        ("nan.x", [("nan", False), ("x", False)]),
    ],
)
def test_a_name_has_parts_between_its_points_each_of_them_may_be_quoted(text, segments):
    (token, _) = tokens_of(text)
    assert (token.kind, list(map(tuple, token.segments))) == ("name", segments)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        *(("0", 0), ("-12", -12), ("+3", 3), ("1.5", 1.5), (".5", 0.5), ("5.", 5.0), ("1e3", 1000.0), ("-2.5E-3", -0.0025)),
        *(("inf", float("inf")), ("-inf", float("-inf")), ("1e999", float("inf")), ("9" * 400, int("9" * 400))),
    ],
)
def test_numbers_are_python_s_whole_ones_are_ints(text, number):
    (token, _) = tokens_of(text)
    assert (token.kind, type(token.number), token.number) == ("number", type(number), number)


def test_nan_is_a_number_too():
    (token, _) = tokens_of("nan")
    assert (token.kind, str(token.number)) == ("number", "nan")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        *((r"'it\'s'", "it's"), (r'"a \"b\""', 'a "b"'), (r"'\\'", "\\"), ("'\"'", '"'), ("''", "")),
        *(("'😀 שלום'", "😀 שלום"), ("'a\nb'", "a\nb")),
    ],
)
def test_text_is_quoted_and_a_backslash_stands_before_a_quote_or_a_backslash(written, meant):
    assert tokens_of(written)[0] == Token("text", written, 1, (Segment(meant, is_quoted=True),))


@pytest.mark.parametrize(
    ("query", "column", "length", "why"),
    [
        ("a = 1", 3, 1, "'=' means nothing here; write '==' for 'is equal to'"),
        ("a == 1 && b", 8, 1, "'&' means nothing here; write 'and'"),
        ("!a", 1, 1, "'!' means nothing here; write 'not', or '!=' for 'is not equal to'"),
        ("val/loss < 1", 4, 1, 'is quoted, as "val/loss"'),
        ("a < 'b", 5, 1, "the quote that begins here does not end"),
        ("created > 2d", 11, 2, "'2d' is no number; text is quoted: '2d'"),
        ("a == 1.2.3", 6, 5, "'1.2.3' is no number"),
        (r"a == 'b\d'", 8, 2, "a backslash stands before a quote or a backslash"),
        ("a == 😀", 6, 1, "'😀' means nothing here; what is no name, number or sign is quoted"),
        ("a\x00", 2, 1, r"'\x00' means nothing here"),
    ],
)
def test_what_is_no_token_is_named_with_its_column(query, column, length, why):
    with pytest.raises(BadQuery) as raised:
        tokens_of(query)
    assert (raised.value.column, raised.value.length) == (column, length)
    assert why in raised.value.why


def test_a_query_has_so_many_characters_at_most():
    assert len(tokens_of("a" * LONGEST)) == 2
    with pytest.raises(BadQuery, match="it has 4001 characters, 4000 is the most"):
        tokens_of("a" * (LONGEST + 1))


def test_a_query_is_text():
    with pytest.raises(BadQuery, match="a query is text, not a int"):
        tokens_of(5)


HARD = ["'" * LONGEST, "\\" * LONGEST, "'\\" * (LONGEST // 2), "a." * (LONGEST // 2), "1" * LONGEST, "''." * (LONGEST // 3)]


@pytest.mark.parametrize("hard", HARD, ids=lambda hard: hard[:3])
def test_the_longest_texts_are_answered(hard):
    """Where a pattern went back over what it had read, some of these would take for ever."""
    with contextlib.suppress(BadQuery):
        assert tokens_of(hard)[-1].kind == "end"


@given(st.text())
def test_any_text_quoted_is_read_back(text):
    assert tokens_of(quoted(text))[0].segments == (Segment(text, is_quoted=True),)


@given(st.text(min_size=1, max_size=8))
def test_what_needs_no_quotes_is_a_name_without_them(text):
    if not needs_quotes(text):
        assert tokens_of(text)[0] == Token("name", text, 1, (Segment(text),))
