"""Restoring a run: the newest checkpoint that is whole, and what is said when one is not."""

import logging

import numpy as np
import pytest

import onyxstore as onyx
from onyxstore.errors import LoadMismatch


class Model:
    """What has a state."""

    def __init__(self):
        self.state = {"w": np.zeros(5000)}

    def state_dict(self):
        return self.state

    def load_state_dict(self, state):
        self.state = state


@pytest.fixture
def trained(store):
    """A run with checkpoints at steps 0, 1 and 2, whose models hold their step."""
    model = Model()
    with store.start_run("a") as run:
        for step in range(3):
            model.state = {"w": np.full(5000, float(step))}
            run.save_checkpoint(model=model, step=step, epoch=step // 2, wait=True)
    return store


def spoil(store, revision):
    """Damages a checkpoint's model."""
    chunk = store.commit(revision).checkpoint.tensors.stored("w").chunks[0]
    pack, row = store._doors.objects._index.find(chunk)
    data = bytearray(pack.path.read_bytes())
    data[pack.table[row].offset + 3] ^= 1
    pack.path.write_bytes(data)


def resume(store):
    """The step to go on with, and the number in the model."""
    model = Model()
    with onyx.Store.open(store.folder).start_run("a", resume=True) as run:
        return run.restore(model=model), model.state["w"][0]


def test_the_newest_checkpoint_is_restored(trained, said):
    assert (resume(trained), said()) == ((3, 2.0), [])


def test_a_damaged_one_is_passed_over_and_that_is_said(trained, said):
    spoil(trained, "a@step:2")
    assert resume(trained) == (2, 1.0)
    assert [words.partition(" (")[0] for words in said()] == ["run 'a': its checkpoint at step 2 cannot be read"]


def test_when_none_is_whole_training_begins_anew_and_each_is_said(trained, said):
    for step in range(3):
        spoil(trained, f"a@step:{step}")
    assert resume(trained) == (0, 0.0)
    assert len(said()) == 3


@pytest.mark.parametrize("what", ["manifest", "state"])
def test_a_checkpoint_without_its_manifest_or_tree_is_passed_over(trained, what):
    checkpoint = trained.commit("a@step:2").checkpoint
    trained._doors.layout.object(checkpoint.address if what == "manifest" else checkpoint.manifest.state).unlink()
    assert resume(trained) == (2, 1.0)


def test_a_state_that_does_not_fit_is_an_error_and_no_reason_to_look_further(trained):
    with trained.start_run("a", resume=True) as run, pytest.raises(LoadMismatch):
        run.restore(model=Model(), scheduler=Model())


def test_parts_that_nobody_asked_for_are_said(store, caplog):
    with store.start_run("a") as run:
        run.save_checkpoint(model=Model(), state={"extra": 1}, step=1, wait=True)
    with store.start_run("a", resume=True) as run, caplog.at_level(logging.WARNING):
        assert run.restore(model=Model()) == 2
    assert [record.getMessage() for record in caplog.records] == ["run 'a': restored but for not restored: extra"]


def test_the_epoch_goes_on_from_the_checkpoint_that_was_whole(trained):
    spoil(trained, "a@step:2")
    with onyx.Store.open(trained.folder).start_run("a", resume=True) as run:
        run.restore(model=Model())
        run.log({"loss": 1.0})
        assert (run.metrics["loss"].steps.tolist(), run.metrics["loss"].epochs.tolist()) == ([2], [0.0])


def test_the_epoch_goes_on_too(trained):
    with trained.start_run("a", resume=True) as run:
        run.restore()
        run.log({"loss": 1.0})
        assert (run.metrics["loss"].steps.tolist(), run.metrics["loss"].epochs.tolist()) == ([3], [1.0])


def test_a_checkpoint_without_a_step_is_restored_and_counts_from_0(store):
    with store.start_run("a") as run:
        run.save_checkpoint(model=Model(), wait=True)
    with store.start_run("a", resume=True) as run:
        assert run.restore(model=Model()) == 0
        run.log({"loss": 1.0})
        assert run.metrics["loss"].steps.tolist() == [0]
