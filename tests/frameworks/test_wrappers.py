from collections import OrderedDict

import pytest
import torch
from torch import nn

from onyxstore.frameworks.wrappers import match_names, strip_wrappers


def compiled(module):
    """Wrapped as torch.compile wraps it; the backend that compiles nothing is there at once."""
    return torch.compile(module, backend="eager")


def net():
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))


class Holder(nn.Module):
    """A model with a part that is itself called `module`."""

    def __init__(self, inner):
        super().__init__()
        self.module = inner
        self.head = nn.Linear(1, 1)


BARE = list(net().state_dict())


@pytest.mark.parametrize(
    "wrap",
    [compiled, nn.DataParallel, lambda module: compiled(nn.DataParallel(compiled(module))), lambda module: module],
    ids=["compiled", "parallel", "all of them", "bare"],
)
def test_a_wrapped_models_state_is_that_of_the_model(wrap):
    module = wrap(net())
    state = strip_wrappers(module.state_dict(), module)
    assert list(state) == BARE
    assert state._metadata == net().state_dict()._metadata


def test_a_wrapper_inside_a_model_is_found():
    model = nn.ModuleDict({"body": nn.DataParallel(net()), "head": compiled(nn.Linear(3, 1))})
    assert list(strip_wrappers(model.state_dict(), model)) == [*(f"body.{name}" for name in BARE), "head.weight", "head.bias"]


def test_a_part_that_is_called_module_keeps_its_name():
    model = Holder(net())
    state = model.state_dict()
    assert strip_wrappers(state, model) is state
    assert strip_wrappers(state) is state


@pytest.mark.parametrize(
    ("names", "stripped"),
    [
        (["module.a", "module.b.c"], ["a", "b.c"]),
        (["module.a", "b"], ["module.a", "b"]),
        (["module.module.a"], ["module.a"]),
        (["_orig_mod.module.a"], ["module.a"]),
        (["l._fsdp_wrapped_module._checkpoint_wrapped_module.w"], ["l.w"]),
        (["_orig_mod.a", "a"], ["_orig_mod.a", "a"]),
        (["a_orig_mod.b"], ["a_orig_mod.b"]),
        ([], []),
    ],
)
def test_a_plain_state_dict_is_stripped_of_what_can_only_be_a_wrapper(names, stripped):
    state = {name: number for number, name in enumerate(names)}
    assert list(strip_wrappers(state).items()) == [(name, number) for number, name in enumerate(stripped)]
    assert type(strip_wrappers(OrderedDict(state))) is OrderedDict


@pytest.mark.parametrize("state", [None, 3, ["module.a"], {1: 2, "module.a": 3}])
def test_what_is_no_state_dict_is_left_alone(state):
    assert strip_wrappers(state) is state


@pytest.mark.parametrize(
    ("stored", "live", "matches"),
    [
        (["a", "b"], ["a", "b"], {"a": "a", "b": "b"}),
        (["a"], ["_orig_mod.module.a"], {"_orig_mod.module.a": "a"}),
        (["module.a"], ["a"], {"a": "module.a"}),
        (["x.a"], ["x._fsdp_wrapped_module.a", "y"], {"x._fsdp_wrapped_module.a": "x.a"}),
        (["a", "module.a"], ["a"], {"a": "a"}),
        (["a", "module.a"], ["_orig_mod.a"], {}),
        (["a"], ["module.a", "_orig_mod.a"], {}),
        (["a"], ["b"], {}),
    ],
)
def test_names_match_when_only_wrappers_differ_and_only_one_can_be_meant(stored, live, matches):
    assert match_names(stored, live) == matches
