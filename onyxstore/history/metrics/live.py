"""The metric log as it is written, by the one process that holds its run.

`append` encodes a record and writes it with one system call in the caller's thread: when it returns, the record survives the death of
the process. It survives the power after the next `sync`, which the owner's background thread calls each second; that thread also
seals: it turns a tail of 65,536 points into a segment while appending goes on, in the order that `log` says. A call with 5 floats costs
4.2 µs, the write 1.1 of them, where `json.dumps` and a buffered write of the same line cost 5.4 (in alternating pairs; the median ratio
is 0.73).

A disk that fails while appending raises nothing: records wait in memory (`unwritten` counts them), the error waits in `take_error`.
Only one process writes a log, and a forked child is another process: its copy of the writer refuses, or a DataLoader's worker
would write lines of the same positions as its parent.
"""

from __future__ import annotations

import itertools
import os
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from onyxstore.disk import files
from onyxstore.disk.lines import PREFIX, encode_line
from onyxstore.errors import CorruptFile, DiskError, RunEnded
from onyxstore.hashing import Address
from onyxstore.history.metrics.line import decode_record, encode_points, encode_record
from onyxstore.history.metrics.log import SEGMENTS, Get, Log, read_list, read_log, sealed_part, tail_name, tail_names, tail_number
from onyxstore.history.metrics.plain import plain_epoch, plain_metrics, plain_step
from onyxstore.history.metrics.prefix import LogPrefix, RunningHash
from onyxstore.history.metrics.records import HIGHEST_INT64, LOWEST_INT64, Epoch, Points, Record, Summary
from onyxstore.history.metrics.sealed import Sealed, decode_list, encode_log_id, encode_sealed
from onyxstore.history.metrics.segments import encode_segment
from onyxstore.history.metrics.tail import Tail

Put = Callable[[bytes], Address]

SEGMENT_POINTS = 65_536
"""Some 200 kB when sealed: large enough that columns compress as well as they will, small enough to seal in 0.1 s."""
_ROWS_AT_ONCE = 8192

_writers: weakref.WeakSet[LogWriter] = weakref.WeakSet()


