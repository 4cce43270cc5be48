import pytest

from onyxstore.errors import UnknownRevision
from onyxstore.store.newest import list_commits


@pytest.fixture
def forked(store, save):
    """Two runs, a fork of one of them, and a tag on a commit that only it names."""
    for name in ("a", "b"):
        with store.start_run(name) as run:
            save(run, 1)
    with store.start_run("c", parent="a~1") as run:
        save(run, 2)
    with store.start_run("gone") as run:
        save(run, 3)
    store.tag("kept", "gone~1")
    store.run("gone").remove()
    return store


def test_the_first_few_are_those_of_all(forked, doors):
    everything = list_commits(doors)
    assert len(everything) == 11
    assert [list_commits(doors, count=count) for count in range(13)] == [everything[:count] for count in range(13)]
    assert [commit.address for commit in forked.commits(count=3)] == everything[:3]


def test_of_a_revision_they_are_what_it_comes_from(forked, doors):
    line = list_commits(doors, "c")
    assert [doors.commit(address).run for address in line] == ["c", "c", "c", "a", "a"]
    assert list_commits(doors, "c", 4) == line[:4]
    with pytest.raises(UnknownRevision):
        list_commits(doors, "nobody", 1)


@pytest.mark.usefixtures("forked")
def test_few_commits_are_read_for_a_few(doors, monkeypatch):
    list_commits(doors, count=1)
    fresh = type(doors)(doors.layout, doors.objects, doors.refs, doors.trash, doors.settings)
    read, commit = set(), type(doors).commit
    monkeypatch.setattr(type(doors), "commit", lambda self, address: (read.add(address), commit(self, address))[1])
    list_commits(fresh, count=1)
    assert len(read) <= 6  # `latest` and `best`, the tag, the first and its parent


def test_a_store_without_commits_has_none(doors):
    assert (list_commits(doors), list_commits(doors, count=5)) == ([], [])


def test_a_run_that_cannot_be_read_does_not_hide_the_others(forked, doors):
    (doors.layout.run("b") / "state").write_bytes(b"noise")
    assert list_commits(doors, count=20) == list_commits(doors)
