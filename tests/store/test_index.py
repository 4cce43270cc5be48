import os
import sqlite3
import subprocess
import sys

import pytest

import onyxstore as onyx
from onyxstore.store.index import Fresh, Index, index_path, remove_index
from onyxstore.store.index_rows import StoredRow
from onyxstore.store.kept import NOTHING
from tests.store.query.conftest import figures, row
from tests.store.test_index_rows import exact


def stored(name="run", **fields):
    return StoredRow(7, "", row(name, curves={"loss": figures(1.0, 0.5)}, **fields))


def kept_by(layout):
    """The rows that the index holds, read by a connection of their own."""
    index = Index(layout)
    try:
        return {folder: exact(found.row) for folder, found in index.rows().items()}
    finally:
        index.close()


@pytest.fixture
def layout(doors):
    return doors.layout


@pytest.fixture
def index(layout):
    made = Index(layout)
    made.write([Fresh("a", stored("a"), NOTHING), Fresh("b", stored("b"), None)])
    yield made
    made.close()


def test_what_was_written_is_there_for_the_next(index, layout):
    assert kept_by(layout) == {name: exact(stored(name).row) for name in "ab"}
    assert (exact(index.row("a").row), index.row("c")) == (exact(stored("a").row), None)
    assert (index.kept("a"), index.kept("b")) == (NOTHING, None)


def test_a_later_row_takes_the_place_of_an_earlier_one(index, layout):
    index.write([Fresh("a", stored("A", step=99), None)])
    assert kept_by(layout)["a"] == exact(stored("A", step=99).row)


def test_runs_that_are_gone_are_forgotten(index, layout):
    index.forget(["a", "nobody"])
    index.forget([])
    assert (list(kept_by(layout)), index.kept("a")) == (["b"], None)


def test_removed_nothing_of_it_is_left(index, layout):
    remove_index(layout)
    assert (list(layout.cache.iterdir()), kept_by(layout)) == ([], {})


# ------------------------------------------------------------------------------------------------------------------ damage


def flip_digits(path):
    path.write_bytes(path.read_bytes().replace(b'"finished"', b'"finishes"'))


