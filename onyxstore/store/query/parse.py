"""Text to tree.

    query       either ("or" either)*                      the loosest
    either      opposite ("and" opposite)*
    opposite    "not" opposite | "(" query ")" | comparison
    comparison  operand [sign operand | ["not"] "in" (list | name)]
    operand     name | number | text | true | false | null | list
    sign        == != < <= > >= ~ !~
    list        "[" [value ("," value)*] "]"

Quoted text is a *name* where it stands left of a sign, left of `in` with a list behind it, or alone; it is *text* everywhere else:
right of a sign, in a list, and left of `in` with a name behind it. So `"val/loss" < 0.4` asks for a metric, and `'v1' in labels`
for a word. Nothing is ever evaluated: the tree is all that comes of a text.
"""

from __future__ import annotations

from typing import cast

from onyxstore.errors import BadQuery
from onyxstore.names import near
from onyxstore.store.query.tokens import WORDS, Segment, Token, tokens_of
from onyxstore.store.query.tree import And, Comparison, Holds, Name, Node, Not, Operand, Or, Sign, Value, Values

DEEPEST = 50
"""Parentheses and `not` inside one another: each is a call within a call."""

_SIGNS = {"==", "!=", "<", "<=", ">", ">=", "~", "!~"}
_CONSTANTS = {"true": True, "false": False, "null": None}


def parse_query(query: str) -> Node:
    """The tree of a query; BadQuery, with the column, for what is none."""
    reader = _Reader(query)
    tree = reader.query(DEEPEST)
    reader.finish()
    return tree


def parse_name(text: str) -> Name:
    """A name by itself, as `sort=` takes it. There nothing else can stand, so `val/loss` and `val/loss.min` need no quotes."""
    try:
        tokens = tokens_of(text)
    except BadQuery:
        tokens = []
    if len(tokens) == 2 and tokens[0].kind in {"name", "text"}:
        return Name(tokens[0].segments, 1, len(text))
    front, _, last = text.rpartition(".")
    segments = (Segment(front, is_quoted=True), Segment(last)) if front else (Segment(text, is_quoted=True),)
    return Name(segments, 1, len(text))


class _Reader:
    """The tokens of one query, and how far they are read."""

    def __init__(self, query: str) -> None:
        self._query = query
        self._tokens = tokens_of(query)
        self._next = 0

    def query(self, levels: int) -> Node:
        """Parts with `or` between them."""
        parts = [self._either(levels)]
        while self._take("or"):
            parts.append(self._either(levels))
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def finish(self) -> None:
        """Nothing may be left."""
        left = self._token
        if left.kind == "sign" and left.text in _SIGNS:
            raise self._error("two comparisons are joined with 'and': a < b and b < c", left)
        if left.text == ")" and left.kind == "sign":
            raise self._error("no parenthesis was opened before this one", left)
        if left.kind != "end":
            meant = near(left.text, ("and", "or"))
            hint = f"did you mean '{meant[0]}'?" if meant else "'and' or 'or' joins two conditions"
            raise self._error(f"'{left.text}' cannot stand here; {hint}", left)

    def _either(self, levels: int) -> Node:
        parts = [self._opposite(levels)]
        while self._take("and"):
            parts.append(self._opposite(levels))
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _opposite(self, levels: int) -> Node:
        if levels == 0:
            raise self._error(f"it is nested deeper than {DEEPEST} levels", self._token)
        if self._take("not"):
            return Not(self._opposite(levels - 1))
        opening = self._token
        if self._take("("):
            inner = self.query(levels - 1)
            if not self._take(")"):
                raise self._error("the parenthesis that begins here is not closed", opening)
            return inner
        return self._comparison()

    def _comparison(self) -> Node:
        left = self._left()
        at = self._token
        sign = self._sign()
        if sign is None:
            if isinstance(left, Name):
                return Holds(left)
            raise self._error("a value by itself asks nothing; compare a name with it", self._tokens[self._next - 1])
        right = self._operand(is_list_wanted=sign in {"==", "!=", "in", "not in"})
        if not isinstance(left, Name) and not isinstance(right, Name):
            raise self._error("two values are compared; one side should be the name of a metric, a config key or a field", at)
        if sign in {"in", "not in"} and isinstance(right, Value):
            raise BadQuery("behind 'in' stands a list, as ['a', 'b'], or a name", self._query, right.column, right.length)
        return Comparison(left, sign, right, at.column)

    def _sign(self) -> Sign | None:
        if self._token.kind == "sign" and self._token.text in _SIGNS:
            return cast("Sign", self._advance().text)
        if self._take("in"):
            return "in"
        if (self._token.kind, self._token.text) == ("word", "not"):
            self._next += 1
            if self._take("in"):
                return "not in"
            raise self._error("behind a name 'not' is followed by 'in'", self._tokens[self._next - 1])
        return None

    def _left(self) -> Operand:
        """What stands first: quoted text is a name, unless `in NAME` comes next."""
        if self._token.kind != "text":
            return self._operand()
        behind = self._tokens[self._next + 1 : self._next + 4]
        if (behind[0].kind, behind[0].text) == ("word", "not"):
            behind = behind[1:]
        is_text = (behind[0].kind, behind[0].text) == ("word", "in") and (behind[1].kind, behind[1].text) != ("sign", "[")
        return self._value() if is_text else self._name()

    def _operand(self, *, is_list_wanted: bool = False) -> Operand:
        token = self._token
        if token.kind == "name":
            return self._name()
        if token.text == "[" and token.kind == "sign":
            values = self._list()
            if not is_list_wanted:
                raise self._error("a list stands behind '==', '!=' or 'in'", token)
            return values
        return self._value()

    def _name(self) -> Name:
        token = self._advance()
        return Name(token.segments, token.column, len(token.text))

    def _value(self) -> Value:
        token = self._token
        if token.kind == "text":
            self._next += 1
            return Value(token.segments[0].text, token.column, len(token.text))
        if token.kind == "number":
            self._next += 1
            return Value(token.number, token.column, len(token.text))
        if token.text in _CONSTANTS and token.kind == "word":
            self._next += 1
            return Value(_CONSTANTS[token.text], token.column, len(token.text))
        if token.kind == "end":
            raise self._error("the query ends where a name or a value should follow" if self._next else "the query is empty", token)
        if token.kind == "name":
            raise self._error(f"text is quoted: '{token.text}'", token)
        what = "it is a name only in quotes" if token.text in WORDS else "a name or a value should stand here"
        raise self._error(f"'{token.text}' cannot stand here; {what}", token)

    def _list(self) -> Values:
        opening = self._advance()
        items: list[Value] = []
        while not self._take("]"):
            if items and not self._take(","):
                raise self._error("the values of a list stand between commas, and ']' after them", self._token)
            items.append(self._value())
        last = self._tokens[self._next - 1]
        return Values(tuple(items), opening.column, last.column + 1 - opening.column)

    @property
    def _token(self) -> Token:
        return self._tokens[self._next]

    def _advance(self) -> Token:
        self._next += 1
        return self._tokens[self._next - 1]

    def _take(self, text: str) -> bool:
        """Whether the next token is this word or sign, and no name; then it is read."""
        if self._token.text != text or self._token.kind not in {"word", "sign"}:
            return False
        self._next += 1
        return True

    def _error(self, why: str, token: Token) -> BadQuery:
        return BadQuery(why, self._query, token.column, max(1, len(token.text)))
