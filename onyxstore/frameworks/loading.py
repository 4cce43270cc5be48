"""A stored state into the live objects of a training, or not at all.

Everything is compared before anything is changed: a model whose tensors have other shapes, an optimizer of other groups, a part
that the checkpoint lacks are errors, and then nothing was touched. What may rightly differ (a new head, a part that nobody asked
for) is loaded as far as it goes and reported.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from onyxstore.errors import BadInput, LoadMismatch
from onyxstore.frameworks.restore import restore_tree
from onyxstore.frameworks.wrappers import match_names
from onyxstore.history.checkpoints.tensors import Special
from onyxstore.history.checkpoints.walk import MODULE_METADATA, Path, print_path

_LIKE_THEIR_PARAMETER = frozenset(
    {"exp_avg", "exp_avg_sq", "max_exp_avg_sq", "exp_inf", "momentum_buffer", "square_avg", "grad_avg", "acc_delta", "sum", "ax", "prev"}
)
"""What torch's own optimizers keep for each element of a parameter; other libraries use the names for other things."""

_EXTRA_STATE = "_extra_state"
_SHOWN = 3


@dataclass(frozen=True)
class LoadReport:
    """What a load left out: names in the model, and parts of the checkpoint.

    `missing`: the model has it, the checkpoint doesn't. `unexpected`: the other way round. `reshaped`: loaded, from one element in
    another shape. `not_restored`: parts that no object was given for. All empty when everything went where it belongs.
    """

    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    reshaped: tuple[str, ...] = ()
    not_restored: tuple[str, ...] = ()

    def __str__(self) -> str:
        """A line for each kind of difference."""
        lines = [f"{name.replace('_', ' ')}: {', '.join(names)}" for name, names in vars(self).items() if names]
        return "\n".join(lines) or "everything was loaded"


@dataclass(frozen=True)
class _Load:
    """One object's load, checked and ready."""

    act: Callable[[], object]
    report: LoadReport = LoadReport()


def load_into(tree: Any, *, model: Any = None, optimizer: Any = None, scheduler: Any = None, scaler: Any = None) -> LoadReport:
    """Loads a neutral `state` tree into the objects that are given, each from the part of its name.

    A tree without the part `model` is the model's state itself. Parts that no object is given for are not looked at, only named
    in the report. LoadMismatch, with nothing changed, when a part is not there or does not fit; names match with and without
    those of wrappers. The tree is spent: an optimizer's state lies on its bytes, where a copy made a load a quarter slower.
    """
    given = {"model": model, "optimizer": optimizer, "scheduler": scheduler, "scaler": scaler}
    objects = {name: value for name, value in given.items() if value is not None}
    parts = tree if isinstance(tree, dict) and ("model" in tree or model is None) else {"model": tree}
    for name in objects:
        if name not in parts:
            raise LoadMismatch(f"the {name}", "the checkpoint holds none")
    loads = [_plan(target, part, path) for name in objects for target, part, path in _pair_up(objects[name], parts[name], (name,))]
    for load in loads:
        load.act()
    return LoadReport(
        missing=tuple(name for load in loads for name in load.report.missing),
        unexpected=tuple(name for load in loads for name in load.report.unexpected),
        reshaped=tuple(name for load in loads for name in load.report.reshaped),
        not_restored=tuple(str(name) for name in parts if name not in objects),
    )


def _pair_up(target: Any, part: Any, path: Path) -> Iterator[tuple[Any, Any, Path]]:
    """Each live object with its stored state; containers of objects are walked side by side."""
    if callable(getattr(target, "load_state_dict", None)):
        yield target, part, path
        return
    if not isinstance(target, list | tuple | dict):
        raise BadInput(f"{print_path(path)} has no load_state_dict")
    children = dict(target) if isinstance(target, dict) else dict(enumerate(target))
    stored = dict(part) if isinstance(part, dict) else dict(enumerate(part)) if isinstance(part, list | tuple) else {}
    if children.keys() != stored.keys():
        raise LoadMismatch(f"the {print_path(path)}", f"{len(stored)} are stored, {len(children)} are here")
    for key, child in children.items():
        yield from _pair_up(child, stored[key], (*path, key))


def _plan(target: Any, part: Any, path: Path) -> _Load:
    if hasattr(target, "named_modules") and isinstance(part, dict):
        return _plan_module(target, part, path)
    if hasattr(target, "param_groups"):
        _check_optimizer(target, part, path)
    elif part == {} and hasattr(target, "is_enabled") and target.is_enabled():
        raise LoadMismatch(f"the {print_path(path)}", "the stored one was not enabled")
    state = restore_tree(part)
    return _Load(lambda: target.load_state_dict(state))


# ------------------------------------------------------------------------------------------------------------- modules