class LogWriter:
    """Appends to the metric log of one run.

    Every method may be called from any thread, none from a signal handler: it may have interrupted an `append` that holds the lock.
    """

    def __init__(self, folder: Path, tmp: Path, run: str, put: Put, get: Get) -> None:
        """Use `LogWriter.open`."""
        self.id = ""
        self.notes: tuple[str, ...] = ()
        """What opening found and mended: an unfinished line, damage."""
        self._folder, self._tmp, self._run = folder, tmp, run
        self._segments = _Segments(folder / SEGMENTS, tmp, put, get)
        # `_lock` is held for the microseconds of an append; `_background` for a whole sync, seal or hash, and always taken first.
        self._lock, self._background = threading.Lock(), threading.Lock()
        self._refusal, self._foreign = "", False
        self._error: DiskError | None = None
        # The last epoch that passed its check: it is the same object for thousands of calls.
        self._epoch: Epoch = None
        self._numbers = itertools.count(1)
        self._full: list[Tail] = []
        self._hash = RunningHash()
        self._tail: Tail
        _writers.add(self)

    @classmethod
    def open(cls, folder: Path, tmp: Path, *, log: str, run: str, put: Put, get: Get) -> LogWriter:
        """The writer of the log with the id `log` in a run's folder, whose lock the caller holds; a log that is not there is begun.

        What an earlier process left in tails is sealed. `put` stores an object, on disk when it returns, and says its address; `get`
        is its opposite. CorruptFile when the folder holds another log; DiskError.
        """
        writer = cls(folder, tmp, run, put, get)
        files.publish_bytes(tmp, folder / SEGMENTS, encode_log_id(log))
        found = read_log(folder, get)
        if found.id not in {log, ""}:
            raise CorruptFile(str(folder / SEGMENTS), "it is the list of another log")
        writer.id = log
        writer.notes = (*found.notes, *found.losses)
        writer._take_over(found)
        return writer

    # ------------------------------------------------------------------------------------------------------ appending

    def append_points(self, metrics: Mapping[str, Any], step: int, epoch: Epoch, time: int) -> int:
        """Logs metrics at a step, at a time in ns; returns the log's new position. BadMetric, BadName, RunEnded."""
        values = plain_metrics(metrics)
        if type(step) is not int or not LOWEST_INT64 <= step <= HIGHEST_INT64:
            step = plain_step(step)
        if epoch is not self._epoch:
            self._epoch = epoch = plain_epoch(epoch)
        with self._lock:
            if self._refusal:
                raise RunEnded(self._run, self._refusal)
            tail = self._tail
            position = tail.first + len(tail.lines)
            tail.append(encode_line(encode_points(position, step, epoch, time, values)), len(values) or 1)
        return position + 1

    def append(self, record: Record) -> int:
        """Logs a record made of plain values; returns the log's new position."""
        return self.append_many([record])

    def append_many(self, records: Iterable[Record]) -> int:
        """Logs records with one write for 8,192 of them; returns the log's new position. Seals in this thread if it outruns the other."""
        source = iter(records)
        while rows := list(itertools.islice(source, _ROWS_AT_ONCE)):
            with self._lock:
                if self._refusal:
                    raise RunEnded(self._run, self._refusal)
                lines = [encode_line(encode_record(position, record)) for position, record in enumerate(rows, self._tail.end)]
                self._tail.extend(lines, sum(map(_points_in, rows)))
            if self._tail.points >= 2 * SEGMENT_POINTS:
                try:
                    self.seal()
                except DiskError as error:
                    self._keep_error(error)
        return self.position

    @property
    def position(self) -> int:
        """The number of records in the log."""
        return self._tail.end

    @property
    def unwritten(self) -> int:
        """Records that are in memory alone, because the disk takes no more."""
        return sum(tail.unwritten for tail in (*self._full, self._tail))

    def take_error(self) -> DiskError | None:
        """The first failure of the disk since this was last asked; nothing was lost by it."""
        error, self._error = self._error, None
        return error

    # --------------------------------------------------------------------------------------------------- in the background

    @property
    def seal_due(self) -> bool:
        """Whether there is enough to seal."""
        return self._tail.points >= SEGMENT_POINTS or bool(self._full)

    def sync(self) -> None:
        """When this returns, all that was appended before the call survives the power; DiskError when it cannot."""
        with self._background:
            self._check_own()
            self._sync_tails()

    def seal(self) -> None:
        """Makes a segment of all that was appended. DiskError when the disk refuses; then call it again later, nothing is lost."""
        with self._background:
            self._check_own()
            if self._tail.lines and not self._refusal:
                file = files.AppendFile.open(self._next_path(), create=True)
                with self._lock:
                    self._full.append(self._tail)
                    self._tail = self._new_tail(self._tail.end, file)
            self._seal_full()

    def close(self) -> None:
        """Seals all and refuses more. After a DiskError it may be called again; once sealed, and in a forked child, it does nothing."""
        with self._background:
            with self._lock:
                if not self._refusal:
                    self._refusal = "it was closed"
                    self._full.append(self._tail)
                    self._tail = self._new_tail(self._tail.end, None)
            try:
                self._seal_full()
            except DiskError:
                self._sync_tails()
                raise

    def prefix_at(self, position: int) -> LogPrefix:
        """The log's first `position` records, for a commit; ValueError when there are not so many."""
        if not 0 <= position <= self.position:
            raise ValueError(f"the log has {self.position} records, not {position}")
        with self._background:
            return LogPrefix(self.id, position, self._hash.at(position, self._records))

    # ------------------------------------------------------------------------------------------------------------ private

    def _take_over(self, found: Log) -> None:
        """Begins a new tail after what was found, and seals what stands in old ones."""
        old, damaged = tail_names(self._folder), tail_names(self._folder, "damaged")
        self._segments.take_over(self.id, read_list(self._folder))
        self._numbers = itertools.count(max(map(tail_number, (*old, *damaged)), default=0) + 1)
        self._tail = self._new_tail(found.position, files.AppendFile.open(self._next_path(), create=True))
        for part in found.parts[found.sealed :]:
            self._segments.add(part.first, list(part.records(part.first, part.end)))
        for name in old:
            if name in found.damaged_tails:
                files.rename(self._folder / name, self._folder / tail_name(tail_number(name), "damaged"))
            else:
                files.remove(self._folder / name)

    def _seal_full(self) -> None:
        while self._full:
            tail = self._full[0]
            if tail.lines:
                self._seal_tail(tail.first, tail.end, list(_decoded(tail.lines)))
            with self._lock:
                self._full.pop(0)
            tail.remove()

    def _seal_tail(self, first: int, end: int, records: list[Record]) -> None:
        def at_hand(start: int, _: int) -> Iterator[Record]:
            yield from self._records(start, first)
            yield from records[max(0, start - first) :]

        # While they are decoded: the next commit would have to fetch the segment for it.
        self._hash.at(end, at_hand)
        self._segments.add(first, records)

    def _sync_tails(self) -> None:
        for tail in (*self._full, self._tail):
            tail.sync(self._lock)

    def _records(self, start: int, end: int) -> Iterator[Record]:
        """The records at positions `start` to `end`, wherever they are."""
        yield from self._segments.records(start, end)
        for tail in (*self._full, self._tail):
            yield from _decoded(tail.lines[max(0, start - tail.first) : max(0, end - tail.first)])

    def _new_tail(self, first: int, file: files.AppendFile | None) -> Tail:
        return Tail(first, file, self._write_tail, self._keep_error)

    def _write_tail(self, data: bytes) -> files.AppendFile:
        path = self._next_path()
        files.publish_bytes(self._tmp, path, data)
        return files.AppendFile.open(path, create=False)

    def _next_path(self) -> Path:
        return self._folder / tail_name(next(self._numbers))

    def _keep_error(self, error: DiskError) -> None:
        self._error = self._error or error

    def _check_own(self) -> None:
        if self._foreign:
            raise RunEnded(self._run, self._refusal)

    def _disown(self) -> None:
        """Locks may be held by threads that the child does not have."""
        self._lock, self._background = threading.Lock(), threading.Lock()
        self._refusal, self._foreign = "its process was forked, and only the parent writes it", True
        self._full = []


