"""YAML 1.2, strictly: bytes to plain values with their places, and plain values to bytes.

Plain scalars mean what the core schema of YAML 1.2.2 (section 10.3.2) says: `2e-5` and `1E4` are floats, `0o14` is 12, `014` is 14;
`no`, `on`, `1_000`, `1:30`, `0b1` and dates are text. PyYAML scans and parses (its pure Python half, since its C half accepts other
bytes) but would read those by the rules of YAML 1.1; where the two readings differ, a *note* says so.

JSON is YAML here: tabs may stand between tokens, and a pair of escaped surrogates is one character. Aliases and merge keys (`<<`)
are expanded into values of their own. Refused, with file, line and column: keys that stand twice or are no scalars, tags other than
`!!str !!int !!float !!bool !!null !!map !!seq`, a second document, anything but UTF-8, control characters, and what exceeds the
limits below. U+0085, U+2028, U+2029 are refused too: some readers take them for line breaks, so a comment of one would be a key of
another.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn

from yaml.composer import Composer
from yaml.constructor import SafeConstructor
from yaml.error import Mark, MarkedYAMLError
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.parser import Parser
from yaml.reader import Reader
from yaml.resolver import Resolver
from yaml.scanner import Scanner
from yaml.tokens import ScalarToken

from onyxstore.errors import BadConfig, CannotEncode

MAX_BYTES = 4 << 20
MAX_DEPTH = 64
MAX_VALUES = 100_000
"""Scalars, lists and mappings, counted again at each alias: about 3 s of pure Python, and the end of every alias bomb."""
MAX_NUMBER = 1000
"""Characters of a number; Python converts longer ones in quadratic time."""
_MAX_NOTES = 20

Key = str | int | float | bool | None


@dataclass(frozen=True)
class Scalar:
    """A scalar value: the keys and list positions that lead to it, and the bytes that spell it, without its anchor and tag.

    An alias leads to the bytes of its anchor, so that one span may be listed under several paths.
    """

    path: tuple[Key, ...]
    value: Key
    start: int
    end: int


@dataclass(frozen=True)
class YamlValue:
    """What a file says: its value, what older readers would have read otherwise, and where each scalar stands."""

    value: Any
    notes: tuple[str, ...] = ()
    scalars: tuple[Scalar, ...] = field(default=(), repr=False)


def read_yaml(data: bytes, file: str) -> YamlValue:
    """The value of a YAML or JSON text (None for an empty one); BadConfig, with `file` for its name, when it is none."""
    text, offset = _decode(data, file)
    loader = _Loader(text)
    try:
        root = loader.get_single_node()
    except MarkedYAMLError as error:
        _fail(file, ", ".join(filter(None, (error.context, error.problem))), error.problem_mark or error.context_mark)
    except (ValueError, OverflowError):  # from chr() of an escape, and int() of a %YAML directive
        _fail(file, "an escape that is no character, or a number beyond all bounds", loader.get_mark())
    builder = _Builder(file)
    value = None if root is None else builder.build(root, ())
    places = _byte_offsets(text, (place for _, _, *span in builder.scalars for place in span), offset)
    scalars = tuple(Scalar(path, scalar, places[start], places[end]) for path, scalar, start, end in builder.scalars)
    return YamlValue(value, tuple(builder.notes), scalars)


def write_yaml(value: object) -> bytes:
    """A value (None, bool, int, float, str, lists, dicts with such keys) as block YAML that any YAML reader reads the same.

    `read_yaml` gives the value back exactly, with its kinds and the order of its keys. CannotEncode names the path of what has no
    YAML form.
    """
    return "".join(f"{line}\n" for line in _write_lines(value, ())).encode()


def encode_scalar(value: object, *, quoted: bool = False) -> str:
    """A scalar on one line, good in block and in flow style; ValueError when it has no YAML form.

    Text is quoted where YAML 1.1 or 1.2 would take it for something else, and always if `quoted`, which makes it JSON too.
    """
    if value is None or type(value) is bool:
        return {None: "null", True: "true", False: "false"}[value]
    if type(value) is float:
        return _encode_float(value)
    if type(value) is int:
        if not _is_bounded(value):
            message = f"an int of more than {MAX_NUMBER} digits"
            raise ValueError(message)
        return str(value)
    if type(value) is not str:
        message = f"a {type(value).__name__} has no YAML form"
        raise ValueError(message)
    return value if not quoted and _means_itself(value) else _quote(value)


# ------------------------------------------------------------------------------------------------------- bytes to text

_REFUSED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_BREAK = re.compile("\r\n|\r|\n")
_BOM = b"\xef\xbb\xbf"


def _decode(data: bytes, file: str) -> tuple[str, int]:
    """The text, and how many bytes stand before it."""
    if len(data) > MAX_BYTES:
        raise BadConfig(file, f"it has more than {MAX_BYTES} bytes")
    if data[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        raise BadConfig(file, "it is UTF-16; save it as UTF-8", 1, 1)
    offset = len(_BOM) if data.startswith(_BOM) else 0
    try:
        text = data[offset:].decode()
    except UnicodeDecodeError as error:
        raise BadConfig(file, "it is no UTF-8 text", *_place(data[offset : offset + error.start].decode())) from None
    if refused := _REFUSED.search(text):
        why = f"the character U+{ord(refused[0]):04X} may only stand as an escape in double quotes"
        raise BadConfig(file, why, *_place(text[: refused.start()]))
    return text, offset


def _place(before: str) -> tuple[int, int]:
    """Line and column, from 1, of what follows a text."""
    lines = _BREAK.split(before)
    return len(lines), len(lines[-1]) + 1


def _byte_offsets(text: str, indexes: Iterable[int], offset: int) -> dict[int, int]:
    """Where characters begin in the UTF-8 bytes that start at `offset`."""
    places = {}
    last = 0
    for index in sorted(set(indexes)):
        offset += len(text[last:index].encode())
        places[index] = offset
        last = index
    return places


def _fail(file: str, why: str, mark: Mark | None) -> NoReturn:
    raise BadConfig(file, why[:300], *((mark.line + 1, mark.column + 1) if mark else ())) from None


# ------------------------------------------------------------------------------------------------------- text to nodes

_STR, _INT, _FLOAT, _BOOL, _NULL, _SEQ, _MAP = (
    f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "seq", "map")
)
_PLAIN = ""
"""The tag of a scalar that has neither tag nor quotes: its text decides."""


class _Loader(Reader, Scanner, Parser, Composer):
    """PyYAML's pipeline up to nodes, bounded, with tabs as YAML 1.2 has them and the place of each scalar's own text."""

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)
        self._depth = 0
        self._count = 0
        self._text_start: Mark | None = None

    def scan_to_next_token(self) -> None:
        """Skips white space and comments; tabs too, but where they would indent a block."""
        super().scan_to_next_token()
        while self.peek() == "\t" and (self.flow_level or not self.allow_simple_key):
            self.forward()
            super().scan_to_next_token()

    def get_token(self) -> Any:
        """The next token; a scalar's place is kept, since its node begins at its anchor or tag."""
        token = super().get_token()  # type: ignore[no-untyped-call]
        if isinstance(token, ScalarToken):
            self._text_start = token.start_mark
        return token

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        """A node, counted: what a builder would refuse must not be composed first."""
        self._depth += 1
        self._count += 1
        if self._depth > MAX_DEPTH or self._count > MAX_VALUES:
            limit = f"nested deeper than {MAX_DEPTH} levels" if self._depth > MAX_DEPTH else f"more than {MAX_VALUES} values"
            raise MarkedYAMLError(problem=limit, problem_mark=self._next_event().start_mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def compose_scalar_node(self, anchor: Any) -> ScalarNode:
        """A scalar whose start is that of its own text; the tag `!` makes it text."""
        event = self._next_event()
        if event.tag == "!":
            event.tag = _STR
        node = super().compose_scalar_node(anchor)
        node.start_mark = self._text_start if event.value or event.style else event.end_mark
        return node

    def resolve(self, kind: type[Node], _: Any, implicit: Any) -> str:
        """The tag of a node that has none."""
        if kind is ScalarNode:
            return _PLAIN if implicit[0] else _STR
        return _SEQ if kind is SequenceNode else _MAP

    def _next_event(self) -> Any:
        return self.peek_event()  # type: ignore[no-untyped-call]

    def descend_resolver(self, *_: Any) -> None:
        """Tags do not depend on paths."""

    def ascend_resolver(self) -> None:
        """Tags do not depend on paths."""


# ----------------------------------------------------------------------------------------------------- nodes to values

_SURROGATE = re.compile("[\ud800-\udfff]")
_MERGE = "<<"


class _Builder:
    """Values of nodes; each alias gets a value of its own, so that no two parts of a config are one object."""

    def __init__(self, file: str) -> None:
        self.scalars: list[tuple[tuple[Key, ...], Key, int, int]] = []
        self.notes: list[str] = []
        self._file = file
        self._count = 0
        self._open: set[int] = set()

    def build(self, node: Node, path: tuple[Key, ...], depth: int = 1) -> Any:
        """The value of a node, at `path`."""
        self._count += 1
        self._check(self._count <= MAX_VALUES, f"more than {MAX_VALUES} values, those of aliases counted", node)
        self._check(depth <= MAX_DEPTH, f"nested deeper than {MAX_DEPTH} levels", node)
        self._check(id(node) not in self._open, "an alias that holds itself", node)
        if isinstance(node, ScalarNode):
            value = self._scalar(node)
            self.scalars.append((path, value, node.start_mark.index, node.end_mark.index))
            return value
        self._check(node.tag == (_SEQ if isinstance(node, SequenceNode) else _MAP), _unfit(node.tag), node)
        self._open.add(id(node))
        made = self._list(node, path, depth) if isinstance(node, SequenceNode) else self._mapping(node, path, depth)
        self._open.remove(id(node))
        return made

    def _list(self, node: Node, path: tuple[Key, ...], depth: int) -> list[Any]:
        return [self.build(item, (*path, index), depth + 1) for index, item in enumerate(node.value)]

    def _mapping(self, node: Node, path: tuple[Key, ...], depth: int) -> dict[Key, Any]:
        """Own keys win over merged ones; what is merged first wins over what is merged later."""
        merges = [value for key, value in node.value if _is_merge(key)]
        self._check(len(merges) <= 1, "the key '<<' stands twice", node)
        merged: dict[Key, Any] = {}
        for each in reversed([item for value in merges for item in _listed(value)]):
            self._check(isinstance(each, MappingNode), "'<<' merges mappings, nothing else", each)
            merged |= self.build(each, path, depth + 1)
        own: dict[Key, Any] = {}
        for key_node, value in node.value:
            if not _is_merge(key_node):
                key = self._key(key_node)
                self._check(key not in own, f"the key {key!r} stands twice", key_node)
                own[key] = self.build(value, (*path, key), depth + 1)
        return merged | own

    def _key(self, node: Node) -> Key:
        self._count += 1
        self._check(isinstance(node, ScalarNode), "a key that is no scalar", node)
        key = self._scalar(node, is_key=True)
        self._check(key == key, "the key .nan would equal nothing", node)  # noqa: PLR0124 - so does NaN differ
        return key

    def _scalar(self, node: Node, *, is_key: bool = False) -> Key:
        text = self._text(node)
        if node.tag == _STR:
            return text
        self._check(node.tag in _FITS or node.tag == _PLAIN, _unfit(node.tag), node)
        self._check(len(text) <= MAX_NUMBER or not _NUMBER.fullmatch(text), f"a number of more than {MAX_NUMBER} characters", node)
        value = _core_value(text)
        self._check(type(value) is not int or _is_bounded(value), f"an int of more than {MAX_NUMBER} digits", node)
        if node.tag == _PLAIN:
            self._note(node, text, value, is_key=is_key)
            return value
        fits = type(value) in _FITS[node.tag] and not (node.tag == _FLOAT and text[:2] in _BASES)
        self._check(fits, f"{text[:80]!r} is not what its tag says", node)
        return float(text) if node.tag == _FLOAT and type(value) is int else value

    def _text(self, node: Node) -> str:
        """A scalar's text; JSON's pairs of surrogates become the character that they mean."""
        text: str = node.value
        if not _SURROGATE.search(text):
            return text
        try:
            return text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            _fail(self._file, "half of a surrogate pair is no character", node.start_mark)

    def _note(self, node: Node, text: str, value: Key, *, is_key: bool) -> None:
        """Says where a reading may surprise, once for each place, and not without end."""
        was = _legacy_value(text)
        if type(value) is float and math.isinf(value) and _NUMBER.fullmatch(text):
            why = "is infinite: no float is as large"
        elif was is None or (type(was), was) == (type(value), value) or (is_key and text in _LETTERS):
            return
        else:
            why = f"is {_shown(value)} (YAML 1.1 read it as {_shown(was)})"
        note = f"{self._file}:{node.start_mark.line + 1}: `{text[:_LONGEST_NOTED]}` {why}"
        if len(self.notes) == _MAX_NOTES:
            self.notes.append(f"{self._file}: more such readings follow")
        elif note not in self.notes and len(self.notes) < _MAX_NOTES:
            self.notes.append(note)

    def _check(self, holds: bool, why: str, node: Node) -> None:  # noqa: FBT001 - an assertion with words
        if not holds:
            _fail(self._file, why, node.start_mark)


def _unfit(tag: str) -> str:
    return f"the tag {tag.replace('tag:yaml.org,2002:', '!!')!r} cannot stand here"


def _is_merge(node: Node) -> bool:
    return node.tag == _PLAIN and node.value == _MERGE


def _listed(node: Node) -> list[Node]:
    return node.value if isinstance(node, SequenceNode) else [node]


# ------------------------------------------------------------------------------------------- what a plain scalar means

_NULLS = {"", "~", "null", "Null", "NULL"}
_BOOLS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_DECIMAL = re.compile(r"[-+]?[0-9]+")
_NUMBER = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|0o[0-7]+|0x[0-9a-fA-F]+")
_BASES = ("0o", "0x")
_INFINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_FITS: dict[str, tuple[type, ...]] = {_INT: (int,), _FLOAT: (int, float), _BOOL: (bool,), _NULL: (type(None),)}


def _core_value(text: str) -> Key:
    """What a plain scalar means in the core schema of YAML 1.2."""
    if text in _NULLS:
        return None
    if text in _BOOLS:
        return _BOOLS[text]
    if _INFINITE.fullmatch(text):
        return float(text.replace(".", ""))
    if not _NUMBER.fullmatch(text):
        return text
    if _DECIMAL.fullmatch(text):
        return int(text)
    return int(text, 0) if text[:2] in _BASES else float(text)


_LARGEST: int = 10**MAX_NUMBER


def _is_bounded(value: int) -> bool:
    return abs(value) < _LARGEST


_LETTERS = {"y": True, "Y": True, "n": False, "N": False}
"""Bools in YAML 1.1, text to PyYAML: noted as values, but not as keys, where they are coordinates."""
_LEGACY_KINDS = {_INT, _FLOAT, _BOOL}
_LONGEST_NOTED = 80
_resolver = Resolver()
_constructor = SafeConstructor()


def _legacy_value(text: str) -> Key:
    """What PyYAML, reading YAML 1.1, makes of a plain scalar; None where that is a date, or text that only YAML 1.2 calls a float."""
    if len(text) > _LONGEST_NOTED:
        return None
    if text in _LETTERS:
        return _LETTERS[text]
    tag = _legacy_tag(text)
    if tag in _LEGACY_KINDS:
        try:
            value: Key = _constructor.construct_object(ScalarNode(tag, text))
        except ValueError:
            return None
        return None if value != value else value  # noqa: PLR0124 - so does NaN differ
    return text if tag == _STR and type(_core_value(text)) is not float else None


def _legacy_tag(text: str) -> str:
    tag: str = _resolver.resolve(ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
    return tag


def _shown(value: Key) -> str:
    return f"the text '{value}'" if type(value) is str else encode_scalar(value)


# ----------------------------------------------------------------------------------------------------- values to bytes

_SAFE_WORD = re.compile(r"[A-Za-z_/<][A-Za-z0-9_./<>+-]*(?: +[A-Za-z0-9_./<>+-]+)*")
_LONGEST_SIMPLE_KEY = 1000
"""YAML looks 1024 characters ahead for the colon after a key; longer ones are announced by `? `."""


def _write_lines(value: object, path: tuple[Key, ...]) -> Iterator[str]:
    if len(path) >= MAX_DEPTH:
        raise CannotEncode(_dotted(path), f"it is nested deeper than {MAX_DEPTH} levels")
    if type(value) is dict and value:
        for key, item in value.items():
            if key != key:  # noqa: PLR0124 - so does NaN differ
                raise CannotEncode(_dotted(path), "its key .nan would equal nothing")
            yield from _write_pair(_scalar_at(key, path), item, (*path, key))
    elif type(value) is list and value:
        for index, item in enumerate(value):
            first, *rest = _write_lines(item, (*path, index))
            yield f"- {first}"
            yield from (f"  {line}" for line in rest)
    elif type(value) is dict or type(value) is list:
        yield "{}" if type(value) is dict else "[]"
    else:
        yield _scalar_at(value, path)


def _write_pair(key: str, item: object, path: tuple[Key, ...]) -> Iterator[str]:
    if len(key) > _LONGEST_SIMPLE_KEY:
        yield f"? {key}"
        key = ""
    if item and type(item) in {dict, list}:
        yield f"{key}:"
        yield from (f"  {line}" for line in _write_lines(item, path))
    else:
        yield f"{key}: {next(_write_lines(item, path))}"


def _scalar_at(value: object, path: tuple[Key, ...]) -> str:
    try:
        return encode_scalar(value)
    except ValueError as error:
        raise CannotEncode(_dotted(path), str(error)) from None


def _dotted(path: tuple[Key, ...]) -> str:
    return ".".join(map(str, path)) or "the value"


def _encode_float(value: float) -> str:
    """The shortest decimal that reads back to the same bits; `1e-05` gets a point, without which YAML 1.1 takes it for text."""
    if not math.isfinite(value):
        return {math.inf: ".inf", -math.inf: "-.inf"}.get(value, ".nan")
    digits, e, exponent = repr(value).partition("e")
    return f"{digits}{'' if '.' in digits else '.0'}{e}{exponent}"


def _means_itself(text: str) -> bool:
    if not _SAFE_WORD.fullmatch(text) or text in _LETTERS:
        return False
    return type(_core_value(text)) is str and _legacy_tag(text) == _STR


def _quote(text: str) -> str:
    if _SURROGATE.search(text):
        message = "half of a surrogate pair is no text"
        raise ValueError(message)
    return _REFUSED.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(text, ensure_ascii=False))
