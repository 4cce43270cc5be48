"""One config file as it was read: its values, and where each of them stands."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import yaml as pyyaml

from onyxstore.configs.kinds import found
from onyxstore.configs.paths import Path
from onyxstore.errors import BadConfig
from onyxstore.yaml12 import Key, Scalar, YamlValue, read_yaml

Place = tuple[int, int]
"""A line and a column, from 1."""


@dataclass(frozen=True)
class Spot:
    """The bytes of a value, a list or mapping too, and where its key begins if it has one. A block ends with the last value in it."""

    start: int
    end: int
    key: int | None


@dataclass(frozen=True)
class Document:
    """A file with a mapping in it."""

    file: str
    data: bytes
    yaml: YamlValue

    @property
    def values(self) -> dict[Key, Any]:
        """What the file says by key; nothing, if it is empty."""
        return self.yaml.value or {}

    @cached_property
    def scalars(self) -> dict[Path, Scalar]:
        """The scalar at each path. A merged one (`<<`) comes before the mapping's own of that name, which is the one that holds."""
        return {each.path: each for each in self.yaml.scalars}

    @cached_property
    def spots(self) -> dict[Path, Spot]:
        """The bytes of each value by path; empty where PyYAML does not read what YAML 1.2 allows (tabs, for one)."""
        text = self.data.decode()
        spots: dict[Path, Spot] = {}
        try:
            root = pyyaml.compose(text, Loader=pyyaml.SafeLoader)
        except pyyaml.YAMLError:
            return {}
        offsets = [0, *itertools.accumulate(len(character.encode()) for character in text)]
        if root is not None:
            _note_spots(root, (), None, offsets, spots)
        return spots

    def place(self, path: Path) -> Place | None:
        """Where a scalar stands; the key of a list or mapping; of what is not there, what would hold it."""
        if not path:
            return None
        if path in self.scalars:
            return self._place_of(self.scalars[path].start)
        if path in self.spots:
            spot = self.spots[path]
            return self._place_of(spot.start if spot.key is None else spot.key)
        return self.place(path[:-1])

    def spelling(self, path: Path) -> bytes:
        """The bytes of the scalar at a path, quotes and all."""
        scalar = self.scalars[path]
        return self.data[scalar.start : scalar.end]

    def _place_of(self, offset: int) -> Place:
        before = self.data[:offset].removeprefix(b"\xef\xbb\xbf").decode()
        lines = re.split("\r\n|\r|\n", before)
        return len(lines), len(lines[-1]) + 1


def decode_document(data: bytes, file: str) -> Document:
    """The document that a file's bytes are; BadConfig when they are no YAML, or none with a mapping in it."""
    yaml = read_yaml(data, file)
    if yaml.value is not None and not isinstance(yaml.value, dict):
        raise BadConfig(file, f"expected a mapping of names to values, got {found(yaml.value)}", 1, 1)
    return Document(file, data, yaml)


def _note_spots(node: pyyaml.Node, path: Path, key: int | None, offsets: list[int], spots: dict[Path, Spot]) -> int:
    """Notes where a node and all inside it stand; returns where it ends. The marks of a block reach to what follows it."""
    ends = []
    if isinstance(node, pyyaml.MappingNode):
        pairs = [(name, value) for name, value in node.value if isinstance(name, pyyaml.ScalarNode)]
        ends = [_note_spots(value, (*path, name.value), offsets[name.start_mark.index], offsets, spots) for name, value in pairs]
    elif isinstance(node, pyyaml.SequenceNode):
        ends = [_note_spots(item, (*path, index), None, offsets, spots) for index, item in enumerate(node.value)]
    is_block = isinstance(node, pyyaml.CollectionNode) and not node.flow_style
    end = max(ends) if ends and is_block else offsets[node.end_mark.index]
    spots[path] = Spot(offsets[node.start_mark.index], end, key)
    return end
