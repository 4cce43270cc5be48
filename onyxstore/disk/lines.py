"""Checked lines: the text framing of everything small that is not an object.

A line is the CRC-32 of its payload as 8 lower-case hexadecimal digits, a space, the payload, and a newline:

    offset  size  type   field
    0       8     text   crc32(payload), lower-case hexadecimal
    8       1     byte   0x20
    9       n     bytes  payload: any bytes but 0x0a (JSON throughout)
    9+n     1     byte   0x0a

Text, so that `tail -f`, `grep` and `cut -c10-` work. A zero-filled or cut-off end is no line, whatever its length: an unfinished
last line is *torn* (a crash leaves it, nothing that was acknowledged is in it); anything else that fails is *damage*.
"""

from __future__ import annotations

import re
from binascii import crc32
from dataclasses import dataclass, field

PREFIX = 9
"""Bytes before the payload."""

_HEX = re.compile(rb"[0-9a-f]{8} ")


@dataclass(frozen=True)
class Lines:
    """What a file of checked lines holds: the whole lines' payloads, the damaged spans as (offset, length), the torn end's bytes.

    `doubtful` is how many of the payloads come before the last damage: what they say, a line that was there may have taken back.
    """

    payloads: list[bytes] = field(default_factory=list)
    damaged: list[tuple[int, int]] = field(default_factory=list)
    torn: int = 0
    doubtful: int = 0


def encode_line(payload: bytes) -> bytes:
    """`payload` (without a newline) as a checked line."""
    return b"%08x %b\n" % (crc32(payload), payload)


def decode_line(line: bytes) -> bytes:
    """The payload of one line, with or without its newline; ValueError when the check fails."""
    payload = line[PREFIX:-1] if line.endswith(b"\n") else line[PREFIX:]
    if not _HEX.match(line) or int(line[:8], 16) != crc32(payload):
        message = "a line fails its check"
        raise ValueError(message)
    return payload


def split_lines(data: bytes) -> Lines:
    """Every whole line of `data`, what is damaged between them, and how much at the end is torn.

    Damage is never taken for a torn end: only bytes after the last newline, or zeros there, are torn.
    """
    payloads: list[bytes] = []
    damaged: list[tuple[int, int]] = []
    offset = doubtful = 0
    while (end := data.find(b"\n", offset)) >= 0:
        try:
            payloads.append(decode_line(data[offset : end + 1]))
        except ValueError:
            damaged.append((offset, end + 1 - offset))
            doubtful = len(payloads)
        offset = end + 1
    return Lines(payloads, damaged, len(data) - offset, doubtful)
