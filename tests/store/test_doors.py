"""One opened store as a value: what is cached cannot change, all else is read as it is."""

import pytest

import onyxstore as onyx
from onyxstore.errors import CorruptObject, ObjectMissing, StoreNotFound
from onyxstore.store.doors import open_doors


def test_a_commit_is_read_once_and_everything_else_each_time(store, save):
    with store.start_run("a") as run:
        first = save(run, 1)
    doors = open_doors(store.folder / ".onyx")
    record = doors.commit(first.address)
    store._doors.layout.object(first.address).unlink()
    assert doors.commit(first.address) is record
    with pytest.raises(ObjectMissing):
        open_doors(store.folder / ".onyx").commit(first.address)


def test_an_object_that_is_no_commit_or_no_value_is_told_as_damage(doors):
    address = doors.objects.put(b"words")
    for read in (doors.commit, doors.value):
        with pytest.raises(CorruptObject, match=address):
            read(address)
    commit = doors.put_value({"onyx": "commit", "run": "../x"})
    with pytest.raises(CorruptObject):
        doors.commit(commit)


def test_a_value_comes_back_as_it_was_put(doors):
    value = {"a": [1, 1.0, True, None, "ü"], "b": {}}
    assert repr(doors.value(doors.put_value(value))) == repr(value)


def test_states_leave_out_what_is_no_run(store):
    for name in ("b", "A"):
        store.start_run(name).finish()
    (store.folder / ".onyx" / "runs" / "half").mkdir()
    assert [state.name for state in store._doors.states()] == ["A", "b"]


def test_a_line_ends_where_the_run_begins(store, save):
    with store.start_run("a") as run:
        save(run, 1)
    store.start_run("b", parent="a").finish()
    assert [record.message for _, record in store._doors.line("B")] == ["finish", "start"]
    assert list(store._doors.line("nobody")) == []


def test_there_are_no_doors_without_a_store(folder):
    with pytest.raises(StoreNotFound):
        open_doors(folder / ".onyx")
    onyx.Store.init(folder)
    assert open_doors(folder / ".onyx").layout.folder == folder
