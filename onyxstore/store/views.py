"""Runs, commits and checkpoints as one reads them.

A view holds an address or a name and the store's doors, and reads when it is asked. Two views of one commit are equal. What only some
questions need is imported when one is asked, as in `store.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from onyxstore.hashing import Address, short
from onyxstore.history import runs
from onyxstore.store.doors import Doors

if TYPE_CHECKING:
    from onyxstore.history.commits import ArtifactEntry, CommitRecord, ConfigEntry
    from onyxstore.history.metrics.log import Log
    from onyxstore.history.metrics.records import Points, Rewind, Value
    from onyxstore.history.metrics.series import Curves
    from onyxstore.history.notes import Note
    from onyxstore.store.checkpoints import Checkpoint
    from onyxstore.store.electing import Elected
    from onyxstore.store.removing import RefChange


class Commit:
    """One saved state. What it did not change it carries over from its first parent."""

    def __init__(self, doors: Doors, address: Address) -> None:
        self._doors = doors
        self.address = address
        self.record: CommitRecord = doors.commit(address)

    def __repr__(self) -> str:
        return f"<Commit {short(self.address)} of {self.run}: {self.message}>"

    def _repr_html_(self) -> str:
        """For a notebook: what it is, and its curves."""
        from onyxstore.history import notebook

        step = () if self.step is None else (f"step {self.step}",)
        return notebook.page(notebook.heading(f"{self.run}@{self.short}", *step, self.message), notebook.Html(self.metrics._repr_html_()))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Commit) and other.address == self.address

    def __hash__(self) -> int:
        return hash(self.address)

    @property
    def short(self) -> str:
        """The digits of its address that are shown to people."""
        return short(self.address)

    @property
    def run(self) -> str:
        """The name of the run that it belongs to."""
        return self.record.run

    @property
    def message(self) -> str:
        """What was said when it was made."""
        return self.record.message

    @property
    def time(self) -> float:
        """When it was made, in seconds since 1970 UTC."""
        return self.record.time / 1e9

    @property
    def step(self) -> int | None:
        """The step given with it, else that of the last point before it."""
        return self.record.step

    @property
    def epoch(self) -> float | int | None:
        """The epoch given with it, else that of the last point before it."""
        return self.record.epoch

    @property
    def parents(self) -> list[Commit]:
        """The commits that it comes from; the first is the one before it."""
        return [Commit(self._doors, address) for address in self.record.parents]

    @property
    def values(self) -> Mapping[str, Value]:
        """The metrics that were handed in with it; they are no points of the log."""
        return self.record.metrics

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """Every config's value, by name."""
        return {name: self._doors.value(entry.value) for name, entry in self.record.configs.items()}

    @property
    def config_entries(self) -> Mapping[str, ConfigEntry]:
        """Every config snapshot, by name."""
        return self.record.configs

    def config_bytes(self, name: str) -> bytes:
        """The exact bytes of a config file, as they were snapshotted."""
        return self._doors.objects.get(self.record.configs[name].snapshot)

    @cached_property
    def metrics(self) -> Curves:
        """The curves up to this commit, by metric; superseded points are left out."""
        from onyxstore.history.metrics.series import Curves, series_of

        log = _log_of(self._doors, self.record)
        return Curves([], ()) if log is None else series_of(log[0], upto=log[1])

    @property
    def checkpoint(self) -> Checkpoint | None:
        """The newest checkpoint as of this commit; None before the first save. Its `step` says which it is."""
        from onyxstore.store.checkpoints import Checkpoint

        entry = self.record.checkpoint
        return Checkpoint(self._doors, entry, self.address) if entry is not None else None

    @property
    def artifacts(self) -> tuple[ArtifactEntry, ...]:
        """Files kept with this commit, those that the run logged before it included."""
        from onyxstore.history.commits import ArtifactEntry
        from onyxstore.history.metrics.series import artifacts_of

        log = _log_of(self._doors, self.record)
        logged = artifacts_of(*log) if log is not None else []
        return (*(ArtifactEntry(each.name, each.address, each.size, each.kind, each.step) for each in logged), *self.record.artifacts)

    def artifact_bytes(self, name: str) -> bytes:
        """The bytes of the newest artifact of that name; KeyError."""
        found = {artifact.name: artifact.address for artifact in self.artifacts}
        return self._doors.objects.get(found[name])

    @property
    def code(self) -> Mapping[str, Any] | None:
        """The code state of the attempt that made it; None where there was no git repository, or it was purged."""
        return _mapping_at(self._doors, self.record.code)

    @property
    def environment(self) -> Mapping[str, Any] | None:
        """The environment of the attempt that made it; None when it was purged."""
        return _mapping_at(self._doors, self.record.environment)

    @property
    def cost(self) -> Mapping[str, Value]:
        """What logging and saving had cost the attempt so far: seconds, bytes, calls."""
        return self.record.cost

    @property
    def notes(self) -> tuple[Note, ...]:
        """What was noted of it afterwards, oldest first; none once its run is gone."""
        from onyxstore.store.noting import notes_of

        return notes_of(self._doors, self.address)

    def add_note(self, words: str | None = None, metrics: Mapping[str, Any] | None = None) -> Note:
        """Attaches words or metrics to it, which changes nothing of the commit itself; on disk when this returns.

        BadInput without either, BadMetric, BadName; UnknownName when its run is gone.
        """
        from onyxstore.store.noting import add_note

        return add_note(self._doors, self.address, words, metrics)


