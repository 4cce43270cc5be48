"""Notes on commits: they change no address, survive what happens to their run, and are there for every reader."""

import shutil

import pytest

import onyxstore as onyx
from onyxstore.errors import BadInput, BadMetric, UnknownName
from onyxstore.history.notes import Note


@pytest.fixture
def commit(store, save):
    with store.start_run("a") as run:
        return save(run, 1)


def said_of(commit):
    return [(note.words, dict(note.metrics)) for note in commit.notes]


def test_notes_lie_beside_the_commit_in_the_order_in_which_they_came(store, commit, save):
    other = store.commit("a")
    note = commit.add_note("  fails on long inputs\n", {"f1": 0.5, "nested": {"top": 1}})
    commit.add_note(metrics={"f1": 0.6})
    other.add_note("of another")
    assert type(note) is Note
    assert said_of(commit) == [("fails on long inputs", {"f1": 0.5, "nested/top": 1}), (None, {"f1": 0.6})]
    assert said_of(store.commit(commit.address)) == said_of(commit)
    assert (said_of(other), store.fsck().damage) == ([("of another", {})], [])


def test_a_table_shows_a_noted_metric_where_there_is_no_other(store, commit):
    commit.add_note(metrics={"f1": 0.5, "loss": 9})
    commit.add_note(metrics={"f1": 0.7})
    with store.start_run("a", resume=True) as run:
        run.log({"loss": 1.0})
    assert [store.run("a").value_of(metric) for metric in ("f1", "loss", "none")] == [0.7, 1.0, None]


def test_a_live_run_is_no_hindrance(store, save):
    with store.start_run("a") as run:
        commit = save(run, 1)
        store.commit(commit.address).add_note("while it runs")
        save(run, 2)
    assert said_of(commit) == [("while it runs", {})]


@pytest.mark.parametrize(
    ("words", "metrics", "error"),
    [
        (None, None, BadInput),
        ("  ", {}, BadInput),
        (5, None, BadInput),
        ("\ud800", None, BadInput),
        ("x" * 100_001, None, BadInput),
        ("x", {"f1": "high"}, BadMetric),
        ("x", {"": 1}, onyx.OnyxError),
        ("x", {"f1": 10**400}, BadMetric),
    ],
)
def test_what_is_no_note_is_refused_and_leaves_nothing(store, commit, words, metrics, error):
    with pytest.raises(error):
        commit.add_note(words, metrics)
    assert not (store.folder / ".onyx" / "runs" / "a" / "notes").exists()


def test_of_a_run_that_is_gone_nothing_can_be_noted(store, commit):
    store.tag("v", commit.address)
    commit.add_note("before")
    store.run("a").remove()
    with pytest.raises(UnknownName, match="the store has no run called 'a'"):
        store.commit("v").add_note("after")
    assert said_of(store.commit("v")) == []
    store.trash.restore("a")
    assert said_of(store.commit("v")) == [("before", {})]


def test_a_note_that_is_killed_anywhere_is_there_whole_or_not_at_all(store, commit, folder, killed_at):
    commit.add_note("first")
    copy, calls, was_killed = folder / "copy", 0, True
    while was_killed:
        shutil.copytree(folder / ".onyx", copy / ".onyx")
        was_killed = killed_at(calls, lambda: onyx.Store.open(copy).commit(commit.address).add_note("second", {"f1": 1}))
        found = onyx.Store.open(copy)
        assert said_of(found.commit(commit.address)) in ([("first", {})], [("first", {}), ("second", {"f1": 1})])
        found.commit(commit.address).add_note("third")
        assert (said_of(found.commit(commit.address))[-1], found.fsck().damage) == (("third", {}), [])
        shutil.rmtree(copy)
        calls += 1
    assert calls > 1


def test_notes_of_several_processes_are_all_there(store, commit, script):
    noting = """
commit = onyx.Store.open().commit(sys.argv[1])
for number in range(50):
    commit.add_note(f"{sys.argv[2]} {number}", {"n": number})
"""
    writers = [script(noting, commit.address, name) for name in "xyz"]
    assert [writer.end() for writer in writers] == [(0, "")] * 3
    found = said_of(commit)
    assert sorted(found, key=str) == sorted([(f"{name} {n}", {"n": n}) for name in "xyz" for n in range(50)], key=str)


def test_a_damaged_note_is_named_and_the_others_are_read(store, commit):
    for words in ("one", "two", "three"):
        commit.add_note(words)
    path = store.folder / ".onyx" / "runs" / "a" / "notes"
    path.write_bytes(path.read_bytes().replace(b"two", b"tw0"))
    assert said_of(commit) == [("one", {}), ("three", {})]
    assert [finding.where for finding in store.fsck().damage] == ["runs/a/notes"]
    path.write_bytes(path.read_bytes()[:-5])
    assert said_of(commit) == [("one", {})]
    commit.add_note("four")
    assert said_of(commit) == [("one", {}), ("four", {})]
