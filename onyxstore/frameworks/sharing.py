"""Which tensors of a state share memory.

Tied weights, a parameter and its `.data`, a flat buffer and the slices that a trainer took of it: what is written through one
shows in the other, and must again after loading. So tensors are compared by where they lie, not by which object they are:

- the same memory seen in the same way is one tensor, however many objects there are;
- memory seen in several ways that overlap is stored once, as the widest of them if that is gapless, else as a row of its bytes
  from the first to the last; the others are views of it;
- tensors that only lie side by side in one storage are apart: nothing written to one ever shows in another.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from onyxstore.frameworks.contract import Dense, get_framework
from onyxstore.history.checkpoints.tensors import WIDTHS, packed_strides, reach

_WIDEST = max(WIDTHS.values())


@dataclass(frozen=True)
class Sharing:
    """The tensors to copy, and for each that was handed in the number of its own copy, and whether it is a view of that."""

    copies: list[Dense]
    places: dict[int, tuple[int, bool]]


def find_sharing(denses: Sequence[Dense]) -> Sharing:
    """How these tensors share memory; `places` goes by the `id` of a Dense."""
    seen: dict[object, list[Dense]] = {}
    for dense in denses:
        seen.setdefault(_sight(dense), []).append(dense)
    sharing = Sharing([], {})
    for group in _overlapping([same[0] for same in seen.values()]):
        base = group[0] if len(group) == 1 else _base_of(group)
        for first in [base] if base is not None else group:
            sharing.copies.append(first)
        for number, first in enumerate(group, len(sharing.copies) - len(group)):
            place = (number, False) if base is None else (len(sharing.copies) - 1, first is not base)
            sharing.places.update((id(dense), place) for dense in seen[_sight(first)])
    return sharing


def memory_order(dense: Dense) -> tuple[int, ...] | None:
    """The dimensions from the slowest to the fastest, where they are gapless in another order than their own; else None."""
    if dense.packed or dense.size == 0:
        return None
    order = tuple(sorted(range(len(dense.shape)), key=lambda dimension: -dense.strides[dimension]))
    packed = packed_strides(tuple(dense.shape[d] for d in order), WIDTHS[dense.dtype])
    gapless = all(dense.shape[d] == 1 or dense.strides[d] == step for d, step in zip(order, packed, strict=True))
    return order if gapless else None


def _sight(dense: Dense) -> object:
    """Equal for tensors that see the same memory in the same way; an empty one sees none, and is only itself."""
    if dense.size == 0:
        return id(dense.source)
    return dense.device, dense.address, dense.dtype, dense.shape, dense.strides, dense.kind


def _ends(dense: Dense) -> tuple[int, int]:
    if dense.packed:
        return dense.address, dense.address + dense.size
    lowest, highest = reach(dense.shape, dense.strides, WIDTHS[dense.dtype])
    return dense.address + lowest, dense.address + highest


def _overlapping(denses: list[Dense]) -> Iterator[list[Dense]]:
    """Groups of tensors whose memory overlaps, members and groups in the order in which they came."""
    groups: list[list[int]] = [[number] for number, dense in enumerate(denses) if dense.size == 0]
    last, end = "", 0
    for device, start, stop, number in sorted((dense.device, *_ends(dense), number) for number, dense in enumerate(denses) if dense.size):
        if device == last and start < end:
            groups[-1].append(number)
            end = max(end, stop)
        else:
            groups.append([number])
            last, end = device, stop
    for group in sorted((sorted(group) for group in groups), key=lambda group: group[0]):
        yield [denses[number] for number in group]


def _base_of(group: list[Dense]) -> Dense | None:
    """The member that covers all others without gaps, or a row of the bytes that they cover together.

    The offset of each must be a multiple of its width, as torch's views need. In memory seen as several dtypes it takes a few
    zeros before the row for that; None when no number of them is right for all.
    """
    start, end = min(_ends(dense)[0] for dense in group), max(_ends(dense)[1] for dense in group)
    for dense in group:
        if dense.packed and dense.size == end - start and _all_fit(group, start):
            return dense
    pad = next((pad for pad in range(_WIDEST) if _all_fit(group, start - pad)), None)
    if pad is None:
        return None
    owner = "numpy" if group[0].device == "cpu" else group[0].framework
    row = replace(get_framework(owner).span(group[0], start, end, pad), kind="storage")
    width = WIDTHS[group[0].dtype]
    if len({dense.dtype for dense in group}) > 1 or row.size % width:
        return row
    return replace(row, dtype=group[0].dtype, shape=(row.size // width,), strides=(width,))


def _all_fit(group: list[Dense], start: int) -> bool:
    """Whether each has its elements at multiples of its own width from `start`; numpy has views at any byte."""
    return all(dense.framework == "numpy" or (dense.address - start) % WIDTHS[dense.dtype] == 0 for dense in group)
