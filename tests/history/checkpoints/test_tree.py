import math
from collections import Counter, OrderedDict, defaultdict, deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onyxstore.canonical import plain_bytes, read_plain
from onyxstore.errors import CannotEncode
from onyxstore.history.checkpoints.tensors import WIDTHS, Leaf, Special, View, count_bytes
from onyxstore.history.checkpoints.tree import SHORT_BYTES, encode_tree
from onyxstore.history.checkpoints.tree_decoding import decode_tree
from onyxstore.history.checkpoints.walk import FACTORIES, MAX_DEPTH, map_tree


def leaf(dtype="uint8", shape=(2,), kind="torch.tensor", fill=7, order=None):
    return Leaf(dtype, shape, bytes([fill]) * count_bytes(dtype, shape), kind, order)


def round_trip(value):
    tagged, leaves = encode_tree(value)
    # By way of the bytes, and of leaves that have lost what the tree says of them: so it is when they come from the store.
    bare = {number: Leaf(each.dtype, each.shape, each.data, "torch.tensor") for number, (_, each) in enumerate(leaves)}
    return decode_tree(read_plain(plain_bytes(tagged)), bare)


floats = st.floats() | st.sampled_from([0.0, -0.0, math.inf, -math.inf, math.nan, 5e-324, 1e308])
ints = st.integers() | st.sampled_from([2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 2**127 - 1])
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(["$", "", "é", "\x00", "\u2028", "😀"])
frozen = st.one_of(
    st.none(),
    st.booleans(),
    ints,
    floats,
    texts,
    st.binary(max_size=9),
    st.complex_numbers(),
    st.builds(range, st.integers(-9, 9), st.integers(-9, 9)),
    st.sampled_from([Special("torch.Size", (1, 2)), Special("torch.dtype", "bfloat16"), Special("numpy.scalar", ("<f4", bytes(4)))]),
)
keys = st.recursive(frozen, lambda inner: st.tuples(inner, inner) | st.lists(inner, max_size=2).map(frozenset), max_leaves=4)
SHARED = [leaf(fill=1), leaf("float32", (2, 3), "torch.parameter", 2), leaf("bfloat16", (), "torch.tensor.grad", 3)]
WINDOW = leaf("int16", (4,), "storage", 4)
tensors = st.one_of(
    st.sampled_from(SHARED),
    st.builds(
        leaf,
        st.sampled_from(sorted(WIDTHS)),
        st.sampled_from([(), (0, 3), (2,), (1, 2, 3)]),
        st.sampled_from(["torch.tensor", "numpy.array"]),
    ),
    st.builds(lambda order: leaf("float16", (2, 3, 1), order=order), st.permutations(range(3)).map(tuple)),
    st.builds(lambda start: View(WINDOW, "int16", (2,), (2,), start * 2, "torch.tensor"), st.integers(0, 2)),
    st.just(View(SHARED[1], "float32", (3,), (4,), 12, "torch.tensor")),
)
mutable = st.builds(slice, st.none() | st.integers(), st.none() | ints, st.none() | texts) | st.binary(max_size=4).map(bytearray)


def with_metadata(pairs, metadata):
    made = OrderedDict(pairs)
    made._metadata = metadata
    return made


def containers(inner):
    pairs = st.lists(st.tuples(keys, inner), max_size=4)
    named = st.lists(st.tuples(texts, inner), max_size=4)
    return st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=3).map(tuple),
        pairs.map(dict),
        named.map(dict),
        named.map(OrderedDict),
        st.builds(with_metadata, named.map(dict), inner),
        pairs.map(lambda each: defaultdict(list, each)),
        st.lists(keys, max_size=3).map(set),
        st.lists(keys, max_size=3).map(frozenset),
        st.lists(st.tuples(keys, st.integers()), max_size=3).map(lambda each: Counter(dict(each))),
        st.lists(inner, max_size=3).map(lambda each: deque(each, maxlen=5)),
        st.builds(lambda cells: Special("numpy.typed", {"dtype": "<U2", "cells": cells}), st.sampled_from(SHARED[:1])),
    )


trees = st.recursive(st.one_of(frozen, mutable, tensors), containers, max_leaves=5)


@settings(max_examples=3000)
@given(trees)
def test_a_tree_comes_back_bit_for_bit_in_its_own_order_with_its_ties(spell, value):
    assert spell(round_trip(value)) == spell(value)


@settings(max_examples=300)
@given(trees)
def test_equal_trees_have_equal_bytes(value):
    assert plain_bytes(encode_tree(value)[0]) == plain_bytes(encode_tree(round_trip(value))[0])


