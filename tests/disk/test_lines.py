import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onyxstore.disk.lines import Lines, decode_line, encode_line, split_lines

payloads = st.binary(max_size=40).map(lambda data: data.replace(b"\n", b""))

THREE = [b'{"a":1}', b"", b"caf\xc3\xa9 \x00 x"]
TEXT = b"".join(map(encode_line, THREE))


def lines_before(cut):
    """How many of the three lines end at or before `cut`, and where the last of them ends."""
    ends = [len(b"".join(map(encode_line, THREE[:count]))) for count in range(4)]
    return max((count, end) for count, end in enumerate(ends) if end <= cut)


@given(payloads)
def test_a_line_is_its_crc_a_space_the_payload_and_a_newline(payload):
    assert encode_line(payload) == f"{zlib.crc32(payload):08x} ".encode() + payload + b"\n"


@given(payloads)
def test_a_line_reads_back_with_and_without_its_newline(payload):
    line = encode_line(payload)
    assert (decode_line(line), decode_line(line[:-1])) == (payload, payload)


@given(st.lists(payloads, max_size=8))
def test_whole_lines_come_back_in_order(many):
    assert split_lines(b"".join(map(encode_line, many))) == Lines(many, [], 0, 0)


@pytest.mark.parametrize("cut", range(len(TEXT) + 1))
def test_a_file_cut_anywhere_gives_the_lines_before_the_cut_and_a_torn_end(cut):
    count, end = lines_before(cut)
    assert split_lines(TEXT[:cut]) == Lines(THREE[:count], [], cut - end, 0)


@pytest.mark.parametrize("zeros", [1, 8, 9, 10, 511, 4096])
@pytest.mark.parametrize("cut", [0, 1, 8, 9, 17, len(TEXT) - 1, len(TEXT)])
def test_an_end_filled_with_zeros_is_torn_and_no_line(cut, zeros):
    count, end = lines_before(cut)
    assert split_lines(TEXT[:cut] + bytes(zeros)) == Lines(THREE[:count], [], cut - end + zeros, 0)


@given(st.lists(payloads, min_size=1, max_size=6), st.data())
def test_a_flipped_bit_costs_the_lines_it_is_in_and_is_said(many, data):
    text = bytearray(b"".join(map(encode_line, many)))
    place = data.draw(st.integers(0, len(text) - 1))
    text[place] ^= 1 << data.draw(st.integers(0, 7))
    lines = [*map(encode_line, many)]
    hit = next(number for number in range(len(many)) if place < len(b"".join(lines[: number + 1])))
    joined = place == len(b"".join(lines[: hit + 1])) - 1
    found = split_lines(bytes(text))
    assert found.payloads == many[:hit] + many[hit + 1 + joined :]
    assert bool(found.damaged) != bool(found.torn)
    if found.damaged:
        first, last = found.damaged[0], found.damaged[-1]
        assert first[0] == len(b"".join(lines[:hit]))
        assert sum(last) == len(b"".join(lines[: hit + 1 + joined]))
        assert found.doubtful == hit


@given(st.binary(max_size=200))
def test_any_bytes_are_accounted_for(data):
    found = split_lines(data)
    lines = sum(len(encode_line(payload)) for payload in found.payloads)
    assert lines + sum(length for _, length in found.damaged) + found.torn == len(data)


def test_what_comes_after_damage_is_beyond_doubt():
    damaged = encode_line(b"1") + encode_line(b"2").replace(b"2", b"3") + encode_line(b"4") + b"junk\n" + encode_line(b"5")
    assert split_lines(damaged) == Lines([b"1", b"4", b"5"], [(11, 11), (33, 5)], 0, 2)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        bytes(9),
        bytes(4096),
        b"00000000",
        b"00000000\n",
        b"00000000  \n",
        b"0000000g \n",
        b"D202EF8D \x00\n",  # the right sum of one zero byte, in capitals
        b" d202ef8d \x00\n",
        b"d202ef8d\t\x00\n",
        b"d202ef8d \x00\n\n",
        b"+202ef8d \x00\n",
    ],
)
def test_what_is_no_line_is_refused(line):
    assert decode_line(b"d202ef8d \x00\n") == b"\x00"
    with pytest.raises(ValueError, match="fails its check"):
        decode_line(line)
