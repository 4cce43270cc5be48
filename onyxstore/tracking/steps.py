"""One axis for backends that know no epochs.

A loop's steps may begin anew each epoch, repeat, or come late; the store keeps (epoch, step) as they are. Most backends have one
axis, and drop what goes back on it (W&B offline kept 10 of 30 rows of three epochs). So each row gets a global step: it never goes
back, and grows with each row but for those of one moment, whose metrics share a place. Within an epoch global steps are as far
apart as the loop's own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

Epoch = float | int | None


class GlobalSteps:
    """Gives each row its place on the global axis; from 0, or from the first row's step if that is greater."""

    def __init__(self) -> None:
        self._last = -1
        self._offset = 0
        self._moment: tuple[Epoch, int] | None = None
        self._names: set[str] = set()

    @property
    def last(self) -> int:
        """The place of the row that was placed last; 0 before the first."""
        return max(self._last, 0)

    def place(self, step: int, epoch: Epoch, names: Collection[str]) -> int:
        """The global step of a row of metrics `names`, which was logged after all others that were placed.

        A row of the same moment as the one before it has that one's place, unless both have a metric of the same name.
        """
        moment = epoch, step
        if moment == self._moment and self._names.isdisjoint(names):
            self._names.update(names)
            return self._last
        place = self._offset + step
        if place <= self._last:
            place = self._last + 1
            if self._moment is None or epoch != self._moment[0]:
                self._offset = place - step
        self._moment, self._names, self._last = moment, set(names), place
        return place

    def go_on_after(self, rows: Iterable[tuple[int, Epoch]]) -> None:
        """Goes on behind the (step, epoch) that earlier attempts logged: what they were given is not given again.

        Each row counts as one with a place of its own, which leaves a gap where some shared one; nothing else remembers them.
        """
        for step, epoch in rows:
            self.place(step, epoch, _CLASH)
        self._moment, self._offset = None, 0


_CLASH = ("",)
"""A name that every row has."""
