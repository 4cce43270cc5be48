import shutil

import numpy as np
import pytest

from onyxstore.store.part_sizes import PartSize
from onyxstore.store.store import Store

NOISE = np.random.default_rng(3).integers(0, 2**32, 1000, np.uint32)
"""Does not compress: what is stored of it is its 4000 bytes and some for frames."""


@pytest.fixture
def store(tmp_path):
    return Store.init(tmp_path / "project")


def saved(store, state):
    with store.start_run("run") as run:
        return run.save_checkpoint(state=state, wait=True).wait().checkpoint


def parts_of(checkpoint) -> dict[str, tuple[int, int]]:
    """Tensors and raw bytes by part, without the random number generators'."""
    return {part.part: (part.tensors, part.raw) for part in checkpoint.parts if part.part != "rng"}


def test_each_part_has_its_tensors_and_bytes_and_one_without_tensors_is_there_too(store):
    state = {"model": {"a": NOISE, "b": {"c": NOISE[:10].copy()}}, "optimizer": {"m": NOISE + 1}, "scheduler": {"epoch": 1}, "step": 5}
    assert parts_of(saved(store, state)) == {"model": (2, 4040), "optimizer": (1, 4000), "scheduler": (0, 0), "step": (0, 0)}


def test_tensors_on_the_first_level_are_one_part_together(store):
    assert parts_of(saved(store, {"weight": NOISE, "bias": NOISE[:3].copy()})) == {"state": (2, 4012)}


def test_a_list_is_a_part_too(store):
    assert parts_of(saved(store, {"layers": [NOISE, NOISE[:1].copy()]})) == {"layers": (2, 4004)}


def test_generators_are_a_part_of_their_own(store):
    assert [part.part for part in saved(store, {"model": {"a": NOISE}}).parts] == ["model", "rng"]


def test_a_chunk_is_counted_once_in_a_part_and_in_each_part_that_has_it(store):
    parts = saved(store, {"model": {"a": NOISE, "again": NOISE.copy()}, "ema": {"a": NOISE.copy()}}).parts
    model, ema = parts[0], parts[1]
    assert (model.part, model.raw, ema.part, ema.raw) == ("model", 8000, "ema", 4000)
    assert model.stored == ema.stored
    assert 4000 <= ema.stored < 4200


def test_a_tied_tensor_counts_where_it_stands_first(store):
    assert parts_of(saved(store, {"model": {"a": NOISE, "tied": NOISE}, "ema": {"a": NOISE}})) == {"model": (1, 4000), "ema": (0, 0)}


def test_what_is_stored_is_not_known_once_a_chunk_is_gone(store):
    checkpoint = saved(store, {"model": {"a": NOISE}, "scheduler": {"epoch": 1}})
    shutil.rmtree(store.folder / ".onyx" / "packs")
    reopened = Store.open(store.folder).commit("run").checkpoint
    assert reopened.address == checkpoint.address
    assert [part for part in reopened.parts if part.part != "rng"] == [PartSize("model", 1, 4000, None), PartSize("scheduler", 0, 0, 0)]
