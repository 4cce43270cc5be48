"""Which codec for a tensor, and which stage for each of its planes: found out on a sample.

One choice serves all chunks of a tensor. The sample is a 32nd of the tensor, 8 to 32 KiB, in slices from all over it (embeddings
have rows that never train, which a sample of the beginning would not show), and every candidate is really encoded on it, since no
estimate is as good and zstd takes 5 to 40 µs for a plane of it. In all that is 4 percent of the time to encode a float32 tensor
of 4 MiB, 15 percent of one of 300 kB; below 2 KiB nothing is tried.
"""

from __future__ import annotations

from onyxstore.disk.codecs.codec import Choice, Codec
from onyxstore.disk.codecs.stage import Stage
from onyxstore.disk.codecs.table import PLAIN, get_codec
from onyxstore.disk.codecs.workspace import Workspace, borrow_workspace
from onyxstore.disk.codecs.zstd import compress_into

SMALL = 2 << 10
"""Bytes below which a tensor stays one plane: each further one costs 16 bytes of frame, 4 of index and some 15 of header."""

SAMPLE_SHARE, LEAST_SAMPLE, MOST_SAMPLE, SLICES = 32, 8 << 10, 32 << 10, 8
"""Choosing by the whole tensors would save another 0.1 percent of a GPT of 6.9 M parameters with its Adam state."""

LEAST_GAIN = 0.02
"""The share of a plane that must be gained to compress it at all, or to take a slower stage: 2 percent of one mantissa plane are
half a percent of a float32 tensor, too little to code the plane for, there and back."""

_FLOATS = {
    "float16": 2, "bfloat16": 2, "complex32": 2,
    "float32": 4, "complex64": 4,
    "float64": 8, "complex128": 8,
}  # fmt: skip
_INTEGERS = {
    "int16": 2, "uint16": 2, "bits16": 2,
    "int32": 4, "uint32": 4, "qint32": 4,
    "int64": 8, "uint64": 8,
}  # fmt: skip

_FLOAT_STAGES = (Stage.FAST, Stage.LEVEL_1)
_OTHER_STAGES = (Stage.FAST, Stage.LEVEL_3)


def word_size(dtype: str) -> int:
    """The bytes of the numbers that a dtype is made of, so 4 for complex64; 1 for float8, bool, bytes and dtypes unknown here."""
    return _FLOATS.get(dtype) or _INTEGERS.get(dtype, 1)


def choose_codec(dtype: str, data: memoryview) -> Choice:
    """What to do with the chunks of a tensor of `dtype` (torch's or numpy's name), whose raw bytes are `data`."""
    flat = data.cast("B") if data.nbytes else memoryview(b"")
    if flat.nbytes < SMALL or flat.nbytes % word_size(dtype):
        return Choice(PLAIN, (Stage.LEVEL_3,))
    sample = memoryview(take_sample(flat))
    stages = _OTHER_STAGES if word_size(dtype) == 1 or dtype in _INTEGERS else _FLOAT_STAGES
    best, least = Choice(PLAIN, (Stage.RAW,)), sample.nbytes
    with borrow_workspace() as space:
        for codec in candidates(dtype):
            choice, size = _try_codec(codec, stages, sample, space)
            if size < least:
                best, least = choice, size
            if codec.name.startswith("rotated") and choice.stages[-2] is Stage.RAW:
                break  # the sign lies in a plane of noise, where it costs nothing: no other arrangement of these bits is smaller
    return best


def candidates(dtype: str) -> tuple[Codec, ...]:
    """The codecs that are worth trying on a dtype, the likeliest first."""
    word = word_size(dtype)
    if word == 1:
        return (PLAIN,)
    planes = get_codec(f"planes-{8 * word}")
    if dtype in _INTEGERS:
        return (planes, PLAIN)
    return (planes,) if word == 8 else (get_codec(f"rotated-{8 * word}"), planes)


def fit_choice(choice: Choice, size: int) -> Choice:
    """`choice`, or plain bytes for a chunk of `size` bytes when that is no whole number of the codec's words."""
    return choice if size % choice.codec.word == 0 else Choice(PLAIN, (Stage.LEVEL_3,))


def take_sample(data: memoryview) -> bytes:
    """Slices from all over `data`, each of whole words of 8 bytes from a multiple of 8 on; all of `data` when it is short."""
    size = min(max(data.nbytes // SAMPLE_SHARE, LEAST_SAMPLE), MOST_SAMPLE)
    if data.nbytes <= size:
        return bytes(data)
    length = size // SLICES // 8 * 8
    starts = (number * (data.nbytes - length) // (SLICES - 1) // 8 * 8 for number in range(SLICES))
    return b"".join(data[start : start + length] for start in starts)


def _try_codec(codec: Codec, stages: tuple[Stage, ...], sample: memoryview, space: Workspace) -> tuple[Choice, int]:
    """The best stages for a codec's planes, and the sample's size with them."""
    chosen, total = [], 0
    for plane in codec.split(sample, space.memory("planes", sample.nbytes), space):
        best, least = Stage.RAW, plane.nbytes
        allowed = int(least * LEAST_GAIN)
        for stage in stages:
            if stage is Stage.LEVEL_1 and best is Stage.RAW:
                break  # a mantissa: noise to FAST is noise to it
            size = compress_into(plane, stage, space.memory("frame", plane.nbytes), space)
            if size is not None and size < least - allowed:
                best, least = stage, size
        chosen.append(best)
        total += least
    return Choice(codec, tuple(chosen)), total