class _Segments:
    """The sealed part of a log: its list in memory and on disk, the objects by `put` and `get`."""

    def __init__(self, path: Path, tmp: Path, put: Put, get: Get) -> None:
        self._path, self._tmp, self._put, self._get = path, tmp, put, get
        self._log = ""
        self._list = b""
        self._sealed: list[Sealed] = []

    def take_over(self, log: str, listed: bytes) -> None:
        """Goes on from what the list's file holds; damaged lines stay in it, a lost first line is made up for."""
        self._log = log
        self._list = listed[: listed.rfind(b"\n") + 1]
        if not decode_list(self._list).log:
            self._list += encode_log_id(log)
        self._sealed = decode_list(self._list).segments

    def add(self, first: int, records: list[Record]) -> None:
        """Makes a segment of records, and lists it; on disk when this returns."""
        address = self._put(encode_segment(self._log, first, records))
        sealed = Sealed(address, first, len(records), sum(map(_points_in, records)))
        grown = self._list + encode_sealed(sealed)
        # Replaced, not appended to: 140 bytes a segment, and there is no torn end to mend and no failed fsync to remember.
        files.replace_bytes(self._tmp, self._path, grown)
        self._list = grown
        self._sealed.append(sealed)

    def records(self, start: int, end: int) -> Iterator[Record]:
        """The records at positions `start` to `end` that are sealed; those that a damaged segment lost are left out."""
        for sealed in self._sealed:
            if sealed.first < end and sealed.end > start:
                part = sealed_part(self._log, sealed, self._get)
                if part.columns is None and isinstance(part.error, DiskError):
                    raise part.error  # Not lost: the next call may read it.
                yield from part.records(start, end)


def _disown_all() -> None:
    for writer in list(_writers):
        writer._disown()  # noqa: SLF001


os.register_at_fork(after_in_child=_disown_all)


def _decoded(lines: Iterable[bytes]) -> Iterator[Record]:
    return (decode_record(line[PREFIX:-1])[1] for line in lines)


def _points_in(record: Record) -> int:
    return (len(record.values) or 1) if isinstance(record, Points | Summary) else 1


