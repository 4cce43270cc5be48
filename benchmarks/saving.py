"""How long a save holds training up, and how long until it is durable."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from trace import state_of, trained

import torch
from pairs import Pairs, Row, alternate

import onyxstore as onyx

Act = Callable[[], None]


def measure() -> list[Row]:
    """The rows of the table."""
    model, optimizer = trained()
    with tempfile.TemporaryDirectory() as folder, onyx.Store.init(folder).start_run("run", max_checkpoints=2) as run:
        path = Path(folder) / "state.pt"

        def change() -> None:
            """So that every tensor has to be saved: chunks that the store has already would not be written."""
            with torch.no_grad():
                for each in (*model.parameters(), *(value for state in optimizer.state.values() for value in state.values())):
                    each.add_(torch.full_like(each, 1e-6))

        def save() -> None:
            run.save_checkpoint(model=model, optimizer=optimizer)

        def save_and_wait() -> None:
            change()
            run.save_checkpoint(model=model, optimizer=optimizer, wait=True)

        def torch_save() -> None:
            torch.save(state_of(model, optimizer), path)

        def torch_save_and_sync() -> None:
            change()
            torch_save()
            with path.open("rb") as opened:
                os.fsync(opened.fileno())

        blocked = _blocked(run, change, save, torch_save)
        durable = alternate(save_and_wait, torch_save_and_sync)
    return [
        blocked.row("`save_checkpoint` holds the caller up", 0.15, "`torch.save`"),
        durable.row("`save_checkpoint(wait=True)`, durable", 2, "`torch.save` + fsync"),
    ]


def _blocked(run: onyx.Run, change: Act, save: Act, torch_save: Act) -> Pairs:
    """As `alternate`, but each save is waited for outside of the clock, as it is when a training goes on meanwhile."""
    times = []
    for _ in range(11):
        change()
        began = time.perf_counter()
        save()
        ours = time.perf_counter() - began
        run.flush()
        began = time.perf_counter()
        torch_save()
        times.append((ours, time.perf_counter() - began))
    counted = times[2:]
    middle = len(counted) // 2
    return Pairs(tuple(a / b for a, b in counted), sorted(a for a, _ in counted)[middle], sorted(b for _, b in counted)[middle])
