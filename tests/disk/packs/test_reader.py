import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onyxstore.disk import files
from onyxstore.disk.packs import writer
from onyxstore.disk.packs.format import SUFFIX, encode_header
from onyxstore.disk.packs.reader import Pack
from onyxstore.errors import CorruptFile, CorruptObject, DiskError


@pytest.fixture(name="pack")
def _pack(folder, chunks):
    return folder.open(folder.write(chunks))


def change(path, place: int, value: int = 0xFF) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= value
    path.write_bytes(data)


def test_an_open_pack_can_be_read_after_its_file_is_gone(pack, chunks, read_row):
    pack.path.unlink()
    assert [read_row(pack, row) for row in range(len(chunks))] == [bytes(chunk.data) for chunk in chunks]


def test_many_threads_may_read_one_pack(pack, chunks, read_row):
    rows = list(range(len(chunks))) * 6
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda row: read_row(pack, row), rows)) == [bytes(chunks[row].data) for row in rows]


@pytest.mark.parametrize("difference", [-1, 1, 1000])
def test_a_buffer_of_another_size_is_refused(pack, difference):
    with pytest.raises(ValueError, match="does not go into"):
        pack.read_into(0, memoryview(bytearray(pack.table[0].size + difference)))


def test_a_whole_pack_has_no_damage(pack):
    assert list(pack.verify()) == list(pack.verify(threads=3)) == []


def test_the_descriptor_is_given_back_with_the_last_reference(folder, chunks):
    pack = folder.open(folder.write(chunks))
    descriptor = pack._fd
    assert os.fstat(descriptor).st_size == pack.path.stat().st_size
    del pack
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_a_closed_pack_cannot_be_read(pack):
    pack.close()
    pack.close()
    with pytest.raises(DiskError, match="failed"):
        pack.read_into(0, memoryview(bytearray(pack.table[0].size)))


# -------------------------------------------------------------------------------------------------------------- damage


@pytest.mark.parametrize("row", range(9))
def test_a_damaged_chunk_is_refused_and_the_others_are_read(pack, chunks, read_row, row):
    change(pack.path, pack.table[row].offset + pack.table[row].stored - 1)
    damaged = Pack.open(pack.path)
    with pytest.raises(CorruptObject) as caught:
        read_row(damaged, row)
    assert (caught.value.address, caught.value.file) == (chunks[row].address, str(pack.path))
    assert [read_row(damaged, other) for other in range(9) if other != row] == [
        bytes(chunk.data) for other, chunk in enumerate(chunks) if other != row
    ]
    assert [damage.address for damage in damaged.verify(threads=2)] == [chunks[row].address]


def test_a_raw_frame_is_vouched_for_by_the_address_alone(pack):
    noise = next(row for row, chunk in enumerate(pack.table) if chunk.size == 300_000)
    change(pack.path, pack.table[noise].offset + 1000)
    out = memoryview(bytearray(300_000))
    Pack.open(pack.path).read_into(noise, out, verify=False)
    with pytest.raises(CorruptObject, match="its bytes have another address"):
        Pack.open(pack.path).read_into(noise, out)


def test_a_damaged_header_is_found_and_hides_no_chunk(pack, chunks, read_row):
    change(pack.path, 20)
    damaged = Pack.open(pack.path)
    assert [(type(damage), "header" in str(damage)) for damage in damaged.verify()] == [(CorruptFile, True)]
    assert read_row(damaged, 0) == bytes(chunks[0].data)


def test_a_whole_header_that_names_other_chunks_is_found(folder, chunks, monkeypatch):
    other = {chunk.address: chunk.address[::-1] for chunk in chunks}
    monkeypatch.setattr(writer, "encode_header", lambda given: encode_header([replace(one, address=other[one.address]) for one in given]))
    pack = folder.open(folder.write(chunks))
    assert [str(damage) for damage in pack.verify()] == [str(CorruptFile(str(pack.path), "its header and its index differ"))]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 10**9), bit=st.integers(0, 7))
def test_every_flipped_bit_is_found(folder, make_weights, place, bit):
    pack = folder.open(folder.write([make_weights(1, 500), make_weights(2, 700)]))
    whole = pack.path.read_bytes()
    change(pack.path, place % len(whole), 1 << bit)
    try:
        found = list(Pack.open(pack.path).verify())
    except CorruptFile as error:
        found = [error]
    # A frame's descriptor has one bit that no reader heeds (RFC 8878, 3.1.1.1.1.3): the frame still decodes to its chunk.
    assert found or whole[place % len(whole) - 4 :][:4] == b"\x28\xb5\x2f\xfd"
    pack.path.write_bytes(whole)


@pytest.mark.parametrize("size", [0, 1, 47, 48, 49, 200, -1, -49])
def test_a_pack_cut_short_is_refused(pack, size):
    pack.path.write_bytes(pack.path.read_bytes()[:size])
    with pytest.raises(CorruptFile) as caught:
        Pack.open(pack.path)
    assert caught.value.file == str(pack.path)


@pytest.mark.parametrize("size", [48, 56, 100])
def test_the_end_of_a_pack_is_no_pack(pack, size):
    pack.path.write_bytes(pack.path.read_bytes()[-size:])
    with pytest.raises(CorruptFile, match="shorter than its index"):
        Pack.open(pack.path)


def test_what_cannot_be_opened_keeps_no_descriptor(pack):
    pack.path.write_bytes(pack.path.read_bytes()[:-1])
    before = list(Path("/dev/fd").iterdir())
    with pytest.raises(CorruptFile):
        Pack.open(pack.path)
    assert list(Path("/dev/fd").iterdir()) == before


def test_a_pack_with_something_behind_it_or_before_it_is_refused(pack):
    whole = pack.path.read_bytes()
    for wrong in (whole + b"\0", b"\0" + whole, whole + whole[-48:]):
        pack.path.write_bytes(wrong)
        with pytest.raises(CorruptFile):
            Pack.open(pack.path)


def test_a_pack_under_another_name_is_refused(pack):
    for name in ("0" * 32 + SUFFIX, "pack" + SUFFIX, pack.name):
        other = pack.path.rename(pack.path.with_name(name))
        with pytest.raises(CorruptFile, match=r"that of|no pack has such a name"):
            Pack.open(other)
        other.rename(pack.path)


def test_a_file_that_was_cut_after_it_was_opened_is_damage(pack, chunks):
    os.truncate(pack.path, pack.table[5].offset)
    assert [damage.address for damage in pack.verify()] == [chunk.address for chunk in chunks[5:]]


def test_a_disk_that_cannot_read_is_reported_for_each_chunk(pack, chunks, monkeypatch):
    read_into = files.read_into

    def fail(fd: int, offset: int, out: memoryview) -> int:
        if offset == pack.table[3].offset:
            raise DiskError("reading", "pack", 5)
        return read_into(fd, offset, out)

    monkeypatch.setattr(files, "read_into", fail)
    [damage] = pack.verify()
    assert (damage.address, damage.why) == (chunks[3].address, "it cannot be read: Input/output error")


def test_absence_is_an_answer(tmp_path):
    with pytest.raises(FileNotFoundError):
        Pack.open(tmp_path / ("0" * 32 + SUFFIX))


@pytest.mark.parametrize("kind", ["link", "folder", "fifo"])
def test_only_regular_files_are_opened(pack, tmp_path, kind):
    path = tmp_path / pack.path.name
    {"link": lambda: path.symlink_to(pack.path), "folder": path.mkdir, "fifo": lambda: os.mkfifo(path)}[kind]()
    with pytest.raises((CorruptFile, DiskError)):
        Pack.open(path)
