"""Freeing space, seen from the disk: only what is not named goes, and what is live is on disk before anything goes."""

import os

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onyxstore.disk import sweep as sweep_module
from onyxstore.disk.files import walk_files
from onyxstore.disk.layout import create_layout
from onyxstore.disk.objects import NewTensor, ObjectStore
from onyxstore.disk.sweep import LEFT_BEHIND, SweepPlan, execute_sweep, plan_sweep
from onyxstore.disk.trash import Trash
from onyxstore.errors import CorruptObject, DiskFull
from onyxstore.hashing import address_of


class Disk:
    """A store's objects, with numbered chunks of noise."""

    def __init__(self, layout):
        self.layout, self.objects, self.trash = layout, ObjectStore(layout), Trash(layout)

    def put(self, *numbers, size=1000):
        """One pack of these chunks; their addresses."""
        arrays = [np.random.default_rng(number).bytes(size) for number in numbers]
        self.objects.put_tensors([NewTensor("uint8", memoryview(data), [(address_of(data), memoryview(data))]) for data in arrays])
        return [address_of(data) for data in arrays]

    def plan(self, live=(), chunks=(), dropped=()):
        return plan_sweep(self.objects, self.layout, set(live), set(chunks), set(dropped))

    def sweep(self, **live):
        return execute_sweep(self.plan(**live), self.objects, self.layout, self.trash)

    def chunks(self):
        """Every chunk that can be read, in whatever pack."""
        found = set()
        objects = ObjectStore(self.layout)
        for pack in objects.packs():
            for row in pack.table:
                objects.read_chunk(row.address, memoryview(bytearray(row.size)))
                found.add(row.address)
        return found

    def packs(self):
        return sorted(path.name for path in walk_files(self.layout.packs))


@pytest.fixture
def disk(layout):
    return Disk(layout)


def test_an_object_that_was_given_up_goes_at_once_and_another_to_the_trash(disk):
    dropped, left = disk.objects.put(b"dropped"), disk.objects.put(b"left")
    plan = disk.plan(dropped=[dropped])
    assert ([address for address, _ in plan.gone], [address for address, _ in plan.loose]) == ([dropped], [left])
    assert (plan.freed, plan.to_trash) == (plan.gone[0][1] + plan.loose[0][1], plan.loose[0][1])
    disk.sweep(dropped=[dropped])
    (batch,) = disk.trash.batches()
    assert batch.paths == (f"objects/{left[:2]}/{left[2:]}",)
    assert [disk.objects.has(address) for address in (dropped, left)] == [False, False]


def test_when_all_is_live_there_is_nothing_to_do(disk):
    chunks, address = disk.put(1, 2), disk.objects.put(b"x")
    plan = disk.plan(live=[address], chunks=chunks)
    assert (plan, plan.freed, plan.to_trash) == (SweepPlan(), 0, 0)


def test_an_object_that_nobody_names_waits_in_the_trash(disk):
    kept, gone = disk.objects.put(b"kept"), disk.objects.put(b"gone")
    size = disk.objects.loose.stored_size(gone)
    done = disk.sweep(live=[kept])
    assert (done.loose, done.freed, done.to_trash) == (((gone, size),), size, size)
    assert (disk.objects.has(kept), disk.objects.has(gone)) == (True, False)
    (batch,) = disk.trash.batches()
    assert batch.paths == (f"objects/{gone[:2]}/{gone[2:]}",)
    disk.trash.restore(batch)
    assert disk.objects.get(gone) == b"gone"


def test_a_pack_of_dropped_chunks_is_gone_at_once(disk):
    (kept,), dropped = disk.put(1), disk.put(2, 3)
    size = disk.objects.packed_size()
    done = disk.sweep(chunks=[kept], dropped=dropped)
    assert (done.to_trash, done.freed, disk.objects.packed_size()) == (0, size - disk.objects.packed_size(), size - done.freed)
    assert (disk.chunks(), list(disk.trash.batches())) == ({kept}, [])


def test_a_pack_in_which_something_was_only_forgotten_waits_in_the_trash(disk):
    dropped, forgotten = disk.put(1, 2)
    done = disk.sweep(dropped=[dropped])
    assert (done.freed == done.to_trash > 0, disk.packs()) == (True, [])
    (batch,) = disk.trash.batches()
    disk.trash.restore(batch)
    assert disk.chunks() == {dropped, forgotten}


def test_the_live_chunks_of_a_pack_move_to_another(disk):
    chunks = disk.put(1, 2, 3)
    before = disk.packs()
    done = disk.sweep(chunks=chunks[:1], dropped=chunks[1:])
    assert (disk.chunks(), set(disk.packs()) & set(before), done.packs[0].keep) == ({chunks[0]}, set(), frozenset(chunks[:1]))
    assert disk.objects.has_chunk(chunks[0])
    assert not disk.objects.has_chunk(chunks[1])


def test_a_little_dead_weight_stays(disk):
    chunks = disk.put(*range(10))
    assert disk.plan(chunks=chunks[1:], dropped=chunks[:1]) == SweepPlan()
    assert len(disk.plan(chunks=chunks[3:], dropped=chunks[:3]).packs) == 1


