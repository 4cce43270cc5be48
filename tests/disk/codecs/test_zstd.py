import contextlib

import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from onyxstore.disk.codecs.stage import Stage
from onyxstore.disk.codecs.workspace import Workspace
from onyxstore.disk.codecs.zstd import compress_into, content_size, decompress_into, measure_frame

STAGES = [stage for stage in Stage if stage is not Stage.RAW]
TEXT = b"".join(b"%d bottles of beer on the wall, " % number for number in range(400))


def compress(data: bytes, stage: Stage, space: Workspace | None = None) -> bytes | None:
    out = memoryview(bytearray(len(data)))
    length = compress_into(data, stage, out, space or Workspace())
    return None if length is None else bytes(out[:length])


def decompress(frame: bytes, size: int, space: Workspace | None = None) -> bytes:
    out = memoryview(bytearray(size))
    decompress_into(memoryview(frame), out, space or Workspace())
    return bytes(out)


@pytest.mark.parametrize("stage", STAGES)
@given(part=st.binary(min_size=1, max_size=40), times=st.integers(100, 9000))
def test_what_is_compressed_comes_back(stage, part, times):
    data = part * times
    frame = compress(data, stage)
    assert frame is not None
    assert (decompress(frame, len(data)), content_size(frame), measure_frame(frame)) == (data, len(data), len(frame))


@pytest.mark.parametrize("stage", STAGES)
def test_every_frame_has_a_checksum_its_size_and_no_dictionary(stage):
    declared = zstandard.get_frame_parameters(compress(TEXT, stage))
    assert (declared.content_size, declared.has_checksum, declared.dict_id) == (len(TEXT), True, 0)


@pytest.mark.parametrize("stage", STAGES)
def test_noise_is_not_compressed_and_leaves_the_workspace_fit_for_more(stage):
    space, noise = Workspace(), np.random.default_rng(0).bytes(300_000)
    assert [compress(data, stage, space) is None for data in (noise, TEXT, noise, b"x", TEXT)] == [True, False, True, True, False]
    assert decompress(compress(TEXT, stage, space), len(TEXT), space) == TEXT


def test_exponents_shrink_to_their_entropy():
    values = np.random.default_rng(0).standard_normal(1 << 20).astype("<f4")
    exponents = (values.view("<u4") >> 23 & 0xFF).astype("u1")
    shares = np.bincount(exponents, minlength=256) / exponents.size
    entropy = -(shares[shares > 0] * np.log2(shares[shares > 0])).sum() / 8
    fast, level_1 = (len(compress(exponents.tobytes(), stage)) / exponents.size for stage in (Stage.FAST, Stage.LEVEL_1))
    assert entropy < fast < 1.03 * entropy < level_1


@pytest.mark.parametrize("cut", range(1, 30))
def test_a_frame_cut_short_is_refused(cut):
    frame = compress(TEXT, Stage.LEVEL_3)
    with pytest.raises(ValueError, match="frame"):
        decompress(frame[:-cut], len(TEXT))


@pytest.mark.parametrize("behind", [b"\0", b"onyx", bytes(100), compress(TEXT, Stage.FAST), b"\x5e\x2a\x4d\x18\x00\x00\x00\x00"])
def test_a_frame_with_anything_behind_it_is_refused(behind):
    with pytest.raises(ValueError, match="something behind it"):
        decompress(compress(TEXT, Stage.LEVEL_3) + behind, len(TEXT))


@pytest.mark.parametrize("size", [len(TEXT) - 1, len(TEXT) + 1, 1])
def test_a_frame_that_declares_another_size_is_refused(size):
    with pytest.raises(ValueError, match=f"declares {len(TEXT)} bytes where {size} belong"):
        decompress(compress(TEXT, Stage.LEVEL_3), size)


def test_a_bomb_is_refused_by_its_declared_size():
    bomb = zstandard.ZstdCompressor(write_checksum=True).compress(bytes(50_000_000))
    with pytest.raises(ValueError, match="declares 50000000 bytes where 4096 belong"):
        decompress(bomb, 4096)


def test_a_frame_that_holds_more_than_it_declares_is_refused():
    frame = bytearray(compress(bytes(300), Stage.FAST))
    assert frame[5:7] == (300 - 256).to_bytes(2, "little")
    frame[5:7] = (299 - 256).to_bytes(2, "little")
    with pytest.raises(ValueError, match="frame"):
        decompress(frame, 299)


@pytest.mark.parametrize(
    ("why", "options"),
    [("has no checksum", {"write_checksum": False}), ("declares its size", {"write_checksum": True, "write_content_size": False})],
)
def test_frames_that_anyone_else_would_write_are_refused(why, options):
    with pytest.raises(ValueError, match=why):
        decompress(zstandard.ZstdCompressor(**options).compress(TEXT), len(TEXT))


def test_a_frame_that_needs_a_dictionary_is_refused():
    dictionary = zstandard.train_dictionary(2000, [TEXT[start : start + 200] for start in range(0, 12_000, 50)])
    frame = zstandard.ZstdCompressor(dict_data=dictionary, write_checksum=True).compress(TEXT)
    with pytest.raises(ValueError, match="wants a dictionary"):
        decompress(frame, len(TEXT))


def test_a_frame_that_wants_a_window_of_a_gigabyte_is_refused():
    parameters = zstandard.ZstdCompressionParameters(window_log=30, write_checksum=True)
    coder = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    frame = bytearray(coder.compress(bytes(100)) + coder.flush())
    declared = bytes(frame[:4]) + bytes([0x84]) + frame[5:6] + (100).to_bytes(4, "little") + frame[6:]
    assert zstandard.get_frame_parameters(declared).window_size == 1 << 30
    with pytest.raises(ValueError, match="a larger window"):
        decompress(declared, 100)


@pytest.mark.parametrize("frame", [b"", b"\x28\xb5", b"\x5e\x2a\x4d\x18\x04\x00\x00\x00abcd", bytes(40), b"\xff" * 40])
def test_what_is_no_frame_is_refused(frame):
    for read in (content_size, measure_frame, lambda frame: decompress(frame, 4)):
        with pytest.raises(ValueError, match="no frame"):
            read(frame)


@given(place=st.integers(0, len(compress(TEXT, Stage.LEVEL_3)) - 1), value=st.integers(1, 255))
def test_any_changed_byte_is_an_error_or_changes_nothing(place, value):
    frame = bytearray(compress(TEXT, Stage.LEVEL_3))
    frame[place] ^= value
    with contextlib.suppress(ValueError):
        assert decompress(bytes(frame), len(TEXT)) == TEXT


@given(data=st.binary(max_size=300))
def test_measuring_anything_gives_a_length_within_it_or_an_error(data):
    with contextlib.suppress(ValueError):
        assert 0 < measure_frame(b"\x28\xb5\x2f\xfd" + data) <= 4 + len(data)


def test_a_frame_is_measured_with_others_behind_it():
    frame = compress(TEXT, Stage.FAST)
    runs = zstandard.ZstdCompressor(write_checksum=True).compress(bytes(400_000))
    assert [measure_frame(frame + runs), measure_frame(runs + frame)] == [len(frame), len(runs)]
