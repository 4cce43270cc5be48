"""JSON Schema (draft 2020-12) of the configs, for editors that help with YAML.

It says what each field takes, whatever the others are; that `warmup_steps` is at most `max_steps`, only the check can say. Nor can it
tell 32.0 from 32, which JSON Schema takes for one number. Where a field takes no text, a variable of the environment is one of its values.
"""

from __future__ import annotations

from typing import Any, Literal, get_args, get_origin

from onyxstore.configs.fields import ConfigField, Pattern, Range, Rule, Suggestions
from onyxstore.configs.kinds import options
from onyxstore.configs.types import ConfigType

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_VARIABLE = {"type": "string", "pattern": r"^\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^{}]*)?\}$", "description": "A variable of the environment."}
_SIMPLE: dict[Any, dict[str, Any]] = {
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string", "minLength": 1},
    type(None): {"type": "null"},
}
_BOUNDS = {"at_least": "minimum", "above": "exclusiveMinimum", "at_most": "maximum", "below": "exclusiveMaximum"}


def json_schema(config_type: ConfigType) -> dict[str, Any]:
    """The schema of a type of config; one for its overlays too, since no key is required."""
    return {
        "$schema": DIALECT,
        "title": config_type.config_class.__name__,
        "description": config_type.config_class.__doc__,
        "type": "object",
        "additionalProperties": False,
        "properties": {name: _property(known) for name, known in config_type.fields.items()},
        "$defs": {"variable": _VARIABLE},
    }


def _property(known: ConfigField) -> dict[str, Any]:
    said = {"description": known.meaning, "default": known.default, **_schema(known.kind, known.rule)}
    return said | ({"examples": list(known.rule.words)} if isinstance(known.rule, Suggestions) else {})


def _schema(kind: Any, rule: Rule | None) -> dict[str, Any]:
    choices = [_schema_of_one(each, rule) for each in options(kind)]
    if not any(each.get("type") in {"array", "object"} or each == _SIMPLE[str] for each in choices):
        choices.append({"$ref": "#/$defs/variable"})
    return choices[0] if len(choices) == 1 else {"anyOf": choices}


def _schema_of_one(kind: Any, rule: Rule | None) -> dict[str, Any]:
    if get_origin(kind) is Literal:
        return {"enum": list(get_args(kind))}
    if get_origin(kind) is list:
        return {"type": "array", "items": _schema(get_args(kind)[0], rule)}
    if get_origin(kind) is dict:
        return {"type": "object", "propertyNames": {"type": "string"}}
    if isinstance(rule, Range) and kind in {int, float}:
        return _SIMPLE[kind] | {_BOUNDS[name]: bound for name, bound in vars(rule).items() if bound is not None}
    return _SIMPLE[kind] | ({"pattern": rule.expression} if isinstance(rule, Pattern) and kind is str else {})
