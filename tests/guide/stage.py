"""What the guide takes for granted: a small real model and what trains it, real data, pictures, and the names it never imports.

The guide's samples call one model in three ways: with a batch and its targets for the loss, with a batch alone, and for its state.
So it is made as models of that kind are: the loss where targets are handed in, else what it says of the batch.
"""

import json
import logging
from dataclasses import asdict
from datetime import datetime
from typing import Any, Dict  # noqa: UP035 (the guide's own word)

import numpy as np
import torch
from matplotlib.figure import Figure
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

import onyxstore as onyx

FEATURES, CLASSES, ROWS, BATCH = 8, 3, 24, 8
BATCHES = ROWS // BATCH


class Classifier(torch.nn.Module):
    """Two layers."""

    def __init__(self, hidden: int = 16) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Linear(FEATURES, hidden), torch.nn.GELU(), torch.nn.Linear(hidden, CLASSES))

    def forward(self, data: torch.Tensor, target: torch.Tensor | None = None) -> torch.Tensor:
        """The loss if there are targets, else the scores of the classes."""
        scores = self.layers(data)
        return scores if target is None else functional.cross_entropy(scores, target)


def set_stage() -> dict[str, Any]:
    """The names, made anew."""
    with torch.random.fork_rng():
        torch.manual_seed(7)
        return _training() | _pictures() | _values() | _words()


def _training() -> dict[str, Any]:
    model = Classifier()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=10)
    train_loader, val_loader = (DataLoader(TensorDataset(*_batch(ROWS)), batch_size=BATCH) for _ in range(2))

    def train_step(model: torch.nn.Module, data: torch.Tensor, target: torch.Tensor, optimizer: torch.optim.Optimizer) -> torch.Tensor:
        optimizer.zero_grad()
        loss = model(data, target)
        loss.backward()
        optimizer.step()
        scheduler.step()
        return loss

    @torch.no_grad()
    def validate(model: torch.nn.Module, val_loader: DataLoader) -> dict[str, float]:
        data, target = (torch.cat(each) for each in zip(*val_loader, strict=True))
        return {"val_loss": model(data, target).item(), "val_accuracy": (model(data).argmax(1) == target).float().mean().item()}

    return {
        "model": model,
        "optimizer": optimizer,
        "scheduler": scheduler,
        "train_loader": train_loader,
        "val_loader": val_loader,
        "train_step": train_step,
        "validate": validate,
    }


def _batch(rows: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows whose class is the largest of their first features."""
    data = torch.randn(rows, FEATURES)
    return data, data[:, :CLASSES].argmax(1)


def _pictures() -> dict[str, Any]:
    """A batch of tensors, a list of arrays, a figure."""
    figure = Figure(figsize=(2, 2))
    figure.subplots().imshow(np.eye(CLASSES))
    return {
        "sample_images": torch.rand(4, 3, 16, 16),
        "attention_visualizations": [np.linspace(0, 1, 64).reshape(8, 8), np.eye(8)],
        "confusion_matrix_plot": figure,
    }


def _values() -> dict[str, Any]:
    """What a loop would have at hand."""
    return {"accuracy": torch.tensor(0.5), "is_best_model": True, "metrics": {"loss": 0.5, "accuracy": 0.85}, "step": 1000}


def _words() -> dict[str, Any]:
    """What the guide uses without importing it."""
    ours = ("CheckpointManager", "TrackingBackendBase", "MLFLOW_AVAILABLE", "WANDB_AVAILABLE")
    return {
        "__name__": "the_guide",
        "Dict": Dict,  # noqa: UP006 (the guide's own word)
        "asdict": asdict,
        "datetime": datetime,
        "json": json,
        "logger": logging.getLogger("the_guide"),
    } | {name: getattr(onyx, name) for name in ours}
