"""Canonical JSON: one text for one value.

Objects that are compared or hashed as values (commits, manifests, config values) are written in one way only: keys sorted by
code point, no white space, UTF-8, floats as the shortest decimal that reads back to the same bits (Python's `repr`, with a point
or an exponent, so that 1, 1.0 and true stay distinct; -0.0 keeps its sign). What JSON cannot say is a *tagged* object, a dict
with the key `$`:

    {"$": "float", "is": "nan" | "inf" | "-inf"}
    {"$": "int", "is": "123456789012345678901"}        below -2^63 or from 2^63 on: no 64 bits hold it
    {"$": "dict", "items": [[key, value], ...]}        a dict with a key that is no string, or with the key "$"; its pairs
                                                       sorted by the canonical JSON of their keys

Reading is strict: duplicate keys, NaN tokens, trailing bytes, unknown tags and values nested beyond 200 levels are errors.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from onyxstore.hashing import Address, Buffer, address_of

TAG = "$"
MAX_DEPTH = 200
EXACT_INT = 2**63
"""Ints from -2^63 up to below this stand as they are: those of 64 bits, times in nanoseconds among them."""

_DIGITS = re.compile(r"-?[0-9]{1,4000}")
"""More are refused, since Python's conversion is quadratic; its own limit is 4300."""


def canonical_bytes(value: object) -> bytes:
    """`value` (None, bool, int, float, str, lists, dicts) as canonical JSON; TypeError or ValueError for anything else."""
    try:
        return plain_bytes(encode_value(value))
    except RecursionError:  # from a caller that is deep itself
        raise _too_deep() from None


def canonical_address(value: object) -> Address:
    """The address of `value`'s canonical JSON: equal for equal values, however they were spelt."""
    return address_of(canonical_bytes(value))


def read_canonical(data: Buffer) -> Any:
    """The value that `canonical_bytes` wrote; ValueError when `data` is no such text."""
    try:
        return decode_value(read_plain(data))
    except RecursionError:  # from a caller that is deep itself
        raise _too_deep() from None


def plain_bytes(value: object) -> bytes:
    """A value that JSON can say as it is (tags made already), in the canonical spelling."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def read_plain(data: Buffer) -> Any:
    """JSON, strictly, its tags untouched; ValueError for duplicate keys, NaN tokens, trailing bytes or nesting that Python cannot hold."""
    try:
        return json.loads(str(data, "utf-8"), object_pairs_hook=_no_duplicates, parse_constant=_refuse_constant)
    except RecursionError:
        raise _too_deep() from None


def encode_value(value: object, depth: int = 0) -> Any:
    """`value` with tags where JSON has no word for it."""
    if depth > MAX_DEPTH:
        raise _too_deep()
    if value is None or value is True or value is False or type(value) is str:
        return value
    if type(value) is int:
        return encode_int(value)
    if type(value) is float:
        return encode_float(value)
    if type(value) is list:
        return [encode_value(item, depth + 1) for item in value]
    if type(value) is not dict:
        message = f"a {type(value).__name__} has no canonical form"
        raise TypeError(message)
    if all(type(key) is str for key in value) and TAG not in value:
        return {key: encode_value(item, depth + 1) for key, item in value.items()}
    pairs = [[encode_value(key, depth + 1), encode_value(item, depth + 1)] for key, item in value.items()]
    return {TAG: "dict", "items": sorted(pairs, key=lambda pair: plain_bytes(pair[0]))}


def decode_value(value: Any, depth: int = 0) -> Any:
    """What `encode_value` made, without its tags."""
    if depth > MAX_DEPTH:
        raise _too_deep()
    if type(value) is list:
        return [decode_value(item, depth + 1) for item in value]
    if type(value) is not dict:
        return value
    if TAG not in value:
        return {key: decode_value(item, depth + 1) for key, item in value.items()}
    if value[TAG] == "float":
        return decode_float(value)
    if value[TAG] == "int":
        return decode_int(value)
    if value[TAG] == "dict":
        return _decode_dict(value, depth)
    message = f"unknown tag {str(value[TAG])[:40]!r}"
    raise ValueError(message)


def encode_int(value: int) -> Any:
    """An int as itself, or tagged where it has more than 64 bits."""
    return value if -EXACT_INT <= value < EXACT_INT else {TAG: "int", "is": str(value)}


def encode_float(value: float) -> Any:
    """A float as itself, or tagged where JSON has no word for it."""
    return value if math.isfinite(value) else {TAG: "float", "is": repr(value)}


def decode_float(tagged: dict[str, Any]) -> float:
    """The float of a tag."""
    word = tagged.get("is")
    if type(word) is not str or word not in {"nan", "inf", "-inf"}:
        message = "a float tag says nan, inf or -inf"
        raise ValueError(message)
    return float(word)


def decode_int(tagged: dict[str, Any]) -> int:
    """The int of a tag; its digits are bounded, since Python's conversion is quadratic."""
    digits = tagged.get("is")
    if type(digits) is not str or not _DIGITS.fullmatch(digits):
        message = "an int tag holds up to 4000 digits as a string"
        raise ValueError(message)
    return int(digits)


def _decode_dict(tagged: dict[str, Any], depth: int) -> dict[Any, Any]:
    """The dict of a tag's pairs; ValueError for a key twice or one that cannot be a key."""
    pairs = tagged.get("items")
    if type(pairs) is not list or not all(type(pair) is list and len(pair) == 2 for pair in pairs):
        message = "a dict tag holds pairs"
        raise ValueError(message)
    try:
        made = {decode_value(key, depth + 1): decode_value(item, depth + 1) for key, item in pairs}
    except TypeError as error:
        message = f"a dict tag's key cannot be hashed: {error}"
        raise ValueError(message) from None
    if len(made) != len(pairs):
        message = "a dict tag holds a key twice"
        raise ValueError(message)
    return made


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        message = "a key stands twice in one object"
        raise ValueError(message)
    return made


def _refuse_constant(token: str) -> Any:
    message = f"{token} is no JSON"
    raise ValueError(message)


def _too_deep() -> ValueError:
    return ValueError(f"nested deeper than {MAX_DEPTH} levels")
