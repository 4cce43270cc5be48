"""What a training consists of, as the tree that is saved: each object's own `state_dict()`, under the name of its part.

Whatever has `state_dict` and `load_state_dict` takes part, from whichever framework. A part may be several objects, in lists or
dicts: the optimizers of a GAN, say.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from onyxstore.errors import BadInput
from onyxstore.frameworks.restore import restore_tree
from onyxstore.frameworks.wrappers import strip_wrappers


def collect_training(
    *, model: Any = None, optimizer: Any = None, scheduler: Any = None, scaler: Any = None, state: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The live tree `state` of a checkpoint: a part for each object that is given, then the keys of `state` as they are.

    A model is a module or a state dict, and is stored without the names of its wrappers. BadInput for a key given twice.
    """
    objects = {"model": model, "optimizer": optimizer, "scheduler": scheduler, "scaler": scaler}
    parts = {name: _state_of(value, strip=name == "model") for name, value in objects.items() if value is not None}
    for key in state or {}:
        if type(key) is not str:
            raise BadInput(f"state= has the key {key!r}, which is no text")
        if key in parts:
            raise BadInput(f"state= has the key '{key}', which is handed in by itself too")
    return parts | dict(state or {})


def capture_tracked(objects: Mapping[str, Any]) -> dict[str, Any]:
    """The states of tracked objects by name, to be captured like any state."""
    return {name: stateful.state_dict() for name, stateful in objects.items()}


def restore_tracked(tree: Any, objects: Mapping[str, Any]) -> tuple[str, ...]:
    """Gives each object the state of its name from a neutral tree; the names without a state or without an object."""
    if type(tree) is not dict:
        raise BadInput("the states of tracked objects are no dict")
    for name in objects.keys() & tree.keys():
        objects[name].load_state_dict(restore_tree(tree[name], copy=True))
    return tuple(sorted(objects.keys() ^ tree.keys()))


def _state_of(value: Any, *, strip: bool) -> Any:
    """`value.state_dict()`, or the same of what is in it; plain state as it is."""
    if callable(getattr(value, "state_dict", None)):
        state = value.state_dict()
        return strip_wrappers(state, value) if strip else state
    if type(value) in {list, tuple} and any(_is_stateful(item) for item in value):
        return type(value)(_state_of(item, strip=strip) for item in value)
    if type(value) is dict and any(_is_stateful(item) for item in value.values()):
        return {key: _state_of(item, strip=strip) for key, item in value.items()}
    return strip_wrappers(value) if strip else value


def _is_stateful(value: Any) -> bool:
    return callable(getattr(value, "state_dict", None))