def _plan_module(module: Any, part: Mapping[str, Any], path: Path) -> _Load:
    live = module.state_dict()
    matches = match_names([name for name in part if type(name) is str], live)
    if live and not matches:
        raise LoadMismatch(f"the {print_path(path)}", f"none of its {len(live)} tensors is among the {len(part)} that are stored")
    differing = {name: (_shape(part[matches[name]]), _shape(live[name])) for name in matches}
    differing = {name: shapes for name, shapes in differing.items() if None not in shapes and shapes[0] != shapes[1]}
    # torch takes the one element of a row for a scalar: scalars were saved as rows before there were any.
    reshaped = tuple(name for name, shapes in differing.items() if shapes == ((1,), ()))
    _check_shapes({name: shapes for name, shapes in differing.items() if name not in reshaped}, path)
    state = _live_state(module, part, matches)
    here = path[1:]
    report = LoadReport(
        missing=tuple(print_path((*here, name)) for name in live if name not in matches),
        unexpected=tuple(print_path((*here, name)) for name in part if name not in matches.values()),
        reshaped=tuple(print_path((*here, name)) for name in reshaped),
    )
    return _Load(lambda: module.load_state_dict(state, strict=False), report)


def _check_shapes(differing: Mapping[str, tuple[Any, Any]], path: Path) -> None:
    if not differing:
        return
    shown = [f"{name} is {list(stored)} there and {list(live)} here" for name, (stored, live) in list(differing.items())[:_SHOWN]]
    more = f" and {len(differing) - _SHOWN} more" if len(differing) > _SHOWN else ""
    raise LoadMismatch(f"the {print_path(path)}", f"{', '.join(shown)}{more}")


def _live_state(module: Any, part: Mapping[str, Any], matches: Mapping[str, str]) -> OrderedDict[str, Any]:
    """A state dict under the live module's names. Tensors lie on the tree's bytes, since a module copies them; all else is copied."""
    nodes = {name: part[stored] for name, stored in matches.items()}
    tensors = {name: node for name, node in nodes.items() if not name.endswith(_EXTRA_STATE)}
    extra = {name: node for name, node in nodes.items() if name.endswith(_EXTRA_STATE)}
    state = OrderedDict(restore_tree(tensors) | restore_tree(extra, copy=True))
    metadata = getattr(part, MODULE_METADATA, None)
    if isinstance(metadata, dict):
        paths = match_names(metadata, [name for name, _ in module.named_modules(remove_duplicate=False)])
        vars(state)[MODULE_METADATA] = OrderedDict((live, metadata[stored]) for live, stored in paths.items())
    return state


def _shape(value: Any) -> tuple[int, ...] | None:
    """A tensor's shape, live or stored; None for what has none yet (a lazy module's) or none at all."""
    if isinstance(value, Special):
        return value.value["shape"] if value.kind == "torch.sparse" else None
    if type(value).__name__ in {"UninitializedParameter", "UninitializedBuffer"} or not hasattr(value, "shape"):
        return None
    return tuple(value.shape)


# ---------------------------------------------------------------------------------------------------------- optimizers


def _check_optimizer(optimizer: Any, part: Any, path: Path) -> None:
    """The stored groups must have as many parameters as the live ones, and what is kept for each element their shapes."""
    into = f"the {print_path(path)}"
    stored, states = _groups_of(part, into)
    live = [list(group["params"]) for group in optimizer.param_groups]
    if [len(group) for group in stored] != [len(group) for group in live]:
        counts = f"{[len(group) for group in stored]} parameters in its groups, {[len(group) for group in live]} are here"
        raise LoadMismatch(into, f"it was stored with {counts}")
    if not type(optimizer).__module__.startswith("torch.optim."):
        return
    numbers = [number for group in stored for number in group]
    for number, parameter in zip(numbers, [parameter for group in live for parameter in group], strict=True):
        kept = states.get(number, {})
        for name in _LIKE_THEIR_PARAMETER & kept.keys():
            if _shape(kept[name]) not in {None, tuple(parameter.shape)}:
                shapes = f"{list(_shape(kept[name]) or ())} there and {list(parameter.shape)} here"
                raise LoadMismatch(into, f"{name} of its parameter {number} is {shapes}")


def _groups_of(part: Any, into: str) -> tuple[list[list[Any]], dict[Any, Any]]:
    groups = part.get("param_groups") if isinstance(part, dict) else None
    states = part.get("state") if isinstance(part, dict) else None
    if not isinstance(groups, list) or not isinstance(states, dict) or not all(isinstance(kept, dict) for kept in states.values()):
        raise LoadMismatch(into, "what is stored is no optimizer's state")
    if not all(isinstance(group, dict) and isinstance(group.get("params"), list) for group in groups):
        raise LoadMismatch(into, "what is stored is no optimizer's state")
    return [group["params"] for group in groups], states
