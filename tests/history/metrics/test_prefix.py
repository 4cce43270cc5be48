import struct

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from onyxstore.hashing import address_of
from onyxstore.history.metrics.prefix import RunningHash, encode_binary
from onyxstore.history.metrics.records import Artifact, Points, Rewind, Summary
from tests.history.metrics.records_strategy import RECORDS


def text(value):
    return struct.pack("<I", len(value.encode())) + value.encode()


def test_points_have_the_binary_form_of_the_table():
    record = Points(5, 2, 99, {"z": 0.5, "é": True, "a": -129, "b": float("nan")})
    assert encode_binary(record) == b"".join(
        (
            b"\1" + struct.pack("<q", 99),
            b"\1" + struct.pack("<q", 5),
            b"\1" + struct.pack("<q", 2),
            struct.pack("<I", 4),
            text("a") + b"\2" + struct.pack("<I", 2) + b"\x7f\xff",
            text("b") + b"\1" + struct.pack("<Q", 0x7FF8 << 48),
            text("z") + b"\1" + struct.pack("<d", 0.5),
            text("é") + b"\3\1",
        )
    )


def test_the_other_kinds_have_the_binary_form_of_the_table():
    address = address_of(b"x")
    assert [
        encode_binary(Rewind(5, 0.5, 99)),
        encode_binary(Artifact("n", address, 7, "k", None, None, 99)),
        encode_binary(Summary({}, 99)),
    ] == [
        b"\2" + struct.pack("<q", 99) + b"\1" + struct.pack("<q", 5) + b"\2" + struct.pack("<d", 0.5),
        b"\3" + struct.pack("<q", 99) + b"\0\0" + text("n") + bytes.fromhex(address) + struct.pack("<Q", 7) + text("k"),
        b"\4" + struct.pack("<q", 99) + struct.pack("<I", 0),
    ]


@pytest.mark.parametrize(
    ("one", "other"),
    [({"a": 1}, {"a": 1.0}), ({"a": 1}, {"a": True}), ({"a": 0.0}, {"a": -0.0}), ({"a": 1, "b": 2}, {"a": 2, "b": 1}), ({}, {"a": 1})],
)
def test_values_that_differ_in_kind_or_sign_differ_in_binary(one, other):
    assert encode_binary(Points(0, None, 0, one)) != encode_binary(Points(0, None, 0, other))


def test_the_order_of_names_does_not_count():
    assert encode_binary(Summary({"a": 1, "b": 2}, 0)) == encode_binary(Summary({"b": 2, "a": 1}, 0))


@pytest.mark.parametrize("value", [0, 127, 128, -128, -129, 2**63, -(2**63), 2**1000 - 1])
def test_an_int_takes_the_fewest_bytes_that_hold_it(value):
    digits = encode_binary(Points(0, None, 0, {"a": value}))[-1 - len(value.to_bytes(200, "little", signed=True)) :]
    size = next(size for size in range(1, 200) if -(2 ** (8 * size - 1)) <= value < 2 ** (8 * size - 1))
    assert digits.endswith(b"\2" + struct.pack("<I", size) + value.to_bytes(size, "little", signed=True))


@given(st.lists(RECORDS, max_size=30), st.lists(st.integers(0, 30), max_size=40) | st.permutations(range(30)))
def test_a_prefix_hashes_the_same_in_whatever_order_prefixes_are_asked_for(records, positions):
    running = RunningHash()
    for asked in positions:
        position = min(asked, len(records))
        expected = blake3(b"".join(map(encode_binary, records[:position]))).hexdigest()
        assert running.at(position, lambda start, end: records[start:end]) == expected


def test_a_longer_prefix_is_continued_from_the_nearest_shorter_one():
    asked = []
    records = [Rewind(step, None, 0) for step in range(100)]

    def between(start, end):
        asked.append((start, end))
        return records[start:end]

    running = RunningHash()
    for position in (10, 50, 50, 20, 90):
        running.at(position, between)
    assert asked == [(0, 10), (10, 50), (10, 20), (50, 90)]
