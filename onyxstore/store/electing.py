"""Who is best, asked again: a run's best by another metric, and what `latest` and `best` fall to when a run goes.

A run's commits stand for election by their value of a metric: the one handed in with the commit, else what was logged at its step, else
what a note says. A value that was logged belongs to the state at that step, so it counts for a commit whose checkpoint is of that step.
NaN is no candidate, a tie is the earlier one's. A pruned checkpoint can be best only while all its tensors are still there: then it is
kept from now on; one that is gone is passed over, and that is said.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from onyxstore.disk.locks import Lock, pinned, try_lock
from onyxstore.disk.refs import BEST, LATEST, Change, Reason, Ref, new_call, run_ref, to
from onyxstore.errors import BadInput, Damage, NotHere, UnknownName
from onyxstore.hashing import Address
from onyxstore.history import runs
from onyxstore.history.best import Mode, Number, check_mode, is_better, is_candidate
from onyxstore.history.commits import CommitRecord
from onyxstore.history.metrics.series import Series, series_of
from onyxstore.history.notes import Note, noted_metrics, read_notes
from onyxstore.names import check_metric_name, fold, near
from onyxstore.store.committing import Election, elected, followed, store_best
from onyxstore.store.doors import Doors
from onyxstore.store.retaining import is_pruned, revive
from onyxstore.store.trees import manifest_chunks


@dataclass(frozen=True)
class Elected:
    """The commit that is best now, its value; those that would be better and whose checkpoints are gone; whether later ones compete."""

    run: str
    commit: Address
    metric: str
    mode: Mode
    value: Number
    passed_over: tuple[Address, ...]
    is_followed: bool


def elect_best(doors: Doors, name: str, metric: str | None = None, mode: str | None = None) -> Elected:
    """Holds the election of a run, and moves `RUN@best`, and `best` by its own rule. Without a metric: the one that the run follows.

    The run follows the metric from now on, unless it is live: then its next commits compete by its own. UnknownName, BadInput.
    """
    state = doors.state(name)
    wanted, chosen = _asked_for(doors, state, metric, mode)
    with pinned(doors.layout.locks), _locked(doors, name) as held:
        commit, value, passed_over = _choose(doors, state, wanted, chosen)
        checkpoint = doors.commit(commit).checkpoint
        if held is not None and checkpoint is not None:
            revive(doors, state.name, checkpoint.manifest)
        election = Election(wanted, chosen, value)
        changes: dict[str, Change] = {
            run_ref(fold(name), BEST): to(elected(commit, election)),
            BEST: store_best(commit, election, doors.settings.best_metric, doors.settings.best_mode),
        }
        doors.refs.update(changes, Reason(f"best {state.name} by {wanted}", new_call()))
        if held is not None:
            _write_followed(doors, name, wanted, chosen)
    return Elected(state.name, commit, wanted, chosen, value, passed_over, held is not None)


def follow(doors: Doors, name: str, metric: str | None, mode: Mode) -> None:
    """Lets a run's best follow a metric from now on, unless a process writes the run, which has its own."""
    with _locked(doors, name) as held:
        if held is not None:
            _write_followed(doors, name, metric, mode)


def latest_of_others(doors: Doors, leaving: set[str]) -> Change:
    """The change of `latest` when runs go: from a commit of theirs to the newest of all others."""

    def change(current: Ref | None) -> Ref | None:
        if current is None or not _is_of(doors, current, leaving):
            return current
        newest = max(_named_by_others(doors, leaving, LATEST), key=lambda ref: _time(doors, ref), default=None)
        return {"commit": newest["commit"]} if newest is not None else None

    return change


def best_of_others(doors: Doors, leaving: set[str]) -> Change:
    """The change of `best` when runs go: from a commit of theirs to the best of the others' bests, by the metric that `best` follows."""

    def change(current: Ref | None) -> Ref | None:
        if current is None or not _is_of(doors, current, leaving):
            return current
        found = sorted(_named_by_others(doors, leaving, BEST), key=lambda ref: _time(doors, ref))
        metric = doors.settings.best_metric or current.get("metric")
        mode: Mode = doors.settings.best_mode if doors.settings.best_metric else current.get("mode", "min")
        if not any(ref.get("metric") == metric for ref in found) and doors.settings.best_metric is None:
            # Then it follows what it would have followed without these runs: what the first of the others names.
            first = next((ref for ref in found if "metric" in ref), {})
            metric, mode = first.get("metric"), first.get("mode", "min")
        if metric is None:
            return {"commit": found[-1]["commit"]} if found else None
        return _best_by(metric, mode, found)

    return change


def latest_again(doors: Doors, latest: Address) -> Change:
    """The change of `latest` when a run comes back: to its newest commit, if that is the newest of all."""

    def change(current: Ref | None) -> Ref | None:
        mine: Ref = {"commit": latest}
        return mine if current is None or _time(doors, mine) > _time(doors, current) else current

    return change


def best_again(doors: Doors, best: Ref) -> Change:
    """The change of `best` when a run comes back: it stands for election with its own best."""
    election = Election(best.get("metric"), best.get("mode", "min"), best.get("value"))
    compete = store_best(Address(best["commit"]), election, doors.settings.best_metric, doors.settings.best_mode)

    def change(current: Ref | None) -> Ref | None:
        return {"commit": best["commit"]} if current is None and "metric" not in best else compete(current)

    return change


# ---------------------------------------------------------------------------------------------------------------- private


