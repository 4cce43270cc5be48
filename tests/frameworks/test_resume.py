import random

import numpy as np
import pytest
import torch
from torch import nn

from onyxstore.frameworks.loading import load_into
from onyxstore.frameworks.rng import capture_rng, restore_rng
from onyxstore.frameworks.training import capture_tracked, collect_training, restore_tracked


class Sampler:
    """Draws its order from numpy at each epoch, and says where it stands."""

    def __init__(self):
        self.order = np.empty(0, np.int64)
        self.position = 0

    def next(self):
        if self.position == len(self.order):
            self.order, self.position = np.random.permutation(6), 0  # noqa: NPY002
        self.position += 1
        return int(self.order[self.position - 1])

    def state_dict(self):
        return {"order": self.order, "position": self.position}

    def load_state_dict(self, state):
        self.order, self.position = state["order"], state["position"]


class Training:
    """A tiny one, with all that can go wrong on resuming: dropout, batch norm, noise from three generators, a schedule, a loader."""

    def __init__(self, optimizer):
        random.seed(1)
        np.random.seed(2)  # noqa: NPY002
        torch.manual_seed(3)
        self.data = torch.arange(24.0).reshape(6, 4) / 24
        self.model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 1))
        self.optimizer = optimizer(self.model.parameters())
        self.scheduler = torch.optim.lr_scheduler.OneCycleLR(self.optimizer, 0.1, 25)
        self.scaler = torch.amp.GradScaler("cpu", init_scale=2.0, growth_interval=3)
        self.sampler = Sampler()

    def parts(self):
        return {"model": self.model, "optimizer": self.optimizer, "scheduler": self.scheduler, "scaler": self.scaler}

    def run(self, steps):
        losses = []
        for _ in range(steps):
            batch = self.data[[self.sampler.next(), self.sampler.next()]] + random.random() + float(np.random.rand())  # noqa: NPY002
            loss = self.model(batch).square().mean()
            self.optimizer.zero_grad()
            self.scaler.scale(loss).backward()
            self.scaler.step(self.optimizer)
            self.scaler.update()
            self.scheduler.step()
            losses.append(loss.item())
        return losses


@pytest.fixture(autouse=True)
def generators():
    """The global generators, put back afterwards."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    yield
    random.setstate(states[0])
    np.random.set_state(states[1])  # noqa: NPY002
    torch.set_rng_state(states[2])


OPTIMIZERS = {
    "AdamW": torch.optim.AdamW,
    "fused": lambda parameters: torch.optim.AdamW(parameters, fused=True),
    "SGD": lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9, nesterov=True),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_a_resumed_training_is_bit_for_bit_the_one_that_was_never_stopped(stored, spell, optimizer):
    whole = Training(optimizer)
    losses = whole.run(20)
    expected = spell(collect_training(**whole.parts()))

    first = Training(optimizer)
    begun = first.run(10)
    trees = [stored(live) for live in (collect_training(**first.parts()), capture_rng(), capture_tracked({"sampler": first.sampler}))]
    first.run(3)

    second = Training(optimizer)
    load_into(trees[0], **second.parts())
    restore_rng(trees[1])
    restore_tracked(trees[2], {"sampler": second.sampler})
    assert begun + second.run(10) == losses
    assert spell(collect_training(**second.parts())) == expected
