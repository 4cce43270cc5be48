"""Files of checked lines: one that is replaced whole, or a log that only grows.

Values are canonical JSON. A file of one line (format, HEAD, refs, run states) is replaced by renaming; a log (reflogs, prune
marks) is appended to, after the torn end that a crash may have left was cut off, by one process at a time: who appends holds a lock.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from onyxstore.canonical import canonical_bytes, read_canonical
from onyxstore.disk import files
from onyxstore.disk.lines import Lines, decode_line, encode_line, split_lines
from onyxstore.errors import CorruptFile, DiskError

LARGEST_LINE = 1 << 24
LARGEST_LOG = 1 << 28

_BLOCK = 1 << 12
"""Bytes of a log's end that are searched at a time for its last whole line: a dozen lines of a reflog."""


def read_value(path: Path) -> Any:
    """The value of a file of one line; FileNotFoundError, or CorruptFile when the check fails."""
    data = files.read_bounded(path, LARGEST_LINE)
    try:
        return read_canonical(decode_line(data))
    except ValueError as error:
        raise CorruptFile(str(path), str(error)) from None


def replace_value(tmp: Path, path: Path, value: object) -> None:
    """Writes a file of one line in place of the old one; on disk when this returns."""
    files.replace_bytes(tmp, path, encode_line(canonical_bytes(value)))


def read_log(path: Path) -> Lines:
    """The lines of a log; none when there is no file."""
    try:
        return split_lines(files.read_bounded(path, LARGEST_LOG))
    except FileNotFoundError:
        return Lines()


def read_values(path: Path) -> list[Any]:
    """The values of a log's whole lines, in order; damaged ones are left out, `read_log` names them."""
    values = []
    for payload in read_log(path).payloads:
        try:
            values.append(read_canonical(payload))
        except ValueError:
            continue
    return values


def append_values(path: Path, values: Iterable[object]) -> None:
    """Adds values to a log, in one write; on disk when this returns, not in the log when it raises."""
    lines = b"".join(encode_line(canonical_bytes(value)) for value in values)
    if not lines:
        return
    opened = files.AppendFile.open(path, create=True)
    try:
        whole = _end_of_lines(path, opened.size)
        if whole < opened.size:
            opened.cut(whole)
        opened.append(lines)
        try:
            opened.sync()
        except DiskError:
            with contextlib.suppress(DiskError):
                opened.cut(whole)
            raise
    finally:
        opened.close()


def _end_of_lines(path: Path, size: int) -> int:
    """Where the last whole line ends. Only the file's end is read, or each append would cost as much as all before it."""
    fd = files.open_read(path)
    try:
        end = size
        while end > 0:
            start = max(0, end - _BLOCK)
            newline = files.read_at(fd, start, end - start).rfind(b"\n")
            if newline >= 0:
                return start + newline + 1
            end = start
        return 0
    finally:
        files.close(fd)
