"""Making a commit: its object first, then the refs that it moves.

The caller has pinned the store and put everything that the record names. Refs move in one call, after the object is on disk:
`RUN@latest` and `latest` always, `RUN@best` and `best` when the commit is better, HEAD when the command commits.
"""

from __future__ import annotations

from dataclasses import dataclass

from onyxstore.disk.refs import BEST, HEAD, LATEST, Change, Reason, Ref, run_ref, to
from onyxstore.errors import BadInput
from onyxstore.hashing import Address
from onyxstore.history.best import Mode, Number, is_better, is_candidate
from onyxstore.history.commits import CommitRecord, encode_commit
from onyxstore.history.runs import RunState
from onyxstore.names import fold
from onyxstore.store.doors import Doors


@dataclass(frozen=True)
class Election:
    """What makes a commit best: the run's metric and mode, the commit's value of it, and what the caller said outright."""

    metric: str | None = None
    mode: Mode = "min"
    value: Number | None = None
    is_best: bool | None = None


def check_message(message: str) -> str:
    """`message` without white space around it; BadInput when nothing is left, or when it is no text that can be stored."""
    if type(message) is not str or not message.strip() or any("\ud800" <= letter <= "\udfff" for letter in message):
        raise BadInput("a commit needs a message, a text; give one with -m")
    return message.strip()


def followed(doors: Doors, state: RunState) -> tuple[str | None, Mode]:
    """The metric that a run's `best` follows, and its mode: the run's own, else the settings'."""
    if state.best_metric is not None:
        return state.best_metric, state.best_mode
    return doors.settings.best_metric, doors.settings.best_mode


def write_commit(doors: Doors, record: CommitRecord, election: Election, reason: Reason, *, move_head: bool = False) -> Address:
    """Stores a commit and moves the refs; on disk when this returns."""
    address = doors.objects.put(encode_commit(record))
    run = fold(record.run)
    changes: dict[str, Change] = {
        run_ref(run, LATEST): to({"commit": address}),
        LATEST: to({"commit": address}),
        run_ref(run, BEST): run_best(address, election),
        BEST: store_best(address, election, doors.settings.best_metric, doors.settings.best_mode),
    }
    if move_head:
        changes[HEAD] = to({"run": record.run})
    doors.refs.update(changes, reason)
    return address


def elect_latest(doors: Doors, state: RunState) -> None:
    """Gives a run's newest commit the election that a crash between its refs took from it; it was held if nothing changes now."""
    address = doors.latest_of(state.name)
    if address is None:
        return
    metric, mode = followed(doors, state)
    election = Election(metric, mode, doors.commit(address).metrics.get(metric) if metric else None)
    changes = {
        run_ref(fold(state.name), BEST): run_best(address, election),
        BEST: store_best(address, election, doors.settings.best_metric, doors.settings.best_mode),
    }
    doors.refs.update(changes, Reason("resume", state.name))


def run_best(address: Address, election: Election) -> Change:
    """The change of `RUN@best`: the first candidate takes it, a better one takes it over, `is_best` has the last word."""

    def change(current: Ref | None) -> Ref | None:
        if election.is_best is not None:
            return elected(address, election) if election.is_best else current
        if election.metric is None or not is_candidate(election.value):
            return current
        comparable = current is not None and current.get("metric") == election.metric and "value" in current
        if current is not None and comparable and not is_better(election.value or 0, current["value"], election.mode):
            return current
        return elected(address, election)

    return change


def store_best(address: Address, election: Election, metric: str | None, mode: Mode) -> Change:
    """The change of `best`: like a run's, but it follows one metric, the settings' or that of the first run which named one."""

    def change(current: Ref | None) -> Ref | None:
        followed = metric or (current or {}).get("metric")
        if followed is None:
            return run_best(address, election)(current)
        if election.metric != followed or election.is_best is False or not is_candidate(election.value):
            return current
        direction = mode if metric else (current or {}).get("mode", election.mode)
        return run_best(address, Election(followed, direction, election.value))(current)

    return change


def elected(address: Address, election: Election) -> Ref:
    """What a ref holds that names a best commit."""
    ref: Ref = {"commit": address}
    if election.metric is not None:
        ref |= {"metric": election.metric, "mode": election.mode}
        if is_candidate(election.value):
            ref["value"] = election.value
    return ref
