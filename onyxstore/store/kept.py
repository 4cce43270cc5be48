"""What a reading of a run leaves for the next one, so that it reads only what is new."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from onyxstore.hashing import Address
from onyxstore.history.metrics.records import Value
from onyxstore.history.metrics.standing import Standing, Statistics
from onyxstore.store.index_rows import dump, load


class Kept(NamedTuple):
    """What the next reading of a run goes on from, so that it reads only what is new."""

    standing: Standing
    """Of the metric log up to its newest segment, or to a rewind behind that: what follows is in tails."""
    handed_in: Mapping[str, Statistics]
    """The values that came with its commits."""
    commits: int = 0
    latest: Address | None = None
    best: Address | None = None
    at_best: Mapping[str, Value] = MappingProxyType({})
    noted: Mapping[str, Value] = MappingProxyType({})
    """The metrics of notes on its commits, and those of notes on its best one."""
    noted_at_best: Mapping[str, Value] = MappingProxyType({})


NOTHING = Kept(Standing("", 0, {}, {}), {})
"""What is known of a run that nobody has read."""


def encode_kept(kept: Kept) -> str:
    """What a reading kept, as one column."""
    standing = kept.standing
    curves = {name: list(each) for name, each in standing.curves.items()}
    given = {name: list(each) for name, each in kept.handed_in.items()}
    return dump([[*standing[:2], curves, dict(standing.summary), *standing[4:]], given, *kept[2:5], *map(dict, kept[5:])])


def decode_kept(text: str) -> Kept:
    """What a reading kept; ValueError, TypeError or IndexError when the text is none."""
    (log, position, curves, *rest), given, *others = load(text)
    statistics = {name: Statistics(*each) for name, each in curves.items()}
    return Kept(Standing(log, position, statistics, *rest), {name: Statistics(*each) for name, each in given.items()}, *others)
