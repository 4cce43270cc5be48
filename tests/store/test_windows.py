import numpy as np
import pytest

from onyxstore.errors import CheckpointPruned, CorruptObject, ObjectMissing
from onyxstore.history.checkpoints.manifest import StoredTensor, TreeObject
from onyxstore.store.windows import Place, list_places, read_window, windows


@pytest.fixture
def saved(store):
    """The checkpoint of a state."""

    def save(state):
        with store.start_run("run") as run:
            return run.save_checkpoint(state=state, wait=True).wait().checkpoint

    return save


def read_all(doors, place, step):
    return b"".join(bytes(read_window(doors.objects, place, start, stop)) for start, stop in windows(place, step))


LARGE = np.random.default_rng(1).integers(0, 2**16, 5_000_001, np.uint16)
"""Two chunks and a bit."""


@pytest.mark.parametrize("step", [700_000, 1 << 21, 5_000_001])
def test_windows_of_any_size_make_up_the_tensor(saved, doors, step):
    (place,) = list_places(saved({"w": LARGE}).state_tree).values()
    assert (place.dtype, place.shape, place.strides, place.window) == ("uint16", (5_000_001,), None, 1 << 21)
    assert read_all(doors, place, step) == LARGE.tobytes()


def test_a_window_is_of_some_elements(saved, doors):
    (place,) = list_places(saved({"w": LARGE}).state_tree).values()
    assert bytes(read_window(doors.objects, place, 2_097_150, 2_097_155)) == LARGE[2_097_150:2_097_155].tobytes()
    assert bytes(read_window(doors.objects, place, 3, 3)) == b""


def test_views_are_read_where_they_look_at(saved, doors):
    base = np.arange(24, dtype=np.float32).reshape(4, 6)
    state = {"base": base, "rows": base[1:3], "turned": base.T, "every": base[:, ::2]}
    places = list_places(saved(state).state_tree)
    assert [read_all(doors, places[name,], 5) for name in state] == [array.tobytes() for array in state.values()]
    assert [places[name,].strides is None for name in state] == [True, True, False, False]
    assert places["turned",].window == 24


def test_tied_tensors_are_at_each_of_their_paths_and_equal(saved):
    weight = np.ones(3)
    places = list_places(saved({"model": {"in": weight, "out": weight}}).state_tree)
    assert list(places) == [("model", "in"), ("model", "out")]
    assert places["model", "in"] == places["model", "out"]


def test_an_empty_tensor_has_no_windows(saved, doors):
    (place,) = list_places(saved({"w": np.zeros((0, 3))}).state_tree).values()
    assert (list(windows(place, place.window)), read_all(doors, place, 10)) == ([], b"")


@pytest.mark.parametrize(
    "tag",
    [
        {"$": "tensor", "index": 1, "kind": "torch.tensor"},
        {"$": "view", "index": 0, "kind": "torch.tensor"},
        {"$": "view", "index": 0, "kind": "torch.tensor", "dtype": "uint8", "shape": [5], "strides": [1], "offset": 0},
        {"$": "view", "index": 0, "kind": "torch.tensor", "dtype": "uint8", "shape": [4], "strides": [1], "offset": -1},
        {"$": "view", "index": 0, "kind": "torch.tensor", "dtype": "no", "shape": [4], "strides": [1], "offset": 0},
        {"$": "view", "index": 0, "kind": "torch.tensor", "dtype": "uint8", "shape": [2, 2], "strides": [1], "offset": 0},
    ],
    ids=["index", "fields", "beyond", "before", "dtype", "strides"],
)
def test_a_tree_whose_tags_fit_no_tensor_is_damage(tag):
    tree = TreeObject({"w": tag}, (StoredTensor(("w",), "uint8", (4,), ("0" * 64,)),))
    with pytest.raises(CorruptObject):
        list_places(tree)


def test_a_chunk_that_retention_dropped_is_said_to_be_pruned(store, save):
    with store.start_run("run", max_checkpoints=1) as run:
        for step in (1, 2):
            save(run, step)
    store.gc()
    old = store.run("run").commits[1].checkpoint
    (place,) = list_places(old.state_tree).values()
    with pytest.raises(CheckpointPruned):
        old.read_window(place, 0, 1)
    with pytest.raises(ObjectMissing):
        store.commit("run").checkpoint.read_window(Place("uint8", (1,), ("0" * 64,), 1024, 1), 0, 1)
