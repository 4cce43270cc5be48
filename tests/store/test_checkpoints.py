"""A checkpoint as it is read: whole, by part, a tensor at a time, and never without being verified."""

import random
from collections import Counter, OrderedDict

import numpy as np
import pytest

import onyxstore as onyx
from onyxstore.errors import CorruptObject, LoadMismatch, ObjectMissing, UnknownName

PATIENCE = 60.0


class Model:
    """What has a state."""

    def __init__(self, **state):
        self.state = state

    def state_dict(self):
        return self.state

    def load_state_dict(self, state):
        self.state = state


def model(number=1.0):
    return {"layer.weight": np.full((4, 3), number, np.float32), "layer.bias": np.arange(3, dtype=np.int64)}


@pytest.fixture
def run(store):
    with store.start_run("a") as run:
        yield run


@pytest.fixture
def checkpoint(run):
    """One with a model, an optimizer and whatever else."""
    state = {
        "optimizer": {"state": {0: {"exp_avg": np.ones(5)}}, "param_groups": [{"lr": 0.1, "params": [0]}]},
        "layer.bias": np.zeros(2),
        "misc": {"when": (1, None, True), "seen": Counter("aab"), "order": OrderedDict(b=1, a=2), "raw": b"x" * 5000},
    }
    return run.save_checkpoint(model=model(), state=state, step=3, epoch=1, metrics={"acc": 0.5}).wait(PATIENCE).checkpoint


