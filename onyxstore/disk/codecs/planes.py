"""Byte planes: the first bytes of all words, then the second, and so on, lowest first.

The exponents of trained weights lie within a few powers of two, while mantissas are noise. Side by side in one stream they hide
one another; in planes of their own the exponents shrink to a third and the noise is left alone. *Rotated* planes first rotate the
highest two bytes of each word left by one bit, which puts the sign below the exponent. Then the highest plane of a float32 or a
bfloat16 is its exponent and nothing else:

    bytes 3 and 2 of a float32, or both of a bfloat16:   s eeeeeee e mmmmmmm   ->   eeeeeeee mmmmmmm s

Measured on AdamW training of a GPT with 6.9 M parameters, stored bytes to raw (zstd level 3 on whole words, byte planes, rotated):
float32 weights 0.925, 0.833, 0.830; bfloat16 weights 0.775, 0.666, 0.659; float32 exp_avg 0.883, 0.803, 0.800. Rotating the whole
word, so that the sign joins the lowest byte, gives the same but for floats that came from a shorter type: of those it spoils the
plane of zeros (0.348; here 0.330). float64 has eleven bits of exponent, of which rotation would push the useful three among the
mantissa (0.877 planes, 0.882 rotated), so no rotated codec has words of 8 bytes. Where all signs agree, as in exp_avg_sq, either
may win; `choose.py` tries both.

Words are taken apart into halves, and those into halves, by shifts and casts on whole integers, and put together the same way.
numpy does that with vector instructions: 5 GB/s apart and 4 together for rotated float32, where strided copies of bytes, without
rotation, give 3.6 and 3.5. All of it drops the interpreter lock. Taking apart goes over the whole chunk at a time: between two
steps a busy Python thread may keep that lock for 5 ms, and a save goes on while training does. Putting together goes by the blocks
in which raw planes come.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from onyxstore.disk.codecs.codec import PLANE_BLOCK, Codec
from onyxstore.disk.codecs.workspace import Workspace

if TYPE_CHECKING:
    from types import ModuleType

    import numpy as np
    from numpy.typing import NDArray

    Words = NDArray[np.unsignedinteger[Any]]


@dataclass(frozen=True)
class Planes(Codec):
    """Byte planes of words of 2, 4 or 8 bytes, the sign rotated below the exponent or not."""

    rotated: bool = False

    def split(self, data: memoryview, out: memoryview, space: Workspace) -> list[memoryview]:
        """The planes, lowest first, in `out`."""
        count = data.nbytes // self.word
        planes = [out[start : start + count] for start in range(0, data.nbytes, count)]
        _split_words(_words(data, self.word), [_words(plane, 1) for plane in planes], space, rotated=self.rotated)
        return planes

    def join(self, planes: Sequence[Sequence[memoryview]], out: memoryview, space: Workspace) -> None:
        """The words, in steps of one block of each plane: 128 Ki words, which stay in the processor's cache meanwhile."""
        words = _words(out, self.word)
        for number, blocks in enumerate(zip(*planes, strict=True)):
            step = words[number * PLANE_BLOCK : (number + 1) * PLANE_BLOCK]
            _join_words([_words(block, 1) for block in blocks], step, space, rotated=self.rotated)


def _split_words(words: Words, planes: Sequence[Words], space: Workspace, *, rotated: bool) -> None:
    np, half = _numpy(), len(planes) // 2
    if half == 0:
        np.copyto(planes[0], words)
        return
    if half == 1 and rotated:
        words = _rotate(words, space)
    part = _scratch("half", words.size, half, space)
    np.copyto(part, words, casting="unsafe")
    _split_words(part, planes[:half], space, rotated=False)
    upper = _scratch("moved", words.size, 2 * half, space)
    np.right_shift(words, 8 * half, out=upper)
    np.copyto(part, upper, casting="unsafe")
    _split_words(part, planes[half:], space, rotated=rotated)


def _join_words(planes: Sequence[Words], out: Words, space: Workspace, *, rotated: bool) -> None:
    np, half = _numpy(), len(planes) // 2
    np.copyto(out, _joined(planes[half:], space, rotated=rotated))
    np.left_shift(out, 8 * half, out=out)
    np.bitwise_or(out, _joined(planes[:half], space, rotated=False), out=out)
    if half == 1 and rotated:
        _rotate_back(out, space)


def _joined(planes: Sequence[Words], space: Workspace, *, rotated: bool) -> Words:
    """The words of a few planes, in working memory: good until the next words of that width."""
    if len(planes) == 1:
        return planes[0]
    part = _scratch("half", planes[0].size, len(planes), space)
    _join_words(planes, part, space, rotated=rotated)
    return part


def _rotate(words: Words, space: Workspace) -> Words:
    """Words of two bytes, rotated left by one bit, in working memory."""
    np = _numpy()
    rotated, signs = _scratch("rotated", words.size, 2, space), _scratch("moved", words.size, 2, space)
    np.left_shift(words, 1, out=rotated)
    np.right_shift(words, 15, out=signs)
    np.bitwise_or(rotated, signs, out=rotated)
    return rotated


def _rotate_back(words: Words, space: Workspace) -> None:
    np = _numpy()
    signs = _scratch("moved", words.size, 2, space)
    np.left_shift(words, 15, out=signs)
    np.right_shift(words, 1, out=words)
    np.bitwise_or(words, signs, out=words)


def _scratch(use: str, size: int, width: int, space: Workspace) -> Words:
    """`size` words with whatever was in them; the next call for that use and width takes them back."""
    return _words(space.memory(f"{use} {width}", size * width), width)


def _words(data: memoryview, width: int) -> Words:
    """`data` as unsigned integers, little endian, at any alignment."""
    words: Words = _numpy().frombuffer(data, dtype=f"<u{width}")
    return words


@cache
def _numpy() -> ModuleType:
    """numpy, when the first tensor is coded: it takes 110 ms to import, and most commands open a pack only to look into its index."""
    import numpy as np  # noqa: PLC0415 - see above

    return np