def test_a_plan_of_a_store_changes_nothing(disk):
    disk.put(1, 2)
    disk.objects.put(b"x")
    before = {str(path): path.read_bytes() for path in walk_files(disk.layout.root)}
    disk.plan()
    assert {str(path): path.read_bytes() for path in walk_files(disk.layout.root)} == before


def test_files_that_a_crash_left_in_tmp_go_and_young_ones_stay(disk):
    old, young = disk.layout.tmp / "1-old", disk.layout.tmp / "2-young"
    for path in (old, young):
        path.write_bytes(b"half")
    now = young.stat().st_mtime_ns
    os.utime(old, ns=(now - LEFT_BEHIND - 10**9, now - LEFT_BEHIND - 10**9))
    assert disk.sweep().staged == (old,)
    assert list(walk_files(disk.layout.tmp)) == [young]


def test_a_file_in_tmp_that_gets_its_place_meanwhile_stops_nothing(disk, monkeypatch):
    path = disk.layout.tmp / "1-short"
    path.write_bytes(b"x")
    walk = sweep_module.files.walk_files

    def walk_and_lose(folder):
        yield from walk(folder)
        path.unlink(missing_ok=True)

    monkeypatch.setattr(sweep_module.files, "walk_files", walk_and_lose)
    assert disk.plan().staged == ()


def test_the_old_pack_goes_only_when_the_new_one_is_on_disk(disk, monkeypatch):
    chunks = disk.put(1, 2, 3)
    seen = []
    remove = sweep_module.files.remove
    monkeypatch.setattr(sweep_module.files, "remove", lambda path: seen.append(disk.chunks()) or remove(path))
    disk.sweep(chunks=chunks[:1], dropped=chunks[1:])
    assert seen == [set(chunks)]


@pytest.mark.parametrize("failure", [CorruptObject("0" * 64, "pack", "damaged"), DiskFull("writing", "pack", 28)])
def test_a_pack_that_cannot_be_rewritten_stays_and_the_others_go(disk, monkeypatch, failure):
    first, second = disk.put(1, 2, 3), disk.put(4, 5)

    def fail(*_):
        raise failure

    monkeypatch.setattr(sweep_module, "repack", fail)
    done = disk.sweep(chunks=first[:1], dropped=[*first[1:], *second])
    assert ([each.keep for each in done.packs], disk.chunks()) == ([frozenset()], set(first))


def test_what_needs_no_room_comes_first(disk, monkeypatch):
    first, second = disk.put(1, 2, 3), disk.put(4, 5)
    there = []
    repack = sweep_module.repack
    monkeypatch.setattr(sweep_module, "repack", lambda *arguments: there.append(disk.chunks()) or repack(*arguments))
    disk.sweep(chunks=first[:1], dropped=[*first[1:], *second])
    assert there == [set(first)]


def test_a_damaged_chunk_that_is_live_keeps_its_pack(disk):
    chunks = disk.put(1, 2, 3)
    pack, row = disk.objects._index.find(chunks[0])
    data = bytearray(pack.path.read_bytes())
    data[pack.table[row].offset + 600] ^= 1
    pack.path.write_bytes(data)
    fresh = Disk(disk.layout)
    assert (fresh.sweep(chunks=chunks[:1], dropped=chunks[1:]).packs, fresh.packs()) == ((), [pack.path.name])


def test_a_pack_that_cannot_be_opened_stays(disk):
    disk.put(1)
    (path,) = walk_files(disk.layout.packs)
    path.write_bytes(b"damaged")
    fresh = Disk(disk.layout)
    assert (fresh.sweep(), fresh.packs()) == (SweepPlan(), [path.name])


def test_a_second_sweep_after_a_crash_between_copy_and_removal_ends_the_work(disk, monkeypatch):
    chunks = disk.put(1, 2, 3)

    def crash(_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(sweep_module.files, "remove", crash)
        with pytest.raises(KeyboardInterrupt):
            disk.sweep(chunks=chunks[:1], dropped=chunks[1:])
    assert len(disk.packs()) == 2
    again = Disk(disk.layout)
    again.sweep(chunks=chunks[:1], dropped=chunks[1:])
    assert (again.chunks(), len(again.packs())) == ({chunks[0]}, 1)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(data=st.data())
def test_whatever_is_live_is_there_after_any_sweeps(tmp_path_factory, data):
    disk = Disk(create_layout(tmp_path_factory.mktemp("disk") / ".onyx", b""))
    known = set()
    for numbers in data.draw(st.lists(st.lists(st.integers(0, 12), min_size=1, max_size=6, unique=True), min_size=1, max_size=4)):
        known |= set(disk.put(*numbers, size=300))
    for _ in range(data.draw(st.integers(1, 3))):
        live = data.draw(st.sets(st.sampled_from(sorted(known))))
        dropped = data.draw(st.sets(st.sampled_from(sorted(known)))) - live
        disk.sweep(chunks=live, dropped=dropped)
        assert disk.chunks() >= live
        assert all(disk.objects.has_chunk(address) for address in live)
        known = live or known
        if not live:
            break
