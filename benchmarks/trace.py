"""The state that is measured: the example's GPT after some real training.

Fresh weights compress differently from trained ones, so two hundred steps on real text come first; they take half a minute, and are
kept in a temporary folder for the next time.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parent.parent / "examples"))
import train_gpt

STEPS = 200


def trained() -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    """The model of 10.9 million parameters and its AdamW, with state."""
    torch.manual_seed(1)
    settings = train_gpt.Settings(steps=STEPS)
    model = train_gpt.GPT(settings)
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.lr, betas=(0.9, 0.95), weight_decay=settings.weight_decay)
    kept = Path(tempfile.gettempdir()) / f"onyxstore-trace-{STEPS}.pt"
    if not kept.exists():
        _train(model, optimizer, settings)
        torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, kept)
    state = torch.load(kept, weights_only=True)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return model, optimizer


def state_of(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """What `torch.save` is given."""
    return {"model": model.state_dict(), "optimizer": optimizer.state_dict()}


def tensors_of(state: Any, prefix: str = "") -> dict[str, torch.Tensor]:
    """Every tensor of a state by its path."""
    if isinstance(state, torch.Tensor):
        return {prefix: state}
    items = state.items() if isinstance(state, dict) else enumerate(state) if isinstance(state, list | tuple) else ()
    return {name: tensor for key, item in items for name, tensor in tensors_of(item, f"{prefix}.{key}".lstrip(".")).items()}


def _train(model: torch.nn.Module, optimizer: torch.optim.Optimizer, settings: train_gpt.Settings) -> None:
    sampler = train_gpt.Sampler(train_gpt.read_text(), settings)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: train_gpt.rate(step, settings))
    for _ in range(settings.steps):
        loss = train_gpt.loss_of(model, *sampler.next_batch())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
