import itertools
import os
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onyxstore.disk import files
from onyxstore.disk.codecs.codec import Choice
from onyxstore.disk.codecs.stage import Stage
from onyxstore.disk.codecs.table import PLAIN, get_codec
from onyxstore.disk.packs import writer
from onyxstore.disk.packs.format import MAX_CHUNKS, Chunk
from onyxstore.disk.packs.writer import NewChunk, split_packs, write_packs
from onyxstore.errors import DiskFull
from onyxstore.hashing import Address, address_of


def plain(data: bytes) -> NewChunk:
    return NewChunk(address_of(data), memoryview(data), Choice(PLAIN, (Stage.RAW,)))


def test_what_is_written_can_be_read(folder, chunks, read_row):
    written = folder.write(chunks)
    pack = folder.open(written)
    assert [read_row(pack, row) for row in range(len(pack.table))] == [bytes(chunk.data) for chunk in chunks]
    assert [row.address for row in pack.table] == [chunk.address for chunk in chunks]
    assert (written.size, folder.files()) == (folder.path(written).stat().st_size, [f"{written.name}.safetensors.zst"])


def test_what_is_returned_says_what_each_chunk_takes(folder, chunks):
    written = folder.write(chunks)
    taken = {chunk.address: chunk.stored for chunk in written.table}
    assert list(taken) == [chunk.address for chunk in chunks]
    assert taken[chunks[0].address] < 0.85 * chunks[0].size
    assert sum(taken.values()) + written.table.header_length < written.size


def test_the_same_chunks_make_the_same_pack_on_any_number_of_threads(folder, chunks):
    [one] = write_packs(chunks, folder.packs, folder.tmp, 1)
    before = folder.path(one).read_bytes()
    [many] = write_packs(chunks, folder.packs, folder.tmp, 3)
    assert (many.name, folder.path(many).read_bytes()) == (one.name, before)
    assert len(folder.files()) == 1


def test_a_pack_that_lost_bytes_is_replaced_by_the_one_that_is_written(folder, chunks):
    written = folder.write(chunks)
    whole = folder.path(written).read_bytes()
    folder.path(written).write_bytes(whole[:-1])
    folder.write(chunks)
    assert folder.path(written).read_bytes() == whole


def test_nothing_makes_no_pack(folder):
    assert write_packs([], folder.packs, folder.tmp, 2) == []


@pytest.mark.parametrize("threads", [1, 2])
def test_a_chunk_that_comes_twice_is_refused_and_nothing_is_left(folder, chunks, threads):
    with pytest.raises(ValueError, match="an address twice"):
        write_packs([*chunks, chunks[0]], folder.packs, folder.tmp, threads)
    assert folder.files() == []


def test_an_empty_chunk_is_refused(folder):
    with pytest.raises(ValueError, match="plain has no chunk of 0 bytes"):
        write_packs([plain(b"x"), plain(b"")], folder.packs, folder.tmp, 1)


def test_a_chunk_of_broken_words_is_stored_plain(folder, read_row):
    words = NewChunk(address_of(b"seven b"), memoryview(b"seven b"), Choice(get_codec("planes-16"), (Stage.FAST, Stage.FAST)))
    pack = folder.open(folder.write([words]))
    assert (pack.table[0].codec.name, read_row(pack, 0)) == ("plain", b"seven b")


def test_a_full_disk_leaves_nothing(folder, chunks, monkeypatch):
    def full(*_arguments: object) -> int:
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patched:
        patched.setattr(files.os, "writev", full)
        with pytest.raises(DiskFull):
            folder.write(chunks)
    assert folder.files() == []


def test_an_error_in_one_chunk_is_raised_and_nothing_is_left(folder, chunks, monkeypatch):
    def fail(data: memoryview, *_arguments: object) -> None:
        raise RuntimeError(f"cannot encode {data.nbytes} bytes")

    monkeypatch.setattr(writer, "encode_chunk", fail)
    with pytest.raises(RuntimeError, match="cannot encode"):
        folder.write(chunks)
    assert folder.files() == []


def test_packs_are_cut_by_raw_bytes_in_order(folder, chunks, monkeypatch):
    parts = list(split_packs(chunks, 100_000))
    assert [chunk for part in parts for chunk in part] == chunks
    assert all(len(part) == 1 or sum(chunk.size for chunk in part) <= 100_000 for part in parts)
    monkeypatch.setattr(writer, "split_packs", lambda given: split_packs(given, 100_000))
    written = write_packs(chunks, folder.packs, folder.tmp, 2)
    assert [len(pack.table) for pack in written] == [len(part) for part in parts]


@given(sizes=st.lists(st.integers(1, 50), max_size=60), limit=st.integers(1, 120))
def test_no_part_is_over_the_limit_and_none_could_have_taken_the_next_chunk(sizes, limit):
    chunks = [Chunk(Address(""), PLAIN, size) for size in sizes]
    parts = [[chunk.size for chunk in part] for part in split_packs(chunks, limit)]
    assert [size for part in parts for size in part] == sizes
    assert all(sum(part) <= limit or len(part) == 1 for part in parts)
    assert all(sum(part) + following[0] > limit for part, following in itertools.pairwise(parts))


def test_a_pack_has_so_many_chunks_at_most():
    parts = list(split_packs([Chunk(Address(""), PLAIN, 1)] * (MAX_CHUNKS + 1)))
    assert [len(part) for part in parts] == [MAX_CHUNKS, 1]


def test_chunks_in_flight_are_bounded_by_the_threads_not_by_the_save(folder, make_weights, monkeypatch):
    taken, most = 0, 0
    take, give = writer.take_memory, writer.give_memory

    def count_take():
        nonlocal taken, most
        taken += 1
        most = max(most, taken)
        return take()

    def count_give(memory):
        nonlocal taken
        taken -= 1
        give(memory)

    monkeypatch.setattr(writer, "take_memory", count_take)
    monkeypatch.setattr(writer, "give_memory", count_give)
    write_packs([make_weights(seed, 1000) for seed in range(60)], folder.packs, folder.tmp, 2)
    assert taken == 0
    assert most <= 2 + 3


def test_the_caller_is_left_with_its_chunks_unchanged(folder, chunks):
    before = [replace(chunk) for chunk in chunks]
    folder.write(chunks)
    assert before == chunks
