from itertools import pairwise

import numpy as np
import pytest

from onyxstore.disk.objects import ObjectStore
from onyxstore.errors import BadFile
from onyxstore.history.checkpoints.safetensors_file import encode_file
from onyxstore.history.checkpoints.tensors import Leaf
from onyxstore.store import whence
from onyxstore.store.adding import Addition
from onyxstore.store.whence import _listed, _tells


def noise(seed, size=500):
    return np.random.default_rng(seed).standard_normal(size, np.float32)


def model_of(seed, **more):
    names = ("layer.0.weight", "layer.1.weight", "head.weight", "head.bias")
    return {name: noise(seed + number) for number, name in enumerate(names)} | more


@pytest.fixture
def save_file(folder):
    """Writes a file of tensors."""

    def save_file(tensors, name="model.safetensors"):
        leaves = [(key, Leaf(array.dtype.name, array.shape, array.tobytes(), "torch.tensor")) for key, array in tensors.items()]
        (folder / name).write_bytes(b"".join(map(bytes, encode_file(leaves))))
        return folder / name

    return save_file


@pytest.fixture
def trained(store):
    """A run with a checkpoint at steps 0, 100 and 200; weights of its own in each."""

    def train(name="bert", seed=0, steps=(0, 100, 200), **options):
        with store.start_run(name, max_checkpoints=None, **options) as run:
            for step in steps:
                run.save_checkpoint(state={"model": model_of(seed + step), "optimizer": {"m": noise(seed + step + 50)}}, step=step).wait()
        return run

    return train


def test_weights_are_found_by_run_and_step(store, trained, save_file):
    trained()
    found = store.whence(save_file(model_of(100)))
    (origin,) = found.origins
    assert (str(found), origin.revision, origin.commit.step) == ("bert@step:100, 4 of 4 tensors", "bert@step:100", 100)
    assert (origin.matched["head.bias"], origin.size, origin.differ, origin.lacks) == ("model.head.bias", 4 * 2000, (), ())
    assert (found.tensors, found.telling, bool(found)) == (4, 4, True)


def test_nothing_is_read_but_names(store, trained, save_file, monkeypatch):
    trained()
    file = save_file(model_of(100))
    monkeypatch.setattr(ObjectStore, "read_chunk", None)
    monkeypatch.setattr(ObjectStore, "packs", None)
    assert store.whence(file)


def test_what_differs_is_named_in_groups(store, trained, save_file):
    trained()
    assert str(store.whence(save_file(model_of(100) | {"head.weight": noise(900), "head.bias": noise(901)}))) == (
        "bert@step:100, 2 of 4 tensors; head.* differ"
    )
    assert str(store.whence(save_file(model_of(100) | {"head.bias": noise(901)}))) == "bert@step:100, 3 of 4 tensors; head.bias differs"


def test_renamed_and_stripped_weights_are_found(store, trained, save_file):
    trained()
    stripped = {f"backbone.{name}": array for name, array in model_of(100).items() if name.startswith("layer")}
    assert str(store.whence(save_file(stripped))) == "bert@step:100, 2 of 2 tensors; 2 renamed; head.* left out"


def test_another_dtype_of_the_same_bytes_and_a_reshaped_tensor_are_found(store, trained, save_file):
    trained()
    tensors = {name: array.reshape(2, -1).view(np.uint32) for name, array in model_of(100).items()}
    assert str(store.whence(save_file(tensors))) == "bert@step:100, 4 of 4 tensors"


def test_most_tensors_come_first_then_most_bytes_then_the_oldest(store, save_file):
    shared, large = noise(1), noise(2, 5000)
    runs = {"few": {"a": shared}, "bytes": {"a": large}, "most": {"a": noise(3), "b": noise(4)}, "later": {"a": large}}
    for name, tensors in runs.items():
        with store.start_run(name) as run:
            run.save_checkpoint(state={"model": tensors}, step=1).wait()
    found = store.whence(save_file({"a": shared, "b": large, "c": noise(3), "d": noise(4)}))
    assert [origin.revision for origin in found.origins] == ["most@step:1", "bytes@step:1", "few@step:1"]


def test_the_oldest_commit_that_has_it_is_named_also_over_a_fork(store, trained, save_file):
    trained()
    with store.start_run("fork", parent="bert@step:200") as fork:
        fork.log({"loss": 1.0}, step=300)
        fork.commit("carried over")
    (origin,) = store.whence(save_file(model_of(200))).origins
    assert (origin.revision, origin.commit.message) == ("bert@step:200", "checkpoint at step 200")


def test_a_commit_without_a_step_is_named_by_its_address(store, save_file):
    file = save_file(model_of(7))
    commit = store.add_commit(Addition(message="by hand", checkpoint=file))
    assert str(store.whence(file)) == f"{commit.short} of main, 4 of 4 tensors"


def test_a_step_that_means_a_later_checkpoint_by_now_is_not_what_names_it(store, save_file):
    with store.start_run("run") as run:
        commit = run.save_checkpoint(state={"model": model_of(1)}, step=1).wait()
        run.save_checkpoint(state={"model": model_of(500)}, step=1).wait()
    assert str(store.whence(save_file(model_of(1)))) == f"{commit.short} of run at step 1, 4 of 4 tensors"
    assert str(store.whence(save_file(model_of(500)))) == "run@step:1, 4 of 4 tensors"


