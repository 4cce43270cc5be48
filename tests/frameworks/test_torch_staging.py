import threading

import numpy as np
import pytest
import torch

from onyxstore.errors import CannotEncode
from onyxstore.frameworks import torch_staging
from onyxstore.frameworks.restore import restore_tree
from onyxstore.frameworks.torch_staging import PATIENCE, SLACK, SLOTS, StagingPool

LARGE, SMALL = torch.arange(3 * SLACK), torch.arange(16)


def address(leaf):
    return np.frombuffer(leaf.data, np.uint8).ctypes.data


@pytest.fixture
def allocated(monkeypatch):
    """The sizes of all memory that was allocated for staging."""
    sizes = []

    def new_memory(size):
        sizes.append(size)
        return original(size)

    original = torch_staging.new_memory
    monkeypatch.setattr(torch_staging, "new_memory", new_memory)
    return sizes


def save(pool, *states):
    slot = pool.take()
    trees = [slot.capture(state) for state in states]
    copies = [restore_tree(tree, copy=True) for tree in trees]
    pool.give_back(slot)
    return copies


def test_the_memory_of_one_save_is_used_for_the_next(allocated):
    pool = StagingPool()
    for number in range(5):
        state, rng = {"model": LARGE + number, "scalar": torch.tensor(number)}, {"words": np.arange(625)}
        assert [[each.tolist() for each in tree.values()] for tree in save(pool, state, rng)] == [
            [(LARGE + number).tolist(), number],
            [list(range(625))],
        ]
    assert len(allocated) == 1


def test_memory_grows_with_the_state_and_is_whole_from_then_on(allocated):
    pool = StagingPool()
    save(pool, {"a": SMALL})
    save(pool, {"a": LARGE})
    save(pool, {"a": LARGE}, {"b": LARGE + 1}, {"c": LARGE + 2})
    before = len(allocated)
    assert [tree["x"].tolist() for tree in save(pool, {"x": LARGE}, {"x": LARGE + 1}, {"x": LARGE + 2})] == [
        (LARGE + number).tolist() for number in range(3)
    ]
    assert len(allocated) == before


def test_two_trees_of_one_save_do_not_overlap():
    slot = StagingPool().take()
    first, second = slot.capture({"a": SMALL}), slot.capture({"a": SMALL + 100})
    assert (restore_tree(first)["a"].tolist(), restore_tree(second)["a"].tolist()) == (SMALL.tolist(), (SMALL + 100).tolist())


def test_another_layout_in_the_same_memory_gets_targets_of_its_own():
    pool = StagingPool()
    for state in ([SMALL, SMALL.float()], [SMALL.float(), SMALL], [SMALL.reshape(4, 4), SMALL.float()], [SMALL.double(), SMALL.int()]):
        (restored,) = save(pool, state)
        assert [(each.dtype, each.tolist()) for each in restored] == [(each.dtype, each.tolist()) for each in state]


def test_memory_that_stays_mostly_unused_is_given_back(allocated):
    pool = StagingPool()
    save(pool, {"a": LARGE})
    for _ in range(PATIENCE):
        save(pool, {"a": SMALL})
    assert len(allocated) == 1
    save(pool, {"a": SMALL})
    assert (len(allocated), allocated[-1] < allocated[0]) == (2, True)


def test_a_large_save_now_and_then_keeps_its_memory(allocated):
    pool = StagingPool()
    for number in range(3 * PATIENCE):
        save(pool, {"a": LARGE if number % (PATIENCE - 1) == 0 else SMALL})
    assert len(allocated) == 1


def test_the_second_slot_has_memory_only_while_saves_overlap(allocated):
    pool = StagingPool()
    save(pool, {"a": LARGE})
    first, second = pool.take(), pool.take()
    second.capture({"a": LARGE})
    pool.give_back(first)
    pool.give_back(second)
    assert len(allocated) == 2
    for _ in range(PATIENCE):
        save(pool, {"a": LARGE})
    assert len(allocated) == 2
    pool.take()
    pool.take().capture({"a": LARGE})
    assert len(allocated) == 3


def test_a_slot_that_is_used_now_and_then_keeps_its_memory(allocated):
    pool = StagingPool()
    for number in range(3 * PATIENCE):
        first = pool.take()
        first.capture({"a": LARGE})
        if number % (PATIENCE - 1) == 0:
            second = pool.take()
            second.capture({"a": LARGE})
            pool.give_back(second)
        pool.give_back(first)
    assert len(allocated) == SLOTS


def test_saves_in_flight_have_memory_of_their_own():
    pool = StagingPool()
    slots = [pool.take() for _ in range(SLOTS)]
    trees = [slot.capture({"a": SMALL + number}) for number, slot in enumerate(slots)]
    assert [restore_tree(tree)["a"].tolist() for tree in trees] == [(SMALL + number).tolist() for number in range(SLOTS)]
    assert len({address(tree["a"]) for tree in trees}) == SLOTS


def test_a_third_save_waits_until_one_is_done():
    pool = StagingPool()
    slots = [pool.take() for _ in range(SLOTS)]
    taken = []
    third = threading.Thread(target=lambda: taken.append(pool.take()))
    third.start()
    third.join(0.05)
    assert (third.is_alive(), taken) == (True, [])
    pool.give_back(slots[1])
    third.join(10)
    assert taken == [slots[1]]


def test_a_state_that_cannot_be_stored_leaves_the_slot_usable():
    pool = StagingPool()
    slot = pool.take()
    with pytest.raises(CannotEncode):
        slot.capture({"a": LARGE, "b": print})
    assert restore_tree(slot.capture({"a": SMALL}))["a"].tolist() == SMALL.tolist()
    pool.give_back(slot)
    assert pool.take() is slot
