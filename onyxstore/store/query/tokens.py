"""The words of a query: names, text, numbers, operators, each with its column.

A name is one word, or several with points between: `val_loss`, `training.optimizer`, `model.layers.0`. A word begins with a letter
or `_`, and may have digits and `-` in it; any other is quoted: `"val/loss"`, `"my config".lr`. Quotes are single or double ones;
a backslash stands before a quote or a backslash inside them. One pass, in time linear in the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

from onyxstore.errors import BadQuery

LONGEST = 4000
"""Characters of a query."""

Kind = Literal["name", "text", "number", "word", "sign", "end"]
Number = float | int

WORDS = ("and", "or", "not", "in", "true", "false", "null")
"""Words that are no names."""


class Segment(NamedTuple):
    """A part of a name, between its points, and whether it was quoted."""

    text: str
    is_quoted: bool = False


class Token(NamedTuple):
    """A word of a query: what stands there, from which column (counted from 1) on, and what it means."""

    kind: Kind
    text: str
    column: int
    segments: tuple[Segment, ...] = ()
    number: Number = 0


_TEXT = r"(?:'(?:[^'\\]|\\.)*+'|\"(?:[^\"\\]|\\.)*+\")"
_WORD = r"[^\W\d][\w-]*+"
_TOKEN = re.compile(
    r"\s*+(?:"
    r"(?P<number>[+-]?(?:(?:\d++\.?\d*+|\.\d++)(?:[eE][+-]?\d++)?|(?:inf|nan)(?![\w.-])))"
    rf"|(?P<name>(?:{_WORD}|{_TEXT})(?:\.(?:[\w-]++|{_TEXT}))*+)"
    r"|(?P<sign>[=!<>]=|!~|[<>~()\[\],])"
    r"|(?P<end>\Z))",
    re.DOTALL,
)
_SEGMENT = rf"(?P<text>{_TEXT})|[\w-]++"
_ESCAPE = r"\\(.)"

_INSTEAD = {
    "=": "write '==' for 'is equal to'",
    "&": "write 'and'",
    "|": "write 'or'",
    "!": "write 'not', or '!=' for 'is not equal to'",
    "/": 'a name with other characters than letters, digits, \'_\', \'-\' and \'.\' is quoted, as "val/loss"',
    "'": "the quote that begins here does not end",
    '"': "the quote that begins here does not end",
}


def tokens_of(query: str) -> list[Token]:
    """The words of a query, and its end as the last; BadQuery for what is none."""
    if type(query) is not str:
        raise BadQuery(f"a query is text, not a {type(query).__name__}", str(query)[:LONGEST], 1)
    if len(query) > LONGEST:
        raise BadQuery(f"it has {len(query)} characters, {LONGEST} is the most", query[:LONGEST], LONGEST + 1)
    return list(_split(query))


def needs_quotes(text: str) -> bool:
    """Whether a segment of a name is no word by itself."""
    return re.fullmatch(_WORD, text) is None or text in WORDS or text in {"inf", "nan"}


def quoted(text: str) -> str:
    """Text in single quotes, as it is read back."""
    return "'" + re.sub(r"(['\\])", r"\\\1", text) + "'"


def _split(query: str) -> Iterator[Token]:
    position = 0
    while True:
        found = _TOKEN.match(query, position)
        if found is None:
            raise _no_token(query, position)
        kind = found.lastgroup or "end"
        column = found.start(kind) + 1
        if kind == "end":
            yield Token("end", "", len(query.rstrip()) + 1)
            return
        yield _token(query, kind, found[kind], column)
        position = found.end()


def _token(query: str, kind: str, text: str, column: int) -> Token:
    if kind == "sign":
        return Token("sign", text, column)
    if kind == "number":
        end = column - 1 + len(text)
        if rest := re.match(r"[\w.]+", query[end:]):
            raise BadQuery(f"'{text}{rest[0]}' is no number; text is quoted: '{text}{rest[0]}'", query, column, len(text + rest[0]))
        return Token("number", text, column, number=_number(text))
    if text.isidentifier():
        return Token("word" if text in WORDS else "name", text, column, (Segment(text),))
    segments = tuple(_segment(query, found, column) for found in re.finditer(_SEGMENT, text, re.DOTALL))
    if len(segments) == 1 and segments[0].is_quoted:
        return Token("text", text, column, segments)
    return Token("word" if text in WORDS else "name", text, column, segments)


def _segment(query: str, found: re.Match[str], column: int) -> Segment:
    if found["text"] is None:
        return Segment(found[0])
    for escape in re.finditer(_ESCAPE, found[0], re.DOTALL):
        if escape[1] not in "'\"\\":
            where = column + found.start() + escape.start()
            raise BadQuery("a backslash stands before a quote or a backslash; two of them mean one", query, where, 2)
    return Segment(re.sub(_ESCAPE, r"\1", found[0][1:-1], flags=re.DOTALL), is_quoted=True)


def _number(text: str) -> Number:
    try:
        return int(text)
    except ValueError:
        return float(text)


def _no_token(query: str, position: int) -> BadQuery:
    position += len(query[position:]) - len(query[position:].lstrip())
    sign = query[position]
    instead = _INSTEAD.get(sign, "what is no name, number or sign is quoted")
    return BadQuery(f"{sign!r} means nothing here; {instead}" if sign not in "'\"" else instead, query, position + 1)
