"""A metric log as it is read: at any time, also while its writer appends and seals.

    segments        the list of sealed segments (`sealed`), replaced whole; the segments are objects (`segments`)
    tail-NNNNNN     what is not sealed: checked lines (`line`), in files counted up through the log's life
    damaged-NNNNNN  a tail that was damaged when its run was resumed; its whole records were sealed, nothing reads it any more

A writer seals in an order that leaves every record in one of the two places at each moment, or in both: new tail file, segment
object, its line in the list, removal of the old tail. So a reader that finds the same list before and after it read the tails has
seen everything that was there before it began.

Lines carry their positions. A record that stands in two files is the same record (a tail is written again when its disk failed);
a position that stands in none is lost, and said. Bytes of an unfinished line at the end of a tail were never acknowledged: a note.

What needs columns imports them when they are asked for: numpy takes 90 ms, and whoever follows a tail can do without.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from onyxstore.disk import files
from onyxstore.disk.lines import PREFIX, split_lines
from onyxstore.errors import Damage, DiskError, NotHere, OnyxError, short_words
from onyxstore.hashing import Address
from onyxstore.history.metrics.line import decode_record
from onyxstore.history.metrics.prefix import LogPrefix, RunningHash
from onyxstore.history.metrics.records import Record
from onyxstore.history.metrics.sealed import Sealed, SealedList, decode_list

if TYPE_CHECKING:
    from onyxstore.history.metrics.columns import Columns

Get = Callable[[Address], bytes]

SEGMENTS = "segments"
LARGEST_LIST = 1 << 28
LARGEST_TAIL = 1 << 30
"""A tail is sealed at 65,536 points, some 10 MB; more stands there only while nothing could be sealed."""

_TAIL = re.compile(r"(?:tail|damaged)-\d{6,12}")


class Part:
    """Consecutive records of a log, from position `first` on. They are fetched when they are first asked for, then kept.

    Those of a tail are `listed` already, and become columns when somebody asks for these.
    """

    def __init__(self, first: int, count: int, fetch: Callable[[], Columns], listed: list[Record] | None = None) -> None:
        self.first, self.count, self._fetch, self._listed = first, count, fetch, listed
        self.error: OnyxError | ValueError | None = None

    @property
    def end(self) -> int:
        """The position after the last record."""
        return self.first + self.count

    @cached_property
    def columns(self) -> Columns | None:
        """The records as columns; None when they are missing or damaged, `error` says how. DiskError for what may pass, as a permission."""
        try:
            return self._fetch()
        except DiskError as error:
            if error.errno != errno.EIO:
                raise
            self.error = error
        except (NotHere, Damage, ValueError) as error:
            self.error = error
        return None

    def records(self, start: int, end: int) -> Iterator[Record]:
        """The records at the log's positions `start` to `end` that are in this part and can be read."""
        if start >= self.end or end <= self.first:
            return
        wanted = slice(max(0, start - self.first), end - self.first)
        if self._listed is not None:
            yield from self._listed[wanted]
        elif self.columns is not None:
            from onyxstore.history.metrics.columns import records_of  # noqa: PLC0415 - see above

            yield from islice(records_of(self.columns), wanted.start, wanted.stop)


@dataclass(frozen=True)
class Log:
    """A metric log as it was at one moment; `position` counts its records, those that are lost included."""

    id: str
    position: int
    parts: tuple[Part, ...]
    sealed: int
    """How many of the parts are segments; those after them come from tails."""
    notes: tuple[str, ...] = ()
    losses: tuple[str, ...] = ()
    """The damage that is known without fetching a segment."""
    damaged_tails: tuple[str, ...] = ()
    """The names of tails in which lines cannot be read, whether or not that lost something."""

    @property
    def damage(self) -> tuple[str, ...]:
        """What cannot be read, in words; every segment is fetched to know. The rest of the log is whole."""
        failed = (f"{_loss(part.first, part.end)}: {short_words(part.error)}" for part in self.parts if part.columns is None and part.error)
        return (*self.losses, *failed)

    def records(self, start: int = 0, end: int | None = None) -> Iterator[Record]:
        """The records at positions `start` to `end` (to the last without one) that can be read, in order."""
        stop = self.position if end is None else end
        for part in self.parts:
            yield from part.records(start, stop)

    def verify(self, prefix: LogPrefix) -> bool:
        """Whether the log still begins with this prefix, record for record."""
        if prefix.id != self.id or not 0 <= prefix.position <= self.position:
            return False
        return RunningHash().at(prefix.position, self.records) == prefix.hash


def read_log(folder: Path, get: Get) -> Log:
    """The metric log of a run's folder; an empty one, without an id, where there is none.

    `get` fetches a segment's bytes by its address; it may raise what an object store raises, which is damage of that segment alone.
    """
    while True:
        listed = read_list(folder)
        try:
            tails = {name: files.read_bounded(folder / name, LARGEST_TAIL) for name in tail_names(folder)}
        except FileNotFoundError:
            continue  # It was sealed and removed, so the list has changed.
        if read_list(folder) == listed:
            return _assemble(decode_list(listed), tails, get)


