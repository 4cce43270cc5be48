"""The names that wrappers put into a module's state.

torch.compile, FSDP, activation checkpointing and data parallelism wrap a module in another, whose name then stands in the names
of all tensors: `_orig_mod.`, `_fsdp_wrapped_module.`, `_checkpoint_wrapped_module.`, `module.`. A checkpoint of a wrapped model is
one of the model: the names are stored without them, and matched without them on loading, whatever is wrapped then.

The first three are nobody's own names. `module` may be: it is removed where a wrapper of that kind is seen to stand, and from a
plain state dict only when every name begins with it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

from onyxstore.history.checkpoints.walk import MODULE_METADATA

_MARKS = frozenset({"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"})
_PARALLEL = frozenset({"DistributedDataParallel", "DataParallel"})
_INNER = "module"


def strip_wrappers(state: Any, module: Any = None) -> Any:
    """A state dict with its wrappers' names removed, its `_metadata` likewise; `module` is what gave it, if a module did.

    As it was if nothing is to remove, if it is no state dict, or if two names would become one.
    """
    if type(state) not in {dict, OrderedDict} or not all(type(name) is str for name in state):
        return state
    parallel = _find_parallel(state, module)
    names = {name: _strip(name, parallel) for name in state}
    if all(name == stripped for name, stripped in names.items()) or len(set(names.values())) < len(names):
        return state
    made = type(state)((names[name], value) for name, value in state.items())
    if MODULE_METADATA in getattr(state, "__dict__", {}):
        metadata = vars(state)[MODULE_METADATA]
        vars(made)[MODULE_METADATA] = OrderedDict((_strip(path, parallel), value) for path, value in metadata.items())
    return made


def match_names(stored: Iterable[str], live: Iterable[str]) -> dict[str, str]:
    """For each live name the stored one that means the same: the same, or the same but for wrappers' names and no other such."""
    left, wanted = set(stored), list(live)
    matches = {name: name for name in wanted if name in left}
    left -= matches.keys()
    of_stored, of_live = _by_bare_name(left), _by_bare_name(name for name in wanted if name not in matches)
    for bare, names in of_live.items():
        if len(names) == len(of_stored.get(bare, ())) == 1:
            matches[names[0]] = of_stored[bare][0]
    return matches


def _find_parallel(state: dict[str, Any], module: Any) -> set[str]:
    """The paths of the wrappers whose inner module is called `module`; '' is the root's."""
    if hasattr(module, "named_modules"):
        return {path for path, child in module.named_modules(remove_duplicate=False) if type(child).__name__ in _PARALLEL}
    return {""} if state and all(name.startswith(f"{_INNER}.") for name in state) else set()


def _strip(name: str, parallel: set[str]) -> str:
    path, kept = "", []
    for part in name.split("."):
        if part not in _MARKS and not (part == _INNER and path in parallel):
            kept.append(part)
        path = f"{path}.{part}" if path else part
    return ".".join(kept)


def _by_bare_name(names: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in names:
        bare = ".".join(part for part in name.split(".") if part not in _MARKS and part != _INNER)
        found.setdefault(bare, []).append(name)
    return found
