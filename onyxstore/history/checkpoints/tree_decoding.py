"""Tagged JSON back into a neutral state tree, whole or in part.

The tags are those of `onyxstore.history.checkpoints.tree`. Nothing is built that is not in its list and no name is imported from
the data: an unknown tag, a field too many, a wrong type, a key twice, a view that leaves its tensor are each a ValueError.
"""

from __future__ import annotations

import base64
import binascii
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, NoReturn

from onyxstore.canonical import TAG, decode_float, decode_int
from onyxstore.history.checkpoints.tensors import Leaf, Special, View
from onyxstore.history.checkpoints.tree import Tagged
from onyxstore.history.checkpoints.walk import FACTORIES, MAX_DEPTH, MODULE_METADATA, Path, path_key


def decode_tree(tagged: Tagged, leaves: Mapping[int, Leaf]) -> Any:
    """The neutral tree of `tagged`, or of any part of it; `leaves` holds the tensors of that part by index.

    A leaf's kind and order are those that the tree says, whatever it was handed in with. ValueError for anything that
    `encode_tree` does not write.
    """
    return _Decoder(leaves).decode(tagged, 0)


def tensor_indices(tagged: Tagged) -> list[int]:
    """The indices of all tensors that `tagged`, or a part of a tree, needs; ValueError when it is no tree."""
    return sorted({node["index"] for _, node in _walk_tensors(tagged, (), 0)})


def list_tensors(tagged: Tagged) -> dict[Path, Tagged]:
    """Every place where a tensor or a view stands, with its tag, for `decode_tree`; a tied one is at each of its places.

    The parts of a sparse tensor are listed one by one, below its place.
    """
    return {path: node for path, node in _walk_tensors(tagged, (), 0) if node["kind"] not in {"bytes", "bytearray"}}


def split_parts(tagged: Tagged) -> dict[str | int, Tagged]:
    """The first level of a tree that is a dict: each key's part, ready for `decode_tree`; empty for any other tree."""
    is_dict = type(tagged) is dict and (TAG not in tagged or _tag_of(tagged) in {"dict", "OrderedDict"})
    return dict(_keyed_children(tagged)) if is_dict else {}


class _Decoder:
    """One tree: its leaves as handed in, and as the tree says they are."""

    def __init__(self, leaves: Mapping[int, Leaf]) -> None:
        self.given = leaves
        self.made: dict[int, Leaf] = {}

    def decode(self, tagged: Tagged, depth: int) -> Any:
        if depth > MAX_DEPTH:
            _refuse(f"nested deeper than {MAX_DEPTH} levels")
        if type(tagged) is list:
            return [self.decode(item, depth + 1) for item in tagged]
        if type(tagged) is not dict:
            return tagged
        if TAG not in tagged:
            return {key: self.decode(item, depth + 1) for key, item in tagged.items()}
        decode = _DECODERS.get(_tag_of(tagged) or "")
        if decode is None:
            _refuse(f"unknown tag {str(tagged[TAG])[:40]!r}")
        return decode(self, tagged, depth)

    def items(self, tagged: Tagged, depth: int) -> list[Any]:
        return [self.decode(item, depth + 1) for item in _list_of(tagged)]

    def keys(self, tagged: Tagged, depth: int) -> list[Any]:
        return [self.key(item, depth) for item in _list_of(tagged)]

    def key(self, tagged: Tagged, depth: int) -> Any:
        made = self.decode(tagged, depth + 1)
        try:
            hash(made)
        except TypeError as error:
            _refuse(f"a key that cannot be one: {error}")
        return made

    def pairs(self, tagged: Tagged, depth: int) -> dict[Any, Any]:
        made = {self.key(key, depth): self.decode(item, depth + 1) for key, item in _pairs_of(tagged)}
        if len(made) != len(tagged["items"]):
            _refuse("a dict holds a key twice")
        return made

    def leaf(self, index: object, kind: object, order: tuple[int, ...] | None) -> Leaf:
        if type(index) is not int or index not in self.given or type(kind) is not str:
            _refuse("a tensor that the tree does not have")
        given = self.given[index]
        made = self.made.setdefault(index, Leaf(given.dtype, given.shape, given.data, kind, order))
        if (made.kind, made.order) != (kind, order):
            _refuse("a tensor of two kinds")
        return made


