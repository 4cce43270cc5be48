"""The list of a log's sealed segments: the file `segments` of a run.

Checked lines of canonical JSON. The first names the log, by an id of 32 hexadecimal digits that no other log has; then a line a
segment, in order:

    {"log": id}
    {"first": position of its first record, "points": values in it, "records": records in it, "segment": address}

A `first` beyond the end of the segment before says that the records between are lost, for good. One that lies before it is a segment
that was listed twice, and counts once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from onyxstore.canonical import canonical_bytes, read_canonical
from onyxstore.disk.lines import encode_line, split_lines
from onyxstore.hashing import Address, is_address
from onyxstore.history.metrics.records import is_int64


@dataclass(frozen=True)
class Sealed:
    """One segment: where it begins, how much is in it."""

    segment: Address
    first: int
    records: int
    points: int

    @property
    def end(self) -> int:
        """The position after its last record."""
        return self.first + self.records


@dataclass(frozen=True)
class SealedList:
    """What a `segments` file says: the log's id (empty when that line is lost), its segments without repeats, the number of bad lines."""

    log: str = ""
    segments: list[Sealed] = field(default_factory=list)
    damaged: int = 0

    @property
    def end(self) -> int:
        """The position after the last sealed record."""
        return self.segments[-1].end if self.segments else 0


def encode_log_id(log: str) -> bytes:
    """The line that names the log."""
    return encode_line(canonical_bytes({"log": log}))


def encode_sealed(sealed: Sealed) -> bytes:
    """The line of a segment."""
    fields = {"segment": sealed.segment, "first": sealed.first, "records": sealed.records, "points": sealed.points}
    return encode_line(canonical_bytes(fields))


def decode_list(data: bytes) -> SealedList:
    """Every whole line of a `segments` file; what is damaged is counted."""
    lines = split_lines(data)
    log, segments, damaged, end = "", [], len(lines.damaged) + bool(lines.torn), 0
    for payload in lines.payloads:
        try:
            entry = _decode_entry(payload)
        except ValueError:
            damaged += 1
            continue
        if isinstance(entry, str):
            log = log or entry
        elif entry.first >= end:
            segments.append(entry)
            end = entry.end
    return SealedList(log, segments, damaged)


def _decode_entry(payload: bytes) -> Sealed | str:
    fields: Any = read_canonical(payload)
    if type(fields) is dict and fields.keys() == {"log"} and type(fields["log"]) is str:
        return str(fields["log"])
    if type(fields) is not dict or fields.keys() != {"segment", "first", "records", "points"} or not is_address(fields["segment"]):
        raise ValueError("a line names a log or a segment")
    if not all(is_int64(fields[name]) and fields[name] >= low for name, low in (("first", 0), ("records", 1), ("points", 0))):
        raise ValueError("a segment has a position and a size")
    return Sealed(**fields)
