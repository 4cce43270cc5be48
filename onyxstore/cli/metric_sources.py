"""Whose metrics are meant, and which: runs by name, a run up to a commit by revision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from onyxstore.cli import screen
from onyxstore.errors import UnknownName, UnknownRevision
from onyxstore.history.metrics.series import Curves
from onyxstore.names import near
from onyxstore.store.store import Store
from onyxstore.store.views import Commit, RunView

Sources = Mapping[str, Curves]
"""Curves by what they are called: a run's name, or the revision as it was typed."""


def read_curves(store: Store, name: str, *, superseded: bool) -> tuple[str, Curves]:
    """What a source is called, and its curves; UnknownName with the runs that are near."""
    found = _find(store, name)
    if isinstance(found, RunView):
        return found.name, found.superseded if superseded else found.metrics
    return name, Curves([], ()) if superseded else found.metrics


def get_run(store: Store, name: str) -> RunView:
    """A run by its name, or the run of a revision's commit."""
    found = _find(store, name)
    return found if isinstance(found, RunView) else store.run(found.run)


def choose_metrics(store: Store, sources: Sources, wanted: Sequence[str]) -> list[str]:
    """The metrics to show, each once: those that are wanted, else all. UnknownName for one that no source has.

    Of several sources one may lack a metric; that is said.
    """
    known = dict.fromkeys(name for curves in sources.values() for name in curves)
    for name in wanted:
        if name not in known:
            raise _unknown(store, sources, name, tuple(known))
        for label in (label for label, curves in sources.items() if name not in curves):
            screen.say(f"onyx: '{label}' has no metric called '{name}'")
    return list(dict.fromkeys(wanted or known))


def say_what_is_missing(sources: Sources, *, superseded: bool) -> bool:
    """A line for each source without points, and for each part of a metric log that cannot be read; whether there is such a part."""
    for label, curves in sources.items():
        if not curves and not curves.damage:
            screen.say(f"onyx: {'nothing was superseded' if superseded else 'no points were logged'} in '{label}'")
        for words in curves.damage:
            screen.say(f"onyx: metric log of '{label}': {words}")
    return any(curves.damage for curves in sources.values())


def _find(store: Store, name: str) -> RunView | Commit:
    try:
        return store.run(name)
    except UnknownName:
        try:
            return store.commit(name)
        except UnknownRevision:
            pass  # It is a run that was asked for: the runs that are near are what helps.
        raise


def _unknown(store: Store, sources: Sources, name: str, known: Sequence[str]) -> UnknownName:
    # None of them has it; of one that is true too, and reads well.
    error = UnknownName("metric", name, f"'{next(iter(sources))}'", near(name, known))
    if name in {view.name for view in store.runs()}:
        error.add_note(f"'{name}' is a run: to see several, name the metrics with -m")
    return error
