"""The bytes of a checkpoint are known well enough before it is saved to say that it will not fit."""

from collections import OrderedDict

import numpy as np
import pytest
import torch

from onyxstore.tracking import room
from onyxstore.tracking.room import Room, count_bytes
from tests.tracking.training import Training


def test_a_model_takes_its_parameters_and_buffers():
    model = torch.nn.Sequential(torch.nn.Linear(10, 10), torch.nn.BatchNorm1d(10))
    assert count_bytes(model) == sum(tensor.nbytes for tensor in model.state_dict().values())


def test_an_optimizer_takes_its_moments():
    training = Training().step()
    state = training.optimizer.state_dict()["state"]
    assert count_bytes(training.optimizer) == sum(tensor.nbytes for kept in state.values() for tensor in kept.values())


@pytest.mark.parametrize(
    ("part", "size"),
    [
        (None, 0),
        (Training().scheduler, 0),
        (torch.amp.GradScaler("cpu"), 0),
        ({"a": np.zeros(10), "b": [torch.zeros(3, dtype=torch.bfloat16), (5, "x")]}, 86),
        (OrderedDict(w=torch.zeros(2, 2)), 16),
        ([torch.nn.Linear(1, 1), {"d": torch.nn.Linear(1, 1)}], 16),
        (torch.nn.LazyLinear(3), 0),
        (torch.zeros(1, device="meta"), 4),
    ],
)
def test_anything_takes_the_tensors_in_it(part, size):
    assert count_bytes(part) == size


@pytest.fixture
def disk(monkeypatch):
    """A disk and a clock that one can set."""

    class Disk:
        free = 0
        now = 100.0

    monkeypatch.setattr(room.shutil, "disk_usage", lambda _: Disk)
    monkeypatch.setattr(room.time, "monotonic", lambda: Disk.now)
    return Disk


def test_what_does_not_fit_is_said_once_a_minute(tmp_path, disk, said):
    checked = Room(tmp_path)
    for disk.now in (0.0, 59.0, 60.0, 119.0):
        checked.check({"model": np.zeros(10)})
    assert len(said()) == 2
    disk.free, disk.now = 72, 500.0
    checked.check({"model": np.zeros(10)})
    assert len(said()) == 2
    disk.free = 71
    checked.check({"model": np.zeros(10)})
    assert len(said()) == 3