def _asked_for(doors: Doors, state: runs.RunState, metric: str | None, mode: str | None) -> tuple[str, Mode]:
    """The metric and mode of an election; what is not said is what the run follows."""
    own_metric, own_mode = followed(doors, state)
    wanted = check_metric_name(metric) if metric is not None else own_metric
    if wanted is None:
        raise BadInput(f"run '{state.name}' follows no metric; name one")
    if mode is None and wanted != own_metric:
        raise BadInput(f"run '{state.name}' does not follow '{wanted}' yet; say whether min or max of it is better")
    return wanted, check_mode(mode) if mode is not None else own_mode


def _write_followed(doors: Doors, name: str, metric: str | None, mode: Mode) -> None:
    # As it was written: a crashed run's state says running, and is only read as crashed.
    state = runs.read_state_in(doors.layout.run(name))
    if (state.best_metric, state.best_mode) != (metric, mode):
        runs.write_state(doors.layout, replace(state, best_metric=metric, best_mode=mode))


@contextlib.contextmanager
def _locked(doors: Doors, name: str) -> Iterator[Lock | None]:
    held = try_lock(doors.layout.run(name) / "lock")
    try:
        yield held
    finally:
        if held is not None:
            held.release()


def _choose(doors: Doors, state: runs.RunState, metric: str, mode: Mode) -> tuple[Address, Number, tuple[Address, ...]]:
    """The best commit whose checkpoint is there, its value, and the better ones whose checkpoints are not."""
    values = dict(_values(doors, state, metric))
    candidates = [address for address, value in values.items() if is_candidate(value)]
    # Stable: of equal ones the earlier comes first.
    candidates.sort(key=lambda address: values[address], reverse=mode == "max")
    if not candidates:
        raise _no_candidates(doors, state, metric)
    passed_over: list[Address] = []
    for address in candidates:
        if _is_there(doors, address):
            return address, values[address], tuple(passed_over)
        passed_over.append(address)
    raise BadInput(f"every checkpoint of run '{state.name}' that has a value of '{metric}' was pruned")


def _no_candidates(doors: Doors, state: runs.RunState, metric: str) -> UnknownName | BadInput:
    known = {*series_of(doors.log(state.name)), *(name for _, record in doors.line(state.name) for name in record.metrics)}
    known |= {*noted_metrics(read_notes(doors.layout.run(state.name)).notes)}
    if metric in known:
        return BadInput(f"no commit of run '{state.name}' has a value of '{metric}' that could be best")
    return UnknownName("metric", metric, f"run '{state.name}'", near(metric, known))


def _values(doors: Doors, state: runs.RunState, metric: str) -> Iterator[tuple[Address, Number]]:
    """Each commit's value of the metric, oldest first; those without one are left out."""
    curve = series_of(doors.log(state.name)).get(metric)
    noted: dict[Address, list[Note]] = {}
    for note in read_notes(doors.layout.run(state.name)).notes:
        noted.setdefault(note.commit, []).append(note)
    for address, record in reversed(list(doors.line(state.name))):
        in_notes: Mapping[str, Number] = noted_metrics(noted.get(address, ()))
        for value in (record.metrics.get(metric), _logged(curve, record), in_notes.get(metric)):
            if value is not None:
                yield address, value
                break


def _logged(curve: Series | None, record: CommitRecord) -> Number | None:
    """What was logged last at the commit's step; an epoch that one of the two does not say is no difference."""
    if curve is None or record.step is None or (record.checkpoint is not None and record.checkpoint.step != record.step):
        return None
    at_step = curve.steps == record.step
    if record.epoch is not None:
        at_step &= np.isnan(curve.epochs) | (curve.epochs == record.epoch)
    found = curve.values[at_step]
    return found[-1].item() if len(found) and hasattr(found[-1], "item") else found[-1] if len(found) else None


def _is_there(doors: Doors, commit: Address) -> bool:
    """Whether a commit has no checkpoint, or one whose tensors are all there."""
    checkpoint = doors.commit(commit).checkpoint
    if checkpoint is None or not is_pruned(doors, commit):
        return True
    return all(map(doors.objects.has_chunk, manifest_chunks(doors.objects, checkpoint.manifest)))


def _named_by_others(doors: Doors, leaving: set[str], which: str) -> list[Ref]:
    """What the refs of all other runs hold."""
    names = [name for name in runs.run_folders(doors.layout) if name not in leaving]
    return [ref for name in names if (ref := doors.refs.read(run_ref(name, which))) is not None]


def _best_by(metric: str, mode: Mode, found: list[Ref]) -> Ref | None:
    best: Ref | None = None
    for ref in found:
        value = ref.get("value")
        if ref.get("metric") == metric and is_candidate(value) and (best is None or is_better(value or 0, best["value"], mode)):
            best = {"commit": ref["commit"], "metric": metric, "mode": mode, "value": value}
    return best


def _is_of(doors: Doors, ref: Ref, leaving: set[str]) -> bool:
    record = _find_commit(doors, ref)
    return record is not None and fold(record.run) in leaving


def _time(doors: Doors, ref: Ref) -> int:
    record = _find_commit(doors, ref)
    return record.time if record is not None else 0


def _find_commit(doors: Doors, ref: Ref) -> CommitRecord | None:
    """The commit that a ref names; None for one that cannot be read: it is older than any other, and nobody's."""
    try:
        return doors.commit(Address(ref["commit"]))
    except (NotHere, Damage):
        return None
