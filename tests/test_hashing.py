import random

import pytest
from blake3 import blake3

from onyxstore.hashing import address_of, address_of_parts, is_address, parse_address, short

EMPTY = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
"""BLAKE3 of nothing, from the test vectors of its specification."""


def test_an_address_is_the_blake3_of_the_bytes():
    assert address_of(b"") == EMPTY
    assert address_of(b"abc") == blake3(b"abc").hexdigest()


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_buffer_has_the_address_of_its_bytes(kind):
    assert address_of(kind(b"abc")) == address_of(b"abc")


def test_parts_have_the_address_of_the_whole():
    data = random.Random(1).randbytes(5000)
    assert address_of_parts([data[:7], b"", memoryview(data)[7:]]) == address_of(data)
    assert address_of_parts([]) == EMPTY


def test_an_address_is_read_back_from_its_text():
    assert parse_address(EMPTY) == EMPTY


@pytest.mark.parametrize("text", ["", EMPTY[:-1], EMPTY + "0", EMPTY.upper(), EMPTY[:-1] + "g", EMPTY + "\n", " " + EMPTY[1:]])
def test_what_is_not_64_lower_case_digits_is_no_address(text):
    assert not is_address(text)
    with pytest.raises(ValueError, match="is no address"):
        parse_address(text)


@pytest.mark.parametrize("thing", [None, 1, b"a" * 64, [EMPTY]])
def test_only_a_string_can_be_an_address(thing):
    assert not is_address(thing)


def test_people_are_shown_ten_digits():
    assert short(EMPTY) == "af1349b9f5"
