"""What a save leaves in the store: what is new, in the order in which a crash does no harm."""

import shutil
import threading

import numpy as np
import pytest

import onyxstore as onyx
from onyxstore.errors import CorruptFile
from onyxstore.store import recorder

PATIENCE = 60.0


@pytest.fixture
def growth(store, size_of):
    """The bytes that something adds to the store."""

    def grown(act):
        before = size_of(store.folder / ".onyx")
        act()
        return size_of(store.folder / ".onyx") - before

    return grown


# -------------------------------------------------------------------------------------------------------- deduplication


def test_the_same_weights_in_another_run_cost_next_to_nothing(store, weights, growth):
    state = weights(0, 500_000)

    def train(name):
        with store.start_run(name) as run:
            run.log({"loss": 1.0})
            run.save_checkpoint(state=state, step=0)

    assert growth(lambda: train("a")) > 1_500_000
    assert growth(lambda: train("b")) < 20_000
    assert store.run("a").latest.checkpoint.manifest.state == store.run("b").latest.checkpoint.manifest.state


def test_the_same_weights_saved_again_cost_next_to_nothing(store, weights, growth):
    state = weights(0, 500_000)
    with store.start_run("a") as run:
        run.save_checkpoint(state=state, step=0, wait=True)
        assert growth(lambda: run.save_checkpoint(state=state, step=1, wait=True)) < 20_000


def test_over_a_frozen_backbone_only_what_changed_is_stored(store, weights, growth):
    backbone = {f"layer.{number}": weights(number, 250_000)["w"] for number in range(8)}
    whole = sum(array.nbytes for array in backbone.values())
    with store.start_run("a", max_checkpoints=None) as run:
        run.save_checkpoint(model={**backbone, "head": weights(99, 10_000)["w"]}, step=0, wait=True)
        for step in (1, 2):
            head = weights(100 + step, 10_000)["w"]
            grown = growth(lambda head=head, step=step: run.save_checkpoint(model={**backbone, "head": head}, step=step, wait=True))
            assert grown < head.nbytes + whole / 100


def test_a_tensor_that_stands_twice_is_stored_once(store, weights, growth):
    array = weights(0, 200_000)["w"]
    with store.start_run("a") as run:
        state = {"tied": array, "again": array, "equal": array.copy()}
        assert growth(lambda: run.save_checkpoint(state=state, step=0, wait=True)) < 1.1 * array.nbytes
        loaded = run.latest.checkpoint.load()
    assert loaded["tied"] is loaded["again"]
    assert loaded["equal"] is not loaded["tied"]
    np.testing.assert_array_equal(loaded["equal"], array)


def test_of_a_large_tensor_only_the_chunks_that_changed_are_stored(store, weights, growth):
    array = weights(0, 3 << 20)["w"]  # 12 MiB, three chunks
    with store.start_run("a") as run:
        run.save_checkpoint(state={"w": array}, step=0, wait=True)
        array[1 << 20] += 1
        assert growth(lambda: run.save_checkpoint(state={"w": array}, step=1, wait=True)) < (4 << 20) + 20_000
        np.testing.assert_array_equal(run.latest.checkpoint.load()["w"], array)


# -------------------------------------------------------------------------------------------------- killed at any moment

def test_a_save_that_is_killed_at_any_of_its_changes_is_there_whole_or_not_at_all(store, weights, folder, killed_at):
    before, after = weights(0, 3000), weights(1, 3000)
    with store.start_run("a", best_metric="loss") as run:
        run.log({"loss": 1.0}, step=0)
        run.save_checkpoint(state=before, step=0, metrics={"loss": 1.0}, wait=True)
    copy = folder / "copy"
    calls, was_killed, seen = 0, True, []

    def resume():
        run = onyx.Store.open(copy).start_run("a", resume=True, best_metric="loss", max_checkpoints=1)
        run.log({"loss": 0.5}, step=1)
        return run

    def save(run):
        run.save_checkpoint(state=after, step=1, metrics={"loss": 0.5}, wait=True)

    while was_killed:
        shutil.copytree(folder / ".onyx", copy / ".onyx")
        was_killed = killed_at(calls, save, resume)
        other = onyx.Store.open(copy)
        latest, best, run = other.commit("latest").checkpoint, other.commit("best").checkpoint, other.run("a")
        expected = {0: before, 1: after}
        for checkpoint in (latest, best, run.latest.checkpoint, run.best.checkpoint):
            np.testing.assert_array_equal(checkpoint.load()["w"], expected[checkpoint.step]["w"], f"killed at change {calls}")
        assert (run.status, run.metrics["loss"].steps.tolist(), other.fsck().damage) == ("crashed", [0, 1], []), f"killed at change {calls}"
        if calls % 4 == 0:
            with other.start_run("a", resume=True) as resumed:
                assert resumed.restore() == run.latest.checkpoint.step + 1
                # An election that the crash came before is held now.
                assert resumed.best.checkpoint.step == run.latest.checkpoint.step
            assert other.fsck().damage == []
        seen.append((run.latest.checkpoint.step, latest.step, run.best.checkpoint.step, best.step))
        shutil.rmtree(copy)
        calls += 1
    assert (seen[0], seen[-1], calls > 20) == ((0, 0, 0, 0), (1, 1, 1, 1), True)


# -------------------------------------------------------------------------------------------------------------- the rest


def test_a_commit_is_of_the_log_as_it_was_at_the_call(store, weights, monkeypatch):
    go = threading.Event()
    write = recorder.write_trees
    monkeypatch.setattr(recorder, "write_trees", lambda *arguments: go.wait(PATIENCE) and write(*arguments))
    with store.start_run("a") as run:
        run.log({"loss": 1.0}, step=0)
        handle = run.save_checkpoint(state=weights(0), step=0)
        run.log({"loss": 2.0}, step=1)
        go.set()
        assert handle.wait(PATIENCE).metrics["loss"].values.tolist() == [1.0]


def test_what_is_wrong_elsewhere_is_said_once_and_fails_no_save(store, weights, monkeypatch, said):
    def fail(*_):
        raise CorruptFile("refs/x", "a line fails its check")

    monkeypatch.setattr(recorder, "enforce_retention", fail)
    with store.start_run("a") as run:
        for step in range(3):
            assert run.save_checkpoint(state=weights(step), step=step).wait(PATIENCE).step == step
    assert [words for words in said() if "put off" in words] == [
        "run 'a': pruning is put off, since refs/x is damaged: a line fails its check; 'onyx fsck' says what else is hit"
    ]


def test_a_fork_keeps_the_configs_that_it_does_not_change(store):
    store.start_run("a", configs={"x": {"n": 1}, "y": {"n": 1}}).finish()
    store.start_run("b", parent="a", configs={"y": {"n": 2}}).finish()
    store.start_run("c", parent="b").finish()
    assert store.run("c").config == {"x": {"n": 1}, "y": {"n": 2}}


def test_every_commit_of_an_attempt_shares_its_environment(store, save):
    with store.start_run("a") as run:
        save(run, 1)
    assert len({commit.record.environment for commit in run.commits}) == 1
    assert run.state.attempts[0].environment == run.commits[0].record.environment
