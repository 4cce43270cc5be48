"""A query as a tree: what it compares with what, and where in the text that stood.

`str` of a tree is a query that reads back to the same tree.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from onyxstore.store.query.tokens import Number, Segment, needs_quotes, quoted

Sign = Literal["==", "!=", "<", "<=", ">", ">=", "~", "!~", "in", "not in"]
Scalar = Number | str | bool | None


class Name(NamedTuple):
    """What a run may have: a metric, a key of a config, a word of the run's own."""

    segments: tuple[Segment, ...]
    column: int = 1
    length: int = 1

    def __str__(self) -> str:
        if len(self.segments) == 1 and needs_quotes(self.text):
            return quoted(self.text)
        return ".".join(quoted(part.text) if part.is_quoted else part.text for part in self.segments)

    @property
    def text(self) -> str:
        """The name itself, without its quotes."""
        return ".".join(part.text for part in self.segments)


class Value(NamedTuple):
    """What is written out: a number, text, true, false or null."""

    value: Scalar
    column: int = 1
    length: int = 1

    def __str__(self) -> str:
        if isinstance(self.value, str):
            return quoted(self.value)
        if self.value is None or isinstance(self.value, bool):
            return {None: "null", True: "true", False: "false"}[self.value]
        return repr(self.value)


class Values(NamedTuple):
    """A list of such."""

    items: tuple[Value, ...]
    column: int = 1
    length: int = 1

    def __str__(self) -> str:
        return f"[{', '.join(map(str, self.items))}]"


Operand = Name | Value | Values


class Comparison(NamedTuple):
    """Two things and the sign between them; at least one is a name."""

    left: Operand
    sign: Sign
    right: Operand
    column: int = 1
    """Of the sign."""

    def __str__(self) -> str:
        return f"{self.left} {self.sign} {self.right}"


class Holds(NamedTuple):
    """A name by itself: whether its value is true."""

    name: Name

    def __str__(self) -> str:
        return str(self.name)


class Not(NamedTuple):
    """The opposite."""

    part: Node

    def __str__(self) -> str:
        return f"not {_nested(self.part, (And, Or))}"


class And(NamedTuple):
    """All of two or more."""

    parts: tuple[Node, ...]

    def __str__(self) -> str:
        return " and ".join(_nested(part, (And, Or)) for part in self.parts)


class Or(NamedTuple):
    """Any of two or more."""

    parts: tuple[Node, ...]

    def __str__(self) -> str:
        return " or ".join(_nested(part, (Or,)) for part in self.parts)


Node = Comparison | Holds | Not | And | Or


def _nested(part: Node, looser: tuple[type, ...]) -> str:
    """A part as it stands inside another: in parentheses where it would be read otherwise."""
    return f"({part})" if isinstance(part, looser) else str(part)
