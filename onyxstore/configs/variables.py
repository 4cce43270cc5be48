"""`${NAME}` in the texts of a config, replaced by variables of the environment, which is handed in.

`${NAME:-default}` is the default where the variable is unset or empty; `$${` is a plain `${`. A text that is one variable and nothing
else is read again as YAML, so that `batch_size: ${BATCH}` is a number. It stays text where its field takes text, and in quotes where its
field takes anything. What the environment says never becomes a list or a mapping, and is not searched for variables itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from onyxstore.configs.document import Document
from onyxstore.configs.kinds import fits, kind_at
from onyxstore.configs.paths import Path
from onyxstore.configs.problems import Problem
from onyxstore.configs.types import ConfigType
from onyxstore.errors import BadConfig
from onyxstore.yaml12 import read_yaml

_REFERENCE = re.compile(r"(?P<escape>\$)?\$\{(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^{}]*))?\})?")
"""A variable; or, without a name, what only begins like one."""

_NO_VARIABLE = "'${' begins a variable, ${NAME} or ${NAME:-default}; write '$${' for itself"
_NOT_PLAIN = (b'"', b"'", b"|", b">")


@dataclass
class Expansion:
    """A document's values with its variables replaced: their names by path, what is no variable, and those that are not set."""

    values: dict[Any, Any] = field(default_factory=dict)
    names: dict[Path, tuple[str, ...]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    unset: list[Problem] = field(default_factory=list)


def expand(document: Document, config_type: ConfigType, environment: Mapping[str, str]) -> Expansion:
    """The values of a document of a type; what cannot be replaced stays as it is, and has a problem."""
    walk = _Walk(document, config_type, environment)
    walk.made.values = walk.replaced(document.values, ())
    return walk.made


class _Walk:
    """One walk over the values of a document."""

    def __init__(self, document: Document, config_type: ConfigType, environment: Mapping[str, str]) -> None:
        self.made = Expansion()
        self._document = document
        self._fields = config_type.fields
        self._environment = environment

    def replaced(self, value: Any, path: Path) -> Any:
        """A value with the variables of all texts in it replaced."""
        if isinstance(value, dict):
            return {key: self.replaced(item, (*path, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self.replaced(item, (*path, index)) for index, item in enumerate(value)]
        return self._text(value, path) if isinstance(value, str) and "${" in value else value

    def _text(self, text: str, path: Path) -> Any:
        references = list(_REFERENCE.finditer(text))
        place = self._document.place(path) or ()
        if any(not each["name"] and not each["escape"] for each in references):
            self.made.problems.append(Problem(path, _NO_VARIABLE, self._document.file, *place))
            return text
        if unset := [each["name"] for each in references if self._is_unset(each)]:
            why = f"the environment has no {unset[0]}; set it, or write ${{{unset[0]}:-default}}"
            self.made.unset.append(Problem(path, why, self._document.file, *place))
            return text
        if names := tuple(each["name"] for each in references if each["name"] and not each["escape"]):
            self.made.names[path] = names
        new = _REFERENCE.sub(self._replacement, text)
        is_whole = len(references) == 1 and references[0][0] == text and not references[0]["escape"]
        return self._reading(new, path) if is_whole else new

    def _is_unset(self, reference: re.Match[str]) -> bool:
        return not reference["escape"] and reference["default"] is None and reference["name"] not in self._environment

    def _replacement(self, reference: re.Match[str]) -> str:
        if reference["escape"]:
            return reference[0].removeprefix("$")
        found = self._environment.get(reference["name"], "")
        return found if found or reference["default"] is None else reference["default"]

    def _reading(self, text: str, path: Path) -> Any:
        """What a text means that was a variable and nothing else."""
        known = self._fields.get(str(path[0]))
        kind = kind_at(known.kind, path[1:]) if known else Any
        if kind is Any and self._document.spelling(path).startswith(_NOT_PLAIN):
            return text
        return read_for(text, kind)


def read_for(text: str, kind: Any) -> Any:
    """What a text from outside a file means where a kind of value is expected: itself, unless YAML makes a scalar of it that fits."""
    try:
        value = read_yaml(text.encode("utf-8", "surrogateescape"), "").value
    except BadConfig:
        return text
    return text if isinstance(value, (str, list, dict)) or not fits(value, kind) else value


def escaped(value: Any) -> Any:
    """A value that stands for itself when it is read from a file."""
    if isinstance(value, dict):
        return {key: escaped(item) for key, item in value.items()}
    if isinstance(value, list):
        return [escaped(item) for item in value]
    return value.replace("${", "$${") if isinstance(value, str) else value
