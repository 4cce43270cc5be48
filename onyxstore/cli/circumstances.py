"""Under what circumstances a commit was made, as names and words: code, environment, cost.

All three are values from the store, which may have been written by another release: what is not as expected is shown as it is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from onyxstore.cli.figures import duration, figure, literal, plural, size

Pairs = Iterator[tuple[str, str]]

_SPELT = {
    "python": "{implementation} {release}",
    "platform": "{system} {release} {machine}",
    "cpus": "{all}, {usable} of them usable",
    "torch": "{release}, {threads} threads",
}
"""How parts of the environment are put on a line."""

_COSTS = {
    "log_calls": "calls of log",
    "log_seconds": "time in log",
    "blocked_seconds": "held up by saving",
    "save_seconds": "saving in the background",
    "raw_bytes": "last checkpoint, raw",
    "checkpoint_bytes": "last checkpoint, newly stored",
}


def code_words(code: Mapping[str, Any]) -> Pairs:
    """The git commit, and how much differed from it."""
    yield from ((name, literal(code[name])) for name in ("commit", "head", "remote") if code.get(name))
    if code.get("diff"):
        yield "changes", f"{plural(str(code['diff']).count(chr(10)), 'line')} of diff"
    if code.get("files"):
        yield "untracked", ", ".join(map(str, code["files"]))
    yield from (("note", literal(note)) for note in code.get("notes", ()))


def environment_words(environment: Mapping[str, Any]) -> Pairs:
    """The interpreter, the machine, how many packages; `--json` lists these."""
    for name, value in environment.items():
        if name == "onyx" or value in (None, {}, []):
            continue
        if name in _SPELT and isinstance(value, Mapping):
            yield name, _SPELT[name].format_map(defaultdict(lambda: "?", value))
        elif name == "packages" and isinstance(value, Mapping):
            yield name, f"{len(value):,}"
        elif isinstance(value, Mapping):
            yield name, " ".join(f"{key}={item}" for key, item in value.items())
        elif name == "memory" and isinstance(value, int):
            yield name, size(value)
        else:
            yield name, " ".join(map(str, value)) if isinstance(value, list) else literal(value)


def cost_words(cost: Mapping[str, Any]) -> Pairs:
    """What logging and saving had cost the attempt: time, bytes, calls."""
    spelt = {"seconds": duration, "bytes": size}
    for name in sorted(cost, key=lambda name: list(_COSTS).index(name) if name in _COSTS else len(_COSTS)):
        yield _COSTS.get(name, name), spelt.get(name.rpartition("_")[2], figure)(cost[name])
