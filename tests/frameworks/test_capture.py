import random
from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn

from onyxstore.errors import CannotEncode
from onyxstore.frameworks.capture import ALIGNMENT, capture_tree, new_memory
from onyxstore.frameworks.restore import restore_tree
from onyxstore.history.checkpoints.tensors import Leaf, Special


def test_what_is_written_after_the_call_does_not_show(spell):
    weight, array, notes = torch.arange(6.0).reshape(2, 3), np.arange(4), ["a"]
    state = {"w": weight, "column": weight[:, 1], "n": array, "notes": notes, "sparse": weight.to_sparse()}
    before = spell({key: value.clone() if isinstance(value, torch.Tensor) else value.copy() for key, value in state.items()})
    tree = capture_tree(state)
    weight.zero_()
    state["sparse"]._values().zero_()
    array[:] = 0
    notes.append("b")
    state["more"] = 1
    assert spell(restore_tree(tree)) == before


def test_a_module_comes_back_as_its_state_dict_was(round_trip, spell):
    state = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)).state_dict()
    assert spell(round_trip(state)) == spell(state)
    assert round_trip(state)._metadata == state._metadata


def test_every_kind_of_tensor_and_parameter_comes_back_as_what_it_was(round_trip, spell):
    state = {
        "tensor": torch.ones(2),
        "grad": torch.ones(2, requires_grad=True),
        "parameter": nn.Parameter(torch.ones(2)),
        "frozen": nn.Parameter(torch.ones(2, dtype=torch.int8), requires_grad=False),
        "result": torch.ones(2, requires_grad=True) * 2,
        "array": np.ones(2),
    }
    assert spell(round_trip(state)) == spell(state)


def test_tied_tensors_are_one_tensor_again(stored):
    embedding = nn.Embedding(3, 2)
    head = nn.Linear(2, 3, bias=False)
    head.weight = embedding.weight
    tree = stored({"embedding": embedding.state_dict(), "head": head.state_dict(), "parameter": head.weight, "alone": torch.zeros(3, 2)})
    assert tree["embedding"]["weight"] is tree["head"]["weight"] is tree["parameter"].base
    restored = restore_tree(tree)
    with torch.no_grad():
        restored["embedding"]["weight"].fill_(7)
    assert (restored["head"]["weight"].tolist(), restored["parameter"].tolist()) == ([[7.0, 7.0]] * 3, [[7.0, 7.0]] * 3)
    assert restored["alone"].tolist() == [[0.0, 0.0]] * 3


def test_one_object_at_two_places_is_one_object_again(round_trip):
    tensor, array, empty = torch.ones(2), np.ones(2), torch.empty(0)
    state = round_trip([tensor, tensor, array, array, empty, empty, torch.empty(0)])
    assert [state[0] is state[1], state[2] is state[3], state[4] is state[5], state[5] is state[6]] == [True, True, True, False]


def test_a_parameter_at_two_places_beside_its_data_is_one_parameter_again(round_trip):
    parameter = nn.Parameter(torch.ones(2))
    data, first, second = round_trip([parameter.data, parameter, parameter])
    assert (first is second, first is data, type(first), type(data)) == (True, False, nn.Parameter, torch.Tensor)


def test_a_tensor_and_an_array_on_the_same_memory_share_it_again(round_trip):
    array = np.zeros(4, np.float32)
    state = round_trip({"array": array, "tensor": torch.from_numpy(array)[1:3]})
    state["tensor"][0] = 5
    assert state["array"].tolist() == [0, 5, 0, 0]


def test_nodes_that_are_neutral_already_pass():
    node = Leaf("uint8", (1,), b"a", "numpy.array")
    tree = capture_tree({"words": node, "size": Special("torch.Size", (1,))})
    assert tree["words"] is node
    assert tree["size"] == Special("torch.Size", (1,))


class Scheduler:
    def state_dict(self):
        return {}


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"a": [nn.Linear(1, 1)]}, "a.0 cannot be stored: a torch.nn.modules.linear.Linear has no encoding; hand in its state_dict()"),
        ({"optimizer": {"state": {3: {"callback": print}}}}, "optimizer.state.3.callback cannot be stored: a builtin_function_or_method"),
        ({"g": torch.Generator()}, "g cannot be stored: a torch._C.Generator has no encoding; hand in its get_state()"),
        (
            {"g": np.random.default_rng(0)},
            "g cannot be stored: a numpy.random._generator.Generator has no encoding; hand in its bit_generator.state",
        ),
        ({"g": random.Random(3)}, "g cannot be stored: a random.Random has no encoding; hand in its getstate()"),
        ({torch.ones(1): 1}, "tensor([1.]) cannot be stored: a Tensor cannot be a key of a stored dict or set"),
        ({"s": {torch.ones(1)}}, "s.tensor([1.]) cannot be stored: a Tensor cannot be a key of a stored dict or set"),
        ({"x": Scheduler()}, "x cannot be stored: a "),
    ],
)
def test_what_cannot_be_stored_is_named_with_its_place(state, words):
    with pytest.raises(CannotEncode) as caught:
        capture_tree(state)
    assert str(caught.value).startswith(words)


def test_tensors_lie_aligned_in_memory_that_nobody_can_write():
    taken = []

    def take(size, pinned):
        taken.append((size, pinned))
        return new_memory(size)

    tree = capture_tree({"a": torch.ones(1), "b": torch.ones(17), "c": torch.empty(0), "d": torch.ones((), dtype=torch.int8)}, take)
    assert taken == [(64 + 128 + 64, False)]
    assert [leaf.data.readonly for leaf in tree.values()] == [True] * 4
    addresses = [np.frombuffer(leaf.data, np.uint8).ctypes.data for leaf in tree.values() if leaf.data.nbytes]
    assert [address % ALIGNMENT for address in addresses] == [0, 0, 0]


def test_restoring_writes_nothing_that_was_captured():
    tree = capture_tree({"a": torch.ones(2)})
    restore_tree(tree)["a"].zero_()
    assert restore_tree(tree)["a"].tolist() == [1, 1]


def test_a_copy_shares_nothing_with_the_tree(stored):
    tree = stored({"a": torch.ones(2)})
    restore_tree(tree, copy=True)["a"].zero_()
    assert restore_tree(tree)["a"].tolist() == [1, 1]
    restore_tree(tree)["a"].zero_()
    assert restore_tree(tree)["a"].tolist() == [0, 0]


def test_bytes_at_an_odd_address_are_moved_to_an_even_one():
    leaf = Leaf("float32", (2,), memoryview(bytearray(9))[1:], "torch.tensor")
    assert restore_tree({"a": leaf})["a"].data_ptr() % 4 == 0


def test_containers_of_every_kind_are_copied(round_trip, spell):
    state = OrderedDict(b=[torch.ones(1), (2, {3: np.float32(1.5)})], a={"z": torch.Size([1]), "x": {1, 2}})
    assert spell(round_trip(state)) == spell(state)