def sealed_part(log: str, sealed: Sealed, get: Get) -> Part:
    """A listed segment as a part of the log with this id."""
    return Part(sealed.first, sealed.records, partial(_fetch, log, sealed, get))


def tail_names(folder: Path, kind: str = "tail") -> list[str]:
    """The tails of a log (or those that are `damaged`, set aside), oldest first."""
    names = (name for name in files.list_folder(folder) if _TAIL.fullmatch(name) and name.startswith(kind))
    return sorted(names, key=tail_number)


def tail_name(number: int, kind: str = "tail") -> str:
    """The name of a log's tail file by its number."""
    return f"{kind}-{number:06d}"


def tail_number(name: str) -> int:
    """The number in the name of a tail, or of one that was set aside."""
    return int(name.partition("-")[2])


def read_list(folder: Path) -> bytes:
    """The bytes of the list of segments; none when there is no file."""
    try:
        return files.read_bounded(folder / SEGMENTS, LARGEST_LIST)
    except FileNotFoundError:
        return b""


# ---------------------------------------------------------------------------------------------------------------- private


@dataclass(frozen=True)
class _Tail:
    """What one tail file holds: its whole records by position, how far it reaches when damaged lines at its end are counted, notes."""

    records: dict[int, Record]
    reach: int
    notes: tuple[str, ...]
    damaged: bool


def _assemble(listed: SealedList, tails: dict[str, bytes], get: Get) -> Log:
    parts = [sealed_part(listed.log, sealed, get) for sealed in listed.segments]
    read = {name: _decode_tail(name, data, listed.end) for name, data in tails.items()}
    records = {position: record for tail in read.values() for position, record in tail.records.items()}
    parts += [Part(first, len(run), partial(_as_columns, run), run) for first, run in _consecutive(records)]
    position = max((listed.end, *(tail.reach for tail in read.values())))
    losses = [_loss(start, end) for start, end in _gaps(parts, position)]
    if listed.damaged:
        losses.insert(0, f"the list of segments is damaged: {listed.damaged} of its lines cannot be read")
    elif tails and not listed.log:
        losses.insert(0, "the list of segments is missing")
    notes = tuple(note for tail in read.values() for note in tail.notes)
    damaged = tuple(name for name, tail in read.items() if tail.damaged)
    return Log(listed.log, position, tuple(parts), len(listed.segments), notes, tuple(losses), damaged)


def _decode_tail(name: str, data: bytes, sealed: int) -> _Tail:
    lines = split_lines(data)
    damaged, spans = dict(lines.damaged), list(lines.damaged)
    records: dict[int, Record] = {}
    offset = whole = 0
    for payload in lines.payloads:
        while offset in damaged:
            offset += damaged[offset]
        end = offset + PREFIX + len(payload) + 1
        try:
            position, record = decode_record(payload)
        except ValueError:
            spans.append((offset, end - offset))
        else:
            records[position] = record
            whole = end
        offset = end
    # A damaged line between whole ones is missed by their positions; one after the last must be counted to be missed.
    reach = max(records, default=sealed - 1) + 1 + sum(start >= whole for start, _ in spans)
    notes = [f"{name}: {length} damaged bytes at {start}" for start, length in sorted(spans)]
    if lines.torn:
        notes.append(f"{name}: {lines.torn} bytes of an unfinished line at the end")
    return _Tail({position: record for position, record in records.items() if position >= sealed}, reach, tuple(notes), bool(spans))


def _as_columns(records: list[Record]) -> Columns:
    from onyxstore.history.metrics.columns import columns_of  # noqa: PLC0415 - see above

    return columns_of(records)


def _fetch(log: str, sealed: Sealed, get: Get) -> Columns:
    from onyxstore.history.metrics.segments import decode_segment  # noqa: PLC0415 - see above

    segment = decode_segment(get(sealed.segment))
    if (segment.log, segment.first, len(segment.columns)) != (log or segment.log, sealed.first, sealed.records):
        raise ValueError(f"the segment {sealed.segment} is of another log or position")
    return segment.columns


def _consecutive(records: dict[int, Record]) -> list[tuple[int, list[Record]]]:
    """The records in order, cut where a position is missing: each run with its first position."""
    runs: list[tuple[int, list[Record]]] = []
    for position in sorted(records):
        if not runs or position != runs[-1][0] + len(runs[-1][1]):
            runs.append((position, []))
        runs[-1][1].append(records[position])
    return runs


def _gaps(parts: list[Part], position: int) -> Iterator[tuple[int, int]]:
    """The positions below `position` that no part holds, as (start, end)."""
    end = 0
    for part in parts:
        if part.first > end:
            yield end, part.first
        end = part.end
    if position > end:
        yield end, position


def _loss(start: int, end: int) -> str:
    return f"record {start} is lost" if end == start + 1 else f"records {start} to {end - 1} are lost"
