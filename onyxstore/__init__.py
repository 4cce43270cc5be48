"""git for machine-learning experiments.

A store is a `.onyx/` directory with hashed config snapshots, append-only metric logs and compressed, verified checkpoints; each
saved state is a commit that can be listed, compared, checked out, forked and resumed. The names below are all that is public;
each is loaded when it is first used, so that `import onyxstore` loads neither torch nor numpy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onyxstore.errors import OnyxError
    from onyxstore.history.metrics.series import Series
    from onyxstore.store.adding import Addition
    from onyxstore.store.checkout import CheckoutOptions
    from onyxstore.store.checkpoints import Checkpoint
    from onyxstore.store.gc import GcReport
    from onyxstore.store.run import Run
    from onyxstore.store.save import SaveHandle
    from onyxstore.store.store import Store, start_run
    from onyxstore.store.views import Commit, RunView

__version__ = "0.1.0"

__all__ = [
    "Addition",
    "CheckoutOptions",
    "Checkpoint",
    "Commit",
    "GcReport",
    "OnyxError",
    "Run",
    "RunView",
    "SaveHandle",
    "Series",
    "Store",
    "start_run",
]

_HOMES = {
    "Addition": "onyxstore.store.adding",
    "CheckoutOptions": "onyxstore.store.checkout",
    "Checkpoint": "onyxstore.store.checkpoints",
    "Commit": "onyxstore.store.views",
    "GcReport": "onyxstore.store.gc",
    "OnyxError": "onyxstore.errors",
    "Run": "onyxstore.store.run",
    "RunView": "onyxstore.store.views",
    "SaveHandle": "onyxstore.store.save",
    "Series": "onyxstore.history.metrics.series",
    "Store": "onyxstore.store.store",
    "start_run": "onyxstore.store.store",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        message = f"module 'onyxstore' has no attribute {name!r}"
        raise AttributeError(message)
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
