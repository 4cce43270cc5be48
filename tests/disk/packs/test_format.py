import json
from binascii import crc32
from dataclasses import astuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load

from onyxstore.disk.codecs.codec import MAX_CHUNK_BYTES
from onyxstore.disk.codecs.raw import raw_frame_size
from onyxstore.disk.codecs.table import CODECS, get_codec
from onyxstore.disk.packs.format import (
    Chunk,
    Row,
    Table,
    decode_header,
    decode_index,
    decode_trailer,
    decode_trailer_size,
    encode_header,
    encode_trailer,
    is_pack_name,
    make_table,
    pack_name,
)
from onyxstore.hashing import Address, address_of

ONE = Chunk(Address("11" * 32), get_codec("plain"), 10)
TWO = Chunk(Address("22" * 32), get_codec("rotated-16"), 6)
SMALL = make_table(99, [ONE, TWO], [20, 17, 9])

SMALL_INDEX = bytes.fromhex(
    "11" * 32
    + "22" * 32  # addresses
    + "0a000000 06000000"  # raw sizes
    + "14000000 11000000 09000000"  # stored sizes
    + "00 04"  # codecs
    + "02000000 03000000 00000000 01000000"  # chunks, frames, bases, format
    + "6300000000000000 8600000000000000"  # bytes of the header's frame, of the index
    + "639cd2ce"  # check
    + b"onyx pack 1\n".hex()
)


@st.composite
def tables(draw: st.DrawFn) -> Table:
    chunks, frames = [], []
    for number in range(draw(st.integers(1, 6))):
        codec = draw(st.sampled_from(CODECS))
        chunk = Chunk(address_of(b"%d" % number), codec, codec.word * draw(st.integers(1, 5000)))
        chunks.append(chunk)
        frames += [draw(st.integers(1, raw_frame_size(size))) for size in codec.plane_sizes(chunk.size)]
    return make_table(draw(st.integers(1, 10**6)), chunks, frames)


def refused(call, *arguments) -> str:
    with pytest.raises(ValueError, match=r"\A[^\n]+\Z") as caught:
        call(*arguments)
    return str(caught.value)


# --------------------------------------------------------------------------------------------------------------- index


def test_the_bytes_of_an_index():
    assert SMALL.content() == SMALL_INDEX
    assert list(decode_index(SMALL_INDEX)) == list(SMALL)


def test_rows_follow_one_another_from_the_end_of_the_header():
    assert [astuple(row) for row in SMALL] == [
        (*astuple(ONE), 99, (20,)),
        (*astuple(TWO), 119, (17, 9)),
    ]
    assert (SMALL.end, [row.stored for row in SMALL], len(SMALL)) == (145, [20, 26], 2)


@pytest.mark.parametrize("row", [2, -1, 10**9])
def test_there_is_no_other_row(row):
    with pytest.raises(IndexError):
        SMALL[row]


@given(table=tables())
def test_an_index_says_what_it_was_made_of(table):
    name, trailer = encode_trailer(table)
    read = decode_trailer(trailer, name, table.end + len(trailer))
    assert (list(read), read.header_length, read.end) == (list(table), table.header_length, table.end)
    assert decode_trailer_size(trailer[-48:]) == len(trailer)


@given(table=tables(), place=st.integers(0, 10**6), value=st.integers(1, 255))
def test_any_changed_byte_of_an_index_is_found(table, place, value):
    content = bytearray(table.content())
    content[place % len(content)] ^= value
    refused(decode_index, bytes(content))


@given(table=tables(), cut=st.integers(1, 10**6))
def test_an_index_that_is_not_whole_is_refused(table, cut):
    content = table.content()
    for wrong in (content[cut % len(content) :][1:], content[: -(cut % len(content)) - 1], content + b"\0", b"\0" + content):
        refused(decode_index, wrong)


@given(content=st.binary(max_size=300))
def test_anything_else_is_no_index(content):
    refused(decode_index, content)
    refused(decode_index, content + SMALL_INDEX[-48:])


def forged(changes: dict[int, bytes]) -> bytes:
    """The small index with other bytes at some places and a check that fits them."""
    content = bytearray(SMALL_INDEX)
    for place, data in changes.items():
        content[place : place + len(data)] = data
    content[-16:-12] = crc32(content[:-16]).to_bytes(4, "little")
    return bytes(content)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({32: b"\x11" * 32}, "an address twice"),
        ({84: b"\x06"}, "unknown codec"),
        ({84: b"\xff\xff"}, "unknown codec"),
        ({85: b"\x03"}, "planes-64 has no chunk of 6"),
        ({85: b"\x00"}, "frames of impossible sizes"),
        ({64: b"\0\0\0\0"}, "no chunk of 0"),
        ({64: (MAX_CHUNK_BYTES + 1).to_bytes(4, "little")}, "no chunk of"),
        ({72: (raw_frame_size(10) + 1).to_bytes(4, "little")}, "frames of impossible sizes"),
        ({76: b"\0\0\0\0"}, "frames of impossible sizes"),
        ({86: b"\x03"}, "none of 3 chunks in 3 frames"),
        ({86: b"\0\0\0\0"}, "none of 0 chunks in 3 frames"),
        ({86: b"\xff\xff\xff\xff"}, "none of 4294967295 chunks"),
        ({90: b"\x04"}, "none of 2 chunks in 4 frames"),
        ({94: b"\x01"}, "1 bases"),
        ({98: b"\x02"}, "format 2"),
        ({102: bytes(8)}, "a header of 0 bytes"),
        ({102: b"\xff" * 8}, "a header of 18446744073709551615 bytes"),
        ({110: b"\xff" * 8}, "would have 18446744073709551615 bytes"),
        ({110: b"\x85"}, "another length"),
    ],
)
def test_an_index_that_passes_its_check_and_lies_is_refused(changes, why):
    assert why in refused(decode_index, forged(changes))