def _decode_tensor(decoder: _Decoder, tagged: Tagged, _: int) -> Any:
    _check_fields(tagged, {"index", "kind"}, {"order"})
    leaf = decoder.leaf(tagged["index"], tagged["kind"], _ints(tagged["order"]) if "order" in tagged else None)
    if leaf.kind == "storage":
        _refuse("memory without a tensor")
    return bytes(leaf.data) if leaf.kind == "bytes" else bytearray(leaf.data) if leaf.kind == "bytearray" else leaf


def _decode_view(decoder: _Decoder, tagged: Tagged, _: int) -> View:
    _check_fields(tagged, {"index", "of", "kind", "dtype", "shape", "strides", "offset"})
    base = decoder.leaf(tagged["index"], tagged["of"], None)
    kind, dtype, (offset,) = tagged["kind"], tagged["dtype"], _ints([tagged["offset"]])
    if type(kind) is not str or type(dtype) is not str:
        _refuse("a view with fields of other types")
    return View(base, dtype, _ints(tagged["shape"]), _ints(tagged["strides"]), offset, kind)


def _decode_special(decoder: _Decoder, tagged: Tagged, depth: int) -> Special:
    _check_fields(tagged, {"kind", "value"})
    if type(tagged["kind"]) is not str:
        _refuse("a special value without a kind")
    return Special(tagged["kind"], decoder.decode(tagged["value"], depth + 1))


def _decode_complex(_: _Decoder, tagged: Tagged, __: int) -> complex:
    _check_fields(tagged, {"items"})
    parts = [decode_float(part) if type(part) is dict else part for part in _list_of(tagged)]
    if len(parts) != 2 or not all(type(part) is float for part in parts):
        _refuse("a complex tag holds two floats")
    return complex(*parts)


def _decode_bytes(_: _Decoder, tagged: Tagged, __: int) -> bytes:
    _check_fields(tagged, {"base64"})
    try:
        return base64.b64decode(tagged["base64"], validate=True)
    except (TypeError, ValueError, binascii.Error) as error:
        _refuse(f"bytes that are no base64: {error}")


def _decode_ends(decoder: _Decoder, tagged: Tagged, depth: int) -> list[Any]:
    _check_fields(tagged, {"items"})
    ends = decoder.items(tagged, depth)
    if len(ends) != 3 or any(end is not None and type(end) not in {bool, int, float, str} for end in ends):
        _refuse("a slice or range has three ends")
    return ends


def _decode_range(decoder: _Decoder, tagged: Tagged, depth: int) -> range:
    start, stop, step = _decode_ends(decoder, tagged, depth)
    if not all(type(end) is int for end in (start, stop, step)) or step == 0:
        _refuse("a range has three ints, the last not zero")
    return range(start, stop, step)


def _decode_items(make: Callable[[list[Any]], Any]) -> Callable[[_Decoder, Tagged, int], Any]:
    def decode(decoder: _Decoder, tagged: Tagged, depth: int) -> Any:
        _check_fields(tagged, {"items"})
        return make(decoder.items(tagged, depth))

    return decode


def _decode_set(make: Callable[[list[Any]], Any]) -> Callable[[_Decoder, Tagged, int], Any]:
    def decode(decoder: _Decoder, tagged: Tagged, depth: int) -> Any:
        _check_fields(tagged, {"items"})
        keys = decoder.keys(tagged, depth)
        made = make(keys)
        if len(made) != len(keys):
            _refuse("a set holds an element twice")
        return made

    return decode


def _decode_deque(decoder: _Decoder, tagged: Tagged, depth: int) -> deque[Any]:
    _check_fields(tagged, {"items", "longest"})
    items, longest = decoder.items(tagged, depth), tagged["longest"]
    if longest is not None and (type(longest) is not int or not len(items) <= longest < 2**63):
        _refuse("a deque shorter than its items")
    return deque(items, longest)


def _decode_dict(decoder: _Decoder, tagged: Tagged, depth: int) -> dict[Any, Any]:
    _check_fields(tagged, {"items"})
    return decoder.pairs(tagged, depth)


def _decode_ordered(decoder: _Decoder, tagged: Tagged, depth: int) -> OrderedDict[Any, Any]:
    _check_fields(tagged, {"items"}, {"metadata"})
    made = OrderedDict(decoder.pairs(tagged, depth))
    if "metadata" in tagged:
        vars(made)[MODULE_METADATA] = decoder.decode(tagged["metadata"], depth + 1)
    return made


