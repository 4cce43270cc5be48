"""What was purged: addresses whose bytes are gone on purpose, though commits still name them.

    purged      checked lines, append-only: {"address": address, "time": ns}

An address stands here before its bytes go. One that is stored again, since somebody committed the same bytes anew, is there again.
"""

from __future__ import annotations

from collections.abc import Iterable

from onyxstore.disk.layout import Layout
from onyxstore.disk.linefile import append_values, read_values
from onyxstore.hashing import Address, is_address

PURGED = "<purged>"
"""What stands where a purged value would."""


def append_purged(layout: Layout, addresses: Iterable[Address], time: int) -> None:
    """Writes down that these go; on disk when this returns. The caller holds the store's lock alone."""
    append_values(layout.purged, [{"address": address, "time": time} for address in addresses])


def read_purged_addresses(layout: Layout) -> set[Address]:
    """Every address that was purged."""
    found = [value.get("address") for value in read_values(layout.purged) if type(value) is dict]
    return {Address(str(address)) for address in found if is_address(address)}
