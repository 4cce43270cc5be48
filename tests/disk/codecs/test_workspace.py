from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from onyxstore.disk.codecs.stage import Stage
from onyxstore.disk.codecs.workspace import Memory, Workspace, borrow_workspace, give_memory, take_memory


def test_memory_has_the_size_that_was_asked_for_and_is_kept():
    memory = Memory()
    memory.view(100)[:] = b"a" * 100
    assert [memory.view(size).nbytes for size in (100, 7, 0)] == [100, 7, 0]
    assert memory.view(50) == b"a" * 50


def test_memory_that_must_grow_leaves_older_views_as_they_are():
    memory = Memory()
    older = memory.view(4)
    older[:] = b"onyx"
    memory.view(1000)[:4] = b"    "
    assert older == b"onyx"


def test_each_use_has_memory_of_its_own():
    space = Workspace()
    one, other = space.memory("one", 4), space.memory("other", 4)
    one[:], other[:] = b"aaaa", b"bbbb"
    assert (bytes(space.memory("one", 4)), bytes(space.memory("other", 4))) == (b"aaaa", b"bbbb")


def test_a_compressor_is_made_once_for_each_stage():
    space = Workspace()
    assert space.compressor(Stage.FAST) is space.compressor(Stage.FAST)
    assert space.compressor(Stage.FAST) is not space.compressor(Stage.LEVEL_3)


def test_a_workspace_is_lent_again_after_an_error_too():
    with pytest.raises(KeyError), borrow_workspace() as first:
        raise KeyError
    with borrow_workspace() as second:
        assert second is first


def test_no_two_threads_have_the_same_workspace():
    together = Barrier(4)

    def lend(_: int) -> int:
        with borrow_workspace() as space:
            together.wait()
            return id(space)

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(lend, range(4)))) == 4


def test_memory_that_was_given_back_is_taken_again():
    memory = take_memory()
    give_memory(memory)
    assert take_memory() is memory
