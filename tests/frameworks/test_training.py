import inspect
import warnings
from collections import OrderedDict

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler

from onyxstore.errors import BadInput
from onyxstore.frameworks.training import capture_tracked, collect_training, restore_tracked


def compiled(module):
    """Wrapped as torch.compile wraps it; the backend that compiles nothing is there at once."""
    return torch.compile(module, backend="eager")


OPTIMIZERS = {
    name: kind
    for name, kind in vars(torch.optim).items()
    if inspect.isclass(kind) and issubclass(kind, torch.optim.Optimizer) and kind is not torch.optim.Optimizer
}
OPTIONS = {
    "SGD": {"lr": 0.1, "momentum": 0.9},
    "Adam": {"amsgrad": True},
    "LBFGS": {"max_iter": 3},
    "RMSprop": {"momentum": 0.5, "centered": True},
}
SCHEDULERS = {
    "LambdaLR": lambda optimizer: lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.9**epoch),
    "MultiplicativeLR": lambda optimizer: lr_scheduler.MultiplicativeLR(optimizer, lambda epoch: 0.9),  # noqa: ARG005
    "StepLR": lambda optimizer: lr_scheduler.StepLR(optimizer, 2),
    "MultiStepLR": lambda optimizer: lr_scheduler.MultiStepLR(optimizer, [2, 2, 5]),
    "ConstantLR": lr_scheduler.ConstantLR,
    "LinearLR": lr_scheduler.LinearLR,
    "ExponentialLR": lambda optimizer: lr_scheduler.ExponentialLR(optimizer, 0.9),
    "SequentialLR": lambda optimizer: lr_scheduler.SequentialLR(
        optimizer, [lr_scheduler.ConstantLR(optimizer), lr_scheduler.LinearLR(optimizer)], [2]
    ),
    "PolynomialLR": lr_scheduler.PolynomialLR,
    "CosineAnnealingLR": lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, 9),
    "ChainedScheduler": lambda optimizer: lr_scheduler.ChainedScheduler(
        [lr_scheduler.ConstantLR(optimizer), lr_scheduler.StepLR(optimizer, 3)]
    ),
    "ReduceLROnPlateau": lr_scheduler.ReduceLROnPlateau,
    "CyclicLR": lambda optimizer: lr_scheduler.CyclicLR(optimizer, 0.01, 0.1),
    "CosineAnnealingWarmRestarts": lambda optimizer: lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 3),
    "OneCycleLR": lambda optimizer: lr_scheduler.OneCycleLR(optimizer, 0.1, 20),
}


def model_for(name):
    torch.manual_seed(1)
    if name == "SparseAdam":
        return nn.Embedding(5, 3, sparse=True)
    return nn.Linear(3, 4, bias=name != "Muon")


def step(model, optimizer):
    def closure():
        optimizer.zero_grad()
        sparse = isinstance(model, nn.Embedding)
        loss = (model(torch.tensor([1, 3])) if sparse else model(torch.ones(2, 3))).square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_every_optimizer_goes_on_as_if_it_had_not_been_stored(round_trip, spell, name):
    model = model_for(name)
    optimizer = OPTIMIZERS[name](model.parameters(), **OPTIONS.get(name, {}))
    for _ in range(3):
        step(model, optimizer)
    again = model_for(name)
    restarted = OPTIMIZERS[name](again.parameters(), **OPTIONS.get(name, {}))
    state = collect_training(model=model, optimizer=optimizer)
    restored = round_trip(state)
    assert spell(restored) == spell(state)
    again.load_state_dict(restored["model"])
    restarted.load_state_dict(restored["optimizer"])
    for _ in range(3):
        step(model, optimizer)
        step(again, restarted)
    assert spell(collect_training(model=again, optimizer=restarted)) == spell(collect_training(model=model, optimizer=optimizer))


def listed_schedulers():
    kinds = {name: kind for name, kind in vars(lr_scheduler).items() if inspect.isclass(kind) and kind.__module__ == lr_scheduler.__name__}
    return {name for name, kind in kinds.items() if hasattr(kind, "load_state_dict") and not name.startswith("_") and name != "LRScheduler"}


def test_no_scheduler_of_torch_is_left_out():
    assert set(SCHEDULERS) == listed_schedulers()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", sorted(SCHEDULERS))
