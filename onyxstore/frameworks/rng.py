"""The states of the global random generators of whatever is loaded.

A framework that was not imported has drawn nothing: it is not imported for this, and has no state. Nothing is drawn from any
generator, so that a run with checkpoints is the same run as without.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

from onyxstore.errors import BadInput
from onyxstore.frameworks.restore import restore_tree

SOURCES = {
    "python": ("random", "onyxstore.frameworks.python_state"),
    "numpy": ("numpy.random", "onyxstore.frameworks.numpy_state"),
    "torch": ("torch", "onyxstore.frameworks.torch_state"),
}
"""Each generator's name in the tree, the module that holds it, and the module here that knows it."""


def capture_rng() -> dict[str, Any]:
    """The states of the generators whose modules are loaded, to be captured like any state."""
    return {name: import_module(home).capture_rng() for name, (needs, home) in SOURCES.items() if sys.modules.get(needs) is not None}


def restore_rng(tree: Any) -> tuple[str, ...]:
    """Sets the generators to the states of a neutral tree; the names of those that this process cannot set.

    A generator whose module is installed but not yet imported is imported: the program that was saved had it. BadInput for a
    state that does not fit, with the generators before it set.
    """
    if type(tree) is not dict or not tree.keys() <= SOURCES.keys():
        raise BadInput("the stored states are of other generators than Python's, numpy's and torch's")
    return tuple(name for name, state in tree.items() if not _restore(name, state))


def _restore(name: str, state: Any) -> bool:
    needs, home = SOURCES[name]
    try:
        import_module(needs)
    except ModuleNotFoundError:
        return False
    import_module(home).restore_rng(state if name == "python" else restore_tree(state, copy=True))
    return True
