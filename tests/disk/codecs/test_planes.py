import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onyxstore.disk.codecs.codec import PLANE_BLOCK, Codec
from onyxstore.disk.codecs.table import CODECS, get_codec
from onyxstore.disk.codecs.workspace import Workspace

CODED = [codec for codec in CODECS if codec.word > 1]


def split(codec: Codec, data: bytes, space: Workspace | None = None) -> list[bytes]:
    planes = codec.split(memoryview(data), memoryview(bytearray(len(data))), space or Workspace())
    return [bytes(plane) for plane in planes]


def join(codec: Codec, planes: list[bytes], space: Workspace | None = None) -> bytes:
    out = memoryview(bytearray(sum(map(len, planes))))
    blocks = [[memoryview(plane)[start : start + PLANE_BLOCK] for start in range(0, len(plane), PLANE_BLOCK)] for plane in planes]
    codec.join(blocks, out, space or Workspace())
    return bytes(out)


def planes_by_hand(codec: Codec, data: bytes) -> list[bytes]:
    """The format's own words, one word at a time."""
    words = [int.from_bytes(data[start : start + codec.word], "little") for start in range(0, len(data), codec.word)]
    if codec.name.startswith("rotated"):
        low = 8 * codec.word - 16
        uppers = [word >> low for word in words]
        uppers = [(upper << 1 | upper >> 15) & 0xFFFF for upper in uppers]
        words = [word & (1 << low) - 1 | upper << low for word, upper in zip(words, uppers, strict=True)]
    return [bytes(word >> 8 * plane & 0xFF for word in words) for plane in range(codec.word)]


@pytest.mark.parametrize("codec", CODED, ids=lambda codec: codec.name)
@given(words=st.integers(1, 40), data=st.data())
def test_planes_are_those_of_the_format_and_join_to_the_chunk(codec, words, data):
    chunk = data.draw(st.binary(min_size=words * codec.word, max_size=words * codec.word))
    assert split(codec, chunk) == planes_by_hand(codec, chunk)
    assert join(codec, split(codec, chunk)) == chunk


@pytest.mark.parametrize("codec", CODED, ids=lambda codec: codec.name)
@pytest.mark.parametrize("words", [PLANE_BLOCK - 1, PLANE_BLOCK, PLANE_BLOCK + 1, 2 * PLANE_BLOCK + 3])
def test_chunks_of_more_than_one_block_join_to_the_chunk(codec, words):
    chunk = np.random.default_rng(words).bytes(words * codec.word)
    assert join(codec, split(codec, chunk)) == chunk


def test_the_exponent_of_a_float32_is_the_highest_rotated_plane():
    floats = np.array([1.5, -1.5, 0.375, -2.0**100, 0.0, -0.0], dtype="<f4")
    planes = split(get_codec("rotated-32"), floats.tobytes())
    assert list(planes[3]) == [127, 127, 125, 227, 0, 0]
    assert [byte & 1 for byte in planes[2]] == [0, 1, 0, 1, 0, 1]


def test_the_exponent_of_a_bfloat16_is_the_highest_rotated_plane():
    words = np.array([1.5, -1.5, 0.375], dtype="<f4").view("<u4") >> 16
    planes = split(get_codec("rotated-16"), words.astype("<u2").tobytes())
    assert [list(plane) for plane in planes] == [[128, 129, 128], [127, 127, 125]]


@pytest.mark.parametrize("codec", CODED, ids=lambda codec: codec.name)
def test_a_workspace_that_was_used_for_other_chunks_changes_nothing(codec):
    space = Workspace()
    for other in CODED:
        split(other, b"\xff" * 8000, space)
        join(other, [b"\xff" * 1000] * other.word, space)
    chunk = bytes(range(256)) * 8
    planes = split(codec, chunk, space)
    assert (planes, join(codec, planes, space)) == (planes_by_hand(codec, chunk), chunk)


@pytest.mark.parametrize("codec", CODED, ids=lambda codec: codec.name)
def test_splitting_leaves_the_chunk_as_it_was(codec):
    chunk = bytearray(range(64))
    split(codec, chunk)
    assert chunk == bytearray(range(64))


@pytest.mark.parametrize("codec", CODED, ids=lambda codec: codec.name)
def test_chunks_at_odd_places_in_memory_are_coded_alike(codec):
    memory = bytes(3) + bytes(range(200))
    chunk = memoryview(memory)[3 : 3 + 24 * codec.word]
    out = memoryview(bytearray(1 + chunk.nbytes))[1:]
    planes = codec.split(chunk, memoryview(bytearray(7 + chunk.nbytes))[7:], Workspace())
    codec.join([[plane] for plane in planes], out, Workspace())
    assert out == chunk