def test_weights_of_a_pruned_checkpoint_are_known(store, save_file):
    with store.start_run("run", max_checkpoints=1) as run:
        for step in (1, 2):
            run.save_checkpoint(state={"model": model_of(step)}, step=step).wait()
    store.gc()
    assert str(store.whence(save_file(model_of(1)))).splitlines()[0] == "run@step:1, 4 of 4 tensors; pruned"


def test_large_tensors_are_hashed_chunk_by_chunk(store, save_file):
    large = np.random.default_rng(1).integers(0, 2**16, 5_000_001, np.uint16)
    with store.start_run("run") as run:
        run.save_checkpoint(state={"model": {"w": large, "v": noise(1)}}, step=1).wait()
    other = large.copy()
    other[-1] ^= 1
    assert str(store.whence(save_file({"w": large}))) == "run@step:1, 1 of 1 tensors; v left out"
    assert not store.whence(save_file({"w": other}))


def test_what_is_the_same_everywhere_does_not_decide(store, save_file):
    mask = np.tril(np.ones((64, 64), bool))
    everywhere = {"bias": np.zeros(1000, np.float32), "positions": np.arange(512), "mask": mask, "scale": noise(5, 1)}
    with store.start_run("run") as run:
        run.save_checkpoint(state={"model": model_of(1, **everywhere)}, step=1).wait()
    foreign = store.whence(save_file(model_of(500, **everywhere)))
    assert (foreign.origins, foreign.telling, str(foreign)) == ((), 4, f"{foreign.file}: no commit holds any of its 8 tensors")
    assert str(store.whence(save_file(model_of(1, **everywhere)))) == "run@step:1, 8 of 8 tensors"
    nothing = store.whence(save_file(everywhere))
    assert (bool(nothing), str(nothing)) == (False, f"{nothing.file}: its 4 tensors tell nothing, all are tiny or regular")


@pytest.mark.parametrize(
    ("array", "tells"),
    [
        *((noise(1), True), (noise(1).astype(np.float16), True), (np.random.default_rng(1).integers(-128, 128, 400, np.int8), True)),
        *((np.full(9999, 0.5), False), (np.arange(9999.0), False), (np.tri(99), False), (noise(1, 63), False), (np.zeros(0), False)),
        (np.arange(10**6) * 3, False),
    ],
)
def test_a_tensor_tells_something_if_it_is_neither_tiny_nor_regular(array, tells):
    assert _tells(array.dtype.name, array.tobytes()) == tells


def test_an_empty_store_and_an_empty_file_have_no_answer(store, save_file):
    assert not store.whence(save_file(model_of(1)))
    assert (store.whence(save_file({})).origins, store.whence(save_file({})).tensors) == ((), 0)


def test_a_file_that_is_none_is_an_error(store, folder):
    (folder / "noise.safetensors").write_bytes(b"\xff" * 64)
    for name in ("noise.safetensors", "nowhere.safetensors"):
        with pytest.raises(BadFile):
            store.whence(folder / name)


def test_what_is_damaged_is_left_out_and_said(store, trained, save_file, folder):
    run = trained()
    tree = run.commits[1].checkpoint.manifest.state
    (folder / ".onyx" / "objects" / tree[:2] / tree[2:]).write_bytes(b"noise")
    found = store.whence(save_file(model_of(100)))
    assert str(found) == "bert@step:100, 4 of 4 tensors"
    assert [tree[:10] in words or tree in words for words in found.unreadable] == [True]


@pytest.mark.parametrize(
    ("some", "names", "words"),
    [
        (["head.a", "head.b"], ["head.a", "head.b", "x"], "head.*"),
        (["head.a"], ["head.a", "x"], "head.a"),
        (["a.b.1", "a.b.2", "a.c.1"], ["a.b.1", "a.b.2", "a.c.1", "a.c.2"], "a.b.* and a.c.1"),
        (["a", "a.b"], ["a", "a.b", "a.c"], "a and a.b"),
        (["a", "b", "c", "d"], ["a", "b", "c", "d", "e"], "a, b, c and 1 more"),
        (["a", "b", "c"], ["a", "b", "c", "d"], "a, b and c"),
        (["a.a", "a.a"], ["a.a", "a.a"], "a.a"),
    ],
)
def test_names_are_listed_by_stars_where_all_of_a_group_are_meant(some, names, words):
    assert _listed(some, names) == words


def test_candidates_are_bounded(store, trained, save_file, monkeypatch):
    monkeypatch.setattr(whence, "MOST_ORIGINS", 2)
    frozen = noise(1)
    for seed in range(4):
        with store.start_run(f"run-{seed}") as run:
            run.save_checkpoint(state={"model": {"frozen": frozen, "own": noise(10 + seed)}}, step=1).wait()
    found = store.whence(save_file({"frozen": frozen, "own": noise(12)}))
    assert [origin.revision for origin in found.origins] == ["run-2@step:1", "run-0@step:1"]
    assert all(len(one.matched) >= len(other.matched) for one, other in pairwise(found.origins))
