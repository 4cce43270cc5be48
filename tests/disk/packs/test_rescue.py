import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onyxstore.disk.packs.format import Chunk, encode_header
from onyxstore.disk.packs.reader import Pack
from onyxstore.disk.packs.rescue import rebuild_pack, rescue_pack
from onyxstore.errors import CorruptFile, CorruptObject


@pytest.fixture(name="pack")
def _pack(folder, chunks):
    return folder.open(folder.write(chunks))


def change(path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 0xFF
    path.write_bytes(data)


@pytest.mark.parametrize("end", [-1, -48, -49, "end"])
def test_a_pack_without_its_index_is_rebuilt_from_header_and_frames(pack, chunks, read_row, end):
    pack.path.write_bytes(pack.path.read_bytes()[: pack.table.end if end == "end" else end])
    rebuilt = rebuild_pack(pack.path)
    assert list(rebuilt.table) == list(pack.table)
    assert rebuilt.table.content() == pack.table.content()
    assert [read_row(rebuilt, row) for row in range(len(chunks))] == [bytes(chunk.data) for chunk in chunks]


def test_a_lost_index_is_made_anew_under_the_same_name(folder, pack):
    whole = pack.path.read_bytes()
    pack.path.write_bytes(whole[:-5])
    rescue = rescue_pack(pack.path, folder.packs, folder.tmp, 2)
    assert (rescue.written.name, rescue.lost) == (pack.name, ())
    assert (pack.path.read_bytes(), folder.files()) == (whole, [pack.path.name])


def test_a_damaged_header_is_made_anew_under_the_same_name(folder, pack):
    whole = pack.path.read_bytes()
    change(pack.path, 30)
    rescue = rescue_pack(pack.path, folder.packs, folder.tmp)
    assert ([type(damage) for damage in rescue.lost], rescue.written.name) == ([CorruptFile], pack.name)
    assert pack.path.read_bytes() == whole


def test_damage_costs_only_the_chunks_that_it_hit(folder, pack, chunks):
    change(pack.path, pack.table[1].offset + 50)
    change(pack.path, pack.table[6].offset + 50)
    rescue = rescue_pack(pack.path, folder.packs, folder.tmp)
    assert [damage.address for damage in rescue.lost] == [chunks[1].address, chunks[6].address]
    new = Pack.open(folder.path(rescue.written))
    assert [row.address for row in new.table] == [chunk.address for number, chunk in enumerate(chunks) if number not in {1, 6}]
    assert list(new.verify()) == []
    assert pack.path.exists()


def test_without_an_index_the_walk_ends_at_the_first_frame_that_cannot_be_measured(folder, pack, chunks):
    pack.path.write_bytes(pack.path.read_bytes()[:-1])
    change(pack.path, pack.table[5].offset)
    assert list(rebuild_pack(pack.path).table) == list(pack.table)[:5]
    rescue = rescue_pack(pack.path, folder.packs, folder.tmp)
    assert [row.address for row in rescue.written.table] == [chunk.address for chunk in chunks[:5]]


def test_a_damaged_frame_does_not_end_the_walk_while_its_headers_are_whole(folder, pack, chunks):
    pack.path.write_bytes(pack.path.read_bytes()[:-1])
    noise = next(row for row, chunk in enumerate(pack.table) if chunk.size == 300_000)
    change(pack.path, pack.table[noise].offset + 5000)
    rescue = rescue_pack(pack.path, folder.packs, folder.tmp)
    assert ([damage.address for damage in rescue.lost], len(rescue.written.table)) == ([chunks[noise].address], 8)


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"\x28\xb5\x2f\xfd", b"onyx" * 1000])
def test_what_has_neither_index_nor_header_is_beyond_rescue(folder, pack, content):
    pack.path.write_bytes(content)
    with pytest.raises(CorruptFile) as caught:
        rescue_pack(pack.path, folder.packs, folder.tmp)
    assert caught.value.file == str(pack.path)
    assert folder.files() == [pack.path.name]


def test_a_header_without_frames_is_beyond_rescue(folder, pack):
    pack.path.write_bytes(pack.path.read_bytes()[: pack.table.header_length])
    with pytest.raises(CorruptFile, match="neither its index nor its first frame"):
        rescue_pack(pack.path, folder.packs, folder.tmp)


def test_a_bomb_for_a_header_is_refused_unread(pack):
    bomb = zstandard.ZstdCompressor(write_checksum=True).compress(bytes(90_000_000))
    pack.path.write_bytes(bomb)
    with pytest.raises(CorruptFile, match="its header would have 90000000 bytes"):
        rebuild_pack(pack.path)


def test_a_header_that_promises_more_than_there_is_costs_what_is_missing(pack, chunks):
    claimed = [*pack.table, Chunk(chunks[0].address[::-1], chunks[0].choice.codec, 4000)]
    header = zstandard.ZstdCompressor(write_checksum=True).compress(encode_header(claimed))
    pack.path.write_bytes(header + pack.path.read_bytes()[pack.table.header_length : pack.table.end])
    rebuilt = rebuild_pack(pack.path)
    assert [row.address for row in rebuilt.table] == [chunk.address for chunk in chunks]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 10**9), value=st.integers(1, 255), cut=st.integers(0, 400))
def test_whatever_happened_what_is_rescued_is_whole(folder, make_weights, place, value, cut):
    pack = folder.open(folder.write([make_weights(seed, 500) for seed in range(4)]))
    data = bytearray(pack.path.read_bytes())
    known = {row.address for row in pack.table}
    data[place % len(data)] ^= value
    pack.path.write_bytes(data[: len(data) - cut])
    try:
        rescue = rescue_pack(pack.path, folder.packs, folder.tmp)
    except CorruptFile:
        return
    if rescue.written is not None:
        new = Pack.open(folder.path(rescue.written))
        assert {row.address for row in new.table} <= known
        assert list(new.verify()) == []
    assert all(isinstance(damage, CorruptObject | CorruptFile) for damage in rescue.lost)
