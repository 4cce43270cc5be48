import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onyxstore.disk.packs.reader import Pack
from onyxstore.disk.packs.repack import repack
from onyxstore.errors import CorruptObject


def stored_frames(pack, row) -> bytes:
    chunk = pack.table[row]
    return pack.path.read_bytes()[chunk.offset : chunk.offset + chunk.stored]


def test_the_chunks_that_are_kept_are_copied_as_they_are(folder, chunks, read_row):
    old = folder.open(folder.write(chunks))
    [written] = repack([(old, [1, 6, 3])], folder.packs, folder.tmp, 2)
    new = folder.open(written)
    assert [row.address for row in new.table] == [chunks[number].address for number in (1, 6, 3)]
    assert [stored_frames(new, row) for row in range(3)] == [stored_frames(old, number) for number in (1, 6, 3)]
    assert [read_row(new, row) for row in range(3)] == [bytes(chunks[number].data) for number in (1, 6, 3)]
    assert list(new.verify()) == []


def test_the_old_pack_is_left_to_the_caller(folder, chunks):
    old = folder.open(folder.write(chunks))
    before = old.path.read_bytes()
    [written] = repack([(old, [0])], folder.packs, folder.tmp, 1)
    assert old.path.read_bytes() == before
    assert folder.files() == sorted([old.path.name, folder.path(written).name])


def test_packs_are_merged_and_a_chunk_in_two_of_them_comes_once(folder, chunks, read_row):
    one, two = folder.open(folder.write(chunks[:5])), folder.open(folder.write(chunks[3:]))
    [written] = repack([(one, range(5)), (two, range(6))], folder.packs, folder.tmp, 2)
    new = folder.open(written)
    assert sorted(read_row(new, row) for row in range(9)) == sorted(bytes(chunk.data) for chunk in chunks)


def test_damage_is_not_carried_into_a_new_pack(folder, chunks):
    old = folder.open(folder.write(chunks))
    data = bytearray(old.path.read_bytes())
    data[old.table[6].offset + 100] ^= 1
    old.path.write_bytes(data)
    with pytest.raises(CorruptObject) as caught:
        repack([(Pack.open(old.path), [1, 6])], folder.packs, folder.tmp, 2)
    assert caught.value.address == chunks[6].address
    assert folder.files() == [old.path.name]


def test_a_pack_of_the_same_chunks_is_refused_since_its_name_would_be_the_old_one(folder, chunks):
    old = folder.open(folder.write(chunks))
    with pytest.raises(ValueError, match="all 9 chunks of pack"):
        repack([(old, range(9))], folder.packs, folder.tmp, 1)
    assert folder.files() == [old.path.name]


def test_nothing_makes_no_pack(folder, chunks):
    old = folder.open(folder.write(chunks))
    assert repack([(old, [])], folder.packs, folder.tmp, 1) == repack([], folder.packs, folder.tmp, 1) == []


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kept=st.lists(st.integers(0, 8), min_size=1, max_size=8, unique=True))
def test_any_selection_is_a_whole_pack(folder, chunks, kept):
    old = folder.open(folder.write(chunks))
    [written] = repack([(old, kept)], folder.packs, folder.tmp, 1)
    new = folder.open(written)
    assert ([row.address for row in new.table], list(new.verify())) == ([chunks[number].address for number in kept], [])
