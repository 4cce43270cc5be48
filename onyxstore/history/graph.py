"""Walking commits by their parents.

The functions take a `read` from address to record, so that they know nothing of storage; a commit that cannot be read ends its
line there, and the caller's `read` decides whether that is an error.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from onyxstore.hashing import Address

if TYPE_CHECKING:
    from onyxstore.history.commits import CommitRecord

    Read = Callable[[Address], CommitRecord]


def line_of(read: Read, newest: Address) -> Iterator[tuple[Address, CommitRecord]]:
    """A run's commits, newest first: first parents as long as they belong to the same run."""
    address: Address | None = newest
    run: str | None = None
    while address is not None:
        record = read(address)
        run = run or record.run
        if record.run != run:
            return
        yield address, record
        address = record.parents[0] if record.parents else None


def first_parents(read: Read, start: Address) -> Iterator[tuple[Address, CommitRecord]]:
    """`start` and the commits before it by first parents, over forks too."""
    address: Address | None = start
    while address is not None:
        record = read(address)
        yield address, record
        address = record.parents[0] if record.parents else None


def ancestors(read: Read, starts: Iterable[Address]) -> dict[Address, CommitRecord]:
    """`starts` and everything that they come from."""
    found: dict[Address, CommitRecord] = {}
    waiting = list(starts)
    while waiting:
        address = waiting.pop()
        if address not in found:
            found[address] = read(address)
            waiting.extend(found[address].parents)
    return found


def newest_few(read: Read, starts: Mapping[Address, int], count: int) -> list[Address]:
    """The first `count` of `newest_first` of all that `starts`, with the times when they were made, come from.

    Few more commits are read than that, unless clocks differed so much that a child is older than its parent.
    """
    waiting = [(-time, address) for address, time in starts.items()]
    heapq.heapify(waiting)
    seen, order = set(starts), list[Address]()
    passed: set[Address] = set()
    while waiting and len(order) < count:
        address = heapq.heappop(waiting)[1]
        parents = read(address).parents
        if not passed.isdisjoint(parents):
            # Its parent stands above it already: only who knows all children of a commit can put that right.
            return newest_first(ancestors(read, starts))[:count]
        order.append(address)
        passed.add(address)
        for parent in parents:
            if parent not in seen:
                seen.add(parent)
                heapq.heappush(waiting, (-read(parent).time, parent))
    return order


def newest_first(commits: Mapping[Address, CommitRecord]) -> list[Address]:
    """The commits by their time, the latest first, but each before its parents, whatever the clocks of their machines said."""
    children = Counter(parent for record in commits.values() for parent in record.parents)
    waiting = [(-record.time, address) for address, record in commits.items() if not children[address]]
    heapq.heapify(waiting)
    order = []
    while waiting:
        address = heapq.heappop(waiting)[1]
        order.append(address)
        for parent in commits[address].parents:
            children[parent] -= 1
            if not children[parent] and parent in commits:
                heapq.heappush(waiting, (-commits[parent].time, parent))
    return order
