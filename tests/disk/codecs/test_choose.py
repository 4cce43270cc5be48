import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from onyxstore.disk.codecs.choose import LEAST_SAMPLE, MOST_SAMPLE, SLICES, SMALL, choose_codec, fit_choice, take_sample, word_size
from onyxstore.disk.codecs.codec import Choice
from onyxstore.disk.codecs.frames import encode_chunk
from onyxstore.disk.codecs.stage import Stage
from onyxstore.disk.codecs.table import PLAIN

RANDOM = np.random.default_rng(0)
WEIGHTS = (RANDOM.standard_normal(1 << 18) * 0.02).astype("<f4")
SECOND_MOMENTS = np.square(WEIGHTS * 1e-3) * 0.01 + 1e-12
TOKENS = RANDOM.zipf(1.3, 1 << 17) % 50_000


def bfloat16(values: np.ndarray) -> np.ndarray:
    return (values.view("<u4") >> 16).astype("<u2")


def stored_size(data: bytes, choice: Choice) -> int:
    frames = encode_chunk(memoryview(data), choice, memoryview(bytearray(len(data))))
    return sum(len(part) for frame in frames for part in frame)


def stored_share(dtype: str, values: np.ndarray) -> float:
    data = values.tobytes()
    return stored_size(data, choose_codec(dtype, memoryview(data))) / len(data)


@pytest.mark.parametrize(
    ("dtype", "values", "codec", "share"),
    [
        ("float32", WEIGHTS, "rotated-32", 0.835),
        ("bfloat16", bfloat16(WEIGHTS), "rotated-16", 0.665),
        ("float16", WEIGHTS.astype("<f2"), "rotated-16", 0.875),
        ("float64", WEIGHTS.astype("<f8") * 1.000123, "planes-64", 0.885),
        ("complex64", WEIGHTS.view("<c8"), "rotated-32", 0.835),
        ("float32", bfloat16(WEIGHTS).astype("<u4") << 16, "rotated-32", 0.335),
        ("float32", np.zeros(1 << 16, "<f4"), "rotated-32", 0.001),
        ("int64", TOKENS, "planes-64", 0.14),
        ("int32", TOKENS.astype("<i4"), "planes-32", 0.28),
        ("int64", np.arange(1 << 16), "planes-64", 0.002),
        ("bool", np.tril(np.ones((512, 512), dtype=bool)), "plain", 0.01),
        ("int8", np.clip(np.round(WEIGHTS * 1500), -127, 127).astype("i1"), "plain", 0.90),
    ],
)  # fmt: skip
def test_each_kind_of_tensor_gets_the_codec_that_shrinks_it(dtype, values, codec, share):
    assert choose_codec(dtype, memoryview(values.tobytes())).codec.name == codec
    assert stored_share(dtype, values) < share


def test_second_moments_shrink_more_than_weights():
    assert stored_share("float32", SECOND_MOMENTS.astype("<f4")) < 0.82 < stored_share("float32", WEIGHTS)


@pytest.mark.parametrize("dtype", ["uint8", "float32", "bfloat16", "int64", "complex128"])
def test_noise_stays_as_it_is(dtype):
    assert choose_codec(dtype, memoryview(RANDOM.bytes(1 << 18))) == Choice(PLAIN, (Stage.RAW,))


def test_mantissas_are_left_alone_and_exponents_coded():
    assert choose_codec("float32", memoryview(WEIGHTS.tobytes())).stages == (Stage.RAW, Stage.RAW, Stage.RAW, Stage.FAST)


def test_a_slower_stage_must_gain_two_percent():
    letters, text = np.random.default_rng(1).integers(0, 60, 8000, dtype=np.uint8).tobytes(), bytearray()
    for start in range(0, len(letters), 700):
        text += letters[start : start + 700] + text[-600:-588]
    sizes = {stage: stored_size(bytes(text), Choice(PLAIN, (stage,))) for stage in (Stage.FAST, Stage.LEVEL_3)}
    assert 0.98 * sizes[Stage.FAST] < sizes[Stage.LEVEL_3] < sizes[Stage.FAST]
    assert choose_codec("uint8", memoryview(text)) == Choice(PLAIN, (Stage.FAST,))


def test_rows_that_never_train_are_seen_wherever_they_are():
    moments = (RANDOM.standard_normal((4096, 64)) * 0.02).astype("<f4")
    moments[1000:3500] = 0
    assert stored_share("float32", moments) < 0.40


@pytest.mark.parametrize("dtype", ["float32", "int64", "uint8"])
@pytest.mark.parametrize("size", [0, 1, 3, 8, SMALL - 8])
def test_small_tensors_stay_in_one_plane(dtype, size):
    assert choose_codec(dtype, memoryview(bytes(size))).codec is PLAIN


def test_bytes_that_are_no_whole_words_stay_in_one_plane():
    assert choose_codec("float32", memoryview(WEIGHTS.tobytes())[:-1]).codec is PLAIN
    assert choose_codec("int16", memoryview(bytes(100_001))).codec is PLAIN


def test_a_tensor_may_come_with_any_shape_and_item_size():
    assert choose_codec("float32", memoryview(WEIGHTS.reshape(512, 512))) == choose_codec("float32", memoryview(WEIGHTS.tobytes()))
    assert choose_codec("float32", memoryview(np.zeros((3, 0, 5), "<f4"))).codec is PLAIN


def test_a_chunk_of_broken_words_is_stored_plain_whatever_was_chosen():
    choice = choose_codec("float32", memoryview(WEIGHTS.tobytes()))
    assert fit_choice(choice, 4096) is choice
    assert fit_choice(choice, 4097).codec is PLAIN


@pytest.mark.parametrize(
    ("names", "word"),
    [
        ("float64 complex128 int64 uint64", 8),
        ("float32 complex64 int32 uint32 qint32", 4),
        ("float16 bfloat16 complex32 int16 uint16 bits16", 2),
        ("float8_e4m3fn float8_e5m2 float8_e4m3fnuz float8_e5m2fnuz float8_e8m0fnu float4_e2m1fn_x2", 1),
        ("int8 uint8 bool qint8 quint8 bits8 and what nobody knows yet", 1),
    ],
)
def test_the_word_of_a_dtype_is_that_of_its_numbers(names, word):
    assert {word_size(name) for name in names.split()} == {word}


def test_every_dtype_of_torch_has_the_word_that_its_size_allows():
    for dtype in {value for value in vars(torch).values() if isinstance(value, torch.dtype)}:
        parts = 2 if dtype.is_complex else 1
        name = str(dtype).removeprefix("torch.")
        assert word_size(name) == max(1, dtype.itemsize // parts), name


@given(size=st.integers(0, 3_000_000))
def test_a_sample_is_small_and_of_whole_words(size):
    sample = take_sample(memoryview(bytes(size)))
    assert len(sample) == size if size <= LEAST_SAMPLE else LEAST_SAMPLE // 2 <= len(sample) <= min(size, MOST_SAMPLE)
    assert size <= LEAST_SAMPLE or len(sample) % (8 * SLICES) == 0


def test_a_sample_has_the_first_bytes_the_last_and_words_that_are_words():
    words = np.arange(1 << 17, dtype="<u8")
    sample = np.frombuffer(take_sample(memoryview(words.tobytes())), "<u8")
    assert (sample[0], sample[-1], int((np.diff(sample.astype("i8")) != 1).sum())) == (0, words[-1], SLICES - 1)