DAMAGES = {
    "noise": lambda path: path.write_bytes(os.urandom(5000)),
    "nothing": lambda path: path.write_bytes(b""),
    "half of it": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "a head of noise": lambda path: path.write_bytes(os.urandom(100) + path.read_bytes()[100:]),
    "another database": lambda path: (path.unlink(), sqlite3.connect(path).execute("CREATE TABLE runs (a)").connection.close()),
    "its tables and a trigger": lambda path: sqlite3.connect(path).executescript(
        "CREATE TRIGGER t AFTER INSERT ON runs BEGIN DELETE FROM runs; END"
    ),
    "its tables and a view": lambda path: sqlite3.connect(path).executescript("CREATE VIEW v AS SELECT * FROM runs"),
    "a row that is none": lambda path: sqlite3.connect(path, isolation_level=None).execute("UPDATE runs SET facts = NULL"),
    "a row of another kind": lambda path: sqlite3.connect(path, isolation_level=None).execute("UPDATE kept SET kept = x'00ff'"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_index_is_made_anew(index, layout, damage):
    index.close()
    damage(index_path(layout))
    first = Index(layout)
    first.rows(), first.kept("a")
    first.write([Fresh("c", stored("c"), None)])
    first.close()
    assert kept_by(layout)["c"] == exact(stored("c").row)


def test_a_row_that_fails_its_checksum_is_no_row(index, layout):
    index.close()
    flip_digits(index_path(layout))
    assert kept_by(layout) == {}


def test_another_form_of_rows_is_another_index(index, layout, monkeypatch):
    index.close()
    newer = tuple(f"{each} " for each in ("CREATE TABLE kept (folder PRIMARY KEY, kept, mark /* 2 */)", "CREATE TABLE runs (a)"))
    monkeypatch.setattr("onyxstore.store.index._TABLES", tuple(each.strip() for each in newer))
    assert kept_by(layout) == {}


# ------------------------------------------------------------------------------------------------- where it cannot be had


def test_without_sqlite_there_is_none(layout, monkeypatch):
    monkeypatch.setitem(sys.modules, "sqlite3", None)
    index = Index(layout)
    index.write([Fresh("a", stored("a"), None)])
    assert (index.rows(), index.row("a"), index_path(layout).exists()) == ({}, None, False)


def test_no_link_leads_out_of_the_store(layout, tmp_path):
    layout.cache.mkdir()
    (tmp_path / "elsewhere").write_bytes(b"")
    index_path(layout).symlink_to(tmp_path / "elsewhere")
    index = Index(layout)
    index.write([Fresh("a", stored("a"), None)])
    assert (index.rows(), (tmp_path / "elsewhere").read_bytes()) == ({}, b"")


def test_a_busy_index_is_not_waited_for_and_not_damaged(index, layout, monkeypatch):
    monkeypatch.setattr("onyxstore.store.index.PATIENCE", 0.0)
    other = sqlite3.connect(index_path(layout), isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    busy = Index(layout)
    assert (busy.rows(), busy.write([Fresh("c", stored("c"), None)])) == ({}, None)
    busy.close()
    other.execute("ROLLBACK")
    assert list(kept_by(layout)) == ["a", "b"]


@pytest.fixture
def read_only(make_small_disk):
    """A store with a run on a disk that is made read-only when it is called."""
    store = onyx.Store.init(make_small_disk("16m"))
    with store.start_run("a") as run:
        run.log({"loss": 1.0})

    def close():
        subprocess.run(["mount", "-o", "remount,ro", str(store.folder)], check=True)
        return store

    return store, close


def test_a_store_that_cannot_be_written_is_listed_without(read_only):
    _, close = read_only
    store = close()
    assert ([run.name for run in store.runs("loss == 1")], store._doors.layout.cache.exists()) == (["a"], False)


def test_an_index_that_cannot_be_written_answers_all_the_same(read_only, monkeypatch):
    store, close = read_only
    monkeypatch.setattr("onyxstore.store.listing._clock", lambda _: 2**63)
    store.runs()
    close()
    monkeypatch.setattr("onyxstore.store.run_reading.read_run", lambda *_: pytest.fail("it was read again"))
    assert [run.name for run in store.runs("loss == 1")] == ["a"]


# ---------------------------------------------------------------------------------------------------------- several at once

WRITER = """
from onyxstore.store.doors import open_doors
from onyxstore.store.index import Fresh, Index
from onyxstore.store.index_rows import StoredRow
from tests.store.query.conftest import row
from pathlib import Path
layout = open_doors(Path(".onyx")).layout
print("ready", flush=True)
sys.stdin.readline()
for number in range(40):
    index = Index(layout)
    index.write([Fresh(f"{sys.argv[1]}-{number}", StoredRow(1, "", row(f"{sys.argv[1]}-{number}")), None)])
    assert all(found.row.name == folder for folder, found in index.rows().items())
    index.close()
"""


def test_several_processes_write_at_once_and_the_index_stays_whole(script, layout):
    writers = [script(WRITER, name) for name in ("a", "b", "c")]
    for writer in writers:
        assert writer.read() == "ready"
    for writer in writers:
        writer.process.stdin.write("go\n")
        writer.process.stdin.flush()
    assert [writer.end() for writer in writers] == [(0, "")] * 3
    found = kept_by(layout)
    assert len(found) > 0
    assert sqlite3.connect(index_path(layout)).execute("PRAGMA integrity_check").fetchall() == [("ok",)]


REBUILDER = """
import onyxstore as onyx
store = onyx.Store.open()
print("ready", flush=True)
sys.stdin.readline()
for number in range(10):
    names = sorted(run.name for run in store.runs("loss < 10"))
    assert names == ["run-1", "run-2", "run-3"], names
"""


def test_it_may_be_deleted_while_others_use_it(script, store, layout):
    for number in (1, 2, 3):
        with store.start_run(f"run-{number}") as run:
            run.log({"loss": float(number)})
    users = [script(REBUILDER) for _ in range(2)]
    for user in users:
        assert user.read() == "ready"
        user.process.stdin.write("go\n")
        user.process.stdin.flush()
    while any(user.process.poll() is None for user in users):
        remove_index(layout)
    assert [user.end() for user in users] == [(0, "")] * 2
