import copy

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from onyxstore.history.checkpoints.tensors import Leaf, Special, View
from onyxstore.history.checkpoints.tree import encode_tree
from onyxstore.history.checkpoints.tree_decoding import decode_tree, list_tensors, split_parts, tensor_indices
from onyxstore.history.checkpoints.walk import MAX_DEPTH

WEIGHT = Leaf("float32", (2, 3), bytes(24), "torch.parameter")
BIAS = Leaf("float32", (3,), bytes(12), "torch.tensor")
STATE = {
    "model": {"w": WEIGHT, "b": BIAS, "tied": WEIGHT, "row": View(WEIGHT, "float32", (3,), (4,), 12, "torch.tensor")},
    "optimizer": {"state": {0: {"m": Leaf("float32", (1,), bytes(4), "torch.tensor")}}, "raw": bytes(3000)},
    "note": (1, {"x": Special("numpy.typed", {"dtype": "<U2", "cells": Leaf("uint8", (1, 8), bytes(8), "numpy.array")})}),
}


def nested(levels):
    tagged = 1
    for _ in range(levels):
        tagged = [tagged]
    return tagged


def tag(name, **fields):
    return {"$": name, **fields}


def view(**changes):
    fields = {"index": 0, "of": "torch.tensor", "kind": "torch.tensor", "dtype": "float32", "shape": [1], "strides": [4], "offset": 0}
    return tag("view", **fields | changes)


@pytest.mark.parametrize(
    "tagged",
    [
        tag("pickle", data="gASV"),
        tag(["tuple"], items=[]),
        tag("tuple"),
        tag("tuple", items={}),
        tag("tuple", items=[], more=1),
        tag("dict", items=[[1, 2, 3]]),
        tag("dict", items=[[1, 2], [1, 3]]),
        tag("dict", items=[[1, 2], [True, 3]]),
        tag("dict", items=[[[], 1]]),
        tag("set", items=[1, 1]),
        tag("set", items=[{}]),
        tag("frozenset", items=[1, True]),
        tag("deque", items=[1, 2], longest=1),
        tag("deque", items=[], longest=True),
        tag("deque", items=[], longest=-1),
        tag("deque", items=[], longest=2**70),
        tag("defaultdict", items=[], factory="eval"),
        tag("defaultdict", items=[], factory=["list"]),
        tag("OrderedDict", items=[], extra=1),
        tag("complex", items=[1.0]),
        tag("complex", items=[1, 2]),
        tag("complex", items=[True, 2.0]),
        tag("bytes", base64="?"),
        tag("bytes", base64=3),
        tag("slice", items=[1, 2]),
        tag("slice", items=[[], None, None]),
        tag("range", items=[0, 1, 0]),
        tag("range", items=[0, None, 1]),
        tag("int", **{"is": "1" * 4001}),
        tag("int", **{"is": "0x10"}),
        tag("float", **{"is": "1.5"}),
        tag("special", kind="torch.Size", value=[1]),
        tag("special", kind=3, value=1),
        tag("special", kind="posix.system", value="true"),
        tag("tensor", index=1, kind="torch.tensor"),
        tag("tensor", index=-1, kind="torch.tensor"),
        tag("tensor", index=True, kind="torch.tensor"),
        tag("tensor", index=0, kind="storage"),
        tag("tensor", index=0, kind="x"),
        tag("tensor", index=0, kind=["torch.tensor"]),
        tag("tensor", index=0, kind="torch.tensor", order=[1]),
        tag("tensor", index=0, kind="torch.tensor", order=3),
        [tag("tensor", index=0, kind="torch.tensor"), tag("tensor", index=0, kind="numpy.array")],
        view(offset=12),
        view(offset=-4),
        view(offset=True),
        view(offset=2**63),
        view(shape=[2**62, 2**62]),
        view(shape=4),
        view(strides=[]),
        view(dtype="object"),
        view(dtype=None),
        view(kind="storage"),
        view(of="jax.array"),
        view(index=2),
        view(index=0.0),
        nested(MAX_DEPTH + 1),
    ],
    ids=lambda tagged: str(tagged)[:70],
)
def test_what_encoding_never_writes_is_refused(tagged):
    with pytest.raises(ValueError, match=r"\S"):
        decode_tree(tagged, {0: BIAS})


def test_the_deepest_tree_that_is_written_is_read():
    assert decode_tree(nested(MAX_DEPTH), {}) == nested(MAX_DEPTH)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["$", "tuple", "items", "tensor", "torch.tensor", "", "x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["$", "items", "index", "kind", "a"]), inner, max_size=4),
    max_leaves=6,
)


def places(value, place=()):
    yield place
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from places(child, (*place, key))


def planted(tagged, place, value):
    if not place:
        return value
    tagged = copy.deepcopy(tagged)
    parent = tagged
    for key in place[:-1]:
        parent = parent[key]
    parent[place[-1]] = value
    return tagged


TAGGED, FOUND = encode_tree(STATE)
LEAVES = {number: leaf for number, (_, leaf) in enumerate(FOUND)}


@settings(max_examples=1500)
@given(st.sampled_from(sorted(places(TAGGED), key=str)), json_values)
@example((), {"$": "dict", "items": [[{"$": "tensor", "index": 0, "kind": "torch.tensor"}, 1]]})
def test_a_tree_with_anything_planted_anywhere_is_read_or_refused(place, value):
    hostile = planted(TAGGED, place, value)
    for read in (lambda tagged: decode_tree(tagged, LEAVES), tensor_indices, list_tensors, split_parts):
        try:
            read(hostile)
        except ValueError:
            continue


def test_a_part_is_read_with_its_own_tensors_only(spell):
    part = split_parts(TAGGED)["model"]
    assert tensor_indices(part) == [0, 1]
    assert spell(decode_tree(part, {index: LEAVES[index] for index in (0, 1)})) == spell(STATE["model"])


def test_the_parts_of_a_tree_that_is_no_dict_are_none():
    assert [split_parts(encode_tree(value)[0]) for value in ([WEIGHT], (1,), 3, {1, 2})] == [{}, {}, {}, {}]


def test_every_place_of_a_tensor_is_listed_a_tied_one_at_each(spell):
    found = list_tensors(TAGGED)
    assert list(found) == [
        ("model", "w"),
        ("model", "b"),
        ("model", "tied"),
        ("model", "row"),
        ("optimizer", "state", 0, "m"),
        ("note", 1, "x", "cells"),
    ]
    row = found["model", "row"]
    assert spell(decode_tree(row, {0: LEAVES[0]})) == spell(STATE["model"]["row"])
    assert found["model", "w"] == found["model", "tied"]


def test_bytes_that_are_tensors_in_the_store_are_needed_but_not_listed():
    part = split_parts(TAGGED)["optimizer"]
    assert (tensor_indices(part), list(list_tensors(part))) == ([2, 3], [("state", 0, "m")])


def test_a_leaf_takes_kind_and_order_from_the_tree_and_stays_one_leaf(spell):
    tagged, _ = encode_tree([Leaf("int8", (2, 2), b"abcd", "numpy.array", (1, 0))] * 2)
    first, second = decode_tree(tagged, {0: Leaf("int8", (2, 2), b"abcd", "torch.tensor")})
    assert first is second
    assert spell(first) == spell(Leaf("int8", (2, 2), b"abcd", "numpy.array", (1, 0)))
