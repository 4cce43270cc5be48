import math

import numpy as np
import pytest

from onyxstore.disk.objects import ObjectStore
from onyxstore.errors import CheckpointPruned, CorruptObject, UnknownName
from onyxstore.history.checkpoints.safetensors_file import encode_file
from onyxstore.history.checkpoints.tensors import Leaf
from onyxstore.store.adding import Addition
from onyxstore.store.tensor_diff import TensorChange, TensorForm, tensor_difference

CHUNK = 1 << 20
"""float32s in a chunk."""


@pytest.fixture
def saved(store):
    """The commit of a state, in a run of its own."""

    def save(state):
        with store.start_run("run") as run:
            return run.save_checkpoint(state=state, wait=True).wait()

    return save


@pytest.fixture
def differ(store, saved):
    """What differs between the tensors of two states."""

    def differ(old, new, part=None):
        return store.diff(saved(old).address, saved(new).address, tensors=part or True).tensors

    return differ


def paths(found):
    return [change.path for change in found.changes]


def test_tensors_are_added_removed_changed_or_only_counted(differ):
    same, old, new = np.arange(5.0), np.array([3.0, 4.0]), np.array([3.0, 4.5])
    found = differ({"model": {"same": same, "w": old, "gone": old}}, {"model": {"same": same, "w": new, "here": new}})
    form = TensorForm("float64", (2,))
    assert found.changes[:2] == (TensorChange("model.here", "added", None, form), TensorChange("model.gone", "removed", form, None))
    (changed,) = found.changes[2:]
    assert (changed.path, changed.kind, changed.old, changed.new, changed.norm) == ("model.w", "changed", form, form, 0.1)
    assert (found.same, bool(found)) == (1, True)


def test_those_that_changed_most_come_first(differ):
    one = np.ones(4)
    found = differ(
        {"model": {"a": one, "b": one, "c": one, "zero": one * 0, "shape": one}},
        {"model": {"a": one * 1.5, "b": one * 9, "c": one * 1.1, "zero": one, "shape": np.ones((2, 2))}},
    )
    assert paths(found) == ["model.shape", "model.zero", "model.b", "model.a", "model.c"]
    assert found.changes[0].figures is None
    assert found.changes[1].figures.norm == math.inf


def test_a_shape_that_changed_has_no_figures_and_a_dtype_that_changed_has(differ):
    found = differ({"w": np.ones(6, np.float32), "v": np.ones(6)}, {"w": np.ones(6, np.float16), "v": np.ones((2, 3))})
    reshaped, narrowed = found.changes
    assert (reshaped.old.shape, reshaped.new.shape, reshaped.figures) == ((6,), (2, 3), None)
    assert (narrowed.old.dtype, narrowed.new.dtype, narrowed.norm, narrowed.figures.share) == ("float32", "float16", 0.0, 0.0)


def test_large_tensors_are_compared_chunk_by_chunk_and_a_shared_chunk_is_read_once(differ, monkeypatch):
    old = np.random.default_rng(1).standard_normal(2 * CHUNK + 7, np.float32)
    new = old.copy()
    new[-1] += 1
    reads = []
    read = ObjectStore.read_chunk
    monkeypatch.setattr(ObjectStore, "read_chunk", lambda self, address, out: (reads.append(out.nbytes), read(self, address, out)))
    (change,) = differ({"w": old}, {"w": new}).changes
    assert sorted(reads) == [28, 28, 4 * CHUNK, 4 * CHUNK]
    assert (change.figures.values, change.figures.changed) == (old.size, 1)
    assert change.norm == pytest.approx(1 / float(np.linalg.norm(old.astype(float))))


