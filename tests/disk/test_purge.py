"""Bytes that must be nowhere: in no file, no pack, not in the trash, not in what a crash left."""

import numpy as np
import pytest

from onyxstore.disk.files import walk_files
from onyxstore.disk.objects import NewTensor, ObjectStore
from onyxstore.disk.purge import plan_purge, purge_staged, purge_trash
from onyxstore.disk.sweep import execute_sweep
from onyxstore.disk.trash import Trash
from onyxstore.hashing import address_of


@pytest.fixture
def objects(layout):
    return ObjectStore(layout)


@pytest.fixture
def trash(layout):
    return Trash(layout)


@pytest.fixture
def put(objects):
    """One pack of numbered chunks of noise; their addresses."""

    def put(*numbers):
        arrays = [np.random.default_rng(number).bytes(1000) for number in numbers]
        objects.put_tensors([NewTensor("uint8", memoryview(data), [(address_of(data), memoryview(data))]) for data in arrays])
        return [address_of(data) for data in arrays]

    return put


def purge(objects, layout, trash, purged):
    return execute_sweep(plan_purge(objects, layout, set(purged)), objects, layout, trash)


def packs(layout):
    return {path.name: path.stat().st_size for path in walk_files(layout.packs)}


def test_a_chunk_goes_out_of_its_pack_however_little_of_that_it_is(objects, layout, trash, put):
    chunks = put(*range(20))
    before = packs(layout)
    done = purge(objects, layout, trash, chunks[:1])
    assert (done.freed > 1000, list(trash.batches()), len(packs(layout)), packs(layout) == before) == (True, [], 1, False)
    assert [objects.has_chunk(chunk) for chunk in chunks] == [False] + [True] * 19
    objects.read_chunk(chunks[1], memoryview(bytearray(1000)))


def test_a_pack_of_nothing_else_goes_whole_and_others_stay_as_they_are(objects, layout, trash, put):
    first, second = put(1, 2), put(3)
    kept = packs(layout)
    purge(objects, layout, trash, first)
    assert [objects.has_chunk(chunk) for chunk in (*first, *second)] == [False, False, True]
    assert packs(layout).items() <= kept.items()


def test_an_object_goes_at_once(objects, layout, trash):
    gone, kept = objects.put(b"gone"), objects.put(b"kept")
    done = purge(objects, layout, trash, [gone, "f" * 64])
    assert ([objects.has(address) for address in (gone, kept)], done.freed > 0, list(trash.batches())) == ([False, True], True, [])


def test_in_the_trash_go_objects_packs_that_hold_one_and_packs_that_cannot_be_read(objects, layout, trash, put):
    chunks, others, spoiled = put(1, 2), put(3), put(4)
    address, other = objects.put(b"gone"), objects.put(b"kept")
    of = {pack.table[0].address: pack.path for pack in objects.packs()}
    of[spoiled[0]].write_bytes(b"noise")
    batch = trash.open_batch()
    for path in (*of.values(), layout.object(address), layout.object(other)):
        trash.set_aside(batch, path)
    assert purge_trash(trash, {chunks[1], address}) > 2000
    (left,) = trash.batches()
    assert set(left.paths) == {f"packs/{of[others[0]].name}", f"objects/{other[:2]}/{other[2:]}"}


def test_of_what_lies_in_tmp_objects_and_packs_go_and_nothing_else(objects, layout, put):
    put(1)
    address = objects.put(b"gone")
    (pack,) = walk_files(layout.packs)
    (layout.tmp / "1-object").write_bytes(layout.object(address).read_bytes()[:20])
    (layout.tmp / "2-pack").write_bytes(pack.read_bytes())
    (layout.tmp / "3-ref").write_bytes(b"053b98bb {}\n")
    (layout.tmp / "4-empty").touch()
    purge_staged(layout)
    assert sorted(path.name for path in layout.tmp.iterdir()) == ["3-ref", "4-empty"]
