from collections import Counter, OrderedDict, defaultdict, deque
from enum import IntEnum
from typing import NamedTuple

import pytest

from onyxstore.errors import CannotEncode
from onyxstore.history.checkpoints.walk import MAX_DEPTH, map_tree, path_key, print_path


class Color(IntEnum):
    RED = 1


class Text(str):
    __slots__ = ()


class Callback:
    pass


class Point(NamedTuple):
    x: int
    y: int


def refuse(value, path):
    raise CannotEncode(print_path(path), type(value).__name__)


def test_every_other_object_is_changed_with_the_place_where_it_stands():
    places = []
    marker = Callback()
    tree = {"a": [marker, {3: marker}], ("x", 1): deque([marker])}
    changed = map_tree(tree, lambda _, path: places.append(path) or len(places))
    assert changed == {"a": [1, {3: 2}], ("x", 1): deque([3])}
    assert places == [("a", 0), ("a", 1, 3), ("('x', 1)", 0)]


def test_what_a_counter_holds_is_changed_too():
    marker = Callback()
    assert map_tree(Counter(a=marker, b=2), lambda *_: 7) == Counter(a=7, b=2)


def test_what_happens_to_the_original_afterwards_does_not_show():
    tree = {"list": [1], "dict": {"k": 1}, "set": {1}, "bytes": bytearray(b"a"), "deque": deque([1], 3), "counter": Counter(a=1)}
    copied = map_tree(tree, refuse)
    tree["list"].append(2)
    tree["dict"]["k"] = 2
    tree["set"].add(2)
    tree["bytes"][0] = 0
    tree["deque"].append(2)
    tree["counter"]["a"] = 2
    assert copied == {"list": [1], "dict": {"k": 1}, "set": {1}, "bytes": b"a", "deque": deque([1], 3), "counter": Counter(a=1)}


def test_every_container_keeps_its_type_and_order():
    tree = [
        OrderedDict(b=1, a=2),
        Counter("hello"),
        defaultdict(list, z=[1], a=[2]),
        deque([1, 2], maxlen=5),
        frozenset({1}),
        {"z": 1, "a": 2},
    ]
    copied = map_tree(tree, refuse)
    assert copied == tree
    assert [type(item) for item in copied] == [type(item) for item in tree]
    assert [list(item) for item in copied] == [list(item) for item in tree]
    assert (copied[2].default_factory, copied[3].maxlen) == (list, 5)


def test_the_versions_of_a_state_dicts_layouts_are_copied_too():
    state = OrderedDict(weight=1)
    state._metadata = OrderedDict({"": {"version": 1}})
    copied = map_tree(state, refuse)
    state._metadata[""]["version"] = 2
    assert copied._metadata == {"": {"version": 1}}


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        ({"optimizer": {"state": {3: {"callback": Point(1, 2)}}}}, "optimizer.state.3.callback cannot be stored: Point"),
        ({"a": [Color.RED]}, "a.0 cannot be stored: Color"),
        ({"a": (Text("x"),)}, "a.0 cannot be stored: Text"),
        ({Text("k"): 1}, "k cannot be stored: Text"),
        (defaultdict(lambda: 0), "default_factory cannot be stored: a function has no encoding"),
        ({"a": {"b": defaultdict(Callback)}}, "a.b.default_factory cannot be stored: a type has no encoding"),
    ],
)
def test_what_only_derives_from_a_known_type_is_refused_with_its_place(tree, words):
    with pytest.raises(CannotEncode) as caught:
        map_tree(tree, refuse)
    assert str(caught.value).partition(";")[0] == words


def test_an_attribute_that_somebody_put_on_a_dict_is_not_dropped_in_silence():
    state = OrderedDict()
    state.secret = 1
    with pytest.raises(CannotEncode, match=r"^a\.secret cannot"):
        map_tree({"a": state}, refuse)


def test_an_object_that_changes_to_something_unhashable_is_no_key():
    with pytest.raises(CannotEncode, match="cannot be stored: a Callback cannot be a key of a stored dict or set"):
        map_tree({Callback(): 1}, lambda *_: [])


def test_a_container_that_contains_itself_is_refused():
    tree = {"a": []}
    tree["a"].append(tree)
    with pytest.raises(CannotEncode, match=r"^a\.0 cannot be stored: it contains itself"):
        map_tree(tree, refuse)


def test_a_container_at_two_places_becomes_two():
    shared = [1]
    first, second = map_tree([shared, shared], refuse)
    assert first == second
    assert first is not second


@pytest.mark.parametrize("extra", [0, 1])
def test_depth_is_bounded(extra):
    tree = 1
    for _ in range(MAX_DEPTH + extra):
        tree = [tree]
    if extra:
        with pytest.raises(CannotEncode, match=f"nested deeper than {MAX_DEPTH} levels"):
            map_tree(tree, refuse)
    else:
        assert map_tree(tree, refuse) == tree


@pytest.mark.parametrize(
    ("key", "part"),
    [
        ("a", "a"),
        (3, 3),
        (2**63 - 1, 2**63 - 1),
        (-(2**63), -(2**63)),
        (2**63, str(2**63)),
        (-(2**63) - 1, str(-(2**63) - 1)),
        (True, "True"),
        (1.5, "1.5"),
        (None, "None"),
        ((1,), "(1,)"),
    ],
)
def test_only_text_and_ints_of_64_bits_stay_themselves_in_a_path(key, part):
    assert (path_key(key), type(path_key(key))) == (part, type(part))


def test_the_root_of_a_state_has_a_name():
    assert (print_path(()), print_path(("optimizer", "state", 3))) == ("the state", "optimizer.state.3")
