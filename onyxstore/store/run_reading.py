"""Reading a run into a row: its state, its commits and its metric log, and what an earlier reading knew of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from onyxstore.disk.refs import BEST, run_ref
from onyxstore.errors import OnyxError, short_words
from onyxstore.hashing import Address
from onyxstore.history.commits import CommitRecord
from onyxstore.history.graph import line_of
from onyxstore.history.metrics.log import Log
from onyxstore.history.metrics.records import Points, Rewind, Value
from onyxstore.history.metrics.standing import Standing, Statistics, carry_on, joined
from onyxstore.history.notes import noted_metrics, read_notes
from onyxstore.history.runs import RunState
from onyxstore.names import fold
from onyxstore.store.committing import followed
from onyxstore.store.doors import Doors
from onyxstore.store.kept import NOTHING, Kept
from onyxstore.store.run_rows import BestRow, Figures, RunRow

RATE_SECONDS = 300
"""Steps a second are those of the last five minutes of points: longer than an evaluation, short enough to see a run slow down."""


class Reading(NamedTuple):
    """A row as it was read, what the next reading goes on from, and what could not be read."""

    row: RunRow
    kept: Kept
    damage: Sequence[str]


def read_run(doors: Doors, name: str, before: Kept = NOTHING) -> Reading:
    """One run as it is now, by what an earlier reading kept and what is new since. What is damaged is left out, and said.

    OnyxError when not even its state and its refs can be read; FileNotFoundError when there is no such run.
    """
    state, latest, best = doors.state(name), doors.latest_of(name), doors.best_of(name)
    log = doors.log(name)
    damage = [f"metric log: {words}" for words in log.losses]
    passed, is_joined = _new_commits(doors, latest, before.latest, damage)
    since = before if is_joined else before._replace(handed_in={}, commits=0)
    standing = _standing(log, before.standing)
    kept = Kept(standing, _handed_in(since.handed_in, passed), since.commits + len(passed), latest, best)
    notes = read_notes(doors.layout.run(name)).notes
    at_best, of_best = _at_best(doors, log, kept, before, damage), [note for note in notes if note.commit == best]
    kept = kept._replace(at_best=at_best, noted=noted_metrics(notes), noted_at_best=noted_metrics(of_best))
    row = carry_row(_new_row(doors, state, kept, damage), kept, log)
    damage += [f"metric log: {short_words(part.error)}" for part in log.parts if part.error is not None]
    return Reading(row, kept, damage)


def carry_row(row: RunRow, kept: Kept, log: Log) -> RunRow:
    """The row with what the metric log says now, which may have grown since; ValueError when it has taken something back."""
    whole = carry_on(kept.standing, log.records(kept.standing.position), log.position)
    at_best = {**kept.noted_at_best, **kept.at_best}
    curves = {name: Figures(*each, at_best.get(name)) for name, each in whole.curves.items()}
    noted = {name: Statistics.of(value) for name, value in kept.noted.items()}
    final = {name: Statistics.of(value) for name, value in whole.summary.items()}
    given = {**noted, **kept.handed_in, **final}
    values = {name: Figures(*each[:3], 0, at_best.get(name)) for name, each in given.items() if name not in curves}
    step, epoch = (row.step, row.epoch) if whole.step is None else (whole.step, whole.epoch)
    rate = _rate(log) if row.status == "running" else None
    return row._replace(curves=curves, values=values, step=step, epoch=epoch, rate=rate, records=log.position)


def can_carry(kept: Kept, log: Log) -> bool:
    """Whether what was kept is still the beginning of the log, and nothing but points follow it."""
    return kept.standing.log == log.id and _base(log) <= kept.standing.position <= log.position


# --------------------------------------------------------------------------------------------------------- private: commits


def _new_commits(
    doors: Doors, latest: Address | None, known: Address | None, damage: list[str]
) -> tuple[list[tuple[Address, CommitRecord]], bool]:
    """The run's commits that came after `known`, newest first, and whether its line leads to that."""
    passed: list[tuple[Address, CommitRecord]] = []
    try:
        for address, record in line_of(doors.commit, latest) if latest is not None else ():
            if address == known:
                return passed, True
            passed.append((address, record))
    except OnyxError as error:
        damage.append(f"a commit of its line cannot be read: {short_words(error)}")
    return passed, False


def _handed_in(before: Mapping[str, Statistics], passed: Sequence[tuple[Address, CommitRecord]]) -> dict[str, Statistics]:
    values = dict(before)
    for _, record in reversed(passed):
        for name, value in record.metrics.items():
            values[name] = joined(values.get(name), Statistics.of(value))
    return values


