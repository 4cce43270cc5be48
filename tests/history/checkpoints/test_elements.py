import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onyxstore.history.checkpoints.elements import FLOAT4, count_values, differences, is_complex, is_integer, read_words, widen
from onyxstore.history.checkpoints.tensors import WIDTHS

NARROW = ["float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu"]


@pytest.mark.parametrize("dtype", NARROW)
def test_every_byte_of_a_narrow_float_is_what_torch_says(dtype):
    torch = pytest.importorskip("torch")
    expected = torch.arange(256, dtype=torch.uint8).view(getattr(torch, dtype)).to(torch.float64).numpy()
    found = widen(dtype, bytes(range(256)))
    assert found.tobytes() == expected.tobytes() or np.array_equal(found, expected, equal_nan=True)
    assert np.array_equal(np.signbit(found[found == found]), np.signbit(expected[expected == expected]))  # noqa: PLR0124 (NaN)


def test_every_bfloat16_is_what_torch_says():
    torch = pytest.importorskip("torch")
    halves = np.arange(1 << 16, dtype=np.uint16)
    expected = torch.from_numpy(halves.view(np.int16)).view(torch.bfloat16).to(torch.float64).numpy()
    assert np.array_equal(widen("bfloat16", halves.tobytes()), expected, equal_nan=True)


def test_a_byte_of_float4_is_two_values_the_lower_bits_first():
    values = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0]
    packed = bytes([0x10, 0x32, 0x54, 0x76, 0x98, 0xBA, 0xDC, 0xFE])
    assert widen(FLOAT4, packed).tolist() == values + [-value for value in values]
    assert (count_values(FLOAT4, 8), read_words(FLOAT4, packed).tolist()) == (16, list(range(16)))


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "float16", "float32", "float64"])
@given(data=st.binary(max_size=64))
def test_what_numpy_has_widens_as_numpy_widens_it(dtype, data):
    data = data[: len(data) // WIDTHS[dtype] * WIDTHS[dtype]]
    with np.errstate(invalid="ignore"):  # numpy says of signalling NaNs that it quiets them
        expected = np.frombuffer(data, "u1" if dtype == "bool" else dtype).astype(np.float64)
    assert np.array_equal(widen(dtype, data), expected, equal_nan=True)


def test_a_complex_number_is_a_pair():
    assert widen("complex64", np.array([1 + 2j, -3j], np.complex64).tobytes()).tolist() == [1.0, 2.0, 0.0, -3.0]
    assert widen("complex32", np.array([1, 2], np.float16).tobytes()).tolist() == [1.0, 2.0]
    assert widen("complex128", np.array([0.5j]).tobytes()).tolist() == [0.0, 0.5]
    assert [dtype for dtype in WIDTHS if is_complex(dtype)] == ["complex32", "complex64", "complex128"]


def test_every_dtype_widens_and_has_words():
    for dtype, width in WIDTHS.items():
        data = bytes(range(4 * width))
        values = count_values(dtype, 4 * width)
        assert (len(widen(dtype, data)), len(read_words(dtype, data))) == (values * (2 if is_complex(dtype) else 1), values)
    ints = {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
    assert {dtype for dtype in WIDTHS if is_integer(dtype)} == {"bool", *ints}


@pytest.mark.parametrize(("dtype", "lowest", "highest"), [("int64", -(2**63), 2**63 - 1), ("uint64", 0, 2**64 - 1)])
@given(data=st.data())
def test_ints_of_64_bits_are_subtracted_before_they_are_rounded(dtype, lowest, highest, data):
    old, new = (data.draw(st.lists(st.integers(lowest, highest), min_size=4, max_size=4)) for _ in range(2))
    found = differences(dtype, np.array(new, dtype).tobytes(), np.array(old, dtype).tobytes())
    assert found.tolist() == [float(after - before) for before, after in zip(old, new, strict=True)]
