"""A small training, and managers of its checkpoints, for the tests of this folder."""

import contextlib

import torch

import onyxstore as onyx
from onyxstore.configs.types import ExperimentConfig
from onyxstore.tracking.checkpoints import CheckpointManager


class Training:
    """A model, its optimizer with moments, a scheduler."""

    def __init__(self, seed=0):
        torch.manual_seed(seed)
        self.model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Linear(3, 1))
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=0.1)
        self.scheduler = torch.optim.lr_scheduler.StepLR(self.optimizer, 1)

    def step(self):
        """One step; itself."""
        self.optimizer.zero_grad()
        self.model(torch.randn(8, 4)).square().sum().backward()
        self.optimizer.step()
        self.scheduler.step()
        return self

    @property
    def parts(self):
        """What `save_checkpoint` takes."""
        return {"model": self.model, "optimizer": self.optimizer, "scheduler": self.scheduler}


def same(one, other):
    """Whether two states are equal, tensors bit for bit, whatever kind of dict they are."""
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and torch.equal(one, other)
    if isinstance(one, dict):
        return {*one} == {*other} and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def copied(model):
    """A model's state as it is now."""
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


class Lab:
    """A store, runs in it and managers; all are ended with the `with` block, the managers first."""

    def __init__(self, folder):
        self.store = onyx.Store.init(folder)
        self._ends = contextlib.ExitStack()
        self._closes = contextlib.ExitStack()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        with self._ends, self._closes:
            pass

    def start(self, name="exp", **options):
        """A run of the group `exp`."""
        run = self.store.start_run(name, **{"group": "exp", **options})
        self._ends.callback(run.finish)
        return run

    def manager(self, run=None, training_config=None, kind=CheckpointManager, **changes):
        """A manager that saves, into a run of its own if none is given."""
        made = kind(config(**changes), training_config, run or self.start())
        self._closes.callback(made.close)
        return made


def config(**changes):
    """What a manager needs to know."""
    return ExperimentConfig(**{"experiment_name": "ads", "project_name": "p", "checkpoint_dir": "./checkpoints", **changes})


def reader():
    """A manager without a run, as another program has it."""
    return CheckpointManager(config())
