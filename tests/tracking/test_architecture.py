"""What a model is made of is told module by module, each parameter once."""

import json

import pytest
import torch
from torch import nn

from onyxstore.tracking import architecture
from onyxstore.tracking.architecture import describe_model, encode_architecture
from onyxstore.tracking.recorded import Architecture, Module


class Net(nn.Module):
    """A body that is frozen in part, and a head."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(2))
        self.body = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 4, bias=False))
        self.body[0].requires_grad_(requires_grad=False)
        self.head = nn.Linear(4, 1)


MODULES = (
    Module("", "Net", 2, 2),
    Module("body", "Sequential", 0, 0),
    Module("body.0", "Linear", 15, 0),
    Module("body.1", "ReLU", 0, 0),
    Module("body.2", "Linear", 12, 12),
    Module("head", "Linear", 5, 5),
)


def test_a_model_is_told_module_by_module():
    net = Net()
    described = describe_model(net)
    assert described == Architecture("Net", repr(net), MODULES, 34, 19)
    assert described.frozen == 15


def compiled(module):
    return torch.compile(module, backend="eager")


@pytest.mark.parametrize(
    "wrap",
    [compiled, nn.DataParallel, lambda module: compiled(nn.DataParallel(compiled(module)))],
    ids=["compiled", "parallel", "all of it"],
)
def test_a_wrapped_model_is_the_model_inside(wrap):
    net = Net()
    assert describe_model(wrap(net)) == describe_model(net)


def test_a_wrapper_inside_the_model_has_the_name_of_what_it_wraps():
    net = Net()
    net.body[2] = compiled(net.body[2])
    assert describe_model(net).modules == MODULES


def test_a_module_that_is_called_module_keeps_its_name():
    model = nn.ModuleDict({"module": nn.Linear(1, 1)})
    assert [module.name for module in describe_model(model).modules] == ["", "module"]


def test_a_shared_parameter_is_counted_where_it_stands_first():
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    described = describe_model(model)
    assert [module.parameters for module in described.modules] == [0, 12, 3]
    assert (described.parameters, described.trainable) == (15, 15)


def test_a_shared_module_is_told_once():
    layer = nn.Linear(3, 3)
    described = describe_model(nn.Sequential(layer, nn.ReLU(), layer))
    assert [(module.name, module.parameters) for module in described.modules] == [("", 0), ("0", 12), ("1", 0)]


def test_parameters_without_shape_count_as_none_and_those_without_memory_like_any():
    lazy = nn.Sequential(nn.LazyLinear(3), nn.Linear(3, 2, device="meta"))
    assert [module.parameters for module in describe_model(lazy).modules] == [0, 0, 8]


@pytest.mark.parametrize("model", [{"w": [1, 2]}, None, "a model"])
def test_what_is_no_module_is_told_as_it_prints(model):
    assert describe_model(model) == Architecture(type(model).__name__, repr(model), (), 0, 0)


def test_a_summary_without_end_is_cut(monkeypatch):
    monkeypatch.setattr(architecture, "LONGEST", 10)
    assert describe_model("0123456789").summary == "'012345678…"
    assert describe_model("01234567").summary == "'01234567'"


class Odd:
    def __repr__(self):
        return "half a pair: \ud800"


def test_a_summary_can_be_written_whatever_the_object_says():
    described = describe_model(Odd())
    assert described.summary == "half a pair: \\ud800"
    assert json.loads(encode_architecture(described))["summary"] == described.summary


def test_the_json_says_everything():
    described = describe_model(Net())
    read = json.loads(encode_architecture(described))
    assert read == {
        "name": "Net",
        "summary": described.summary,
        "modules": [vars(module) for module in MODULES],
        "parameters": 34,
        "trainable": 19,
        "frozen": 15,
    }
