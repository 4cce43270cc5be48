"""What `--json` prints: schema 1.

A document is one object on stdout: "schema", then a noun in the plural that holds the rows. Keys may be added to a schema; none
changes its meaning or goes without a new number. It is strict JSON in ASCII: NaN and infinities, which JSON lacks, are the strings
"nan", "inf" and "-inf"; keys that are no strings become strings. Moments are seconds since 1970 UTC, sizes are bytes, addresses
have all 64 digits; what is not known or not there is null.

    verb      noun             a row
    init      stores           folder, created (false: it was there already)
    commit    commits          COMMIT
    log       commits          COMMIT
    show      commits          COMMIT, and configs {name: {path, snapshot, value}}, curves {metric: CURVE},
                               parts [{part, tensors, raw, stored}], artifacts [{name, address, size, kind, step}], code, environment, cost
    runs      runs             name, status, created, labels, group, step, latest (address), best (null or {address, step, metric, value}),
                               curves {metric: CURVE}, values {metric: value}: the last of the curve, else of the summary, else of the
                               newest commit that was handed one
    diff      differences      part ("config", "metric", "code", "environment"), config (its name, else null), path, kind ("added",
                               "removed", "changed"), old, new, and for a metric change: new minus old, or null; beside them old and
                               new: the addresses that were compared
    checkout  files            path, state ("new", "same", "changed", "lost"), written
    tag       tags             name, commit COMMIT
    status    files            config, path, state ("same", "changed", "missing"); beside them head (COMMIT or null), running (names)
    gc        actions          action ("prune", "free", "set aside", "empty"), what, bytes, reason, and of what is pruned run, commit,
                               manifest; beside them dry_run, freed (set aside included), to_trash, trash_emptied, and unreadable:
                               words, and nothing is swept when there are any
    fsck      findings         where, words, is_damage, address; beside them is_whole, objects, chunks, bytes

    config create    files      type, path
    config show      values     type, key, value, source ("default", "file", "overlay", "override"), file, line, column, variables [name];
                                beside them problems
    config validate  problems   file, line, column, key, why; beside them is_valid
    config diff      differences    config, path, kind, old, new; beside them old and new: what was compared
    config schema    schemas    the JSON Schema of a type

    COMMIT    address, run, message, step, epoch, time, parents [address], refs [name], metrics {name: value} (those handed in with
              it), checkpoint: null or {address, step, epoch, metrics, pruned}
    CURVE     last, min, max, points
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from onyxstore.cli import screen
from onyxstore.cli.figures import plural
from onyxstore.cli.heading import Refs
from onyxstore.disk.verify import Finding
from onyxstore.history.config_difference import Change
from onyxstore.history.metrics.series import Series
from onyxstore.store.checkout import PlannedFile
from onyxstore.store.diff import Difference, last_values
from onyxstore.store.gc import GcPlan
from onyxstore.store.retaining import RunRetention
from onyxstore.store.store import Store
from onyxstore.store.views import Commit, RunView

SCHEMA = 1

Row = dict[str, Any]


def write_json(noun: str, rows: Iterable[Row], **beside: Any) -> None:
    """Prints a document."""
    document = {"schema": SCHEMA, noun: list(rows), **beside}
    screen.write_text(json.dumps(_strict(document), indent=2, allow_nan=False) + "\n")


def commit_row(commit: Commit, refs: Refs) -> Row:
    """COMMIT."""
    checkpoint = commit.checkpoint
    return {
        "address": commit.address,
        "run": commit.run,
        "message": commit.message,
        "step": commit.step,
        "epoch": commit.epoch,
        "time": commit.time,
        "parents": list(commit.record.parents),
        "refs": refs.get(commit.address, []),
        "metrics": commit.values,
        "checkpoint": checkpoint
        and {
            "address": checkpoint.address,
            "step": checkpoint.step,
            "epoch": checkpoint.epoch,
            "metrics": checkpoint.metrics,
            "pruned": checkpoint.is_pruned,
        },
    }


def whole_commit_row(commit: Commit, refs: Refs) -> Row:
    """A row of `show`."""
    checkpoint = commit.checkpoint
    return {
        **commit_row(commit, refs),
        "configs": {name: _config_row(commit, name) for name in commit.config_entries},
        "curves": curve_rows(commit.metrics),
        "parts": [vars(part) for part in checkpoint.parts] if checkpoint else [],
        "artifacts": [vars(artifact) for artifact in commit.artifacts],
        "code": commit.code,
        "environment": commit.environment,
        "cost": commit.cost,
    }


def run_row(run: RunView, best_metric: str | None) -> Row:
    """A row of `runs`; `best_metric` is what runs follow that name none."""
    state, curves, commits = run.state, run.metrics, run.commits
    handed_in = {name: value for commit in commits for name, value in commit.values.items()}
    steps = [int(curve.steps[-1]) for curve in curves.values()] or [commit.step for commit in commits[-1:] if commit.step is not None]
    return {
        "name": state.name,
        "status": state.status,
        "created": state.created / 1e9,
        "labels": list(state.labels),
        "group": state.group,
        "step": max(steps, default=None),
        "latest": commits[-1].address if commits else None,
        "best": _best_row(run, state.best_metric or best_metric),
        "curves": curve_rows(curves),
        "values": {**handed_in, **run.final_values, **{name: curve.last for name, curve in curves.items()}},
    }


def _best_row(run: RunView, metric: str | None) -> Row | None:
    best = run.best
    if best is None:
        return None
    row: Row = {"address": best.address, "step": best.step, "metric": metric, "value": None}
    if metric is not None:
        # Handed in with the commit, mostly: its curves are read only where it was not.
        row["value"] = best.values[metric] if metric in best.values else last_values(best).get(metric)
    return row


def _config_row(commit: Commit, name: str) -> Row:
    entry = commit.config_entries[name]
    return {"path": entry.path, "snapshot": entry.snapshot, "value": commit.config[name]}


def curve_rows(curves: Mapping[str, Series]) -> Row:
    """CURVE by metric."""
    return {name: {"last": curve.last, "min": curve.min, "max": curve.max, "points": len(curve)} for name, curve in curves.items()}


def difference_rows(found: Difference) -> list[Row]:
    """Rows of `diff`."""
    changes: list[tuple[str, str | None, Change]] = []
    for name, in_config in found.configs.items():
        changes += [("config", name, change) for change in in_config]
    changes += [("code", None, change) for change in found.code]
    changes += [("environment", None, change) for change in found.environment]
    rows = [
        {"part": part, "config": config, "path": change.name, "kind": change.kind, "old": change.old, "new": change.new}
        for part, config, change in changes
    ]
    for metric in found.metrics:
        if metric.differs:
            kind = "added" if metric.old is None else "removed" if metric.new is None else "changed"
            row = {"part": "metric", "config": None, "path": metric.name, "kind": kind, "old": metric.old, "new": metric.new}
            rows.append(row | {"change": metric.change})
    return rows


def file_row(file: PlannedFile, *, is_dry: bool) -> Row:
    """A row of `checkout`."""
    return {"path": str(file.path), "state": file.state, "written": not is_dry and file.state != "same"}


def gc_rows(plan: GcPlan, store: Store) -> list[Row]:
    """Rows of `gc`: what is done, to what, with how many bytes, and why."""
    trash_days = store.settings.trash_days
    pruned = [_prune_row(each, store.commit(each.commits[manifest])) for each in plan.retention for manifest in each.plan.pruned]
    freed = [pack.freed for pack in plan.sweep.packs if not pack.to_trash]
    set_aside = [pack.freed for pack in plan.sweep.packs if pack.to_trash]
    loose = [stored for _, stored in plan.sweep.loose]
    grace = f"nothing refers to them; they stay in the trash for {trash_days:g} days"
    sums = [
        ("free", plural(len(freed), "pack"), sum(freed), "only pruned checkpoints need these chunks"),
        ("set aside", plural(len(set_aside), "pack"), sum(set_aside), grace),
        ("set aside", plural(len(loose), "object"), sum(loose), grace),
        ("empty", "the trash", plan.trash, f"set aside more than {trash_days:g} days ago"),
    ]
    nothing = {"run": None, "commit": None, "manifest": None}
    return pruned + [
        {"action": action, "what": what, "bytes": count, "reason": reason, **nothing} for action, what, count, reason in sums if count
    ]


def _prune_row(found: RunRetention, commit: Commit) -> Row:
    checkpoint = commit.record.checkpoint
    step = "" if commit.step is None else f" at step {commit.step}"
    return {
        "action": "prune",
        "what": f"{commit.run}{step} ({commit.short})",
        "bytes": None,
        "reason": f"older than the {plural(len(found.plan.kept), 'checkpoint')} that the run keeps",
        "run": commit.run,
        "commit": commit.address,
        "manifest": checkpoint and checkpoint.manifest,
    }


def finding_row(finding: Finding) -> Row:
    """A row of `fsck`."""
    return {"where": finding.where, "words": finding.words, "is_damage": finding.is_damage, "address": finding.address}


def _strict(value: Any) -> Any:
    """A value with everything that JSON has no word for as a string."""
    if isinstance(value, Mapping):
        return {str(key): _strict(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_strict(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)