def _at_best(doors: Doors, log: Log, kept: Kept, before: Kept, damage: list[str]) -> Mapping[str, Value]:
    """The last value of each metric as of the best commit, and what was handed in with that where nothing was logged."""
    if kept.best is None:
        return {}
    try:
        record = doors.commit(kept.best)
    except OnyxError as error:
        damage.append(f"its best commit cannot be read: {short_words(error)}")
        return {}
    given = {**(record.checkpoint.metrics if record.checkpoint else {}), **record.metrics}
    if record.log is None or record.log.id != log.id:
        return given
    position, standing = record.log.position, kept.standing
    if position >= standing.position:
        logged = carry_on(standing, log.records(standing.position, position), position).curves
        return {**given, **{name: each.last for name, each in logged.items()}}
    if before.best == kept.best and before.standing.log == log.id:
        return before.at_best
    from onyxstore.history.metrics.series import last_values_of  # noqa: PLC0415 - numpy, and only where points are in segments

    return {**given, **last_values_of(log, position)}


# ------------------------------------------------------------------------------------------------------ private: state and log


def _new_row(doors: Doors, state: RunState, kept: Kept, damage: list[str]) -> RunRow:
    """The row without what the metric log says."""
    metric, mode = followed(doors, state)
    latest = _find_commit(doors, kept.latest)
    return RunRow(
        name=state.name,
        status=state.status,
        created=state.created,
        ended=state.attempts[-1].ended if state.attempts else None,
        labels=state.labels,
        group=state.group,
        best_metric=metric,
        best_mode=mode,
        step=latest.step if latest else None,
        epoch=latest.epoch if latest else None,
        rate=None,
        records=0,
        commits=kept.commits,
        latest=kept.latest,
        latest_time=latest.time if latest else 0,
        best=_best_row(doors, kept, metric),
        configs=_configs(doors, latest, damage),
        curves={},
        values={},
    )


def _best_row(doors: Doors, kept: Kept, metric: str | None) -> BestRow | None:
    record = _find_commit(doors, kept.best)
    if kept.best is None or record is None:
        return None
    # What it was elected by, handed in with the commit mostly; an election later on may have gone by a point after it, or by a note.
    ref = doors.refs.read(run_ref(fold(record.run), BEST)) or {}
    elected = ref.get("value") if (ref.get("commit"), ref.get("metric")) == (kept.best, metric) else None
    value = None if metric is None else elected if elected is not None else record.metrics.get(metric, kept.at_best.get(metric))
    return BestRow(kept.best, record.time, record.step, metric, value)


def _configs(doors: Doors, latest: CommitRecord | None, damage: list[str]) -> dict[str, dict[str, Any]]:
    """The leaves of each config as of the newest commit."""
    found: dict[str, dict[str, Any]] = {}
    for name, entry in latest.configs.items() if latest else ():
        try:
            found[name] = leaves_of(doors.value(entry.value))
        except OnyxError as error:
            damage.append(f"config {name} cannot be read: {short_words(error)}")
    return found


def leaves_of(value: Any, path: str = "") -> dict[str, Any]:
    """What a config holds by its path, keys joined with points; lists, and mappings without a key, are leaves. A leaf alone has no path."""
    if type(value) is not dict or not value:
        return {path: value}
    found: dict[str, Any] = {}
    for key, item in value.items():
        found |= leaves_of(item, f"{path}.{key}" if path else str(key))
    return found


def _find_commit(doors: Doors, address: Address | None) -> CommitRecord | None:
    """The commit, if it can be read: who cannot has been said already."""
    try:
        return doors.commit(address) if address is not None else None
    except OnyxError:
        return None


def _standing(log: Log, before: Standing) -> Standing:
    """Where the log stood at its newest segment or rewind; what was known before, when that still holds."""
    base = _base(log)
    if before.log == log.id and base <= before.position <= log.position:
        return before
    if base == 0:
        return Standing(log.id, 0, {}, {})
    from onyxstore.history.metrics.series import standing_of  # noqa: PLC0415 - numpy, and only where points are in segments

    return standing_of(log, base)


def _base(log: Log) -> int:
    """The position after the log's last segment, or after the last rewind in its tails: from there on points only come."""
    base = log.parts[log.sealed - 1].end if log.sealed else 0
    for part in log.parts[log.sealed :]:
        for position, record in enumerate(part.records(part.first, part.end), part.first):
            if isinstance(record, Rewind):
                base = position + 1
    return base


def _rate(log: Log) -> float | None:
    """Steps a second over the newest points of the tails."""
    points: list[Points] = []
    for part in log.parts[log.sealed :]:
        for record in part.records(part.first, part.end):
            if isinstance(record, Points):
                points.append(record)
            elif isinstance(record, Rewind):
                points.clear()
    recent = [record for record in points if record.time >= points[-1].time - RATE_SECONDS * 10**9]
    seconds = (recent[-1].time - recent[0].time) / 1e9 if recent else 0.0
    steps = recent[-1].step - recent[0].step if recent else 0
    return steps / seconds if steps > 0 and seconds > 0 else None
