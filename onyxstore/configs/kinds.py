"""Which values a field takes: its type and its rule, asked of a value and said in words.

A *kind* is the type that a field is declared with: bool, int, float, str, Any, a Literal of words, lists of these, dicts with text
for keys, and unions. The rule beside it holds for each number or text in it. Nothing is converted that could have been meant
otherwise: true is no 1, "2" is no 2, 32.0 is no 32; only a whole number is taken where any number may stand. Text is not empty;
numbers are finite, since neither JSON nor an optimizer has a use for others.
"""

from __future__ import annotations

import math
import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin

from onyxstore.configs.fields import Pattern, Range, Rule, Suggestions
from onyxstore.configs.paths import Path
from onyxstore.errors import CannotEncode
from onyxstore.yaml12 import encode_scalar, write_yaml


@dataclass(frozen=True)
class Misfit:
    """A value that cannot stand where it stands: what was expected there, and what is there, both in words."""

    path: Path
    expected: str
    found: str


def misfits(value: object, kind: Any, rule: Rule | None, path: Path = ()) -> Iterator[Misfit]:
    """All that keeps `value` from being of a kind; of a list, each item that does not fit."""
    if not _is_of(value, kind):
        yield Misfit(path, words_for(kind, rule), found(value))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from misfits(item, kind_at(kind, (index,)), rule, (*path, index))
    elif isinstance(value, dict):
        yield from _not_plain(value, path)
    elif not _obeys(value, rule):
        yield Misfit(path, words_for(kind, rule), found(value))


def fits(value: object, kind: Any) -> bool:
    """Whether a value is of a kind, whatever its rule says."""
    return next(misfits(value, kind, None), None) is None


def fitted(value: Any, kind: Any) -> Any:
    """A value that fits, as the plain type that its field has: whole numbers as floats where any number may stand."""
    if float in options(kind) and isinstance(value, (int, float)):
        return float(value)
    return _plain(value)


def kind_at(kind: Any, path: Path) -> Any:
    """The kind of what a path leads to inside a value of a kind."""
    for _ in path:
        kind = next((get_args(each)[-1] for each in options(kind) if get_origin(each) in {list, dict}), Any)
    return kind


def options(kind: Any) -> tuple[Any, ...]:
    """The kinds that a union is made of; of another, itself."""
    return get_args(kind) if get_origin(kind) in {Union, types.UnionType} else (kind,)


def words_for(kind: Any, rule: Rule | None) -> str:
    """What a field takes: `a whole number of at least 1, or null`."""
    words = ", or ".join(_words_for_one(each, rule) for each in options(kind) if each is not type(None))
    examples = f" {rule}" if isinstance(rule, Suggestions) else ""
    return f"{words}{examples}{', or null' if type(None) in options(kind) else ''}"


def found(value: object) -> str:
    """A value as it is called in a problem: short, and as YAML spells it."""
    if value == "":
        return "an empty text"
    if value is None or isinstance(value, (bool, int, float, str)):
        try:
            spelt = encode_scalar(_plain(value), quoted=isinstance(value, str))
        except ValueError as error:
            return str(error)
        return spelt if len(spelt) <= _LONGEST_FOUND else f"{spelt[:_LONGEST_FOUND]}…"
    return {"list": "a list", "dict": "a mapping"}.get(type(value).__name__, f"a {type(value).__name__}")


_LONGEST_FOUND = 60


def _plain(value: Any) -> Any:
    """A scalar of a subclass (an enum's, numpy's float64) as Python's own."""
    return next((kind(value) for kind in (bool, int, float, str) if isinstance(value, kind)), value)


# ------------------------------------------------------------------------------------------------------ a kind, a value


def _is_of(value: object, kind: Any) -> bool:
    """Whether a value is of one of the kinds of a union, without a look at what is in a list or dict."""
    return any(_is_of_one(value, each) for each in options(kind))


def _is_of_one(value: object, kind: Any) -> bool:
    if kind is Any:
        return True
    if get_origin(kind) is Literal:
        return value in get_args(kind)
    if kind is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and _is_finite(value)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if kind is str:
        return isinstance(value, str) and _is_text(value)
    return isinstance(value, get_origin(kind) or kind)


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an int beyond all floats
        return False


def _is_text(value: str) -> bool:
    try:
        return value.encode() != b""
    except UnicodeEncodeError:  # half of a surrogate pair
        return False


def _obeys(value: object, rule: Rule | None) -> bool:
    if isinstance(rule, Range) and isinstance(value, (int, float)):
        return value in rule
    return not (isinstance(rule, Pattern) and isinstance(value, str)) or value in rule


def _not_plain(value: dict[Any, Any], path: Path) -> Iterator[Misfit]:
    """What of a mapping has no YAML form, and keys that are no text."""
    for key in value:
        if not isinstance(key, str):
            yield Misfit((*path, key), "text for a key", found(key))
    try:
        write_yaml(value)
    except CannotEncode as error:
        yield Misfit(path, "values that YAML can say", f"{error.path}: {error.why}")


# ------------------------------------------------------------------------------------------------------ a kind in words

_WORDS: dict[Any, str] = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
_PLURALS: dict[Any, str] = {int: "whole numbers", float: "numbers", str: "texts"}


def _words_for_one(kind: Any, rule: Rule | None) -> str:
    if get_origin(kind) is Literal:
        words = [str(each) for each in get_args(kind)]
        return f"{', '.join(words[:-1])} or {words[-1]}"
    if get_origin(kind) is list:
        return _with_rule(f"a list of {_PLURALS[get_args(kind)[0]]}", get_args(kind)[0], rule)
    if get_origin(kind) is dict:
        return "a mapping of names to values"
    return _with_rule(_WORDS[kind], kind, rule)


def _with_rule(words: str, kind: Any, rule: Rule | None) -> str:
    if isinstance(rule, Range) and kind in {int, float}:
        return f"{words} {rule}"
    return str(rule) if isinstance(rule, Pattern) and kind is str else words
