import contextlib
import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onyxstore.disk.codecs.codec import PLANE_BLOCK, Choice, Codec
from onyxstore.disk.codecs.frames import decode_chunk, encode_chunk
from onyxstore.disk.codecs.raw import raw_frame_size
from onyxstore.disk.codecs.stage import Stage
from onyxstore.disk.codecs.table import CODECS, PLAIN, get_codec

WEIGHTS = (np.random.default_rng(0).standard_normal(50_000) * 0.02).astype("<f4").tobytes()


def encode(data: bytes, codec: Codec, *stages: Stage) -> list[bytes]:
    choice = Choice(codec, stages or (Stage.FAST,) * codec.word)
    return [b"".join(frame) for frame in encode_chunk(memoryview(data), choice, memoryview(bytearray(len(data))))]


def decode(frames: list[bytes], codec: Codec, size: int) -> bytes:
    out = bytearray(size)
    decode_chunk(codec, [memoryview(frame) for frame in frames], memoryview(out))
    return bytes(out)


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
@given(data=st.data(), words=st.integers(1, 700), alphabet=st.integers(1, 256))
def test_a_chunk_comes_back_whatever_the_stages(codec, data, words, alphabet):
    stages = data.draw(st.tuples(*[st.sampled_from(Stage)] * codec.word))
    seed = data.draw(st.integers(0, 1000))
    chunk = np.random.default_rng(seed).integers(0, alphabet, words * codec.word, dtype=np.uint8).tobytes()
    frames = encode(chunk, codec, *stages)
    assert decode(frames, codec, len(chunk)) == chunk
    assert all(len(frame) <= raw_frame_size(words) for frame in frames)


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
def test_a_chunk_of_many_blocks_comes_back(codec):
    chunk = WEIGHTS * 6
    assert len(chunk) // codec.word > PLANE_BLOCK
    assert decode(encode(chunk, codec), codec, len(chunk)) == chunk


def test_only_planes_that_shrink_are_compressed():
    frames = encode(WEIGHTS, get_codec("rotated-32"))
    assert [len(frame) == raw_frame_size(50_000) for frame in frames] == [True, True, True, False]
    assert sum(map(len, frames)) < 0.84 * len(WEIGHTS)


def test_noise_in_plain_chunks_is_written_from_where_it_lies():
    noise = bytearray(np.random.default_rng(0).bytes(3 * PLANE_BLOCK))
    [frame] = encode_chunk(memoryview(noise), Choice(PLAIN, (Stage.FAST,)), memoryview(bytearray(len(noise))))
    noise[0] ^= 0xFF
    assert bytes(frame[1])[0] == noise[0]


@pytest.mark.parametrize("dtype", ["<f4", "<i8", "u1"])
def test_chunks_of_any_item_size_are_taken_as_bytes(dtype):
    values = np.arange(512, dtype=dtype)
    codec, out = get_codec("planes-16"), np.zeros_like(values)
    choice = Choice(codec, (Stage.FAST, Stage.FAST))
    frames = encode_chunk(memoryview(values), choice, memoryview(bytearray(values.nbytes)))
    decode_chunk(codec, [memoryview(b"".join(frame)) for frame in frames], memoryview(out))
    assert out.tolist() == values.tolist()


@pytest.mark.parametrize("size", [0, 4, len(WEIGHTS) - 4, len(WEIGHTS) + 4, 2 * len(WEIGHTS)])
def test_a_buffer_of_another_size_is_refused(size):
    frames = encode(WEIGHTS, get_codec("rotated-32"))
    with pytest.raises(ValueError, match=r"no chunk|no raw frame|declares|longer"):
        decode(frames, get_codec("rotated-32"), size)


@pytest.mark.parametrize("count", [0, 1, 3, 5])
def test_another_number_of_frames_is_refused(count):
    frames = encode(WEIGHTS, get_codec("rotated-32"))
    with pytest.raises(ValueError, match=r"shorter|longer"):
        decode((frames * 2)[:count], get_codec("rotated-32"), len(WEIGHTS))


def test_a_frame_longer_than_its_plane_is_refused_unread():
    with pytest.raises(ValueError, match="is longer than its plane"):
        decode([b"\0" * 100_000], PLAIN, 4096)


def test_chunks_that_a_codec_cannot_have_are_refused():
    for size in (0, 3, 6):
        with pytest.raises(ValueError, match=f"planes-32 has no chunk of {size} bytes"):
            encode(bytes(size), get_codec("planes-32"))


@given(frames=st.lists(st.binary(max_size=60), min_size=2, max_size=2), size=st.integers(0, 64))
def test_frames_of_any_bytes_are_an_error_and_nothing_worse(frames, size):
    with pytest.raises(ValueError, match=r"frame|chunk"):
        decode(frames, get_codec("planes-16"), size)


@given(place=st.integers(0, 10**6), value=st.integers(1, 255), codec=st.sampled_from(CODECS))
def test_a_changed_byte_is_an_error_or_another_chunk_of_the_same_size(place, value, codec):
    chunk = WEIGHTS[:4096]
    stored = bytearray(b"".join(frames := encode(chunk, codec)))
    stored[place % len(stored)] ^= value
    starts = np.cumsum([0, *map(len, frames)])
    with contextlib.suppress(ValueError):
        assert len(decode([bytes(stored[a:b]) for a, b in itertools.pairwise(starts)], codec, 4096)) == 4096


def test_many_threads_code_at_once():
    chunks = [np.random.default_rng(seed).standard_normal(30_000 + seed).astype("<f4").tobytes() for seed in range(24)]
    codec = get_codec("rotated-32")
    with ThreadPoolExecutor(4) as pool:
        decoded = pool.map(lambda chunk: decode(encode(chunk, codec), codec, len(chunk)), chunks)
    assert list(decoded) == chunks
