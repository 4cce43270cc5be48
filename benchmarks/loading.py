"""How long a verified load takes."""

from __future__ import annotations

import tempfile
from pathlib import Path
from trace import state_of, trained

import torch
from pairs import Row, alternate

import onyxstore as onyx


def measure() -> list[Row]:
    """The rows of the table."""
    model, optimizer = trained()
    with tempfile.TemporaryDirectory() as folder:
        store, path = onyx.Store.init(folder), Path(folder) / "state.pt"
        with store.start_run("run") as run:
            run.save_checkpoint(model=model, optimizer=optimizer, wait=True)
        torch.save(state_of(model, optimizer), path)

        def load() -> object:
            return store.commit("run").checkpoint.load()

        def load_into() -> None:
            store.commit("run").checkpoint.load_into(model=model, optimizer=optimizer)

        def torch_load() -> object:
            return torch.load(path, weights_only=True)

        def torch_load_into() -> None:
            state = torch.load(path, weights_only=True)
            model.load_state_dict(state["model"])
            optimizer.load_state_dict(state["optimizer"])

        whole, into = alternate(load, torch_load), alternate(load_into, torch_load_into)
    return [
        whole.row("`checkpoint.load()`, every byte verified", 4, "`torch.load`"),
        into.row("`checkpoint.load_into(model, optimizer)`", 4, "`torch.load` + `load_state_dict`"),
    ]
