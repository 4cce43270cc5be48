"""Configs of all kinds, drawn from what their fields say that they take."""

import types
from typing import Any, Literal, Union, get_args, get_origin

from hypothesis import strategies as st

from onyxstore.configs.check import find_problems
from onyxstore.configs.fields import Pattern, Range
from onyxstore.configs.types import ConfigType

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
names = st.text(st.characters(categories=["L", "N"], include_characters="_- ${}:#'\""), min_size=1, max_size=12)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=8)


def values_of(kind: Any, rule: Any) -> st.SearchStrategy[Any]:
    """Values that a kind and a rule take."""
    if get_origin(kind) in {Union, types.UnionType}:
        return st.one_of(*(values_of(each, rule) for each in get_args(kind)))
    if get_origin(kind) is Literal:
        return st.sampled_from(get_args(kind))
    if get_origin(kind) is list:
        return st.lists(values_of(get_args(kind)[0], rule), max_size=4)
    if get_origin(kind) is dict:
        return st.dictionaries(names, values, max_size=3)
    return _numbers(kind, rule) if kind in {int, float} else _others(kind, rule)


def _others(kind: type, rule: Any) -> st.SearchStrategy[Any]:
    if kind is not str:
        return st.from_type(kind)
    return st.from_regex(rule.expression, fullmatch=True) if isinstance(rule, Pattern) else texts.filter(bool)


def _numbers(kind: type, rule: Any) -> st.SearchStrategy[Any]:
    bounds = rule if isinstance(rule, Range) else Range()
    low = bounds.above if bounds.at_least is None else bounds.at_least
    high = bounds.below if bounds.at_most is None else bounds.at_most
    if kind is int:
        return st.integers(low, high)
    return st.floats(low, high, allow_nan=False, allow_infinity=False).filter(lambda number: number in bounds)


def configs(config_type: ConfigType) -> st.SearchStrategy[Any]:
    """Configs of a type that can be used: any fields given, the others left to their defaults."""
    fields = {name: values_of(known.kind, known.rule) for name, known in config_type.fields.items()}
    drawn = st.fixed_dictionaries({}, optional=fields).map(lambda given: config_type.config_class(**given))
    return drawn.filter(lambda config: find_problems(config, config_type) == ())


def type_of(config: Any) -> ConfigType:
    """The type that a config is of."""
    return next(each for each in ConfigType if each.config_class is type(config))


every_config = st.sampled_from(ConfigType).flatmap(configs)
