"""The thread that keeps `checkpoint_dir` as the store is: a pointer for each kept checkpoint of a run, none for a pruned one.

It writes a pointer once its checkpoint is durable, so it is always a step behind the saves; after a crash the next run of the group
catches up. A file that it did not write, or that points into another store, it leaves alone. What goes wrong with a pointer is said,
and stops nothing: the id loads without it. What goes wrong with a save is the run's to raise, so nobody here takes it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import UTC, datetime
from pathlib import Path

from onyxstore.errors import OnyxError
from onyxstore.store.run import Run
from onyxstore.store.save import SaveHandle
from onyxstore.store.store import Store
from onyxstore.store.views import Commit
from onyxstore.tracking.pointers import (
    Pointer,
    delete_pointer,
    find_pointer,
    is_checkpoint_id,
    list_pointers,
    make_id,
    pointer_file,
    write_pointer,
)
from onyxstore.tracking.saved import find_commit, find_save, id_of, is_kept, iso_time, manifest_of, pruned_of, runs_of_group, saves_of
from onyxstore.tracking.steps import Epoch

_log = logging.getLogger("onyxstore")

POLL = 0.005
"""Seconds from one look at a save to the next. To wait for the handle would be to take its error from whoever saves next."""

RECENT = 5.0
"""Seconds: ids carry their second, so only a checkpoint of this moment can have the id that is wanted."""


class PointerKeeper:
    """The pointers of one run."""

    def __init__(self, folder: Path, store: Store, run: Run) -> None:
        self._folder = folder
        self._store = store
        self._run = run
        self._pid = os.getpid()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"onyx-pointers-{run.name}")
        self._taken: set[str] = set()
        self._made: set[str] = set()
        self._kept: dict[str, Commit] = {}
        self._said: set[str] = set()
        self._jobs: list[Future[None]] = []
        self._guard = threading.Lock()
        self._looked_round = self._submit(self._look_round)
        self._submit(self._catch_up)
        _keepers.add(self)

    @property
    def store_folder(self) -> Path:
        """The folder that holds the run's store."""
        return self._store.folder

    def take_id(self, step: int | None, epoch: Epoch, *, is_best: bool) -> str:
        """An id that no checkpoint of the group has, nor a file in the folder."""
        if os.getpid() == self._pid:
            wait([self._looked_round])
        now = datetime.now(tz=UTC).astimezone()
        while pointer_file(self._folder, checkpoint_id := make_id(step, epoch, now, is_best=is_best, taken=self._taken)).exists():
            self._taken.add(checkpoint_id)
        self._taken.add(checkpoint_id)
        self._made.add(checkpoint_id)
        return checkpoint_id

    def has_made(self, checkpoint_id: str) -> bool:
        """Whether the id was given out here, so that it means a checkpoint of this run, whatever the folder says."""
        return checkpoint_id in self._made

    def follow(self, checkpoint_id: str, save: SaveHandle) -> None:
        """Writes the pointer once the save is done, and looks what was pruned before it."""
        self._submit(lambda: self._point(checkpoint_id, save))

    def settle(self) -> None:
        """Returns when every save so far is durable or has failed, and the pointers say so."""
        if os.getpid() != self._pid:
            return
        done = wait(list(self._jobs)).done
        with self._guard:
            self._jobs = [job for job in self._jobs if job not in done]
        for job in done:
            job.result()  # a mistake in here is nobody's but ours, and is seen

    def catch_up(self) -> None:
        """After the run's own flush, with which its retention has looked too: the pointers as they have to be."""
        self._submit(self._delete_pruned)
        self.settle()

    def close(self) -> None:
        """Ends the thread after what it has to do."""
        if os.getpid() == self._pid:
            self._thread.shutdown()
            _keepers.discard(self)

    # ------------------------------------------------------------------------------------------------- in its own thread

    def _submit(self, act: Callable[[], None]) -> Future[None]:
        with self._guard, contextlib.suppress(RuntimeError):
            self._jobs = [job for job in self._jobs if not job.done() or job.exception() is not None]
            self._jobs.append(job := self._thread.submit(self._attempt, act))
            return job
        # close() was called, or the interpreter is ending: there is no thread any more, and nobody that waits for this one.
        self._attempt(act)
        done: Future[None] = Future()
        done.set_result(None)
        return done

    def _attempt(self, act: Callable[[], None]) -> None:
        """What fails is said once in the same words."""
        try:
            act()
        except (OnyxError, OSError) as error:
            if str(error) not in self._said:
                self._said.add(str(error))
                _log.warning("the pointers in %s are not as the store is: %s", self._folder, error)

    def _look_round(self) -> None:
        """Takes the ids of checkpoints that the group has just saved."""
        oldest = time.time() - RECENT
        for run in runs_of_group(self._store, self._run.group or self._run.name):
            for save in saves_of(run):
                if save.time < oldest:
                    break
                self._taken.add(save.message)

    def _catch_up(self) -> None:
        """What a killed process left undone. It wrote in order: a pointer that is there has those before it behind it."""
        for run in runs_of_group(self._store, self._run.group or self._run.name):
            for save in saves_of(run):
                if not is_checkpoint_id(save.message):
                    continue
                if pointer_file(self._folder, save.message).exists() or not is_kept(save):
                    break
                self._write(save)
        for pointer in list_pointers(self._folder):
            found = find_commit(self._store, pointer.commit)
            if found is None or found.message != pointer.checkpoint_id:
                continue
            if not is_kept(found):
                delete_pointer(self._folder, pointer.checkpoint_id, pointer.commit)
            elif found.run == self._run.name:
                self._kept[pointer.checkpoint_id] = found

    def _point(self, checkpoint_id: str, handle: SaveHandle) -> None:
        while not handle.done():
            time.sleep(POLL)
        save = find_save(self._run, checkpoint_id)
        if save is not None:
            self._write(save)
            self._kept[checkpoint_id] = save
        self._delete_pruned()

    def _write(self, save: Commit) -> None:
        write_pointer(
            self._folder,
            Pointer(
                checkpoint_id=id_of(save),
                run=save.run,
                commit=save.address,
                epoch=save.epoch,
                step=save.step,
                metrics=dict(save.values),
                timestamp=iso_time(save.time),
            ),
        )

    def _delete_pruned(self) -> None:
        pruned = pruned_of(self._run)
        for checkpoint_id, save in list(self._kept.items()):
            if manifest_of(save) in pruned:
                delete_pointer(self._folder, checkpoint_id, save.address)
                del self._kept[checkpoint_id]


def settle_all(store: Store) -> None:
    """Returns when no save of a run of this store is under way in this process, as far as pointers follow them."""
    for keeper in list(_keepers):
        if keeper.store_folder == store.folder:
            keeper.settle()


_keepers: weakref.WeakSet[PointerKeeper] = weakref.WeakSet()


def points_to(folder: Path, save: Commit) -> bool:
    """Whether the path of this checkpoint's pointer leads to it: another program may have made the same id in the same second."""
    if not is_checkpoint_id(save.message):
        return False
    pointer = find_pointer(pointer_file(folder, save.message))
    return pointer is None or pointer.commit == save.address
