"""The tracking backends by name: where each stands, and what it needs. Nothing is imported before it is asked for.

An open table: `register_backend` adds to it.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from onyxstore.errors import BadInput, MissingPackage, UnknownName
from onyxstore.names import check_run_name, near
from onyxstore.tracking.backends.base import TrackingBackendBase

LOCAL = "local"
"""The store, which records everything in any case."""

Kind = type[TrackingBackendBase]


@dataclass(frozen=True)
class Entry:
    """Where a backend's class stands (`module:Class`, or the class itself), the packages that it needs, and the extra they come with."""

    where: str | Kind
    needs: tuple[str, ...] = ()
    extra: str = ""


_HERE = "onyxstore.tracking.backends"
_BUILT_IN = {
    LOCAL: Entry(f"{_HERE}.local:LocalBackend"),
    "tensorboard": Entry(f"{_HERE}.tensorboard:TensorBoardBackend", ("tensorboard",), "tensorboard"),
    "mlflow": Entry(f"{_HERE}.mlflow:MLflowBackend", ("mlflow", "sqlalchemy", "alembic", "PIL"), "mlflow"),
    "wandb": Entry(f"{_HERE}.wandb:WandbBackend", ("wandb", "PIL"), "wandb"),
}
_table = dict(_BUILT_IN)


def register_backend(name: str, backend: Kind | str, *, replace: bool = False) -> None:
    """Makes a backend known as `name`: its class, or where that stands, as `package.module:Class`.

    A built-in one gives way only with `replace`, the store never. BadName, BadInput.
    """
    check_run_name(name)
    if name == LOCAL or (name in _BUILT_IN and not replace):
        how = "the store records in any case" if name == LOCAL else "replace=True puts another in its place"
        raise BadInput(f"'{name}' is a built-in backend; {how}")
    _table[name] = Entry(backend if isinstance(backend, str) and ":" in backend else _checked(name, backend))


def find_backends(names: str | Sequence[str]) -> dict[str, Kind]:
    """The classes of the backends that are fed besides the store, in the order in which they are named; what they need is imported.

    UnknownName with near matches; MissingPackage, an ImportError, names the extra.
    """
    return {name: _load(name) for name in check_backend_names(names) if name != LOCAL}


def check_backend_names(names: object) -> list[str]:
    """One name or several as a list, each in the table; UnknownName with near matches, BadInput."""
    listed = [names] if isinstance(names, str) else names
    if not isinstance(listed, list | tuple) or not all(isinstance(name, str) for name in listed):
        raise BadInput(f"tracking_backend is a name or a list of names, not {names!r}")
    for name in listed:
        if name not in _table:
            raise UnknownName("tracking backend", name, "onyxstore", near(name, _table))
    return list(listed)


def check_params(kinds: Mapping[str, Kind], params: Mapping[str, Any]) -> None:
    """BadInput names, with near matches, every key of `tracking_params` that nobody takes; `kinds` are the backends that are fed.

    What any built-in backend takes is right whoever is fed, so that one may switch between them. A backend that does not say what it
    takes may take anything.
    """
    if not isinstance(params, Mapping):
        raise BadInput(f"tracking_params map names to values, not {params!r}")
    known = {name: _class_of(name) for name in _table.keys() & {*_BUILT_IN, *params}} | dict(kinds)
    problems: list[str] = []
    for name in sorted(params.keys() & known.keys()):
        if not isinstance(params[name], Mapping):
            raise BadInput(f"tracking_params.{name} holds what that backend takes, by name, not {params[name]!r}")
        problems += _unknown(f"tracking_params.{name}", params[name], [known[name]])
    problems += _unknown("tracking_params", params.keys() - known.keys(), list(known.values()))
    if problems:
        raise BadInput("; ".join(problems))


def params_for(name: str, kind: Kind, params: Mapping[str, Any]) -> dict[str, Any]:
    """What of `tracking_params` the backend gets: of those for all what it knows, and what stands under its own name."""
    shared = {key: value for key, value in params.items() if key not in _table and (key in kind.known_params or _takes_anything(kind))}
    return {**shared, **params.get(name, {})}


def is_installed(package: str) -> bool:
    """Whether a package can be imported, without importing it. A folder of that name is none: W&B writes to `./wandb`."""
    try:
        spec = importlib.util.find_spec(package)
    except ValueError:  # it was imported by hand, and says nothing of itself
        return True
    return spec is not None and spec.origin is not None


MLFLOW_AVAILABLE = is_installed("mlflow")
WANDB_AVAILABLE = is_installed("wandb")


def _load(name: str) -> Kind:
    entry = _table[name]
    for package in entry.needs:
        if not is_installed(package):
            raise MissingPackage(f"tracking backend '{name}'", package, entry.extra)
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise MissingPackage(f"tracking backend '{name}'", package, entry.extra, str(error)) from error
    return _class_of(name)


def _class_of(name: str) -> Kind:
    where = _table[name].where
    if not isinstance(where, str):
        return where
    module, _, attribute = where.partition(":")
    try:
        return _checked(name, getattr(importlib.import_module(module), attribute))
    except AttributeError as error:
        raise BadInput(f"there is no backend '{name}' at {where}: {error}") from error


def _checked(name: str, kind: object) -> Kind:
    if not (isinstance(kind, type) and issubclass(kind, TrackingBackendBase)):
        raise BadInput(f"backend '{name}' is no subclass of TrackingBackendBase, nor where one stands ('package.module:Class'): {kind!r}")
    return kind


def _takes_anything(kind: Kind) -> bool:
    return not kind.known_params and kind.name != LOCAL


def _unknown(where: str, keys: Collection[Any], kinds: Sequence[Kind]) -> list[str]:
    """Words for each key that none of the backends takes."""
    if any(map(_takes_anything, kinds)):
        return []
    known = frozenset[str]().union(*(kind.known_params for kind in kinds))
    unknown = sorted(str(key) for key in keys if key not in known)
    meant = {key: " or ".join(near(key, known | _table.keys())) for key in unknown}
    return [f"no backend takes {where}.{key}" + (f" (did you mean {meant[key]}?)" if meant[key] else "") for key in unknown]