def test_every_scheduler_goes_on_as_if_it_had_not_been_stored(round_trip, spell, name):
    def make():
        optimizer = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=0.1, momentum=0.9)
        return optimizer, SCHEDULERS[name](optimizer)

    def run(optimizer, scheduler, steps):
        for _ in range(steps):
            optimizer.step()
            scheduler.step(*([1.0] if name == "ReduceLROnPlateau" else []))

    optimizer, scheduler = make()
    run(optimizer, scheduler, 4)
    state = collect_training(optimizer=optimizer, scheduler=scheduler)
    restored = round_trip(state)
    assert spell(restored) == spell(state)
    again, restarted = make()
    again.load_state_dict(restored["optimizer"])
    restarted.load_state_dict(restored["scheduler"])
    run(optimizer, scheduler, 8)
    run(again, restarted, 8)
    assert spell(collect_training(optimizer=again, scheduler=restarted)) == spell(
        collect_training(optimizer=optimizer, scheduler=scheduler)
    )


def test_a_gradient_scaler_goes_on_as_if_it_had_not_been_stored(round_trip):
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0, growth_interval=1)
    parameter = nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([parameter], lr=0.1)
    scaler.scale(parameter.sum()).backward()
    scaler.step(optimizer)
    scaler.update()
    restored = round_trip(collect_training(scaler=scaler))["scaler"]
    again = torch.amp.GradScaler("cpu")
    again.load_state_dict(restored)
    assert (again.get_scale(), again.state_dict()) == (16.0, scaler.state_dict())


def test_the_parts_come_first_then_the_keys_of_state_as_they_are():
    model = nn.Linear(1, 1)
    tree = collect_training(model=model, scheduler=None, state={"epoch": 3, "model_ema": {"module.w": 1}})
    assert list(tree) == ["model", "epoch", "model_ema"]
    assert (tree["epoch"], tree["model_ema"]) == (3, {"module.w": 1})


def test_a_model_may_be_its_plain_state_dict():
    assert collect_training(model={"module.w": 1})["model"] == {"w": 1}


def test_a_model_is_stored_without_the_names_of_its_wrappers():
    assert list(collect_training(model=compiled(nn.Linear(1, 1)))["model"]) == ["weight", "bias"]


@pytest.mark.parametrize("kind", [list, tuple, lambda pair: dict(zip("gd", pair, strict=True))])
def test_several_objects_are_one_part(kind):
    models = [compiled(nn.Linear(1, 1)), nn.Linear(1, 2)]
    optimizers = [torch.optim.SGD(model.parameters()) for model in models]
    tree = collect_training(model=kind(models), optimizer=kind(optimizers))
    assert (type(tree["model"]), type(tree["optimizer"])) == (type(kind(models)),) * 2
    parts = tree["model"].values() if isinstance(tree["model"], dict) else tree["model"]
    assert [list(part) for part in parts] == [["weight", "bias"]] * 2


@pytest.mark.parametrize(
    ("state", "words"), [({"model": 1}, "state= has the key 'model', which is handed in by itself too"), ({3: 1}, "state= has the key 3")]
)
def test_a_key_that_is_given_twice_or_is_no_text_is_refused(state, words):
    with pytest.raises(BadInput, match=words):
        collect_training(model={}, state=state)


class Loader:
    """As torchdata's StatefulDataLoader: it says where it stands, and goes on there."""

    def __init__(self, position=0):
        self.position = position
        self.order = torch.arange(3)

    def state_dict(self):
        return {"position": self.position, "order": self.order, "_snapshot": {"workers": [None, {"rng": bytes(2000)}]}}

    def load_state_dict(self, state):
        self.position, self.order = state["position"], state["order"]


def test_tracked_objects_get_their_states_back(stored, spell):
    tree = stored(capture_tracked({"train": Loader(7), "test": Loader(2), "gone": Loader()}))
    train, test = Loader(), Loader()
    assert restore_tracked(tree, {"train": train, "test": test, "new": Loader()}) == ("gone", "new")
    assert spell([train.state_dict(), test.state_dict()]) == spell([Loader(7).state_dict(), Loader(2).state_dict()])
    train.order.zero_()
    restore_tracked(tree, {"train": test})
    assert test.order.tolist() == [0, 1, 2]


def test_tracked_states_that_are_no_dict_are_refused():
    with pytest.raises(BadInput):
        restore_tracked([1], {})


def test_a_state_dict_may_hold_extra_state_of_any_kind(round_trip, spell):
    class Counting(nn.Linear):
        def get_extra_state(self):
            return OrderedDict(seen=3, scale=torch.ones(1), shape=torch.Size([2]))

        def set_extra_state(self, state):
            self.state = state

    state = collect_training(model=Counting(1, 1))
    restored = round_trip(state)
    assert spell(restored) == spell(state)
    module = Counting(1, 1)
    with warnings.catch_warnings():
        module.load_state_dict(restored["model"])
    assert module.state["seen"] == 3
