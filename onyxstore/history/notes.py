"""Notes: words and metrics attached to a commit after it was made.

    runs/RUN/notes      checked lines, append-only: {"commit": address, "metrics": {name: number…}, "time": ns, "words": text or null}

A commit's address is the hash of what it holds, so what is learnt of it later lies beside it. Nothing takes a note back; of two that
name one metric the later one counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from onyxstore.canonical import read_canonical
from onyxstore.disk import files
from onyxstore.disk.linefile import LARGEST_LOG, append_values
from onyxstore.disk.lines import split_lines
from onyxstore.errors import BadInput
from onyxstore.hashing import Address, is_address
from onyxstore.history.metrics.plain import plain_metrics
from onyxstore.history.metrics.records import Value, is_value
from onyxstore.names import check_metric_name

NOTES = "notes"
LONGEST = 100_000
"""Characters of a note's words: more belongs in an artifact."""


@dataclass(frozen=True)
class Note:
    """One note: of which commit, when (ns), what was said, what was measured."""

    commit: Address
    time: int
    words: str | None
    metrics: Mapping[str, Value]


@dataclass(frozen=True)
class NoteFile:
    """What a run's file of notes holds: the notes, oldest first, and how many whole lines are none."""

    notes: tuple[Note, ...]
    strange: int = 0


def make_note(commit: Address, time: int, words: str | None, metrics: Mapping[str, Any] | None) -> Note:
    """A note of what was handed in; BadInput when that is nothing or no text, BadMetric, BadName."""
    text = words.strip() if type(words) is str else None
    if (words is not None and text is None) or any("\ud800" <= letter <= "\udfff" for letter in text or ""):
        raise BadInput("a note's words are a text")
    if len(text or "") > LONGEST:
        raise BadInput(f"a note has at most {LONGEST:,} characters; keep more as an artifact")
    numbers = dict(plain_metrics(metrics or {}))
    if not text and not numbers:
        raise BadInput("a note needs words or metrics")
    return Note(commit, time, text or None, numbers)


def append_note(run_folder: Path, note: Note) -> None:
    """Adds a note; on disk when this returns. Whoever appends holds the lock on notes."""
    append_values(run_folder / NOTES, [asdict(note)])


def read_notes(run_folder: Path) -> NoteFile:
    """Every note of a run; none when there is no file. Lines that fail their check are left out; fsck names them."""
    try:
        data = files.read_bounded(run_folder / NOTES, LARGEST_LOG)
    except FileNotFoundError:
        return NoteFile(())
    return _decode_file(data)


def noted_metrics(notes: Iterable[Note]) -> dict[str, Value]:
    """The metrics of several notes, oldest first: of each name the last."""
    return {name: value for note in notes for name, value in note.metrics.items()}


# A log asks for the notes of each of its commits: the file is read each time, and taken apart once.
@lru_cache(maxsize=8)
def _decode_file(data: bytes) -> NoteFile:
    found = [_decode(payload) for payload in split_lines(data).payloads]
    return NoteFile(tuple(note for note in found if note is not None), found.count(None))


def _decode(payload: bytes) -> Note | None:
    try:
        value = read_canonical(payload)
        note = Note(value["commit"], value["time"], value["words"], value["metrics"])
        is_whole = set(value) == {"commit", "metrics", "time", "words"} and type(note.metrics) is dict
        sound = is_whole and all(check_metric_name(name) and is_value(number) for name, number in note.metrics.items())
    except (TypeError, KeyError, ValueError):
        return None
    return note if sound and is_address(note.commit) and type(note.time) is int and type(note.words) in {str, type(None)} else None
