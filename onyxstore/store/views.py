"""Runs, commits and checkpoints as one reads them.

A view holds an address or a name and the store's doors, and reads when it is asked. Two views of one commit are equal.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from onyxstore.hashing import Address, short
from onyxstore.history import runs
from onyxstore.history.commits import ArtifactEntry, CommitRecord, ConfigEntry
from onyxstore.history.metrics.log import Log
from onyxstore.history.metrics.records import Value
from onyxstore.history.metrics.series import Series, artifacts_of, series_of, summary_of
from onyxstore.store.checkpoints import Checkpoint
from onyxstore.store.doors import Doors


class Commit:
    """One saved state. What it did not change it carries over from its first parent."""

    def __init__(self, doors: Doors, address: Address) -> None:
        self._doors = doors
        self.address = address
        self.record: CommitRecord = doors.commit(address)

    def __repr__(self) -> str:
        return f"<Commit {short(self.address)} of {self.run}: {self.message}>"

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
    def metrics(self) -> Mapping[str, Series]:
        """The curves up to this commit, by metric; superseded points are left out."""
        log = self._log
        return {} if log is None else series_of(log[0], upto=log[1])

    @property
    def _log(self) -> tuple[Log, int] | None:
        """Its run's metric log and how much of it was there; None when the run is gone, whoever has its name now."""
        prefix = self.record.log
        if prefix is None:
            return None
        log = self._doors.log(self.run)
        return (log, prefix.position) if log.id == prefix.id else None

    @property
    def checkpoint(self) -> Checkpoint | None:
        """The newest checkpoint as of this commit; None before the first save. Its `step` says which it is."""
        entry = self.record.checkpoint
        return Checkpoint(self._doors, entry, self.address) if entry is not None else None

    @property
    def artifacts(self) -> tuple[ArtifactEntry, ...]:
        """Files kept with this commit, those that the run logged before it included."""
        log = self._log
        logged = artifacts_of(*log) if log is not None else []
        return (*(ArtifactEntry(each.name, each.address, each.size, each.kind, each.step) for each in logged), *self.record.artifacts)

    def artifact_bytes(self, name: str) -> bytes:
        """The bytes of the newest artifact of that name; KeyError."""
        found = {artifact.name: artifact.address for artifact in self.artifacts}
        return self._doors.objects.get(found[name])

    @property
    def code(self) -> Mapping[str, Any] | None:
        """The code state of the attempt that made it; None where there was no git repository."""
        return self._doors.value(self.record.code) if self.record.code else None

    @property
    def environment(self) -> Mapping[str, Any] | None:
        """The environment of the attempt that made it."""
        return self._doors.value(self.record.environment) if self.record.environment else None

    @property
    def cost(self) -> Mapping[str, Value]:
        """What logging and saving had cost the attempt so far: seconds, bytes, calls."""
        return self.record.cost


class RunView:
    """A run, for reading; the Run that `start_run` returns has all of this too."""

    def __init__(self, doors: Doors, name: str) -> None:
        self._doors = doors
        self._name = name

    def __repr__(self) -> str:
        return f"<Run {self.name}: {self.status}>"

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
    def metrics(self) -> Mapping[str, Series]:
        """Its one true curve by metric: what a resume superseded is left out."""
        return series_of(self._doors.log(self._name))

    @property
    def superseded(self) -> Mapping[str, Series]:
        """The points that resumed attempts took off the line, by metric."""
        return series_of(self._doors.log(self._name), superseded=True)

    @property
    def final_values(self) -> Mapping[str, Value]:
        """Final values without a step, as `Run.summary` was told."""
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
        """What a table shows for a metric: its last logged point, else the run's summary, else the newest commit's value of it."""
        log = self._doors.log(self._name)
        curves = series_of(log)
        if metric in curves:
            return curves[metric].last
        final = summary_of(log)
        if metric in final:
            return final[metric]
        return next((record.metrics[metric] for _, record in self._doors.line(self._name) if metric in record.metrics), None)

    def _view(self, address: Address) -> Commit:
        return Commit(self._doors, address)
