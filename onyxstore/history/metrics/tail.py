"""The part of a log that is not sealed yet: its lines in memory, and the file that they go to.

Every line stays in memory until it is sealed. That is what makes the disk's failures harmless: a failed write or a failed fsync says
nothing about what reached the disk before it, and a later fsync of the same file may succeed over lost bytes. So after either,
everything since the last successful sync is written to a *new* file, from memory; the old one stays until the tail is sealed, for
what is safe in it, and a reader that finds a record in both takes it once.

While nothing can be written, lines queue up here, to 64 MiB; beyond that `append` refuses, so what was accepted is never dropped.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

from onyxstore.disk import files
from onyxstore.errors import DiskError

QUEUE_BYTES = 64 << 20
_LONGEST_WAIT = 1024
"""Lines between two attempts of `append` on a disk that refuses: doubled up to here, or each line would write the whole queue."""


class Tail:
    """Lines from position `first` on.

    `append` and `extend` are called under the lock that `sync` is handed: appending never waits for the disk's fsync, and what was
    true of the file before one is looked at again after it. `write_new` makes a file of lines that is on disk when it returns.
    """

    def __init__(
        self,
        first: int,
        file: files.AppendFile | None,
        write_new: Callable[[bytes], files.AppendFile],
        keep_error: Callable[[DiskError], None],
    ) -> None:
        self.first = first
        self.lines: list[bytes] = []
        self.points = 0
        self.unwritten = 0
        """Lines that are in memory alone."""
        self._write_new, self._keep_error = write_new, keep_error
        self._file = file
        self._all_files = [file] if file else []
        # Lines that are on disk for sure, the bytes that `_file` had then, and whether its next fsync can be believed.
        self._safe, self._safe_bytes, self._honest = 0, file.size if file else 0, True
        self._unwritten_bytes, self._wait, self._next_try = 0, 1, 0

    @property
    def end(self) -> int:
        """The position after the last line."""
        return self.first + len(self.lines)

    def append(self, line: bytes, points: int) -> None:
        """Takes a line: into memory, and to the file with one write. DiskError only when the queue is full; the line is not taken then."""
        file = self._file
        if file is None:
            self._enqueue([line], points)
            return
        # In this order an interrupt between two statements leaves a line that is in memory and not in the file: `sync` sees it.
        self.lines.append(line)
        self.points += points
        try:
            file.append(line)
        except DiskError as error:
            self._fall_back(error, [line])

    def extend(self, lines: Sequence[bytes], points: int) -> None:
        """Takes many lines with one write."""
        file = self._file
        if file is None:
            self._enqueue(lines, points)
            return
        self.lines.extend(lines)
        self.points += points
        try:
            file.append(b"".join(lines))
        except DiskError as error:
            self._fall_back(error, lines)

    def sync(self, lock: AbstractContextManager[object]) -> None:
        """When this returns, all lines taken before the call are on disk; DiskError when no file will have them. One caller at a time."""
        with lock:
            file, count = self._file, len(self.lines)
            size = file.size if file else 0
        if count == self._safe:
            return
        if file and self._honest and size == self._safe_bytes + sum(map(len, self.lines[self._safe : count])):
            try:
                file.sync()
            except DiskError as error:
                self._honest = False
                self._keep_error(error)
            else:
                with lock:
                    if self._file is file or self._file is None:
                        self._safe, self._safe_bytes = count, size
                return
        self._renew(lock)

    def remove(self) -> None:
        """Gives up the files: every line is safe elsewhere."""
        for file in self._all_files:
            with contextlib.suppress(DiskError):
                file.close()
            files.remove(file.path)
        self._all_files = []

    def _renew(self, lock: AbstractContextManager[object]) -> None:
        """Writes what is not on disk for sure to a new file, which takes the old one's place."""
        with lock:
            count = len(self.lines)
            unsafe = self.lines[self._safe : count]
        file = self._write_new(b"".join(unsafe))
        with lock:
            self._all_files.append(file)
            self._file, self._safe, self._safe_bytes, self._honest = file, count, file.size, True
            self.unwritten, self._unwritten_bytes, self._wait = 0, 0, 1
            if later := self.lines[count:]:
                try:
                    file.append(b"".join(later))
                except DiskError as error:
                    self._fall_back(error, later)

    def _fall_back(self, error: DiskError, lines: Sequence[bytes]) -> None:
        """The file failed: `lines`, and all that follow, wait in memory."""
        self._keep_error(error)
        self._file = None
        self.unwritten, self._unwritten_bytes = len(lines), sum(map(len, lines))
        self._next_try = len(self.lines) + self._wait

    def _enqueue(self, lines: Sequence[bytes], points: int) -> None:
        size = sum(map(len, lines))
        if self._unwritten_bytes + size > QUEUE_BYTES:
            self._renew(nullcontext())
            self.extend(lines, points)
            return
        self.lines.extend(lines)
        self.points += points
        self.unwritten += len(lines)
        self._unwritten_bytes += size
        if len(self.lines) >= self._next_try:
            try:
                self._renew(nullcontext())
            except DiskError as error:
                self._keep_error(error)
                self._wait = min(self._wait * 2, _LONGEST_WAIT)
                self._next_try = len(self.lines) + self._wait
