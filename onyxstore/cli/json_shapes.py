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
    runs      runs             name, status, created, ended, labels, group, step, epoch, rate (steps a second of a live run), commits,
                               latest (address), best (null or {address, step, metric, value}), configs {name: {path: value}},
                               curves {metric: CURVE and at_best}, values {metric: value}: the last of the curve, else of the summary,
                               else of the newest commit that was handed one; beside them damaged {run: words}
    runs --group  groups       group, runs [name], values {name: null, a value that all have, {values: how many different ones}, or
                               {mean, deviation (null of one alone), count}}; beside them damaged
    metrics   rows             run, epoch, step, time (of the row's first point), values {metric: value}, only of those that have one there;
                               a bool is 0 or 1. With --follow a row is a document of its own, on a line; of one that goes back (values
                               is null) the points at or after it that came before are superseded
    diff      differences      part ("config", "metric", "code", "environment", "tensor"), config (its name, else null), path, kind
                               ("added", "removed", "changed"), old, new, and for a metric change: new minus old, or null; of a tensor
                               old and new are {dtype, shape}, and FIGURES; beside them old and new: the addresses that were compared
                               (new null: the config files here), same_tensors: how many are the same (null: not asked)
    checkout  files            path, state ("new", "same", "changed", "lost", "purged"), written
    tag       tags             name, commit COMMIT
    note      commits          COMMIT
    reflog    moves            name (a revision: "best@{1}"), time, by, call (its id, or the run's name), run (null: a command), old, new
                               (null: nothing; else HELD)
    undo      moves            MOVE; beside them dry_run, undone (words), restored and removed (names of runs)
    best      commits          COMMIT; beside it metric, mode, value, is_followed, passed_over [address]
    rm        runs             name, status, commits, needed_by [words]; beside them dry_run, bytes (that nothing else needs), moves [MOVE]
    restore   entries          name, run (null: objects), time, bytes, days_left, is_restored; beside them moves [MOVE]
    purge     objects          address, kind, bytes, lacked_by [words]; beside them dry_run, runs [name], batches (of the trash), staying
                               (objects of the runs that others need), bytes, moves [MOVE]
    settings  settings         name, value, default
    status    files            config, path, state ("same", "changed", "missing"); beside them head (COMMIT or null), running (names)
    gc        actions          action ("prune", "free", "set aside", "empty"), what, bytes, reason, and of what is pruned run, commit,
                               manifest; beside them dry_run, freed (set aside included), to_trash, trash_emptied, and unreadable:
                               words, and nothing is swept when there are any; with --explain checkpoints (else null): run, step,
                               commit, manifest, kept, reason, stored, unique
    du        shares           by ("run", "part"), name, checkpoints, raw (null: no tensors), stored, shared, unique; beside them
                               packs, objects, logs, other, trash, which add up to total; garbage, overhead, and unreadable: words
    cat       objects          name, kind, address (null for a tensor), size, value (of canonical JSON, as it is stored), text, tensor
                               {dtype, shape, values, nan, inf, min, max, mean, std, first [value]}; of the three what there is
    whence    origins          revision, commit (address), run, step, pruned, bytes, matched {name in the file: path}, differ [name],
                               lacks [name]; beside them file, tensors, telling: of how many and by how many it was decided
    fsck      findings         where, words, is_damage, address; beside them is_whole, objects, chunks, bytes

    config create    files      type, path
    config show      values     type, key, value, source ("default", "file", "overlay", "override"), file, line, column, variables [name];
                                beside them problems
    config validate  problems   file, line, column, key, why; beside them is_valid
    config diff      differences    config, path, kind, old, new; beside them old and new: what was compared
    config schema    schemas    the JSON Schema of a type

    COMMIT    address, run, message, step, epoch, time, parents [address], refs [name], metrics {name: value} (those handed in with
              it), checkpoint: null or {address, step, epoch, metrics, pruned}, notes [NOTE]
    NOTE      time, words (or null), metrics {name: value}
    MOVE      ref, old, new (null: nothing; else HELD)
    HELD      commit (address) or run (name), and what else the ref holds
    CURVE     last, min, max, points
    FIGURES   norm (that of the difference as a part of the old one's), cosine, changed (part of the values), nan and inf ([old, new]);
              all null where there is nothing to compare
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from onyxstore.cli import screen
from onyxstore.cli.figures import plural

if TYPE_CHECKING:
    from onyxstore.cli.heading import Refs
    from onyxstore.disk.verify import Finding
    from onyxstore.history.config_difference import Change
    from onyxstore.history.metrics.series import Series
    from onyxstore.history.notes import Note
    from onyxstore.store.checkout import PlannedFile
    from onyxstore.store.diff import Difference
    from onyxstore.store.gc import GcPlan
    from onyxstore.store.query.groups import Group
    from onyxstore.store.query.traits import Trait
    from onyxstore.store.retaining import RunRetention
    from onyxstore.store.run_rows import RunRow
    from onyxstore.store.store import Store
    from onyxstore.store.tensor_diff import TensorChange
    from onyxstore.store.views import Commit

SCHEMA = 1

Row = dict[str, Any]


def write_json(noun: str, rows: Iterable[Row], **beside: Any) -> None:
    """Prints a document."""
    document = {"schema": SCHEMA, noun: list(rows), **beside}
    screen.write_text(json.dumps(_strict(document), indent=2, allow_nan=False) + "\n")


def write_json_line(row: Row) -> None:
    """Prints a row of a stream, a document of its own on one line."""
    screen.write_text(json.dumps(_strict({"schema": SCHEMA, **row}), allow_nan=False) + "\n")


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
        "notes": [note_row(note) for note in commit.notes],
    }


def note_row(note: Note) -> Row:
    """NOTE."""
    return {"time": note.time / 1e9, "words": note.words, "metrics": dict(note.metrics)}


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


def run_row(row: RunRow) -> Row:
    """A row of `runs`."""
    figures, best = {**row.values, **row.curves}, row.best
    return {
        "name": row.name,
        "status": row.status,
        "created": row.created / 1e9,
        "ended": None if row.ended is None else row.ended / 1e9,
        "labels": row.labels,
        "group": row.group,
        "step": row.step,
        "epoch": row.epoch,
        "rate": row.rate,
        "commits": row.commits,
        "latest": row.latest,
        "best": best and {"address": best.address, "step": best.step, "metric": best.metric, "value": best.value},
        "configs": row.configs,
        "curves": {name: each._asdict() for name, each in row.curves.items()},
        "values": {name: each.last for name, each in figures.items()},
    }


def group_row(group: Group, traits: Iterable[Trait]) -> Row:
    """A row of `runs --group`."""
    values = {trait.title: group.value(trait) for trait in traits}
    told = {title: value._asdict() if hasattr(value, "_asdict") else value for title, value in values.items()}
    return {"group": group.name, "runs": [row.name for row in group.rows], "values": told}


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
    return rows + [_tensor_row(change) for change in (found.tensors.changes if found.tensors else ())]


def _tensor_row(change: TensorChange) -> Row:
    forms = [None if form is None else {"dtype": form.dtype, "shape": form.shape} for form in (change.old, change.new)]
    row = {"part": "tensor", "config": None, "path": change.path, "kind": change.kind, "old": forms[0], "new": forms[1]}
    figures = change.figures
    if figures is None:
        return row | dict.fromkeys(("norm", "cosine", "changed", "nan", "inf"))
    return row | {"norm": figures.norm, "cosine": figures.cosine, "changed": figures.share, "nan": figures.nan, "inf": figures.inf}


def file_row(file: PlannedFile, *, is_dry: bool) -> Row:
    """A row of `checkout`."""
    return {"path": str(file.path), "state": file.state, "written": not is_dry and file.state not in {"same", "purged"}}


def gc_rows(plan: GcPlan, store: Store) -> list[Row]:
    """Rows of `gc`: what is done, to what, with how many bytes, and why."""
    trash_days = store.settings.trash_days
    pruned = [_prune_row(each, store.commit(each.commits[manifest])) for each in plan.retention for manifest in each.plan.pruned]
    freed = [pack.freed for pack in plan.sweep.packs if not pack.to_trash]
    set_aside = [pack.freed for pack in plan.sweep.packs if pack.to_trash]
    loose, gone = [stored for _, stored in plan.sweep.loose], [stored for _, stored in plan.sweep.gone]
    grace = f"nothing refers to them; they stay in the trash for {trash_days:g} days"
    sums = [
        ("free", plural(len(freed), "pack"), sum(freed), "only pruned checkpoints need these chunks"),
        ("free", plural(len(gone), "object"), sum(gone), "only removed runs that have had their grace needed them"),
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
