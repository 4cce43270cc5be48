"""A neutral state tree as tagged JSON and a list of tensors.

What JSON says as it is (None, bools, small ints, finite floats, text, lists, and dicts whose keys are text in sorted order) stands
as it is; everything else is a *tagged* object, a dict with the key `$`, of this closed list:

    {"$": "int" | "float", "is": …}                          as in `onyxstore.canonical`
    {"$": "complex", "items": [real, imaginary]}
    {"$": "bytes" | "bytearray", "base64": …}                up to 1 KiB; longer ones are tensors of that kind
    {"$": "slice" | "range", "items": [start, stop, step]}
    {"$": "tuple" | "set" | "frozenset", "items": […]}       the elements of sets sorted by their canonical text
    {"$": "deque", "items": […], "longest": null | n}
    {"$": "dict" | "Counter", "items": [[key, value], …]}    in the dict's own order
    {"$": "OrderedDict", "items": […], "metadata": …}        metadata: only where the dict carries `_metadata`
    {"$": "defaultdict", "items": […], "factory": null | name}
    {"$": "tensor", "index": i, "kind": …, "order": […]}     order: only where it is not the dimensions' own
    {"$": "view", "index": i, "of": …, "kind": …, "dtype": …, "shape": […], "strides": […], "offset": n}
    {"$": "special", "kind": …, "value": …}

`index` counts the tensors in the order in which a walk meets them; one that stands at several places has one index. `of` is the
kind of the tensor that a view looks at, `storage` for memory that only views show; strides and offset count bytes. A dict's
order survives because a plain JSON object is used only for a dict that is sorted already, which is how canonical JSON writes it.
`onyxstore.history.checkpoints.tree_decoding` reads it.
"""

from __future__ import annotations

import base64
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from onyxstore.canonical import TAG, encode_float, encode_int, plain_bytes
from onyxstore.errors import CannotEncode
from onyxstore.history.checkpoints.tensors import Leaf, Special, View
from onyxstore.history.checkpoints.walk import FACTORIES, MODULE_METADATA, Path, Trail, no_encoding, path_key, print_path

Tagged = Any
"""JSON with tags."""

SHORT_BYTES = 1024
"""The longest byte string that stands in the JSON itself; base64 costs a third more and cannot be split into chunks."""

_LARGE_INT = 10**3999
"""With its sign as many characters as `onyxstore.canonical` reads."""


def encode_tree(value: object) -> tuple[Tagged, list[tuple[Path, Leaf]]]:
    """A neutral tree as tagged JSON and its tensors, each with the place where it stands first.

    CannotEncode names the place of what is not in the closed list.
    """
    encoder = _Encoder()
    return encoder.encode(value, ()), encoder.leaves


class _Encoder:
    """One walk: the leaves met so far, and their numbers."""

    def __init__(self) -> None:
        self.leaves: list[tuple[Path, Leaf]] = []
        self.numbers: dict[Leaf, int] = {}
        self.trail = Trail()

    def encode(self, value: Any, path: Path) -> Tagged:
        kind = type(value)
        if value is None or kind is bool:
            return value
        plain = _SCALAR_ENCODERS.get(kind)
        if plain is not None:
            return plain(self, value, path)
        encode = _CONTAINER_ENCODERS.get(kind)
        if encode is None:
            raise no_encoding(value, path)
        self.trail.enter(value, path)
        encoded = encode(self, value, path)
        self.trail.leave(value)
        return encoded

    def number(self, leaf: Leaf, path: Path) -> int:
        """The leaf's index, a new one where it is met first."""
        if leaf not in self.numbers:
            self.numbers[leaf] = len(self.leaves)
            self.leaves.append((path, leaf))
        return self.numbers[leaf]

    def items(self, values: Iterable[Any], path: Path) -> list[Tagged]:
        return [self.encode(item, (*path, index)) for index, item in enumerate(values)]

    def pairs(self, value: Mapping[Any, Any], path: Path) -> list[list[Tagged]]:
        return [self.pair(key, item, (*path, path_key(key))) for key, item in value.items()]

    def pair(self, key: Any, item: Any, path: Path) -> list[Tagged]:
        return [self.key(key, path), self.encode(item, path)]

    def key(self, key: Any, path: Path) -> Tagged:
        before = len(self.leaves)
        encoded = self.encode(key, path)
        if len(self.leaves) > before or isinstance(key, Leaf | View):
            raise CannotEncode(print_path(path), "a tensor cannot be a key of a stored dict or set")
        return encoded

    def sorted_keys(self, values: Iterable[Any], path: Path) -> list[Tagged]:
        return sorted((self.key(key, (*path, path_key(key))) for key in values), key=plain_bytes)


