import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from onyxstore.disk.codecs.codec import PLANE_BLOCK
from onyxstore.disk.codecs.raw import RAW_START, decode_raw_frame, encode_raw_frame, is_raw_frame, raw_frame_size
from onyxstore.disk.codecs.zstd import measure_frame

SIZES = [1, 2, PLANE_BLOCK - 1, PLANE_BLOCK, PLANE_BLOCK + 1, 3 * PLANE_BLOCK]


def plane_of(size: int) -> bytes:
    return bytes(number * 37 % 251 for number in range(min(size, 5000))) * -(-size // 5000)


def frame_of(size: int) -> memoryview:
    return memoryview(b"".join(encode_raw_frame(plane_of(size)[:size])))


@pytest.mark.parametrize("size", SIZES)
def test_a_raw_frame_is_one_that_zstd_reads(size):
    assert zstandard.ZstdDecompressor().decompress(frame_of(size), allow_extra_data=False) == plane_of(size)[:size]


@pytest.mark.parametrize("size", SIZES)
def test_a_raw_frame_decodes_to_blocks_of_the_plane_and_has_the_length_foretold(size):
    frame, plane = frame_of(size), plane_of(size)[:size]
    blocks = decode_raw_frame(frame, size)
    assert [bytes(block) for block in blocks] == [plane[start : start + PLANE_BLOCK] for start in range(0, size, PLANE_BLOCK)]
    assert (frame.nbytes, measure_frame(frame)) == (raw_frame_size(size), raw_frame_size(size))


def test_the_bytes_of_a_small_raw_frame():
    assert frame_of(3) == bytes.fromhex("28b52ffd e0 0300000000000000 190000 00254a")


def test_the_plane_is_not_copied():
    plane = bytearray(2 * PLANE_BLOCK)
    parts = encode_raw_frame(plane)
    plane[5] = plane[PLANE_BLOCK] = 77
    assert b"".join(parts)[16 + 5] == b"".join(parts)[16 + PLANE_BLOCK + 3] == 77


@given(size=st.sampled_from([1, 2, 60, PLANE_BLOCK, PLANE_BLOCK + 9]), data=st.data())
def test_any_other_header_or_length_is_refused(size, data):
    frame = bytearray(frame_of(size))
    headers = [*range(16), *(range(16 + PLANE_BLOCK, 19 + PLANE_BLOCK) if size > PLANE_BLOCK else [])]
    place, bit = data.draw(st.sampled_from(headers)), data.draw(st.integers(0, 7))
    frame[place] ^= 1 << bit
    with pytest.raises(ValueError, match="raw"):
        decode_raw_frame(memoryview(frame), size)


@pytest.mark.parametrize("cut", [0, 1, 12, 13, 15, 16, 70])
def test_a_frame_cut_short_or_with_something_behind_it_is_refused(cut):
    frame = bytes(frame_of(71))
    for wrong in (frame[:cut], frame + bytes(cut + 1)):
        with pytest.raises(ValueError, match="raw frame"):
            decode_raw_frame(memoryview(wrong), 71)


def test_a_frame_of_another_plane_is_refused_before_its_size_is_believed():
    huge = RAW_START + (2**63).to_bytes(8, "little")
    assert is_raw_frame(memoryview(huge))
    with pytest.raises(ValueError, match="13 bytes are no raw frame of 100"):
        decode_raw_frame(memoryview(huge), 100)


def test_compressed_frames_are_not_taken_for_raw_ones():
    frame = zstandard.ZstdCompressor(write_checksum=True).compress(bytes(1000))
    assert not is_raw_frame(memoryview(frame))
    assert not is_raw_frame(memoryview(b""))
