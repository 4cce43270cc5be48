"""All runs of a store as rows: from the index where that still holds, from the runs themselves where it does not.

The files of a run and its refs are replaced, not changed in place, and then the change time of their folder is another. So only three
stamps are looked at, of the two folders and of the state (who damages that shall see it), and a run is read again when one of them is
another: 9 µs a run, where reading it takes 2 ms. Notes and the tails of a metric log grow in place; where there were any, these are
looked at too. A stamp tells two contents apart only once the clock has moved on since the file was written: what is younger than that
is read again next time.
"""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from onyxstore.disk import files
from onyxstore.disk.locks import is_locked
from onyxstore.disk.refs import RUNS
from onyxstore.errors import OnyxError, short_words
from onyxstore.names import fold
from onyxstore.store.doors import Doors
from onyxstore.store.index import Fresh, Index
from onyxstore.store.index_rows import StoredRow
from onyxstore.store.run_rows import RunRow

if TYPE_CHECKING:
    from onyxstore.store.run_reading import Reading

GROWING = {"running", "crashed", "open"}
"""Statuses of runs that will be read again, and may go on from what is known."""

AT_ONCE = 256
"""Runs that are written to the index together: who is interrupted among thousands has read most of them for good."""


class Listing(NamedTuple):
    """The rows, the newest run first; and the runs of which something cannot be read, with what. Some of these have a row too."""

    rows: Sequence[RunRow]
    damaged: Mapping[str, str]


Stamps = tuple[files.Stamp, files.Stamp | None, files.Stamp | None, int]
"""Of a run's state, its folder, and the folder of its refs; and a checksum of what the settings say that runs follow."""


def list_runs(doors: Doors) -> Listing:
    """Every run of the store."""
    with contextlib.closing(Index(doors.layout)) as index:
        known = index.rows()
        stamps = dict(_all_stamps(doors))
        rows = {folder: row for folder in stamps if (row := _still(doors, index, folder, stamps[folder], known.get(folder))) is not None}
        damaged: dict[str, str] = {}
        for folder, reading in _read_again(doors, index, {each: stamps[each] for each in stamps if each not in rows}, damaged):
            rows[folder] = reading.row
        index.forget(known.keys() - stamps.keys())
    return Listing(sorted(rows.values(), key=lambda row: (-row.created, fold(row.name))), dict(sorted(damaged.items())))


def find_rows(doors: Doors, names: Iterable[str]) -> dict[str, RunRow]:
    """The rows of a few runs by their names, as far as the index has them and they still hold."""
    found: dict[str, RunRow] = {}
    with contextlib.closing(Index(doors.layout)) as index:
        for name in names:
            stamps = _stamps(_places(doors), fold(name))
            row = None if stamps is None else _still(doors, index, fold(name), stamps, index.row(fold(name)))
            found |= {} if row is None else {name: row}
    return found


# ---------------------------------------------------------------------------------------------------------------- private


def _all_stamps(doors: Doors) -> Iterator[tuple[str, Stamps]]:
    """The stamps of each run, by its folder's name."""
    places = _places(doors)
    for folder in files.list_folder(doors.layout.runs):
        stamps = _stamps(places, folder)
        if stamps is not None:
            yield folder, stamps


def _places(doors: Doors) -> tuple[str, str, int]:
    """Where the folders of runs and of their refs lie, as text, and the checksum of the settings."""
    followed = f"{doors.settings.best_mode} {doors.settings.best_metric}"
    return str(doors.layout.runs), str(doors.layout.refs / RUNS), zlib.crc32(followed.encode())


def _stamps(places: tuple[str, str, int], folder: str) -> Stamps | None:
    """The stamps of a run; None when there is none."""
    runs, refs, settings = places
    state = files.stamp(f"{runs}/{folder}/state")
    return None if state is None else (state, files.stamp(f"{runs}/{folder}"), files.stamp(f"{refs}/{folder}"), settings)


def _still(  # noqa: PLR0911 - each return answers one of the ways in which a row may be out of date
    doors: Doors, index: Index, folder: str, stamps: Stamps, stored: StoredRow | None
) -> RunRow | None:
    """The stored row, with what a live run has logged since; None when the run has to be read again."""
    # Python's hash of whole numbers: the same in each process, and of another release at worst another.
    if stored is None or stored.stamp != hash(stamps) or fold(stored.row.name) != folder:
        return None
    row = stored.row
    is_dated = row.status in {"running", "crashed"}
    if not is_dated and not stored.growing:
        return row
    if is_dated:
        row = row._replace(status="running" if is_locked(doors.layout.run(folder) / "lock") else "crashed")
        if row.status == "crashed" and files.stamp(f"{doors.layout.run(folder)}/state") != stamps[0]:
            return None  # It ended between the two looks.
    growing = _growing(doors, folder)
    if growing == stored.growing:
        return row if row.status == "running" else row._replace(rate=None)
    kept = index.kept(folder)
    if kept is None or growing.partition("\n")[0] != stored.growing.partition("\n")[0]:
        return None
    from onyxstore.store.run_reading import can_carry, carry_row  # noqa: PLC0415 - 10 ms, for who has read all of it before in vain

    with contextlib.suppress(OnyxError):
        log = doors.log(folder)
        if not log.losses and can_carry(kept, log):
            return carry_row(row, kept, log)
    return None


def _growing(doors: Doors, folder: str) -> str:
    """Stamps of the files that grow in their place: of the notes on a line, of the metric log's tails on another; nothing without them."""
    from onyxstore.history.metrics.log import tail_names  # noqa: PLC0415 - see above
    from onyxstore.history.notes import NOTES  # noqa: PLC0415 - see above

    path = doors.layout.run(folder)
    notes, tails = files.stamp(f"{path}/{NOTES}"), [(name, files.stamp(f"{path}/{name}")) for name in tail_names(path)]
    return f"{notes}\n{tails}" if notes or tails else ""


def _read_again(doors: Doors, index: Index, stale: Mapping[str, Stamps], damaged: dict[str, str]) -> Iterator[tuple[str, Reading]]:
    """Reads runs, and keeps what is whole; what is not goes to `damaged`."""
    if not stale:
        return
    from onyxstore.store.kept import NOTHING  # noqa: PLC0415 - see above
    from onyxstore.store.run_reading import read_run  # noqa: PLC0415 - see above

    moved_on = _clock(doors)
    fresh: list[Fresh] = []
    for folder, stamps in stale.items():
        growing = _growing(doors, folder)
        try:
            reading = read_run(doors, folder, index.kept(folder) or NOTHING)
        except FileNotFoundError:
            continue  # It was removed meanwhile.
        except OnyxError as error:
            damaged[folder] = short_words(error)
            continue
        yield folder, reading
        if reading.damage:
            damaged[reading.row.name] = "; ".join(reading.damage)
            continue
        youngest = max(each[0] for each in stamps[:3] if each is not None)
        stored = StoredRow(hash(stamps) if youngest < moved_on else 0, growing, reading.row)
        kept = reading.kept if growing or reading.row.status in GROWING else None
        fresh.append(Fresh(folder, stored, kept))
        if len(fresh) == AT_ONCE:
            index.write(fresh)
            fresh = []
    index.write(fresh)


def _clock(doors: Doors) -> int:
    """Now, by the clock of the files; long ago where the store cannot be written, and so no index either."""
    try:
        return files.clock(doors.layout.tmp)
    except OnyxError:
        return 0