def test_a_trailer_must_fit_the_name_the_file_and_its_own_frame():
    name, trailer = encode_trailer(SMALL)
    size = 145 + len(trailer)
    assert trailer == bytes.fromhex("5e2a4d18 86000000") + SMALL_INDEX
    assert name == pack_name(SMALL_INDEX) == address_of(SMALL_INDEX)[:32]
    assert f"that of {name}" in refused(decode_trailer, trailer, "0" * 32, size)
    assert f"{size - 1} bytes where its index speaks of {size}" in refused(decode_trailer, trailer, name, size - 1)
    assert "no skippable frame" in refused(decode_trailer, b"\x5f" + trailer[1:], name, size)


@pytest.mark.parametrize("footer", [b"", b"\0" * 48, SMALL_INDEX[-47:], SMALL_INDEX[-48:-1] + b"\0"])
def test_a_file_that_ends_otherwise_has_no_trailer(footer):
    assert refused(decode_trailer_size, footer) == "it does not end in an index"


@pytest.mark.parametrize(
    ("chunks", "frames"),
    [([], []), ([ONE, ONE], [5, 5]), ([ONE], []), ([ONE], [5, 5]), ([ONE], [0]), ([ONE], [27]), ([Chunk(ONE.address, ONE.codec, 0)], [5])],
)
def test_a_table_that_no_reader_would_accept_is_not_made(chunks, frames):
    refused(make_table, 10, chunks, frames)


@pytest.mark.parametrize(
    ("text", "fits"),
    [("0123456789abcdef" * 2, True), ("0" * 31, False), ("0" * 33, False), ("A" * 32, False), ("../" * 10 + "ab", False)],
)
def test_only_32_hexadecimal_digits_name_a_pack(text, fits):
    assert is_pack_name(text) is fits


# -------------------------------------------------------------------------------------------------------------- header


def test_the_header_of_a_pack_is_that_of_a_safetensors_file():
    header = encode_header([ONE, TWO])
    assert (len(header) % 8, int.from_bytes(header[:8], "little")) == (0, len(header) - 8)
    read = load(header + b"0123456789abcdef")
    assert {name: (tensor.dtype.name, tensor.tobytes()) for name, tensor in read.items()} == {
        "0.0": ("uint8", b"0123456789"),
        "1.0": ("uint8", b"abc"),
        "1.1": ("uint8", b"def"),
    }
    recipe = json.loads(json.loads(header[8:])["__metadata__"]["onyx"])
    assert recipe == {
        "format": 1,
        "chunks": [{"address": "11" * 32, "codec": "plain", "size": 10}, {"address": "22" * 32, "codec": "rotated-16", "size": 6}],
    }


@given(table=tables())
def test_a_header_says_what_it_was_made_of(table):
    chunks = [Chunk(row.address, row.codec, row.size) for row in table]
    assert encode_header(table) == encode_header(chunks)
    assert decode_header(encode_header(table)) == chunks


@given(place=st.integers(0, 10**6), value=st.integers(1, 255))
def test_any_changed_byte_of_a_header_is_found_or_in_an_address(place, value):
    header = bytearray(encode_header([ONE, TWO]))
    place %= len(header)
    header[place] ^= value
    try:
        changed = decode_header(bytes(header))
    except ValueError:
        return
    assert [(chunk.codec, chunk.size) for chunk in changed] == [(ONE.codec, ONE.size), (TWO.codec, TWO.size)]


@given(header=st.binary(max_size=200))
def test_anything_else_is_no_header(header):
    refused(decode_header, header)
    refused(decode_header, len(header).to_bytes(8, "little") + header)


def padded(text: str) -> str:
    text = text.rstrip()
    return text + " " * (-len(text) % 8)


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "[]",
        "null",
        '{"__metadata__":null}',
        '{"__metadata__":{"onyx":7}}',
        '{"__metadata__":{"onyx":"[]"}}',
        '{"__metadata__":{"onyx":"{\\"chunks\\":[],\\"format\\":1}"}}',
        '{"__metadata__":{"onyx":"{\\"chunks\\":[7],\\"format\\":1}"}}',
        '{"__metadata__":{"onyx":"\\ud800"}}',
        "[" * 100_000,
        padded(encode_header([ONE])[8:].decode().replace("10", "10.0")),
        encode_header([ONE])[8:].decode().replace('\\"size\\":10', '\\"size\\":\\"10\\"'),
        padded(encode_header([Chunk(ONE.address, ONE.codec, 1)])[8:].decode().replace('\\"size\\":1', '\\"size\\":true')),
        encode_header([ONE])[8:].decode().replace("plain", "delta"),
        encode_header([ONE])[8:].decode().replace("1111", "111G"),
        encode_header([ONE])[8:].decode().replace('"0.0"', '"../x"'),
        encode_header([ONE])[8:].decode().replace("[0,10]", "[0,11]"),
        encode_header([ONE])[8:].decode().replace("U8", "I8"),
    ],
)
def test_json_that_is_no_header_of_a_pack_is_refused(text):
    refused(decode_header, len(text).to_bytes(8, "little") + text.encode())


def test_a_row_is_a_chunk_with_its_place():
    assert isinstance(SMALL[0], Row)
    assert isinstance(SMALL[0], Chunk)
