"""What a field of a config says of itself: its default, its meaning, the values that it takes, and the function in which it acts.

All of it stands with the field, once: the checks, the JSON Schema, the comments of the default files and the page
`docs/configuration.md` are made of it.
"""

from __future__ import annotations

import copy
import dataclasses
import re
from dataclasses import MISSING, dataclass
from typing import Any, TypeVar, get_type_hints

RECORDED_ONLY = "recorded only"
"""Where a field acts that nothing in the library reads: it is stored with the run, and the training's own code may ask for it."""

T = TypeVar("T")


@dataclass(frozen=True)
class Range:
    """Numbers between bounds; None where there is none, and a bound itself belongs to it only where `at_…` names it."""

    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None

    def __contains__(self, number: float) -> bool:
        """Whether a number, not NaN, lies within."""
        return (
            (self.at_least is None or number >= self.at_least)
            and (self.above is None or number > self.above)
            and (self.at_most is None or number <= self.at_most)
            and (self.below is None or number < self.below)
        )

    def __str__(self) -> str:
        """What follows `a number`: `of at least 1`, `from 0 to 1`, `above 0 and of at most 1`."""
        if self.at_least is not None and self.at_most is not None:
            return f"from {self.at_least} to {self.at_most}"
        bounds = {"of at least": self.at_least, "above": self.above, "of at most": self.at_most, "below": self.below}
        return " and ".join(f"{words} {bound}" for words, bound in bounds.items() if bound is not None)


@dataclass(frozen=True)
class Suggestions:
    """Words that a text is likely to be; any other is taken too, since whoever reads it may know more of them."""

    words: tuple[str, ...]

    def __str__(self) -> str:
        """What follows `text`: `(for example adamw, sgd)`."""
        return f"(for example {', '.join(self.words)})"


@dataclass(frozen=True)
class Pattern:
    """A regular expression that a whole text matches, and the same in words."""

    expression: str
    words: str

    def __contains__(self, text: str) -> bool:
        """Whether a text matches."""
        return re.fullmatch(self.expression, text) is not None

    def __str__(self) -> str:
        """The words."""
        return self.words


Rule = Range | Suggestions | Pattern


@dataclass(frozen=True)
class ConfigField:
    """A field of a config: `kind` is its type, `rule` holds for each number or text in its value."""

    name: str
    kind: Any
    meaning: str
    acts_in: str
    rule: Rule | None
    default_field: dataclasses.Field[Any]

    @property
    def default(self) -> Any:
        """The value where none is given; another object each time."""
        made = self.default_field.default_factory
        return self.default_field.default if made is MISSING else made()


def fields_of(config_class: type[Any]) -> dict[str, ConfigField]:
    """The fields of a config by name, in their order; KeyError for a dataclass whose fields say nothing of themselves."""
    kinds = get_type_hints(config_class)
    return {
        each.name: ConfigField(each.name, kinds[each.name], **each.metadata["says"], default_field=each)
        for each in dataclasses.fields(config_class)
    }


def recorded(default: T, meaning: str, rule: Rule | None = None) -> T:
    """A field that nothing in the library reads."""
    return acts(RECORDED_ONLY, default, meaning, rule)


def acts(acts_in: str, default: T, meaning: str, rule: Rule | None = None) -> T:
    """A field that acts in the function or class of that name; `default` is copied for each object."""
    metadata = {"says": {"meaning": meaning, "acts_in": acts_in, "rule": rule}}
    if isinstance(default, (list, dict)):
        return dataclasses.field(default_factory=lambda: copy.deepcopy(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def at_least(bound: float) -> Range:
    """Numbers from a bound on."""
    return Range(at_least=bound)


def above(bound: float) -> Range:
    """Numbers greater than a bound."""
    return Range(above=bound)


def between(low: float, high: float) -> Range:
    """Numbers from one bound to another, both included."""
    return Range(at_least=low, at_most=high)


def such_as(*words: str) -> Suggestions:
    """An open list of words."""
    return Suggestions(words)