def _decode_counter(decoder: _Decoder, tagged: Tagged, depth: int) -> Counter[Any]:
    made: Counter[Any] = Counter()
    dict.update(made, _decode_dict(decoder, tagged, depth))
    return made


def _decode_default(decoder: _Decoder, tagged: Tagged, depth: int) -> defaultdict[Any, Any]:
    _check_fields(tagged, {"items", "factory"})
    factory = tagged["factory"]
    if factory is not None and (type(factory) is not str or factory not in FACTORIES):
        _refuse("a defaultdict whose factory is not in the list")
    return defaultdict(None if factory is None else FACTORIES[factory], decoder.pairs(tagged, depth))


_DECODERS: dict[str, Callable[[_Decoder, Tagged, int], Any]] = {
    "int": lambda _, tagged, __: decode_int(tagged),
    "float": lambda _, tagged, __: decode_float(tagged),
    "complex": _decode_complex,
    "bytes": _decode_bytes,
    "bytearray": lambda decoder, tagged, depth: bytearray(_decode_bytes(decoder, tagged, depth)),
    "slice": lambda decoder, tagged, depth: slice(*_decode_ends(decoder, tagged, depth)),
    "range": _decode_range,
    "tuple": _decode_items(tuple),
    "set": _decode_set(set),
    "frozenset": _decode_set(frozenset),
    "deque": _decode_deque,
    "dict": _decode_dict,
    "OrderedDict": _decode_ordered,
    "Counter": _decode_counter,
    "defaultdict": _decode_default,
    "tensor": _decode_tensor,
    "view": _decode_view,
    "special": _decode_special,
}


# ------------------------------------------------------------------------------------------------- looking without decoding


def _walk_tensors(tagged: Tagged, path: Path, depth: int) -> Iterator[tuple[Path, Tagged]]:
    if depth > MAX_DEPTH * 2:
        _refuse(f"nested deeper than {MAX_DEPTH} levels")
    if _tag_of(tagged) in {"tensor", "view"}:
        if type(tagged.get("index")) is not int or type(tagged.get("kind")) is not str:
            _refuse("a tensor without an index and a kind")
        yield path, tagged
        return
    for key, child in _keyed_children(tagged):
        yield from _walk_tensors(child, (*path, key), depth + 1)


def _keyed_children(tagged: Tagged) -> Iterator[tuple[str | int, Tagged]]:
    if type(tagged) is list:
        yield from enumerate(tagged)
    elif type(tagged) is dict and TAG not in tagged:
        yield from tagged.items()
    elif _tag_of(tagged) == "special":
        yield from _keyed_children(tagged.get("value"))
    elif _tag_of(tagged) in {"dict", "OrderedDict", "Counter", "defaultdict"}:
        yield from ((path_key(_Decoder({}).decode(key, 0)), item) for key, item in _pairs_of(tagged))
        if "metadata" in tagged:
            yield MODULE_METADATA, tagged["metadata"]
    elif _tag_of(tagged) in {"tuple", "deque"}:
        yield from enumerate(_list_of(tagged))


def _tag_of(tagged: Tagged) -> str | None:
    tag = tagged.get(TAG) if type(tagged) is dict else None
    return tag if type(tag) is str else None


def _check_fields(tagged: Tagged, needed: AbstractSet[str], possible: AbstractSet[str] = frozenset()) -> None:
    fields = tagged.keys() - {TAG}
    if not needed <= fields <= needed | possible:
        _refuse(f"a {tagged[TAG]} tag with other fields than its own")


def _list_of(tagged: Tagged) -> list[Any]:
    items = tagged.get("items")
    if type(items) is not list:
        _refuse(f"a {tagged[TAG]} tag without its items")
    return items


def _pairs_of(tagged: Tagged) -> list[Any]:
    pairs = _list_of(tagged)
    if not all(type(pair) is list and len(pair) == 2 for pair in pairs):
        _refuse(f"a {tagged[TAG]} tag whose items are no pairs")
    return pairs


def _ints(value: object) -> tuple[int, ...]:
    if type(value) is not list or not all(type(item) is int and -(2**63) < item < 2**63 for item in value):
        _refuse("a list of ints that is none")
    return tuple(value)


def _refuse(why: str) -> NoReturn:
    raise ValueError(why)
