"""The examples of `docs/format.md` are what the library writes, byte for byte, and what a reader that knows only the page reads."""

import re

import numpy as np
import pytest

from onyxstore.canonical import canonical_bytes, read_canonical
from onyxstore.disk.codecs.plain import Plain
from onyxstore.disk.codecs.raw import encode_raw_frame
from onyxstore.disk.codecs.table import get_codec
from onyxstore.disk.codecs.workspace import Workspace
from onyxstore.disk.lines import decode_line, encode_line
from onyxstore.disk.packs.format import SUFFIX, Chunk, encode_header, encode_trailer, make_table
from onyxstore.disk.packs.reader import Pack
from onyxstore.hashing import address_of
from onyxstore.history.metrics.line import decode_record, encode_record
from onyxstore.history.metrics.planes import Planes, decode_column
from onyxstore.history.metrics.prefix import RunningHash, encode_binary
from tests.format import mini_reader
from tests.format.page import PAGE, dumped, example, tables

FLOATS = np.array([1.0, -2.5, 0.1], "<f4").tobytes()


def raw_frame(plane):
    return b"".join(map(bytes, encode_raw_frame(plane)))


@pytest.fixture
def pack():
    """The worked example of a pack, put together from the page."""
    text = example("json pack-header").replace("\n", "").encode()
    return dumped("hexdump pack-start") + text + b" " * (-len(text) % 8) + dumped("hexdump pack-end")


@pytest.fixture
def pack_name():
    return re.search(rf"`([0-9a-f]{{32}}){re.escape(SUFFIX)}`", PAGE)[1]


def test_the_line_of_a_ref_is_spelt_as_the_library_spells_it():
    line = example("line ref").encode()
    assert encode_line(canonical_bytes(read_canonical(decode_line(line)))) == line
    assert mini_reader.lines(line) == [line[9:-1]]


def test_the_lines_of_a_tail_are_the_records_that_the_library_reads_and_writes():
    lines = example("line tail").encode().splitlines(keepends=True)
    records = [decode_record(decode_line(line)) for line in lines]
    assert [position for position, _ in records] == [0, 1, 2]
    assert [encode_line(encode_record(*record)) for record in records] == lines


def test_the_records_have_the_binary_form_and_the_hashes_that_the_page_shows():
    records = [decode_record(decode_line(line))[1] for line in example("line tail").encode().splitlines(keepends=True)]
    assert [encode_binary(record).hex(" ") for record in records] == example("hex records").splitlines()
    hashes = RunningHash()
    assert [hashes.at(end, lambda start, stop: records[start:stop]) for end in range(4)] == example("hex hashes").splitlines()


def test_the_pack_is_what_the_library_writes_of_these_chunks(pack, pack_name):
    rotated, planes = get_codec("rotated-32"), memoryview(bytearray(len(FLOATS)))
    chunks = [Chunk(address_of(FLOATS), rotated, len(FLOATS)), Chunk(address_of(b"hello"), Plain(0, "plain", 1), 5)]
    frames = [raw_frame(plane) for plane in [*rotated.split(memoryview(FLOATS), planes, Workspace()), b"hello"]]
    header = raw_frame(encode_header(chunks))
    name, trailer = encode_trailer(make_table(len(header), chunks, list(map(len, frames))))
    assert (name, header + b"".join(frames) + trailer) == (pack_name, pack)


def test_the_pack_is_read_by_the_library(pack, pack_name, tmp_path):
    (tmp_path / (pack_name + SUFFIX)).write_bytes(pack)
    opened = Pack.open(tmp_path / (pack_name + SUFFIX))
    read = [bytearray(row.size) for row in opened.table]
    for row, out in enumerate(read):
        opened.read_into(row, memoryview(out))
    assert list(map(bytes, read)) == [FLOATS, b"hello"]
    assert list(opened.verify()) == []


def test_the_pack_is_read_by_a_reader_that_knows_the_page(pack):
    places = dict(mini_reader.read_index(pack))
    assert {address: mini_reader.read_chunk(pack, *place) for address, place in places.items()} == {
        address_of(FLOATS): FLOATS,
        address_of(b"hello"): b"hello",
    }


def test_the_frames_lie_where_the_page_says(pack):
    words = r"the five planes \(from ([^)]*)\), the skippable frame \((\w+)\), and in it the index \((\w+)\)"
    said = re.search(words, PAGE.replace("\n", " "))
    begins = [begin for _, (_, _, frames) in mini_reader.read_index(pack) for begin, _ in frames]
    end = len(pack) - 8 - int.from_bytes(pack[-24:-16], "little")
    assert [int(place, 16) for place in re.split(", | and ", said[1])] == begins
    assert [int(said[2], 16), int(said[3], 16)] == [end, end + 8]


@pytest.mark.parametrize("row", tables("10.4 Columns")[1], ids=lambda row: row[0])
def test_a_column_of_the_page_is_read_as_the_page_says(row):
    values, reading, starts, *planes = (cell.strip("`") for cell in row)
    data = np.array([list(bytes.fromhex(plane)) for plane in planes[0].split("/")], np.uint8)
    first = [int(start) for start in starts.split(",") if start]
    expected = [float(value) if "." in value else int(value) for value in values.split(",")]
    assert decode_column(Planes(reading, tuple(first), data)).tolist() == expected
    assert mini_reader.read_column(data, reading, first) == expected
