"""Hyperparameters, metadata and references in the two forms that backends keep: a plain tree, and flat rows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import date
from typing import Any

Leaf = bool | int | float | str | None


def plain_tree(value: Any) -> Any:
    """`value` with text for every key, lists for sequences, dicts for dataclasses, and text for what JSON has no word for."""
    if isinstance(value, Mapping):
        return {str(key): plain_tree(item) for key, item in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain_tree(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain_tree(item) for item in value]
    if isinstance(value, date):
        return value.isoformat()
    return value if value is None or type(value) in {bool, int, float, str} else str(value)


def flatten(tree: Mapping[Any, Any]) -> dict[str, Leaf]:
    """The leaves of a tree by their path, joined with `/`. Lists and empty mappings are leaves, as JSON."""
    return dict(_leaves(plain_tree(tree), ""))


def _leaves(tree: dict[str, Any], prefix: str) -> Iterator[tuple[str, Leaf]]:
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{prefix}{key}/")
        else:
            yield f"{prefix}{key}", json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else value
