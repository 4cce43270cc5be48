"""The object store: what goes in comes out, verified; what is there already is not written again."""

import threading

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onyxstore.disk.files import walk_files
from onyxstore.disk.objects import NewTensor, ObjectStore
from onyxstore.errors import CorruptObject, ObjectMissing
from onyxstore.hashing import address_of


@pytest.fixture
def objects(layout):
    return ObjectStore(layout)


def tensor(data, cut=4 << 20, dtype="float32"):
    """A tensor of these bytes, in chunks of `cut`."""
    view = memoryview(data).cast("B")
    windows = [view[start : start + cut] for start in range(0, view.nbytes, cut)]
    return NewTensor(dtype, view, [(address_of(window), window) for window in windows])


def noise(seed, size=1000):
    return np.random.default_rng(seed).standard_normal(size, np.float32)


def read(objects, address, size):
    out = bytearray(size)
    objects.read_chunk(address, memoryview(out))
    return bytes(out)


def read_all(objects, stored):
    return b"".join(read(objects, address, window.nbytes) for address, window in stored.chunks)


def test_a_small_object_comes_back_and_is_stored_once(objects, layout):
    address = objects.put(b"some words")
    assert (objects.put(b"some words"), objects.get(address), objects.has(address)) == (address, b"some words", True)
    assert len(list(walk_files(layout.objects))) == 1


def test_an_object_that_is_not_there_is_missing(objects):
    address = address_of(b"x")
    with pytest.raises(ObjectMissing):
        objects.get(address)
    with pytest.raises(ObjectMissing):
        read(objects, address, 1)
    assert (objects.has(address), objects.has_chunk(address), objects.find_stored_size(address)) == (False, False, None)


def test_a_file_is_stored_as_its_bytes(objects, tmp_path):
    data = bytes(range(256)) * 9000
    (tmp_path / "f").write_bytes(data)
    address, size = objects.put_file(tmp_path / "f")
    assert (address, size, objects.get(address)) == (address_of(data), len(data), data)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    data=st.binary(min_size=1, max_size=300),
    cut=st.integers(1, 100),
    dtype=st.sampled_from(["float32", "float16", "bfloat16", "float64", "int64", "uint8", "bool", "complex64", "float8_e5m2"]),
)
def test_chunks_of_any_bytes_dtype_and_size_come_back(objects, data, cut, dtype):
    stored = tensor(data, cut, dtype)
    objects.put_tensors([stored])
    assert read_all(objects, stored) == data


def test_tensors_of_one_save_are_one_pack(objects, layout):
    stored = [tensor(noise(seed)) for seed in range(5)]
    grown = objects.put_tensors(stored)
    (pack,) = walk_files(layout.packs)
    assert (grown, objects.packed_size()) == (pack.stat().st_size, pack.stat().st_size)
    assert [read_all(objects, each) for each in stored] == [bytes(each.data) for each in stored]


def test_only_what_the_store_lacks_is_written(objects, layout):
    first, second, both = tensor(noise(1)), tensor(noise(2)), tensor(noise(1))
    objects.put_tensors([first])
    assert objects.put_tensors([both]) == 0
    assert objects.put_tensors([]) == 0
    grown = objects.put_tensors([first, second, second])
    assert (len(list(walk_files(layout.packs))), grown < 2 * 4000) == (2, True)
    assert [len(pack.table) for pack in objects.packs()] == [1, 1]


def test_a_chunk_that_comes_twice_in_one_tensor_is_stored_once(objects):
    stored = tensor(b"abcd" * 2, cut=4)
    objects.put_tensors([stored])
    assert ([len(pack.table) for pack in objects.packs()], read_all(objects, stored)) == ([1], b"abcdabcd")


def test_empty_tensors_need_no_pack(objects, layout):
    assert objects.put_tensors([tensor(b""), tensor(b"")]) == 0
    assert list(walk_files(layout.packs)) == []


def test_what_another_process_stored_is_found_and_not_written_again(objects, layout):
    other = ObjectStore(layout)
    stored = tensor(noise(1))
    other.put_tensors([stored])
    assert (objects.put_tensors([stored]), read_all(objects, stored)) == (0, bytes(stored.data))


def test_what_another_process_took_away_is_written_again(objects, layout):
    stored = tensor(noise(1))
    objects.put_tensors([stored])
    (pack,) = walk_files(layout.packs)
    pack.unlink()
    assert objects.put_tensors([stored]) > 0
    assert read_all(objects, stored) == bytes(stored.data)


def test_what_is_read_is_verified(objects, layout):
    stored = tensor(noise(1))
    objects.put_tensors([stored])
    (pack,) = objects.packs()
    data = bytearray(pack.path.read_bytes())
    data[pack.table[0].offset + pack.table[0].stored // 2] ^= 1
    pack.path.write_bytes(data)
    with pytest.raises(CorruptObject):
        read_all(ObjectStore(layout), stored)


def test_a_pack_that_cannot_be_opened_is_told_and_hides_no_other(objects, layout):
    good, bad = tensor(noise(1)), tensor(noise(2))
    objects.put_tensors([good])
    (first,) = walk_files(layout.packs)
    objects.put_tensors([bad])
    (second,) = set(walk_files(layout.packs)) - {first}
    second.write_bytes(second.read_bytes()[:-1])
    fresh = ObjectStore(layout)
    fresh.refresh()
    assert (list(fresh.damaged_packs()), read_all(fresh, good)) == ([second.name.partition(".")[0]], bytes(good.data))
    assert fresh.put_tensors([bad]) > 0
    assert read_all(fresh, bad) == bytes(bad.data)


def test_a_chunk_says_what_it_takes_in_its_pack(objects):
    flat, rough = tensor(np.zeros(1000, np.float32)), tensor(noise(1))
    objects.put_tensors([flat, rough])
    sizes = [objects.find_stored_size(each.chunks[0][0]) for each in (flat, rough)]
    assert (sizes[0] < 400, 3000 < sizes[1] < 4200) == (True, True)


def test_all_chunks_say_at_once_what_they_take(objects):
    assert objects.stored_sizes() == {}
    tensors = [tensor(noise(seed), cut=1000) for seed in range(2)]
    for each in tensors:
        objects.put_tensors([each])
    addresses = [address for each in tensors for address, _ in each.chunks]
    assert objects.stored_sizes() == {address: objects.find_stored_size(address) for address in addresses}


def test_a_chunk_says_how_large_it_is(objects):
    stored = tensor(noise(0), cut=1500)
    objects.put_tensors([stored])
    assert [objects.chunk_size(address) for address, _ in stored.chunks] == [1500, 1500, 1000]
    with pytest.raises(ObjectMissing):
        objects.chunk_size(address_of(b"x"))


def test_threads_may_read_and_write_together(objects):
    stored = [tensor(noise(seed)) for seed in range(16)]
    wrong = []

    def work(part):
        for each in part:
            objects.put_tensors([each])
            if read_all(objects, each) != bytes(each.data):
                wrong.append(each)

    threads = [threading.Thread(target=work, args=(stored[start::4],)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (wrong, [read_all(objects, each) for each in stored]) == ([], [bytes(each.data) for each in stored])
