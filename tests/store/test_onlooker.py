"""A process with a RANK other than 0: it restores what rank 0 restores, and writes nothing."""

import numpy as np
import pytest

from onyxstore.disk.files import walk_files
from onyxstore.errors import BadInput, BadName, RunEnded


@pytest.fixture
def other_rank(monkeypatch):
    return lambda: monkeypatch.setenv("RANK", "1")


@pytest.fixture
def snapshot(folder):
    """Every file of the store with its bytes; locks are empty."""
    return lambda: {str(path): path.read_bytes() for path in walk_files(folder)}


class Model:
    """What has a state."""

    def __init__(self):
        self.state = {"w": np.zeros(3)}

    def state_dict(self):
        return self.state

    def load_state_dict(self, state):
        self.state = state


def test_nothing_of_what_another_rank_does_reaches_the_disk(store, save, snapshot, other_rank):
    with store.start_run("a") as run:
        save(run, 3)
    before = snapshot()
    other_rank()
    with store.start_run("a", configs={"c": {"lr": 1}}, resume=True) as run:
        run.log({"loss": 1.0}, step=1)
        run.log_many({"loss": [1.0]}, [1])
        run.log_artifact("a.txt", b"x")
        run.summary({"acc": 1})
        run.track_state("model", Model())
        handle = run.save_checkpoint(state={"w": np.ones(3)}, step=9, is_best=True, wait=True)
        run.flush()
        commit = run.commit("words")
    assert snapshot() == before
    assert handle.done()
    assert handle.commit == commit == store.run("a").latest


def test_another_rank_restores_what_rank_0_resumes_from(store, other_rank):
    model = Model()
    with store.start_run("a") as run:
        run.track_state("model", model)
        model.state["w"] += 5
        run.save_checkpoint(model=model, step=3, wait=True)
    other_rank()
    found, tracked = Model(), Model()
    with store.start_run("a", resume=True) as run:
        run.track_state("model", tracked)
        assert run.restore(model=found) == 4
    np.testing.assert_array_equal(found.state["w"], [5, 5, 5])
    np.testing.assert_array_equal(tracked.state["w"], [5, 5, 5])


def test_another_rank_restores_what_rank_0_forks_from(store, save, other_rank):
    with store.start_run("a", max_checkpoints=None) as run:
        save(run, 3)
        save(run, 4)
    other_rank()
    with store.start_run("b", parent="a@step:3") as run:
        assert run.restore() == 4


def test_another_rank_begins_anew_where_rank_0_does_under_a_name_that_is_taken(store, save, other_rank):
    with store.start_run("a") as run:
        save(run, 3)
    other_rank()
    model = Model()
    with store.start_run("a") as run:
        assert run.restore(model=model) == 0
    np.testing.assert_array_equal(model.state["w"], [0, 0, 0])


def test_another_rank_waits_for_no_run_that_is_not_there_yet(store, other_rank):
    other_rank()
    with store.start_run("a", resume=True) as run:
        assert (run.name, run.restore()) == ("a", 0)
        handle = run.save_checkpoint(state={})
        assert handle.done()
        with pytest.raises(RunEnded, match="rank 0 made no commit yet"):
            handle.wait()
    assert store.runs() == []


def test_another_rank_ends_too(store, other_rank):
    other_rank()
    run = store.start_run("a")
    run.finish()
    with pytest.raises(RunEnded):
        run.restore()


def test_what_is_refused_on_rank_0_is_refused_on_every_rank(store, other_rank):
    other_rank()
    with pytest.raises(BadName):
        store.start_run("a/b")
    with pytest.raises(BadInput):
        store.start_run("a", max_checkpoints=0)


@pytest.mark.parametrize("rank", ["0", ""])
def test_rank_0_and_no_rank_write(store, monkeypatch, rank):
    monkeypatch.setenv("RANK", rank)
    store.start_run("a").finish()
    assert store.run("a").status == "finished"
