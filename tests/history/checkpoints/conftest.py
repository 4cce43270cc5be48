"""Values spelt out, so that two are compared bit for bit, with types, order and ties."""

import math
import struct
from collections import Counter, OrderedDict, defaultdict, deque

import pytest

from onyxstore.history.checkpoints.tensors import Leaf, Special, View


class Speller:
    def __init__(self):
        self.numbers = {}

    def __call__(self, value):  # noqa: PLR0911 (a line for each kind)
        kind = type(value)
        if kind is float:
            return "float", "nan" if math.isnan(value) else struct.pack("<d", value)
        if kind is complex:
            return "complex", self(value.real), self(value.imag)
        if kind is Leaf:
            tie = self.numbers.setdefault(value, len(self.numbers))
            return "Leaf", tie, value.dtype, value.shape, bytes(value.data), value.kind, value.order
        if kind is View:
            return "View", self(value.base), value.dtype, value.shape, value.strides, value.offset, value.kind
        if kind is Special:
            return "Special", value.kind, self(value.value)
        if kind in {list, tuple, deque}:
            return kind, getattr(value, "maxlen", None), [self(item) for item in value]
        if kind in {set, frozenset}:
            return kind, sorted(repr(self(item)) for item in value)
        if kind in {dict, OrderedDict, Counter, defaultdict}:
            extras = getattr(value, "default_factory", None), self(getattr(value, "_metadata", None))
            return kind, extras, [(self(key), self(item)) for key, item in value.items()]
        if kind in {slice, range}:
            return kind, self(value.start), self(value.stop), self(value.step)
        return kind, value


@pytest.fixture(scope="session")
def spell():
    """A function that spells a value: equal for equal values, down to bits, order and ties."""

    def spell(value):
        return Speller()(value)

    return spell
