"""Through a state's containers, the same way for everyone.

A state consists of the containers and scalars listed here, by their exact types, and of objects that somebody else knows how to
handle. A subclass (a namedtuple, an IntEnum, a dict with a callback) is not its base: it would come back as something else, so
it is refused with its path, as everything unknown is. A container that contains itself has no tree; one that is shared by two
others becomes two.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from typing import Any

from onyxstore.canonical import EXACT_INT
from onyxstore.errors import CannotEncode

Path = tuple[str | int, ...]
"""The keys from a tree's root to a place in it."""

SCALARS = frozenset({type(None), bool, int, float, complex, str, bytes, bytearray, slice, range})
FACTORIES: dict[str, type] = {
    t.__name__: t for t in (int, float, complex, bool, str, bytes, list, tuple, dict, set, frozenset, OrderedDict, Counter, deque)
}
"""What a defaultdict may make its values with."""

MAX_DEPTH = 64
"""Levels of containers. Each is up to three levels of JSON and five of Python's calls, of which there may be a thousand in all."""

MODULE_METADATA = "_metadata"
"""The attribute in which a module's state dict carries the versions of its layouts; also its key in paths."""

_FROZEN = SCALARS - {bytearray, slice}
"""Scalars that cannot change and can be keys: most of a tree, and copied without a look."""

_BUILTINS = (dict, list, tuple, set, frozenset, int, float, complex, str, bytes, bytearray, deque)


def print_path(path: Path) -> str:
    """`optimizer.state.3.exp_avg`; the root is `the state`."""
    return ".".join(str(key) for key in path) or "the state"


def path_key(key: object) -> str | int:
    """A dict's key as a part of a path: strings and ints of 64 bits as they are, others as they print."""
    if type(key) is str or (type(key) is int and -EXACT_INT <= key < EXACT_INT):
        return key
    return str(key)


def no_encoding(value: object, path: Path, advice: str = "") -> CannotEncode:
    """The error for an object that has no encoding; `advice` ends its words."""
    kind = type(value)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    base = next((builtin for builtin in _BUILTINS if isinstance(value, builtin) and kind is not builtin), None)
    why = f"a {name} is more than the {base.__name__} it derives from" if base else f"a {name} has no encoding"
    return CannotEncode(print_path(path), f"{why}{advice}")


class Trail:
    """The containers that a walk is inside of; CannotEncode for a cycle or too many levels."""

    def __init__(self) -> None:
        """At the root."""
        self._inside: set[int] = set()

    def enter(self, container: object, path: Path) -> None:
        """The walk goes into `container`, which stands at `path`."""
        if id(container) in self._inside:
            raise CannotEncode(print_path(path), "it contains itself")
        if len(self._inside) == MAX_DEPTH:
            raise CannotEncode(print_path(path[:8]), f"it is nested deeper than {MAX_DEPTH} levels")
        self._inside.add(id(container))

    def leave(self, container: object) -> None:
        """The walk is through with `container`."""
        self._inside.remove(id(container))


def map_tree(value: object, change: Callable[[Any, Path], object], path: Path = ()) -> Any:
    """A copy of `value` with every object that is no container and no scalar replaced by `change(object, path)`.

    Containers and their order are copied, so that what happens to the originals later does not show. The keys of dicts and the
    elements of sets are changed too. CannotEncode names the place that has no copy.
    """
    return _Mapper(change).map(value, path)


class _Mapper:
    def __init__(self, change: Callable[[Any, Path], object]) -> None:
        self.change = change
        self.trail = Trail()

    def map(self, value: Any, path: Path) -> Any:
        kind = type(value)
        if kind in SCALARS:
            return value if kind is not bytearray else bytearray(value)
        copier = _COPIERS.get(kind)
        if copier is None:
            return self.change(value, path)
        self.trail.enter(value, path)
        copied = copier(self, value, path)
        self.trail.leave(value)
        return copied

    def items(self, values: Iterable[Any], path: Path) -> list[Any]:
        return [item if type(item) in _FROZEN else self.map(item, (*path, index)) for index, item in enumerate(values)]

    def pairs(self, value: dict[Any, Any], path: Path) -> list[tuple[Any, Any]]:
        return [
            pair if type(pair[0]) in _FROZEN and type(pair[1]) in _FROZEN else self.pair(*pair, (*path, path_key(pair[0])))
            for pair in value.items()
        ]

    def pair(self, key: Any, item: Any, path: Path) -> tuple[Any, Any]:
        return (key if type(key) in _FROZEN else self.key(key, path)), self.map(item, path)

    def key(self, key: Any, path: Path) -> Any:
        changed = self.map(key, path)
        try:
            hash(changed)
        except TypeError:
            raise CannotEncode(print_path(path), f"a {type(key).__name__} cannot be a key of a stored dict or set") from None
        return changed

    def keys(self, values: Iterable[Any], path: Path) -> list[Any]:
        return [self.key(key, (*path, path_key(key))) for key in values]

    def ordered(self, value: OrderedDict[Any, Any], path: Path) -> OrderedDict[Any, Any]:
        made = OrderedDict(self.pairs(value, path))
        for name, extra in vars(value).items():
            if name != MODULE_METADATA:
                raise CannotEncode(print_path((*path, name)), "an attribute of a dict has no encoding")
            vars(made)[name] = self.map(extra, (*path, name))
        return made

    def counter(self, value: Counter[Any], path: Path) -> Counter[Any]:
        made: Counter[Any] = Counter()
        dict.update(made, self.pairs(value, path))
        return made

    def default(self, value: defaultdict[Any, Any], path: Path) -> defaultdict[Any, Any]:
        if value.default_factory is not None and value.default_factory not in FACTORIES.values():
            raise no_encoding(value.default_factory, (*path, "default_factory"))
        return defaultdict(value.default_factory, self.pairs(value, path))


_COPIERS: dict[type, Callable[[_Mapper, Any, Path], Any]] = {
    dict: lambda mapper, value, path: dict(mapper.pairs(value, path)),
    list: lambda mapper, value, path: mapper.items(value, path),
    tuple: lambda mapper, value, path: tuple(mapper.items(value, path)),
    set: lambda mapper, value, path: set(mapper.keys(value, path)),
    frozenset: lambda mapper, value, path: frozenset(mapper.keys(value, path)),
    deque: lambda mapper, value, path: deque(mapper.items(value, path), value.maxlen),
    OrderedDict: _Mapper.ordered,
    Counter: _Mapper.counter,
    defaultdict: _Mapper.default,
}
