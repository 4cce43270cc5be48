"""What a model is made of: how it prints, its modules, and how many parameters each has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from onyxstore.canonical import canonical_bytes
from onyxstore.frameworks.wrappers import strip_wrappers
from onyxstore.tracking.recorded import Architecture, Module

LONGEST = 1_000_000
"""Characters of a summary. The largest models print as some 50,000; an object that prints all of its data would have no end."""


def describe_model(model: Any) -> Architecture:
    """The model inside its wrappers: of a torch module the modules with their own parameters, of anything else how it prints.

    A parameter that several modules share is counted where it stands first. One that has no shape yet (a lazy module's) counts as
    none, one without memory (on torch's device `meta`) like any other.
    """
    if not callable(getattr(model, "named_modules", None)):
        return Architecture(type(model).__name__, _summary(model), (), 0, 0)
    inside = _modules_of(model)
    modules = tuple(_count_parameters(inside))
    return Architecture(
        name=type(inside[""]).__name__,
        summary=_summary(inside[""]),
        modules=modules,
        parameters=sum(module.parameters for module in modules),
        trainable=sum(module.trainable for module in modules),
    )


def encode_architecture(architecture: Architecture) -> bytes:
    """The architecture as canonical JSON, under the names of its fields."""
    modules = [
        {"name": each.name, "kind": each.kind, "parameters": each.parameters, "trainable": each.trainable} for each in architecture.modules
    ]
    return canonical_bytes(
        {
            "name": architecture.name,
            "summary": architecture.summary,
            "modules": modules,
            "parameters": architecture.parameters,
            "trainable": architecture.trainable,
            "frozen": architecture.frozen,
        }
    )


def _modules_of(model: Any) -> dict[str, Any]:
    """The modules by their names without those of wrappers: a wrapper has the name of what it wraps, which comes after it and stays."""
    # The number keeps the two apart while the names are stripped.
    numbered = {f"{name}.{number}": module for number, (name, module) in enumerate(model.named_modules())}
    return {name.rpartition(".")[0]: module for name, module in strip_wrappers(numbered, model).items()}


def _count_parameters(modules: dict[str, Any]) -> Iterator[Module]:
    seen: set[int] = set()
    for name, module in modules.items():
        own = [parameter for _, parameter in module.named_parameters(recurse=False) if id(parameter) not in seen]
        seen.update(map(id, own))
        yield Module(
            name=name,
            kind=type(module).__name__,
            parameters=sum(map(_size, own)),
            trainable=sum(_size(parameter) for parameter in own if parameter.requires_grad),
        )


def _size(parameter: Any) -> int:
    return 0 if type(parameter).__name__ == "UninitializedParameter" else int(parameter.numel())


def _summary(model: Any) -> str:
    text = repr(model).encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
