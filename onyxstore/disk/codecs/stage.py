"""What a writer may do with a plane, and zstd's parameters for it."""

from __future__ import annotations

from enum import Enum

import zstandard

LARGEST_WINDOW = 64 << 20
"""Bytes of history that a frame may ask a reader to keep: the largest chunk."""


class Stage(Enum):
    """The ways to store a plane; which one was taken is written nowhere, since a frame says for itself what it holds."""

    RAW = "raw"
    """As it is, in raw blocks."""

    FAST = "fast"
    """Huffman coding and little else: planes of exponents, quantised weights, tokens, masks.

    A hash table of 64 entries finds runs and nothing that would break them up. On the exponents of float32 weights: 0.320 of the
    plane at 600 to 780 MB/s, where order-0 entropy is 0.318; level 1 gives 0.355 at 310 MB/s, level 3 0.391 at 170, for all their
    searching. zstd's negative levels are no faster variant of this: they switch Huffman coding off (1.00).
    """

    LEVEL_1 = "level 1"
    """Second moments of Adam (0.252 of the exponent plane, FAST 0.274), where neighbours repeat one another."""

    LEVEL_3 = "level 3"
    """Integers and bytes with some pattern in them."""


def zstd_parameters(stage: Stage) -> zstandard.ZstdCompressionParameters:
    """The parameters of a stage: always with checksum and content size, never with a dictionary's number."""
    if stage is not Stage.FAST:
        level = 1 if stage is Stage.LEVEL_1 else 3
        return zstandard.ZstdCompressionParameters.from_level(level, write_checksum=True, write_content_size=True, write_dict_id=False)
    # window_log 22 covers a chunk of 4 MiB; chain_log and search_log are not used by this strategy and only have to be legal.
    return zstandard.ZstdCompressionParameters(
        strategy=zstandard.STRATEGY_FAST, min_match=7, hash_log=6, target_length=0, window_log=22, chain_log=6, search_log=1,
        write_checksum=True, write_content_size=True, write_dict_id=False,
    )  # fmt: skip
