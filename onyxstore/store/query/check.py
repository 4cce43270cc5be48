"""A query's tree made ready to be asked of rows: names become traits, text what it stands for, and what makes no sense an error.

Fields and metrics have a kind that is known: to compare a metric with text, or a moment with a number, is an error. The keys of configs
may hold anything, in one run this and in another that: there a comparison of two kinds is false.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from onyxstore.errors import BadQuery
from onyxstore.history.runs import STATUSES
from onyxstore.names import fold, near
from onyxstore.store.query.compare import COMPARISONS
from onyxstore.store.query.moments import read_moment
from onyxstore.store.query.parse import parse_query
from onyxstore.store.query.pattern import Pattern
from onyxstore.store.query.traits import FIELDS, Trait, Traits, Unknown
from onyxstore.store.query.tree import And, Comparison, Holds, Name, Node, Not, Operand, Or, Value, Values
from onyxstore.store.run_rows import RunRow

Predicate = Callable[[RunRow], bool]
Reader = Callable[[RunRow], Any]


def check_query(query: str, traits: Traits, now: int) -> Predicate:
    """What says of a row whether the query holds for it; BadQuery. `now`, in ns since 1970 UTC, is what `2d` counts back from."""
    return _Checker(query, traits, now).predicate(parse_query(query))


class _Checker:
    """One query, with what its names can mean."""

    def __init__(self, query: str, traits: Traits, now: int) -> None:
        self._query, self._traits, self._now = query, traits, now

    def predicate(self, node: Node) -> Predicate:
        """The condition that a part of the tree is."""
        if isinstance(node, (And, Or)):
            parts = [self.predicate(part) for part in node.parts]
            holds = all if isinstance(node, And) else any
            return lambda row: holds(part(row) for part in parts)
        if isinstance(node, Not):
            part = self.predicate(node.part)
            return lambda row: not part(row)
        if isinstance(node, Holds):
            name = node.name
            return self._comparison(Comparison(name, "==", Value(value=True, column=name.column, length=name.length), name.column))
        return self._comparison(node)

    def _comparison(self, node: Comparison) -> Predicate:
        if node.sign in {"~", "!~"}:
            return self._matching(node)
        if node.sign in {"in", "not in"} and isinstance(node.right, Name):
            return self._containing(node, node.right)
        if isinstance(node.left, Name):
            return self._comparing(node.left, node.sign, node.right)
        # A number stands first, and so a name behind the sign.
        return self._comparing(node.right, _MIRRORED.get(node.sign, node.sign), node.left)

    def _comparing(self, left: Operand, sign: str, right: Operand) -> Predicate:
        trait = self._trait(left)
        read, holds = _reader(trait), COMPARISONS[sign]
        if isinstance(right, Name):
            other = self._other(trait, right)
            return lambda row: (one := read(row)) is not None and (two := other(row)) is not None and holds(one, two)
        if trait.kind == "words":
            raise self._error("labels are asked for with 'word' in labels, or labels ~ 'wo*'", left)
        is_equality = sign in {"==", "!=", "in", "not in"}
        if isinstance(right, Values):
            if trait.kind != "config" and sign in {"==", "!="}:
                raise self._error(f"{trait.title} is no list; write {trait.title} in {right}", right)
            value: Any = [self._value(trait, item, is_equality=is_equality) for item in right.items]
        else:
            value = self._value(trait, right, is_equality=is_equality)
        return lambda row: holds(read(row), value)

    def _matching(self, node: Comparison) -> Predicate:
        if not isinstance(node.left, Name) or not isinstance(node.right, Value) or type(node.right.value) is not str:
            raise self._error("a pattern is text in quotes, behind the sign", node.right)
        trait = self._trait(node.left)
        if trait.kind not in {"text", "words", "config"}:
            raise self._error(f"{trait.title} is no text, which a pattern could fit", node.left)
        read, is_name = _reader(trait), trait is FIELDS["name"]
        try:
            pattern = Pattern(fold(node.right.value) if is_name else node.right.value)
        except ValueError as error:
            raise self._error(str(error), node.right) from None
        if node.sign == "~":
            return lambda row: any(map(pattern.matches, _texts(read(row))))
        return lambda row: bool(texts := _texts(read(row))) and not any(map(pattern.matches, texts))

    def _containing(self, node: Comparison, right: Name) -> Predicate:
        trait = self._trait(right)
        if trait.kind not in {"words", "config"}:
            raise self._error(f"{trait.title} is no list, which could hold something", right)
        read, holds = _reader(trait), COMPARISONS[node.sign]
        if isinstance(node.left, Name):
            of = _reader(self._trait(node.left))
            return lambda row: (one := of(row)) is not None and holds(one, read(row))
        value = node.left.value if isinstance(node.left, Value) else None
        if trait.kind == "words" and type(value) is not str:
            raise self._error("labels are words; text is quoted", node.left)
        return lambda row: holds(value, read(row))

    def _value(self, trait: Trait, written: Operand, *, is_equality: bool) -> Any:
        """What a written value means where it is compared with a trait."""
        value = written.value if isinstance(written, Value) else None
        if value is None:
            if is_equality:
                return None
            raise self._error("nothing is less or more than null; write == null or != null", written)
        if trait.kind in {"metric", "number"}:
            if type(value) is str:
                raise self._error(f"{trait.title} is a number, and this is text", written)
            return int(value) if type(value) is bool else value
        if trait.kind == "text" and type(value) is not str:
            raise self._error(f"{trait.title} is text; text is quoted: '{written}'", written)
        if trait.kind == "moment":
            return self._moment(trait, written, value, is_equality=is_equality)
        if trait is FIELDS["status"] and is_equality and value not in STATUSES:
            meant = near(str(value), STATUSES)
            hint = f"did you mean '{meant[0]}'?" if meant else f"it is one of {', '.join(STATUSES)}"
            raise self._error(f"no status is called '{value}'; {hint}", written)
        return fold(str(value)) if trait is FIELDS["name"] else value

    def _moment(self, trait: Trait, written: Operand, value: Any, *, is_equality: bool) -> int:
        if is_equality:
            raise self._error(f"{trait.title} is a moment, which is compared with < <= > >=", written)
        if type(value) is not str:
            raise self._error(f"{trait.title} is a moment; write '2026-11-01', or how long ago: '2d'", written)
        try:
            return read_moment(value, self._now)
        except ValueError as error:
            raise self._error(str(error), written) from None

    def _other(self, trait: Trait, name: Name) -> Reader:
        """The other one of two names that are compared."""
        try:
            other = self._trait(name)
        except BadQuery as error:
            if len(name.segments) == 1:
                error.why += f" (text is quoted: '{name.text}')"
            raise
        if _family(trait) != _family(other) and "config" not in {trait.kind, other.kind}:
            raise self._error(f"{trait.title} and {other.title} do not compare", name)
        return _reader(other)

    def _trait(self, name: Operand) -> Trait:
        if not isinstance(name, Name):
            raise self._error("a name should stand here", name)
        try:
            return self._traits.find(name)
        except Unknown as error:
            raise self._error(str(error), name) from None

    def _error(self, why: str, where: Operand) -> BadQuery:
        return BadQuery(why, self._query, where.column, where.length)


_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


def _reader(trait: Trait) -> Reader:
    """What a trait is compared by: names without case, bools of metrics as numbers."""
    of = trait.of
    if trait is FIELDS["name"]:
        return lambda row: fold(row.name)
    if trait.kind == "words":
        return lambda row: list(row.labels)
    if trait.kind == "metric":
        return lambda row: int(value) if type(value := of(row)) is bool else value
    return of


def _family(trait: Trait) -> str:
    return "number" if trait.kind == "metric" else trait.kind


def _texts(value: Any) -> list[str]:
    """The texts that a pattern may fit: the value, or those in a list."""
    return [item for item in (value if type(value) is list else [value]) if type(item) is str]
