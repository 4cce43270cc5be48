"""What differs between two commits: configs, metrics, code, environment, and tensors when asked; or of a commit and the working configs."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from onyxstore.errors import BadInput
from onyxstore.history.config_difference import Change, config_difference
from onyxstore.store.doors import Doors
from onyxstore.store.listing import find_rows
from onyxstore.store.run_rows import RunRow
from onyxstore.store.views import Commit

if TYPE_CHECKING:
    from onyxstore.history.commits import CommitRecord
    from onyxstore.history.metrics.records import Value
    from onyxstore.store.tensor_diff import TensorDifference


@dataclass(frozen=True)
class MetricChange:
    """A metric's last value up to each of the two commits; None where it has none."""

    name: str
    old: Value | None
    new: Value | None

    @property
    def differs(self) -> bool:
        """Whether the two are not one value; NaN is NaN."""
        return repr(self.old) != repr(self.new)

    @property
    def change(self) -> float | int | None:
        """New minus old; None where one is missing, or where no float is large enough."""
        try:
            return None if self.old is None or self.new is None else self.new - self.old
        except OverflowError:
            return None


@dataclass(frozen=True)
class Difference:
    """Two commits side by side; parts that are equal are left out, but for metrics, which are all there.

    `new` is None where a commit was compared with the working config files: then there are only configs, and `respelt` are those whose
    files say the same in other words. `tensors` is None unless they were asked for.
    """

    old: Commit
    new: Commit | None
    configs: Mapping[str, tuple[Change, ...]]
    metrics: tuple[MetricChange, ...] = ()
    code: tuple[Change, ...] = ()
    environment: tuple[Change, ...] = ()
    tensors: TensorDifference | None = None
    respelt: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether anything differs; equal metrics are no difference."""
        return bool(self.configs or self.code or self.environment or self.tensors or any(each.differs for each in self.metrics))


def difference(doors: Doors, old: Commit, new: Commit, tensors: TensorDifference | None = None) -> Difference:
    """What differs between two commits; what differs between their tensors is handed in by who wants to know."""
    return Difference(
        old,
        new,
        _configs(old.config, new.config),
        _metrics(*last_values(doors, [old, new])),
        config_difference(_shown_code(old.code), _shown_code(new.code)),
        config_difference(_shown_environment(old.environment), _shown_environment(new.environment)),
        tensors,
    )


def compare_commits(doors: Doors, old: Commit, new: Commit | None, *, tensors: bool | str) -> Difference:
    """What differs between two commits, or (without `new`) between one and the working config files.

    `tensors` asks for those of the state, or for those of the part that it names.
    """
    if new is None:
        if tensors:
            raise BadInput("there are no tensors among the working files; name two commits")
        return working_difference(doors, old)
    if not tensors:
        return difference(doors, old, new)
    from onyxstore.store.tensor_diff import tensor_difference  # noqa: PLC0415 - numpy and packs, for who asks for tensors

    part = tensors if isinstance(tensors, str) else None
    return difference(doors, old, new, tensor_difference(old.checkpoint, new.checkpoint, part))


def working_difference(doors: Doors, commit: Commit) -> Difference:
    """What differs between a commit's configs and the files that lie where they came from; BadConfig for one that cannot be read."""
    # Checkout and YAML are for who compares files: two commits are told apart in half the time.
    from onyxstore.store.checkout import CheckoutOptions, plan_checkout  # noqa: PLC0415
    from onyxstore.store.working import read_changed, working_configs  # noqa: PLC0415

    folder = doors.layout.folder
    configs = working_configs(plan_checkout(doors, commit, commit.address, CheckoutOptions(only="configs")), folder)
    values = {config.name: commit.config[config.name] for config in configs if config.state != "same"}
    changes = _configs(values, read_changed(configs, folder))
    return Difference(
        commit, None, changes, respelt=tuple(each.path for each in configs if each.state == "changed" and each.name not in changes)
    )


def last_values(doors: Doors, commits: Sequence[Commit]) -> list[dict[str, Value]]:
    """For each commit the last value of every metric up to it, and what was handed in with it where nothing of that name was logged."""
    rows = find_rows(doors, dict.fromkeys(commit.run for commit in commits))
    return [{**_handed_in(commit.record), **_logged(doors, commit, rows.get(commit.run))} for commit in commits]


def _handed_in(record: CommitRecord) -> dict[str, Value]:
    return {**(record.checkpoint.metrics if record.checkpoint else {}), **record.metrics}


def _logged(doors: Doors, commit: Commit, row: RunRow | None) -> Mapping[str, Value]:
    """The last value of each metric up to a commit: from the run's row where that is of the same points, else from these."""
    prefix = commit.record.log
    if prefix is None:
        return {}
    if row is not None and row.latest == commit.address and row.records == prefix.position:
        return {name: figures.last for name, figures in row.curves.items()}
    from onyxstore.history.metrics.series import last_values_of  # noqa: PLC0415 - numpy, for who asks for what no row knows

    log = doors.log(commit.run)
    return last_values_of(log, prefix.position) if log.id == prefix.id else {}


def _metrics(old: Mapping[str, Value], new: Mapping[str, Value]) -> tuple[MetricChange, ...]:
    return tuple(MetricChange(name, old.get(name), new.get(name)) for name in sorted({*old, *new}))


def _configs(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, tuple[Change, ...]]:
    """The changes of each config that has any."""
    changes = {name: _config_changes(old, new, name) for name in dict.fromkeys([*old, *new])}
    return {name: found for name, found in changes.items() if found}


def _config_changes(old: Mapping[str, Any], new: Mapping[str, Any], name: str) -> tuple[Change, ...]:
    """The changes of one config; of one that only one side has, its leaves, as if the other had an empty one."""
    if name in old and name in new:
        return config_difference(old[name], new[name])
    there = old[name] if name in old else new[name]
    nothing: Any = type(there)() if type(there) in {dict, list} else None
    return config_difference(old.get(name, nothing), new.get(name, nothing))


def _shown_environment(environment: Mapping[str, Any] | None) -> dict[str, Any]:
    """The environment with the command line in one piece: word by word it would be one change for each."""
    shown = dict(environment or {})
    return shown | {"argv": shlex.join(map(str, shown["argv"]))} if shown.get("argv") else shown


def _shown_code(code: Mapping[str, Any] | None) -> dict[str, Any]:
    return dict(code or {})
