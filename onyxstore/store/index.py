"""The index: rows of runs that were read before, in `cache/index.sqlite`.

It is derived. A row stands for its run as long as the files that it was read from have the same stamps; what is missing, has other
stamps, or fails its checksum is read again from the run itself. So the index may be deleted, half written or wrong at any time. Nobody
waits for it and nothing fails by it: one that is busy, or cannot be written, is done without; one that is damaged is removed and made
anew.

SQLite makes its own system calls, so nothing may stand in it but what can be derived. It is told not to sync: what a power cut leaves
is found by the checksums.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from onyxstore.disk import files
from onyxstore.disk.layout import Layout
from onyxstore.errors import OnyxError
from onyxstore.store.index_rows import TEXTS, Part, StoredRow, decode_row, encode_row

if TYPE_CHECKING:
    import sqlite3

    from onyxstore.store.kept import Kept

T = TypeVar("T")

PATIENCE = 0.2
"""Seconds that another process's writing is waited for: it takes a tenth of that for a thousand runs."""

_TABLES = (
    # The number is that of the form in which rows are written. Another one is another table, and then the file is made anew.
    "CREATE TABLE kept (folder PRIMARY KEY, kept, mark /* 1 */)",
    "CREATE TABLE runs (folder PRIMARY KEY, facts, configs, logged, given, numbers, others, mark /* 1 */)",
)


class Fresh(NamedTuple):
    """What was read of a run, to be kept: its folder's name, its row, and what a next reading goes on from, if one is to come."""

    folder: str
    row: StoredRow
    kept: Kept | None


def index_path(layout: Layout) -> Path:
    """The file; SQLite puts a journal beside it while it writes."""
    return layout.cache / "index.sqlite"


def remove_index(layout: Layout) -> None:
    """Removes all that the index holds, as it must be when something is to be gone from the store for good."""
    path = index_path(layout)
    for each in (path, path.with_name(f"{path.name}-journal")):
        files.remove(each)


class Index:
    """The index of one store, open; every method answers with nothing where the index cannot be had."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._connection = self._open()

    def close(self) -> None:
        """Lets go of it."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def rows(self) -> dict[str, StoredRow]:
        """Every row, by its run's folder."""

        def read(connection: sqlite3.Connection) -> dict[str, StoredRow]:
            return {row[0]: decode_row(row[1:-1]) for row in connection.execute("SELECT * FROM runs") if _mark(row[:-1]) == row[-1]}

        return self._ask(read, {})

    def row(self, folder: str) -> StoredRow | None:
        """The row of one run."""

        def read(connection: sqlite3.Connection) -> StoredRow | None:
            found = connection.execute("SELECT * FROM runs WHERE folder = ?", (folder,))
            return next((decode_row(row[1:-1]) for row in found if _mark(row[:-1]) == row[-1]), None)

        return self._ask(read, None)

    def kept(self, folder: str) -> Kept | None:
        """What the last reading of a run kept."""
        from onyxstore.store.kept import decode_kept  # noqa: PLC0415 - only who reads runs needs it

        def read(connection: sqlite3.Connection) -> Kept | None:
            found = connection.execute("SELECT * FROM kept WHERE folder = ?", (folder,))
            return next((decode_kept(row[1]) for row in found if _mark(row[:-1]) == row[-1]), None)

        return self._ask(read, None)

    def write(self, fresh: Iterable[Fresh]) -> None:
        """Keeps what was read, in one short transaction."""
        from onyxstore.store.kept import encode_kept  # noqa: PLC0415 - see above

        runs = [(each.folder, *encode_row(each.row)) for each in fresh]
        kept = [(each.folder, encode_kept(each.kept)) for each in fresh if each.kept is not None]

        def write(connection: sqlite3.Connection) -> None:
            connection.executemany("INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?)", map(_marked, runs))
            connection.executemany("INSERT OR REPLACE INTO kept VALUES (?, ?, ?)", map(_marked, kept))

        self._ask(write, None, is_writing=True)

    def forget(self, folders: Iterable[str]) -> None:
        """Drops the rows of runs that are gone."""
        gone = [(folder,) for folder in folders]

        def write(connection: sqlite3.Connection) -> None:
            connection.executemany("DELETE FROM runs WHERE folder = ?", gone)
            connection.executemany("DELETE FROM kept WHERE folder = ?", gone)

        if gone:
            self._ask(write, None, is_writing=True)

    # ------------------------------------------------------------------------------------------------------------ private

    def _open(self) -> sqlite3.Connection | None:
        try:
            # Imported here: 5 ms, which only those pay who ask for many runs; and Python may have been built without it.
            import sqlite3  # noqa: PLC0415
        except ImportError:
            return None
        for _ in range(2):
            try:
                if not files.exists(self._layout.cache):
                    files.make_folder(self._layout.cache)
                files.refuse_link(index_path(self._layout))
            except (OnyxError, FileNotFoundError):
                return None
            try:
                connection = sqlite3.connect(index_path(self._layout), timeout=PATIENCE, isolation_level=None)
            except sqlite3.Error:
                return None
            try:
                return _prepared(connection)
            except (sqlite3.Error, ValueError) as error:
                connection.close()
                if not self._remove_damaged(error):
                    return None
        return None

    def _ask(self, act: Callable[[sqlite3.Connection], T], otherwise: T, *, is_writing: bool = False) -> T:
        """What `act` says; `otherwise` when the index cannot be had, or not now."""
        connection = self._connection
        if connection is None:
            return otherwise
        import sqlite3  # noqa: PLC0415 - loaded by now

        try:
            if not is_writing:
                return act(connection)
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                return act(connection)
        except (sqlite3.Error, ValueError, TypeError, IndexError, KeyError) as error:
            # The last four: a row with the right checksum and another form, which nobody but somebody else's program writes.
            if self._remove_damaged(error):
                self.close()
                self._connection = self._open()
            return otherwise

    def _remove_damaged(self, error: Exception) -> bool:
        """Removes an index that is not as it was written; False when it is only busy, or cannot be read or written here."""
        import sqlite3  # noqa: PLC0415 - loaded by now

        damaged = {sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_SCHEMA}
        code = getattr(error, "sqlite_errorcode", None)
        if code is not None and code & 0xFF not in damaged:
            return False
        try:
            remove_index(self._layout)
        except OnyxError:
            return False
        return True


def _prepared(connection: sqlite3.Connection) -> sqlite3.Connection:
    """The connection with our tables in its file; ValueError when that holds others."""
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA synchronous = OFF")
    found = _tables(connection)
    if not found:
        with connection:
            # Eight of them hold a hundred runs, which are then read at once.
            connection.execute("PRAGMA page_size = 32768")
            connection.execute("BEGIN IMMEDIATE")
            for table in _TABLES if not _tables(connection) else ():
                connection.execute(table)
        found = _tables(connection)
    if found != _TABLES:
        raise ValueError("it holds other tables")
    return connection


def _tables(connection: sqlite3.Connection) -> tuple[str, ...]:
    """All that is defined in the file; nothing but our tables may be, since a trigger or a view would act for us."""
    return tuple(row[0] for row in connection.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name"))


def _marked(columns: Sequence[Part]) -> tuple[Part | int, ...]:
    return (*columns, _mark(columns))


def _mark(columns: Sequence[Any]) -> int:
    """The checksum of a row: of its text, and of the bytes behind that."""
    end = len(columns) if len(columns) < TEXTS else TEXTS + 1
    return zlib.crc32(b"".join(columns[end:]), zlib.crc32("\0".join(columns[:end]).encode()))