def spoil(store, chunk):
    pack, row = store._doors.objects._index.find(chunk)
    data = bytearray(pack.path.read_bytes())
    data[pack.table[row].offset + pack.table[row].stored // 2] ^= 1
    pack.path.write_bytes(data)


def test_it_says_when_it_was_saved_and_with_what(checkpoint, store):
    assert (checkpoint.step, checkpoint.epoch, dict(checkpoint.metrics), checkpoint.is_pruned) == (3, 1, {"acc": 0.5}, False)
    assert repr(checkpoint) == f"<Checkpoint of {store.commit('a').short} at step 3>"


def test_the_whole_tree_comes_back_as_it_was_handed_in(checkpoint):
    loaded = checkpoint.load()
    assert list(loaded) == ["model", "optimizer", "layer.bias", "misc"]
    np.testing.assert_array_equal(loaded["model"]["layer.weight"], np.ones((4, 3), np.float32))
    assert loaded["misc"] == {"when": (1, None, True), "seen": Counter("aab"), "order": OrderedDict(b=1, a=2), "raw": b"x" * 5000}
    assert [type(value) for value in (loaded["misc"]["seen"], loaded["misc"]["order"])] == [Counter, OrderedDict]
    assert loaded["optimizer"]["param_groups"] == [{"lr": 0.1, "params": [0]}]


def test_what_is_loaded_can_be_written_to_and_is_ones_own(checkpoint):
    first = checkpoint.load()
    first["model"]["layer.weight"][:] = 7
    np.testing.assert_array_equal(checkpoint.load()["model"]["layer.weight"], np.ones((4, 3)))


def test_tensors_are_found_by_path_and_by_their_name_in_the_model(checkpoint):
    tensors = checkpoint.tensors
    assert list(tensors) == ["model.layer.weight", "model.layer.bias", "optimizer.state.0.exp_avg", "layer.bias"]
    assert (len(tensors), "layer.weight" in tensors, "model.layer.weight" in tensors, "misc.raw" in tensors, 3 in tensors) == (
        4,
        True,
        True,
        False,
        False,
    )
    np.testing.assert_array_equal(tensors["layer.weight"], np.ones((4, 3)))
    np.testing.assert_array_equal(tensors.numpy("optimizer.state.0.exp_avg"), np.ones(5))
    assert tensors.read("model.layer.bias") == np.arange(3).tobytes()
    assert (tensors.stored("layer.weight").dtype, tensors.stored("layer.weight").shape) == ("float32", (4, 3))


def test_a_tensor_is_summed_up_and_read_in_blocks_without_all_of_it(checkpoint):
    tensors = checkpoint.tensors
    summary = tensors.summary("model.layer.bias")
    assert (summary.values, summary.min, summary.max, summary.mean, summary.first) == (3, 0, 2, 1.0, (0, 1, 2))
    assert b"".join(tensors.blocks("layer.weight")) == tensors.read("layer.weight")
    assert (tensors.place("layer.weight").dtype, tensors.path("layer.weight")) == ("float32", ("model", "layer.weight"))


def test_a_name_of_two_tensors_means_the_one_whose_path_it_is(checkpoint):
    np.testing.assert_array_equal(checkpoint.tensors["layer.bias"], np.zeros(2))


def test_a_name_of_several_tensors_is_an_error_with_their_paths(run):
    state = {"model": {"a": {"b": np.zeros(1)}, "a.b": np.ones(1)}}
    checkpoint = run.save_checkpoint(state=state).wait(PATIENCE).checkpoint
    with pytest.raises(UnknownName, match="did you mean 'model.a.b' or 'model.a.b'"):
        checkpoint.tensors["a.b"]


def test_a_name_that_there_is_not_says_which_are_near(checkpoint):
    with pytest.raises(UnknownName, match="has no tensor called 'layer.wieght'; did you mean 'model.layer.weight'"):
        checkpoint.tensors["layer.wieght"]


def test_one_tensor_is_read_without_the_others(store, checkpoint):
    spoil(store, checkpoint.tensors.stored("optimizer.state.0.exp_avg").chunks[0])
    reader = onyx.Store.open(store.folder).commit("a").checkpoint
    np.testing.assert_array_equal(reader.tensors["layer.weight"], np.ones((4, 3)))
    target = Model()
    assert reader.load_into(model=target).not_restored == ("optimizer", "layer.bias", "misc")
    with pytest.raises(CorruptObject):
        reader.load()


def test_damage_and_loss_are_said_and_nothing_is_handed_out(store, checkpoint):
    chunk = checkpoint.tensors.stored("layer.weight").chunks[0]
    spoil(store, chunk)
    reader = onyx.Store.open(store.folder).commit("a").checkpoint
    with pytest.raises(CorruptObject, match=chunk[:10]):
        reader.tensors["layer.weight"]
    reader.check_stored()
    for pack in (store.folder / ".onyx" / "packs").iterdir():
        pack.unlink()
    reader = onyx.Store.open(store.folder).commit("a").checkpoint
    for read in (lambda: reader.tensors["layer.weight"], reader.check_stored):
        with pytest.raises(ObjectMissing, match="which the checkpoint of .* needs"):
            read()


# ------------------------------------------------------------------------------------------------------ into live objects


def test_parts_go_into_live_objects_and_the_rest_is_named(checkpoint):
    target, optimizer = Model(), Model()
    report = checkpoint.load_into(model=target, optimizer=optimizer)
    np.testing.assert_array_equal(target.state["layer.weight"], np.ones((4, 3)))
    assert optimizer.state["param_groups"] == [{"lr": 0.1, "params": [0]}]
    assert report.not_restored == ("layer.bias", "misc")


def test_a_part_that_there_is_not_changes_nothing(checkpoint):
    target = Model(old=1)
    with pytest.raises(LoadMismatch, match="the scheduler cannot take the stored state: the checkpoint holds none"):
        checkpoint.load_into(model=target, scheduler=Model())
    assert target.state == {"old": 1}


def test_a_tree_without_a_model_is_the_models(run):
    checkpoint = run.save_checkpoint(state=model(2.0)).wait(PATIENCE).checkpoint
    target = Model()
    assert str(checkpoint.load_into(model=target)) == "everything was loaded"
    np.testing.assert_array_equal(target.state["layer.weight"], np.full((4, 3), 2.0))


@pytest.mark.parametrize(
    ("options", "restored"),
    [({}, False), ({"optimizer": True}, True), ({"rng": True}, True), ({"optimizer": True, "rng": False}, False)],
)
def test_generators_are_set_back_when_training_goes_on(checkpoint, options, restored):
    saved = random.getstate()
    random.random()
    moved = random.getstate()
    if options.pop("optimizer", False):
        options["optimizer"] = Model()
    checkpoint.load_into(model=Model(), **options)
    assert random.getstate() == (saved if restored else moved)
    random.setstate(saved)


def test_a_torch_model_goes_through_a_checkpoint_bit_for_bit(run):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 2))
    optimizer = torch.optim.AdamW(net.parameters(), amsgrad=True)
    net(torch.randn(8, 5)).sum().backward()
    optimizer.step()
    saved = run.save_checkpoint(model=net, optimizer=optimizer, step=1).wait(PATIENCE)
    expected = [parameter.detach().clone() for parameter in net.state_dict().values()]
    net(torch.randn(8, 5)).sum().backward()
    optimizer.step()
    assert str(saved.checkpoint.load_into(model=net, optimizer=optimizer)) == "everything was loaded"
    assert all(torch.equal(left, right) for left, right in zip(net.state_dict().values(), expected, strict=True))
    assert saved.checkpoint.tensors.numpy("0.weight").tobytes() == expected[0].numpy().tobytes()


def test_a_torch_model_of_another_shape_is_left_as_it_was(run):
    torch = pytest.importorskip("torch")
    saved = run.save_checkpoint(model=torch.nn.Linear(5, 4)).wait(PATIENCE)
    other = torch.nn.Linear(5, 3)
    before = other.weight.detach().clone()
    with pytest.raises(LoadMismatch, match=r"weight is \[4, 5\] there and \[3, 5\] here"):
        saved.checkpoint.load_into(model=other)
    assert torch.equal(other.weight, before)
