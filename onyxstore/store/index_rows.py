"""Rows of runs in the form in which the index keeps them, and back.

JSON, written by orjson where that reads the same values back, else by the standard library behind a space: orjson has no NaN and no
ints of more than 64 bits. Figures are doubles in a row, since of a run with twenty metrics a query wants two: for two thousand runs
that is 2 ms, where reading all of them as JSON took 19. Configs are read when they are asked for.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from onyxstore.store.run_rows import BestRow, Figures, RunRow

if TYPE_CHECKING:
    from onyxstore.history.metrics.records import Value


class StoredRow(NamedTuple):
    """A row, and what of its run's files was there when it was read: those that are replaced, and those that grow in their place."""

    stamp: int
    growing: str
    row: RunRow


_FACTS = RunRow._fields.index("configs")
"""How many fields of a row are small; configs and metrics come after them."""
_LABELS, _BEST = RunRow._fields.index("labels"), RunRow._fields.index("best")


Part = str | bytes

TEXTS = 4
"""How many parts of a row are text; they come before those that are bytes."""


def encode_row(stored: StoredRow) -> tuple[Part, ...]:
    """A row in parts: its facts, its configs, the forms of what was logged and of what was only handed in, and the numbers of both."""
    row = stored.row
    facts: list[Any] = [*row[:_FACTS], stored.growing, stored.stamp]
    facts[_LABELS] = list(row.labels)
    facts[_BEST] = None if row.best is None else list(row.best)
    configs = {name: dict(leaves) for name, leaves in row.configs.items()}
    (logged, numbers), (given, others) = _pack(row.curves), _pack(row.values)
    return dump(facts), dump(configs), logged, given, numbers, others


def decode_row(parts: Sequence[Any]) -> StoredRow:
    """The row of its parts; ValueError, TypeError or IndexError when they are none."""
    facts, configs, logged, given, numbers, others = parts
    *small, growing, stamp = load(facts)
    small[_LABELS] = tuple(small[_LABELS])
    if small[_BEST] is not None:
        small[_BEST] = BestRow(*small[_BEST])
    return StoredRow(stamp, growing, RunRow._make([*small, _Later(configs), _Packed(logged, numbers), _Packed(given, others)]))


def dump(value: Any) -> str:
    """A plain value as JSON that `load` reads back to the same value, kinds of numbers included."""
    try:
        text = orjson.dumps(value)
        if orjson.loads(text) == value:
            return text.decode()
    except (orjson.JSONEncodeError, TypeError):
        pass
    import json  # noqa: PLC0415 - 1 ms, which most rows don't need

    return f" {json.dumps(value)}"


def load(text: str) -> Any:
    """The value of such a text; ValueError when it is none."""
    if not text.startswith(" "):
        return orjson.loads(text)
    import json  # noqa: PLC0415 - see above

    return json.loads(text)


class _Later(Mapping[str, Any]):
    """A mapping that is read from its text when it is first asked for something."""

    __slots__ = ("_items", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._items: dict[str, Any] | None = None

    def __repr__(self) -> str:
        return repr(self._read())

    def __getitem__(self, name: str) -> Any:
        return self._read()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def _read(self) -> dict[str, Any]:
        if self._items is None:
            self._items = load(self._text)
        return self._items


# ------------------------------------------------------------------------------------------------------- private: figures

_NUMBERS = struct.Struct("<5d")
_COMMON = {"fffif", "fffin"}
"""The kinds of most figures: floats, a count, and the value as of the best commit if there is one."""


class _Packed(Mapping[str, Figures]):
    """The figures of each metric as five doubles: read by position, none of them before it is asked for."""

    __slots__ = ("_data", "_form")

    def __init__(self, form: str, data: bytes) -> None:
        self._form, self._data = form, data

    def __repr__(self) -> str:
        return repr(dict(self))

    def __getitem__(self, name: str) -> Figures:
        form = _form(self._form)
        place = form.places[name]
        kinds = form.kinds[5 * place : 5 * place + 5]
        last, low, high, points, at_best = _NUMBERS.unpack_from(self._data, 40 * place)
        if kinds in _COMMON:
            return Figures(last, low, high, int(points), at_best if kinds[4] == "f" else None)
        values = zip(kinds, (last, low, high, points, at_best), strict=True)
        return Figures._make(_KINDS[kind](value) if kind in _KINDS else form.rest[int(value)] for kind, value in values)

    def __contains__(self, name: object) -> bool:
        return name in _form(self._form).places

    def __iter__(self) -> Iterator[str]:
        return iter(_form(self._form).places)

    def __len__(self) -> int:
        return len(_form(self._form).places)


class _Form(NamedTuple):
    """Where each metric's figures lie, of which kind each number is, and the numbers that no double holds."""

    places: Mapping[str, int]
    kinds: str
    rest: Sequence[Value]


@functools.lru_cache(maxsize=4096)
def _form(text: str) -> _Form:
    """Most runs of a store log the same metrics: it is the same text again and again."""
    names, kinds, rest = load(text)
    return _Form({name: place for place, name in enumerate(names)}, kinds, rest)


_KINDS: dict[str, Callable[[float], Any]] = {"f": float, "i": int, "b": bool, "n": lambda _: None}
"""What a letter makes of a double; `x` stands for a number that no double holds, in the list that follows."""

_EXACT = 2**53


def _pack(figures: Mapping[str, Figures]) -> tuple[str, bytes]:
    """The form of the figures, and their numbers."""
    kinds: list[str] = []
    numbers: list[float] = []
    rest: list[Value] = []
    for value in chain.from_iterable(figures.values()):
        kind = _kind(value)
        kinds.append(kind)
        numbers.append(0.0 if value is None else float(len(rest)) if kind == "x" else float(value))
        rest += [value] if kind == "x" and value is not None else []
    return dump([list(figures), "".join(kinds), rest]), struct.pack(f"<{len(numbers)}d", *numbers)


def _kind(value: Value | None) -> str:
    if type(value) is int:
        return "i" if -_EXACT <= value <= _EXACT else "x"
    return "n" if value is None else "b" if type(value) is bool else "f"