def _encode_int(_: _Encoder, value: int, path: Path) -> Tagged:
    if not -_LARGE_INT < value < _LARGE_INT:
        raise CannotEncode(print_path(path), "an int of 4000 digits or more")
    return encode_int(value)


def _encode_text(_: _Encoder, value: str, path: Path) -> Tagged:
    if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
        raise CannotEncode(print_path(path), "text with half a surrogate pair has no UTF-8")
    return value


def _encode_complex(_: _Encoder, value: complex, __: Path) -> Tagged:
    return {TAG: "complex", "items": [encode_float(value.real), encode_float(value.imag)]}


def _encode_bytes(encoder: _Encoder, value: bytes | bytearray, path: Path) -> Tagged:
    kind = type(value).__name__
    if len(value) <= SHORT_BYTES:
        return {TAG: kind, "base64": base64.b64encode(value).decode()}
    return _encode_leaf(encoder, Leaf("uint8", (len(value),), value, kind), path)


def _encode_span(encoder: _Encoder, value: slice | range, path: Path) -> Tagged:
    ends = [value.start, value.stop, value.step]
    if any(end is not None and type(end) not in {bool, int, float, str} for end in ends):
        raise no_encoding(value, path, " with such ends")
    return {TAG: type(value).__name__, "items": encoder.items(ends, path)}


def _encode_leaf(encoder: _Encoder, value: Leaf, path: Path) -> Tagged:
    tag = {TAG: "tensor", "index": encoder.number(value, path), "kind": value.kind}
    return tag if value.order is None else {**tag, "order": list(value.order)}


def _encode_view(encoder: _Encoder, value: View, path: Path) -> Tagged:
    place = {"shape": list(value.shape), "strides": list(value.strides), "offset": value.offset}
    base = {"index": encoder.number(value.base, path), "of": value.base.kind}
    return {TAG: "view", **base, "kind": value.kind, "dtype": value.dtype, **place}


def _encode_dict(encoder: _Encoder, value: dict[Any, Any], path: Path) -> Tagged:
    keys = list(value)
    if all(type(key) is str for key in keys) and TAG not in value and keys == sorted(keys):
        return {_encode_text(encoder, key, path): encoder.encode(item, (*path, key)) for key, item in value.items()}
    return {TAG: "dict", "items": encoder.pairs(value, path)}


def _encode_ordered(encoder: _Encoder, value: OrderedDict[Any, Any], path: Path) -> Tagged:
    tag = {TAG: "OrderedDict", "items": encoder.pairs(value, path)}
    if MODULE_METADATA not in vars(value):
        return tag
    return {**tag, "metadata": encoder.encode(vars(value)[MODULE_METADATA], (*path, MODULE_METADATA))}


def _encode_default(encoder: _Encoder, value: defaultdict[Any, Any], path: Path) -> Tagged:
    factory = value.default_factory
    name = next((name for name, known in FACTORIES.items() if factory is known), None)
    if factory is not None and name is None:
        raise no_encoding(factory, (*path, "default_factory"))
    return {TAG: "defaultdict", "items": encoder.pairs(value, path), "factory": name}


_SCALAR_ENCODERS: dict[type, Callable[[_Encoder, Any, Path], Tagged]] = {
    int: _encode_int,
    float: lambda _, value, __: encode_float(value),
    str: _encode_text,
    complex: _encode_complex,
    bytes: _encode_bytes,
    bytearray: _encode_bytes,
    slice: _encode_span,
    range: _encode_span,
    Leaf: _encode_leaf,
    View: _encode_view,
}
_CONTAINER_ENCODERS: dict[type, Callable[[_Encoder, Any, Path], Tagged]] = {
    list: lambda encoder, value, path: encoder.items(value, path),
    dict: _encode_dict,
    tuple: lambda encoder, value, path: {TAG: "tuple", "items": encoder.items(value, path)},
    set: lambda encoder, value, path: {TAG: "set", "items": encoder.sorted_keys(value, path)},
    frozenset: lambda encoder, value, path: {TAG: "frozenset", "items": encoder.sorted_keys(value, path)},
    deque: lambda encoder, value, path: {TAG: "deque", "items": encoder.items(value, path), "longest": value.maxlen},
    OrderedDict: _encode_ordered,
    Counter: lambda encoder, value, path: {TAG: "Counter", "items": encoder.pairs(value, path)},
    defaultdict: _encode_default,
    Special: lambda encoder, value, path: {TAG: "special", "kind": value.kind, "value": encoder.encode(value.value, path)},
}
