"""What a store has of a run's checkpoints: which commits saved one, which of those are kept, and how they are found again."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime

from onyxstore.errors import NotHere, UnknownName
from onyxstore.hashing import Address
from onyxstore.store.retaining import marked_pruned
from onyxstore.store.store import Store
from onyxstore.store.views import Commit, RunView
from onyxstore.tracking.pointers import is_checkpoint_id


def saves_of(run: RunView) -> Iterator[Commit]:
    """The commits of a run that saved a checkpoint, newest first, those that were pruned since among them."""
    commit = run.latest
    name = commit.run if commit is not None else ""
    while commit is not None and commit.run == name:
        before = _before(commit)
        if _has_saved(commit, before):
            yield commit
        commit = before


def kept_saves(run: RunView) -> Iterator[Commit]:
    """Those whose checkpoint retention has kept."""
    pruned = pruned_of(run)
    return (save for save in saves_of(run) if manifest_of(save) not in pruned and is_kept(save))


def pruned_of(run: RunView) -> AbstractSet[Address]:
    """The manifests that the run's own retention has pruned. Read once; `is_kept` reads all of them for each commit that it is asked."""
    return marked_pruned(run._doors, run.name)  # noqa: SLF001 - a run's own store


def manifest_of(save: Commit) -> Address | None:
    """The address of the checkpoint's manifest."""
    return save.checkpoint.address if save.checkpoint is not None else None


def is_kept(save: Commit) -> bool:
    """Whether the commit's checkpoint was not pruned."""
    return save.checkpoint is not None and not save.checkpoint.is_pruned


def saver_of(commit: Commit) -> Commit:
    """The commit that saved the checkpoint which `commit` carries."""
    while (before := _before(commit)) is not None and not _has_saved(commit, before):
        commit = before
    return commit


def id_of(save: Commit) -> str:
    """What a checkpoint is called: its id, or the address of its commit where somebody else saved it."""
    return save.message if is_checkpoint_id(save.message) else save.address


def iso_time(seconds: float) -> str:
    """A time since 1970 UTC as ISO 8601, in the local time that ids speak of."""
    return datetime.fromtimestamp(seconds, tz=UTC).astimezone().isoformat(timespec="seconds")


def is_best(store: Store, save: Commit) -> bool:
    """Whether the best of its run is, at this moment, the checkpoint that this commit saved."""
    try:
        best = store.run(save.run).best
    except UnknownName:
        return False
    return best is not None and saver_of(best) == save


def runs_of_group(store: Store, group: str) -> list[RunView]:
    """The runs of a group, newest first."""
    return [run for run in store.runs() if run.group == group]


def find_run(store: Store, experiment_id: str) -> RunView | None:
    """The newest run of the group `experiment_id` that has saved a checkpoint, or the run of that very name.

    A run that has just begun has saved none, and who asks then asks for what there is to go on from.
    """
    group = runs_of_group(store, experiment_id)
    saved = next((run for run in group if next(saves_of(run), None) is not None), None)
    if saved is not None:
        return saved
    try:
        return store.run(experiment_id)
    except UnknownName:
        return None


def find_save(run: RunView, checkpoint_id: str) -> Commit | None:
    """The commit of a run that saved the checkpoint of this id."""
    return next((commit for commit in saves_of(run) if commit.message == checkpoint_id), None)


def find_commit(store: Store, address: str) -> Commit | None:
    """The commit at an address that a file names, if this store has it."""
    try:
        commit = store.commit(address)
    except NotHere:
        return None
    return commit if commit.address == address else None


def _before(commit: Commit) -> Commit | None:
    return next(iter(commit.parents), None)


def _has_saved(commit: Commit, before: Commit | None) -> bool:
    """A commit carries its parent's checkpoint unless it saved one; the same state, saved again, is told by its id."""
    saved = commit.record.checkpoint
    if saved is None:
        return False
    # By their text: a metric that is NaN makes two equal entries differ.
    return before is None or is_checkpoint_id(commit.message) or repr(before.record.checkpoint) != repr(saved)