class RunView:
    """A run, for reading; the Run that `start_run` returns has all of this too."""

    def __init__(self, doors: Doors, name: str) -> None:
        self._doors = doors
        self._name = name

    def __repr__(self) -> str:
        return f"<Run {self.name}: {self.status}>"

    def _repr_html_(self) -> str:
        """For a notebook: how it stands, and its curves."""
        from onyxstore.history import notebook

        state = self.state
        return notebook.page(notebook.heading(state.name, state.status, *state.labels), notebook.Html(self.metrics._repr_html_()))

    @property
    def exists(self) -> bool:
        """Whether the store has a run of this name."""
        return runs.run_exists(self._doors.layout, self._name)

    @property
    def state(self) -> runs.RunState:
        """Everything that is neither a commit nor a point, as it is now."""
        return self._doors.state(self._name)

    @property
    def name(self) -> str:
        """Its name, as it was spelt."""
        return self.state.name

    @property
    def status(self) -> runs.Status:
        """running, finished, failed, crashed, killed, or open."""
        return self.state.status

    @property
    def labels(self) -> tuple[str, ...]:
        """Words on the run."""
        return self.state.labels

    @property
    def group(self) -> str | None:
        """The group that it belongs to."""
        return self.state.group

    @property
    def created_ns(self) -> int:
        """When it was started first, in nanoseconds since 1970 UTC."""
        return self.state.created

    @property
    def config(self) -> Mapping[str, Any]:
        """Every config's value as of its latest commit, by name."""
        latest = self.latest
        return latest.config if latest is not None else {}

    @property
    def metrics(self) -> Curves:
        """Its one true curve by metric: what a resume superseded is left out."""
        from onyxstore.history.metrics.series import series_of

        return series_of(self._doors.log(self._name))

    @property
    def superseded(self) -> Curves:
        """The points that resumed attempts took off the line, by metric."""
        from onyxstore.history.metrics.series import series_of

        return series_of(self._doors.log(self._name), superseded=True)

    def follow(self, *metrics: str, last: int = 0) -> Iterator[Points | Rewind]:
        """What the run logs, as it comes: its points (of `metrics`, or all), each call's together, and where an attempt goes back.

        First the last `last` that are there at the call, then what comes after it; it waits for that until the run has ended and all
        was handed out. That the log is sealed, or the run resumed, makes no difference.
        """
        from onyxstore.store.following import follow_run

        return follow_run(self._doors, self._name, metrics, last=last)

    @property
    def final_values(self) -> Mapping[str, Value]:
        """Final values without a step, as `Run.summary` was told."""
        from onyxstore.history.metrics.series import summary_of

        return summary_of(self._doors.log(self._name))

    @property
    def commits(self) -> list[Commit]:
        """Its commits, oldest first."""
        return [Commit(self._doors, address) for address, _ in self._doors.line(self._name)][::-1]

    @property
    def latest(self) -> Commit | None:
        """Its newest commit."""
        address = self._doors.latest_of(self._name)
        return Commit(self._doors, address) if address is not None else None

    @property
    def best(self) -> Commit | None:
        """Its best commit, if one was."""
        address = self._doors.best_of(self._name)
        return Commit(self._doors, address) if address is not None else None

    def value_of(self, metric: str) -> Value | None:
        """What a table shows for a metric: its last logged point, else the run's summary, else the newest commit's value, else a note's."""
        from onyxstore.history.metrics.series import series_of, summary_of
        from onyxstore.history.notes import noted_metrics, read_notes

        log = self._doors.log(self._name)
        curves = series_of(log)
        if metric in curves:
            return curves[metric].last
        final = summary_of(log)
        if metric in final:
            return final[metric]
        for _, record in self._doors.line(self._name):
            if metric in record.metrics:
                return record.metrics[metric]
        return noted_metrics(read_notes(self._doors.layout.run(self._name)).notes).get(metric)

    def elect_best(self, metric: str | None = None, mode: str | None = None) -> Elected:
        """Elects its best anew among all its commits, by a metric (without one: by what it follows), and lets later ones follow that.

        What a commit's value is, says `Elected`'s module: its own, what was logged at its step, a note's. `mode` may be left out for the
        metric that the run follows already. UnknownName, BadInput.
        """
        from onyxstore.store.electing import elect_best

        return elect_best(self._doors, self._name, metric, mode)

    def remove(self) -> tuple[RefChange, ...]:
        """Sets the run aside in the trash, from where `store.trash.restore` brings it back; the refs that moved. RunIsLive."""
        from onyxstore.store.removing import plan_removal

        return plan_removal(self._doors, [self._name]).execute()

    def _view(self, address: Address) -> Commit:
        return Commit(self._doors, address)


def _log_of(doors: Doors, record: CommitRecord) -> tuple[Log, int] | None:
    """The metric log of a commit's run and how much of it was there; None when the run is gone, whoever has its name now."""
    prefix = record.log
    if prefix is None:
        return None
    log = doors.log(record.run)
    return (log, prefix.position) if log.id == prefix.id else None


def _mapping_at(doors: Doors, address: Address | None) -> Mapping[str, Any] | None:
    value = doors.value(address) if address is not None else None
    return value if isinstance(value, dict) else None
