import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from onyxstore.history.metrics.planes import BIG_PLANES, Planes, check_planes, decode_column, encode_column
from tests.history.metrics.records_strategy import FLOATS, INTS

COLUMN = np.random.default_rng(5)


def floats(values):
    return np.array(values, np.float64)


@given(st.lists(FLOATS, min_size=1, max_size=50))
@example([-0.0, 0.0, float("inf"), float("-inf"), float("nan")])
@example([1e300, 5e-324])
@example([0.1, -0.0])
def test_floats_come_back_bit_for_bit_but_for_the_payload_of_nan(values):
    column = floats(values)
    expected = np.where(np.isnan(column), np.nan, column)
    assert decode_column(encode_column(column)).tobytes() == expected.tobytes()


@given(st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 3), min_size=1, max_size=50))
@example([2**63 - 1, -(2**63)])
@example([-(2**63), 2**63 - 1, -(2**63)])
def test_ints_come_back(values):
    decoded = decode_column(encode_column(np.array(values, np.int64)))
    assert (decoded.dtype, decoded.tolist()) == (np.int64, values)


@given(st.lists(INTS, min_size=1, max_size=20))
def test_ints_beyond_64_bits_come_back(values):
    planes = encode_column(np.array(values, object))
    check_planes(planes)
    assert decode_column(planes).tolist() == values


@given(st.lists(FLOATS, min_size=1, max_size=50))
def test_whatever_is_encoded_passes_the_check(values):
    check_planes(encode_column(floats(values)))


@pytest.mark.parametrize(
    ("column", "reading", "differences", "width"),
    [
        (np.arange(1000) * 10, "int", 1, 1),
        (np.full(1000, 7), "int", 0, 1),
        (np.array([True, False] * 500), "int", 0, 1),
        (COLUMN.normal(size=1000).astype(np.float32).astype(np.float64), "float32", 0, 4),
        (COLUMN.normal(size=1000), "float64", 0, 8),
        (np.linspace(1e-3, 0, 1000), "float64", 2, 8),
        (np.round(COLUMN.normal(size=1000), 3), "decimal-3", 0, 2),
        (np.arange(1000) / 4, "decimal-2", 1, 1),
        (np.array([2**64, 0], object), "big", 0, 9),
    ],
)
def test_a_column_gets_the_reading_that_suits_it(column, reading, differences, width):
    planes = encode_column(column)
    assert (planes.reading, len(planes.starts), len(planes.data)) == (reading, differences, width)


def test_planes_have_the_bytes_of_the_docs():
    ints = encode_column(np.array([3, 300, -2]))
    clock = encode_column(np.array([*range(10, 1000, 10), 1001]))
    curving = encode_column(np.arange(1000) ** 2)
    single = encode_column(floats([1.0000001192092896]))
    assert [(planes.reading, planes.starts, planes.data.tolist()) for planes in (ints, clock, curving, single)] == [
        ("int", (), [[6, 88, 3], [0, 2, 0]]),
        ("int", (10,), [[0] + [20] * 98 + [22]]),
        ("int", (-1, 1), [[0, 0] + [4] * 998]),
        ("float32", (), [[2], [0], [0], [127]]),
    ]


@pytest.mark.parametrize(
    ("reading", "starts", "width"),
    [
        ("octal", (), 1),
        ("decimal-10", (), 1),
        ("int", (), 0),
        ("int", (), 9),
        ("float32", (), 5),
        ("big", (), BIG_PLANES + 1),
        ("big", (0,), 1),
        ("int", (0, 0, 0), 1),
        ("int", (2**63,), 1),
        ("int", (0.5,), 1),
        ("int", ("1",), 1),
    ],
)
def test_planes_that_cannot_be_read_are_refused(reading, starts, width):
    with pytest.raises(ValueError, match="column"):
        check_planes(Planes(reading, starts, np.zeros((width, 2), np.uint8)))


@given(
    st.sampled_from(["int", "big", "float32", "float64", "decimal-0", "decimal-9"]),
    st.lists(st.integers(-(2**63), 2**63 - 1), max_size=2),
    st.lists(st.binary(min_size=4, max_size=4), min_size=1, max_size=8),
)
@example("float32", [0, -507904], [b"\x00\x01\x00\x01", bytes(4), b"\x00\x16\x00\x00", b"N\x01,\x8d"])  # a signalling NaN
def test_planes_that_pass_the_check_decode_whatever_their_bytes(reading, starts, rows):
    planes = Planes(reading, tuple(starts), np.array([list(row) for row in rows], np.uint8))
    try:
        check_planes(planes)
    except ValueError:
        return
    assert len(decode_column(planes)) == 4