def test_a_state_is_written_like_this():
    """The bytes of the format: a change here is a new format."""
    weight = leaf("float32", (2, 2), "torch.parameter")
    row = View(weight, "float32", (2,), (4,), 8, "torch.tensor")
    state = {
        "a": [1, 2.5, -0.0, True, None, "text", 2**60, 2**70, math.inf],
        "model": with_metadata({"w": weight, "b": row}, {"": {"version": 1}}),
        "n": leaf("float16", (2, 3), "numpy.array", order=(1, 0)),
        "o": {"z": (weight,), "a": {3: b"\x00\xff"}},
        "s": {"b", "a"},
        "t": Special("torch.device", "cuda:0"),
        "u": slice(None, 3),
        "v": deque([1j], maxlen=2),
    }
    tagged, leaves = encode_tree(state)
    assert plain_bytes(tagged).decode() == (
        '{"a":[1,2.5,-0.0,true,null,"text",1152921504606846976,{"$":"int","is":"1180591620717411303424"},{"$":"float","is":"inf"}],'
        '"model":{"$":"OrderedDict","items":[["w",{"$":"tensor","index":0,"kind":"torch.parameter"}],'
        '["b",{"$":"view","dtype":"float32","index":0,"kind":"torch.tensor","of":"torch.parameter","offset":8,"shape":[2],"strides":[4]}]],'
        '"metadata":{"":{"version":1}}},'
        '"n":{"$":"tensor","index":1,"kind":"numpy.array","order":[1,0]},'
        '"o":{"$":"dict","items":[["z",{"$":"tuple","items":[{"$":"tensor","index":0,"kind":"torch.parameter"}]}],'
        '["a",{"$":"dict","items":[[3,{"$":"bytes","base64":"AP8="}]]}]]},'
        '"s":{"$":"set","items":["a","b"]},'
        '"t":{"$":"special","kind":"torch.device","value":"cuda:0"},'
        '"u":{"$":"slice","items":[null,3,null]},'
        '"v":{"$":"deque","items":[{"$":"complex","items":[0.0,1.0]}],"longest":2}}'
    )
    assert leaves == [(("model", "w"), weight), (("n",), state["n"])]


def test_the_order_in_which_a_set_was_filled_leaves_no_trace():
    assert encode_tree({"b", "a", 1, (2, "x")}) == encode_tree({(2, "x"), 1, "a", "b"})


def test_a_long_byte_string_is_a_tensor_and_comes_back_as_bytes(spell):
    data = {"short": bytes(SHORT_BYTES), "long": bytes(SHORT_BYTES + 1), "array": bytearray(5000)}
    _, leaves = encode_tree(data)
    assert [(path, each.dtype, each.shape, each.kind) for path, each in leaves] == [
        (("long",), "uint8", (SHORT_BYTES + 1,), "bytes"),
        (("array",), "uint8", (5000,), "bytearray"),
    ]
    assert spell(round_trip(data)) == spell(data)


def test_an_int_may_have_as_many_digits_as_canonical_json_reads():
    assert round_trip([1 - 10**3999]) == [1 - 10**3999]


def test_the_deepest_tree_is_read_again_in_whatever_containers():
    tree = 1
    for level in range(MAX_DEPTH):
        tree = [OrderedDict({level: tree}), {0: tree}, defaultdict(list, {"z": tree}), (tree,), deque([tree])][level % 5]
    assert round_trip(map_tree(tree, lambda *_: None)) == tree


@pytest.mark.parametrize("name", sorted(FACTORIES))
def test_every_listed_factory_makes_what_it_made(name):
    assert round_trip(defaultdict(FACTORIES[name]))["new"] == FACTORIES[name]()


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        ({"a": {"b": object()}}, "a.b cannot be stored: a object has no encoding"),
        ({"a": "\ud800"}, "a cannot be stored: text with half a surrogate pair has no UTF-8"),
        ({"a": 10**3999}, "a cannot be stored: an int of 4000 digits or more"),
        ({"a": slice(b"x")}, "a cannot be stored: a slice has no encoding with such ends"),
        ({leaf(): 1}, None),
        ({(leaf(),): 1}, None),
        ([{bytes(2000)}], None),
        ({"f": defaultdict(lambda: 1)}, "f.default_factory cannot be stored: a function has no encoding"),
    ],
)
def test_what_has_no_encoding_is_refused_with_its_place(tree, words):
    with pytest.raises(CannotEncode) as caught:
        encode_tree(tree)
    assert str(caught.value).partition(";")[0] == (
        words or f"{caught.value.path} cannot be stored: a tensor cannot be a key of a stored dict or set"
    )
