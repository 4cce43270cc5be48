"""Addresses: the hash of raw content.

An address is the BLAKE3-256 of an object's raw bytes, never of their compressed form, so that recompression changes no address.
In text it is 64 lower-case hexadecimal digits; in packs it is the 32 bytes themselves. BLAKE3 because it is the only hash with
256 bits that costs less than copying does: 7 GB/s on one core where SHA-256 does 2. The algorithm's name stands in the store's
`format` file; there is one, and a second would be a new format.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NewType

from blake3 import blake3

Buffer = bytes | bytearray | memoryview

Address = NewType("Address", str)
"""64 lower-case hexadecimal digits."""

ALGORITHM = "blake3"
ADDRESS_BYTES = 32
SHORT = 10
"""Digits that are shown to people: 40 bits, a chance of 1 in 2 million for a clash among a thousand commits."""

_ADDRESS = re.compile(r"[0-9a-f]{64}")


def address_of(data: Buffer) -> Address:
    """The address of `data`; drops the interpreter lock on anything larger than a few kB."""
    return Address(blake3(data).hexdigest())


def address_of_parts(parts: Iterable[Buffer]) -> Address:
    """The address of `parts` one after another."""
    hasher = blake3()
    for part in parts:
        hasher.update(part)
    return Address(hasher.hexdigest())


def parse_address(text: str) -> Address:
    """`text` as an address; ValueError when it is none."""
    if not _ADDRESS.fullmatch(text):
        message = f"{text[:80]!r} is no address"
        raise ValueError(message)
    return Address(text)


def is_address(text: object) -> bool:
    """Whether `text` is a string that could be an address."""
    return isinstance(text, str) and _ADDRESS.fullmatch(text) is not None


def short(address: str) -> str:
    """The digits of an address that are shown to people."""
    return address[:SHORT]
