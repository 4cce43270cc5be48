"""The bytes of one value of a config file replaced, and no others.

What a list or mapping keeps stays as it is; what it loses goes with its line, what it gets comes behind the last that it had. These are
attempts: they know how files usually look, and what they make is to be read again before anyone believes it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from onyxstore.configs.document import Document
from onyxstore.configs.paths import Path, at, is_at, nested, same
from onyxstore.yaml12 import encode_scalar, write_yaml

_BOM = b"\xef\xbb\xbf"

Splice = tuple[int, int, bytes]
"""Bytes from here to there, and what takes their place."""


def spliced(document: Document, path: Path, value: Any) -> bytes:
    """The file with a value set at a path; LookupError where there is no telling which bytes that concerns."""
    there = next(length for length in range(len(path), -1, -1) if is_at(document.values, path[:length]))
    holder, missing = path[:there], path[there:]
    if not holder and () not in document.spots:  # a file of comments, if anything
        return _appended(document.data, nested(missing, value))
    old = at(document.values, holder)
    if missing:
        value = {**(old or {}), missing[0]: nested(missing[1:], value)}
    data = document.data
    for start, end, new in sorted(set(_splices(document, holder, old, value)), reverse=True):
        data = data[:start] + new + data[end:]
    return data


def encode_flow(value: Any) -> str:
    """A value on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{encode_flow(key)}: {encode_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(encode_flow, value)) + "]"
    return encode_scalar(value)


def _appended(data: bytes, values: Any) -> bytes:
    newline = _newline(data)
    between = newline if data and not data.endswith((b"\n", b"\r")) else b""
    return data + between + write_yaml(values).replace(b"\n", newline)


def _splices(document: Document, path: Path, old: Any, new: Any) -> Iterator[Splice]:
    """What makes one value of another; what is the same is left as it is spelt."""
    if same(old, new):
        return
    if path in document.scalars:
        start, spelling = document.scalars[path].start, document.spelling(path)
        space = b"" if spelling else b" "  # `key:` with nothing behind it
        yield start, start + len(spelling.rstrip(b"\r\n")), space + _spelt_like(spelling, new)
    elif old and new and isinstance(old, dict) and isinstance(new, dict):
        yield from _splices_of_mapping(document, path, old, new)
    elif old and new and isinstance(old, list) and isinstance(new, list):
        yield from _splices_of_list(document, path, old, new)
    else:
        yield _splice_of_whole(document, path, new)


def _splice_of_whole(document: Document, path: Path, new: Any) -> Splice:
    """A list or mapping replaced as one; behind its key, if it stood in lines of its own and no comment is between."""
    spot, flow = document.spots[path], encode_flow(new).encode()
    if _is_flow(document, path):
        return spot.start, spot.end, flow
    gap = re.search(rb"(?<=:)\s+\Z", document.data[: spot.start])
    return gap.start() if gap else spot.start, spot.end, b" " + flow


def _splices_of_mapping(document: Document, path: Path, old: dict[Any, Any], new: dict[Any, Any]) -> Iterator[Splice]:
    for key, item in old.items():
        if key in new:
            yield from _splices(document, (*path, key), item, new[key])
    gone = [document.spots[*path, key] for key in old if key not in new]
    added = [f"{encode_flow(key)}: {encode_flow(item)}".encode() for key, item in new.items() if key not in old]
    data, spot = document.data, document.spots[path]
    if not _is_flow(document, path):
        yield from ((_line_start(data, each.key or 0), _next_line(data, each.end), b"") for each in gone)
        first = min(document.spots[*path, key].key or 0 for key in old)
        yield from _lines_added(data, spot.end, data[_line_start(data, first) : first], added)
    elif gone:
        yield _splice_of_whole(document, path, new)
    elif added:
        last = max(document.spots[*path, key].end for key in old)
        yield last, last, b"".join(b", " + pair for pair in added)


def _splices_of_list(document: Document, path: Path, old: list[Any], new: list[Any]) -> Iterator[Splice]:
    for index, (one, other) in enumerate(zip(old, new, strict=False)):
        yield from _splices(document, (*path, index), one, other)
    items = [document.spots[*path, index] for index in range(len(old))]
    gone = items[len(new) :]
    added = [encode_flow(item).encode() for item in new[len(old) :]]
    data = document.data
    if not _is_flow(document, path):
        yield from ((_line_start(data, each.start), _next_line(data, each.end), b"") for each in gone)
        yield from _lines_added(data, items[-1].end, data[_line_start(data, items[0].start) : items[0].start], added)
    elif gone:
        yield items[len(new) - 1].end, items[-1].end, b""
    elif added:
        yield items[-1].end, items[-1].end, b"".join(b", " + item for item in added)


def _lines_added(data: bytes, end: int, before: bytes, added: list[bytes]) -> Iterator[Splice]:
    """Lines below the one in which a block ends, each with what stands before the first of the block."""
    if not added:
        return
    newline, start = _newline(data), _next_line(data, end)
    lines = b"".join(before.removeprefix(_BOM) + each + newline for each in added)
    is_cut = start == len(data) and not data.endswith((b"\n", b"\r"))  # the last line has no end
    yield start, start, newline + lines.removesuffix(newline) if is_cut else lines


def _spelt_like(old: bytes, new: Any) -> bytes:
    """A value, in the quotes that the old one had."""
    if not isinstance(new, str):
        return encode_flow(new).encode()
    if old.startswith(b"'") and new.isprintable():
        return b"'" + new.replace("'", "''").encode() + b"'"
    return encode_scalar(new, quoted=old.startswith(b'"')).encode()


def _is_flow(document: Document, path: Path) -> bool:
    return document.data[document.spots[path].start :][:1] in {b"[", b"{"}


def _line_start(data: bytes, offset: int) -> int:
    return max(data.rfind(b"\n", 0, offset), data.rfind(b"\r", 0, offset)) + 1


def _next_line(data: bytes, offset: int) -> int:
    """Where the line after the one with a byte begins; the byte itself, if it begins one (as what follows a block of text does)."""
    if offset and data[offset - 1 : offset] in {b"\n", b"\r"}:
        return offset
    match = re.compile(rb"[^\r\n]*(?:\r\n|\r|\n)?").match(data, offset)
    return match.end() if match else offset


def _newline(data: bytes) -> bytes:
    return b"\r\n" if b"\r\n" in data else b"\n"
