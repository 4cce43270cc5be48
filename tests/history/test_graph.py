import pytest
from hypothesis import given
from hypothesis import strategies as st

from onyxstore.errors import ObjectMissing
from onyxstore.history.commits import CommitRecord
from onyxstore.history.graph import ancestors, first_parents, line_of, newest_first


def graph_of(**commits):
    """Commits by name: the run that each belongs to, and its parents."""
    return {name: CommitRecord(run, tuple(parents), name, 0) for name, (run, *parents) in commits.items()}


GRAPH = graph_of(
    a1=("a",),
    a2=("a", "a1"),
    a3=("a", "a2"),
    fork1=("fork", "a2"),
    fork2=("fork", "fork1", "a3"),
    merge=("a", "a3", "fork2"),
    back1=("a", "fork2"),
)


def reader(graph):
    def read(address):
        if address not in graph:
            raise ObjectMissing(address)
        return graph[address]

    return read


def names(walk):
    return [address for address, record in walk if record.message == address]


@pytest.mark.parametrize(
    ("newest", "line"),
    [
        ("a1", ["a1"]),
        ("a3", ["a3", "a2", "a1"]),
        ("merge", ["merge", "a3", "a2", "a1"]),
        ("fork2", ["fork2", "fork1"]),
        ("back1", ["back1"]),  # a run that goes on from another's commit begins there, whatever that one came from
    ],
)
def test_a_run_s_line_ends_where_another_run_s_begins(newest, line):
    assert names(line_of(reader(GRAPH), newest)) == line


@pytest.mark.parametrize(("start", "line"), [("fork2", ["fork2", "fork1", "a2", "a1"]), ("back1", ["back1", "fork2", "fork1", "a2", "a1"])])
def test_first_parents_go_over_forks(start, line):
    assert names(first_parents(reader(GRAPH), start)) == line


@pytest.mark.parametrize(
    ("starts", "found"),
    [([], []), (["a1"], ["a1"]), (["fork2"], ["a1", "a2", "a3", "fork1", "fork2"]), (["merge", "back1", "a3"], sorted(GRAPH))],
)
def test_everything_that_a_commit_comes_from_is_found(starts, found):
    assert ancestors(reader(GRAPH), starts) == {address: GRAPH[address] for address in found}


def test_each_commit_is_read_once():
    read = []
    ancestors(lambda address: read.append(address) or GRAPH[address], ["merge", "fork2", "merge"])
    assert sorted(read) == sorted(set(read))


def test_a_missing_commit_is_the_reader_s_to_judge_and_what_comes_before_it_is_given():
    broken = {address: record for address, record in GRAPH.items() if address != "a2"}
    for walk in (line_of, first_parents):
        found = []
        with pytest.raises(ObjectMissing):  # noqa: PT012 - what came before it matters
            for address, _ in walk(reader(broken), "merge"):
                found.append(address)
        assert found == ["merge", "a3"]
    with pytest.raises(ObjectMissing):
        ancestors(reader(broken), ["merge"])


def test_a_long_history_is_walked_without_depth():
    long = graph_of(**{f"c{number}": ("a", f"c{number - 1}") if number else ("a",) for number in range(5000)})
    assert [len(names(walk(reader(long), "c4999"))) for walk in (line_of, first_parents)] == [5000, 5000]
    assert len(ancestors(reader(long), ["c4999"])) == 5000


def test_walking_reads_no_further_than_it_is_asked_to():
    read = []
    walk = line_of(lambda address: read.append(address) or GRAPH[address], "a3")
    next(walk)
    assert read == ["a3"]


def timed(**commits):
    """Commits by name: the time and the parents of each."""
    return {name: CommitRecord("a", tuple(parents), name, time) for name, (time, *parents) in commits.items()}


@pytest.mark.parametrize(
    ("commits", "order"),
    [
        (timed(), []),
        (timed(a=(1,), b=(2, "a"), c=(3,), d=(4, "b")), ["d", "c", "b", "a"]),
        (timed(b=(5,), a=(5,), c=(5, "b")), ["a", "c", "b"]),  # of one moment: by address
        (timed(slow=(1, "fast"), fast=(9,), other=(5,)), ["other", "slow", "fast"]),  # made by a machine whose clock was behind
        (timed(merge=(1, "a", "b"), a=(8, "root"), b=(9, "root"), root=(10,)), ["merge", "b", "a", "root"]),
        (timed(twice=(1, "a", "a"), a=(2,)), ["twice", "a"]),
        (timed(a=(1, "elsewhere"), b=(2,)), ["b", "a"]),
    ],
)
def test_commits_are_ordered_by_time_but_never_a_child_below_its_parent(commits, order):
    assert newest_first(commits) == order


@given(st.lists(st.tuples(st.integers(0, 5), st.lists(st.integers(0, 100), max_size=3)), max_size=12))
def test_the_order_holds_every_commit_once_each_before_its_parents(drawn):
    commits = timed(**{
        f"c{number}": (time, *(f"c{parent % number}" for parent in parents if number)) for number, (time, parents) in enumerate(drawn)
    })
    order = newest_first(commits)
    assert sorted(order) == sorted(commits)
    assert [(child, parent) for child in commits for parent in commits[child].parents if order.index(child) > order.index(parent)] == []