def test_dtypes_of_other_widths_are_read_side_by_side(differ):
    old = np.random.default_rng(1).standard_normal(CHUNK + CHUNK // 2, np.float32).astype(np.float16).astype(np.float32)
    (change,) = differ({"w": old}, {"w": old.astype(np.float16)}).changes
    assert (change.figures.values, change.figures.changed, change.norm) == (old.size, 0, 0.0)


def test_views_are_compared_by_their_elements(differ):
    old, new = np.arange(12.0).reshape(3, 4), np.arange(12.0).reshape(3, 4)
    new[0, 1] = 5
    found = differ({"base": old, "turned": old.T, "row": old[1]}, {"base": new, "turned": new.T, "row": new[1].copy()})
    assert {change.path: change.figures.changed for change in found.changes} == {"base": 1, "turned": 1, "row": 0}


def test_tied_tensors_are_each_listed_and_read_once(differ, monkeypatch):
    old, new = np.ones(4), np.full(4, 2.0)
    reads = []
    read = ObjectStore.read_chunk
    monkeypatch.setattr(ObjectStore, "read_chunk", lambda self, address, out: (reads.append(out.nbytes), read(self, address, out)))
    assert paths(differ({"model": {"in": old, "out": old}}, {"model": {"in": new, "out": new}})) == ["model.in", "model.out"]
    assert len(reads) == 2


def test_what_is_the_same_is_not_read(saved, store, monkeypatch):
    commit = saved({"w": np.arange(10.0)})
    monkeypatch.setattr(ObjectStore, "read_chunk", None)
    found = store.diff(commit.address, commit.address, tensors=True)
    assert (found.tensors.changes, found.tensors.same, bool(found)) == ((), 1, False)


def test_generators_are_compared_only_when_they_are_asked_for(store, saved):
    commits = []
    for _ in range(2):
        commits.append(saved({"model": {"w": np.ones(2)}}).address)
        np.random.rand()  # noqa: NPY002 (it is the global generator that goes along)
    assert not store.diff(*commits, tensors=True).tensors
    assert paths(store.diff(*commits, tensors="rng").tensors) == ["rng.numpy.state.key"]


def test_a_part_is_compared_alone(differ):
    old, new = np.ones(2), np.zeros(2)
    states = {"model": {"w": old}, "optimizer": {"m": old}, "w": old}, {"model": {"w": new}, "optimizer": {"m": new}, "w": new}
    assert paths(differ(*states)) == ["model.w", "optimizer.m", "w"]
    assert paths(differ(*states, "optimizer")) == ["optimizer.m"]
    assert paths(differ(*states, "state")) == ["w"]
    with pytest.raises(UnknownName, match="did you mean 'optimizer'"):
        differ(*states, "optimiser")


def test_a_file_of_tensors_is_taken_for_the_model(store, saved, folder):
    commit = saved({"model": {"w": np.ones(3, np.float32), "v": np.ones(2, np.float32)}, "optimizer": {"m": np.ones(1)}})
    tensors = [("w", np.ones(3, np.float32)), ("v", np.zeros(2, np.float32))]
    leaves = [(name, Leaf("float32", array.shape, array.tobytes(), "torch.tensor")) for name, array in tensors]
    (folder / "model.safetensors").write_bytes(b"".join(bytes(block) for block in encode_file(leaves)))
    by_hand = store.add_commit(Addition(message="by hand", checkpoint=folder / "model.safetensors"))
    found = store.diff(commit.address, by_hand.address, tensors=True).tensors
    assert [(change.path, change.kind) for change in found.changes] == [("optimizer.m", "removed"), ("model.v", "changed")]
    assert found.same == 1


def test_a_commit_without_a_checkpoint_has_no_tensors(store, saved):
    commit = saved({"w": np.ones(3)})
    found = store.diff(commit.parents[0].address, commit.address, tensors=True).tensors
    assert [(change.path, change.kind) for change in found.changes] == [("w", "added")]
    assert tensor_difference(None, None).changes == ()


def test_a_pruned_checkpoint_is_an_error_only_where_it_has_to_be_read(store, save):
    with store.start_run("run", max_checkpoints=1) as run:
        for step in (1, 2):
            save(run, step)
    store.gc()
    old = store.run("run").commits[1].address
    assert not store.diff(old, old, tensors=True)
    with pytest.raises(CheckpointPruned):
        store.diff(old, "run", tensors=True)


def test_damage_is_not_compared(store, saved, folder):
    old, new = saved({"w": np.arange(1000.0)}), saved({"w": np.arange(1000.0) + 1})
    pack = max((folder / ".onyx" / "packs").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    data = bytearray(pack.read_bytes())
    data[len(data) // 2] ^= 1
    pack.write_bytes(data)
    with pytest.raises(CorruptObject):
        store.diff(old.address, new.address, tensors=True)
