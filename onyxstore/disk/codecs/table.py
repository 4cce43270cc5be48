"""The codecs that a pack may name: all of them, by name and by number.

Numbers and names are part of the format and are never given again. Tried and left out: rotated planes of 8-byte words (larger than
plain ones on every float64 tensor measured), and one plane of two-byte words for the lower half of a float32 (puts words together
30 percent faster; but where a float16 became a float32 that half then takes 0.141 of the tensor instead of 0.094).
"""

from __future__ import annotations

from onyxstore.disk.codecs.codec import Codec
from onyxstore.disk.codecs.plain import Plain
from onyxstore.disk.codecs.planes import Planes

PLAIN = Plain(0, "plain", 1)

CODECS: tuple[Codec, ...] = (
    PLAIN,
    Planes(1, "planes-16", 2),
    Planes(2, "planes-32", 4),
    Planes(3, "planes-64", 8),
    Planes(4, "rotated-16", 2, rotated=True),
    Planes(5, "rotated-32", 4, rotated=True),
)
"""In the order of their numbers."""

_BY_NAME = {codec.name: codec for codec in CODECS}


def get_codec(name: object) -> Codec:
    """The codec of that name; ValueError when there is none."""
    codec = _BY_NAME.get(name) if isinstance(name, str) else None
    if codec is None:
        raise ValueError(f"no codec is called {str(name)[:40]!r}")
    return codec
