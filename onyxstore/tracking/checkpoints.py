"""The guide's checkpoint manager: saves, finds and loads the checkpoints of a run. It owns no bytes, the store does.

Wherever it takes a `checkpoint_path` it accepts what it gave back (the path of a pointer file, be that there or gone), an id, a
revision (`run@best`), or the path of a `.safetensors` file. Where it takes an `experiment_id`, it means the newest run of that group
which has saved a checkpoint, or the run of that very name. It waits for what runs of the store are saving in this process first.

A subclass may override `save_checkpoint` and `load_checkpoint`; the tracker calls both by keywords alone.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onyxstore.configs.types import ExperimentConfig, TrainingConfig
from onyxstore.errors import BadFile, BadInput, CheckpointPruned, Damage, ObjectMissing, Refused, RunEnded, StoreNotFound, UnknownRevision
from onyxstore.history.best import Moment, check_mode
from onyxstore.history.metrics.plain import plain_epoch, plain_metrics, plain_step
from onyxstore.store.onlooker import Onlooker
from onyxstore.store.run import Run
from onyxstore.store.save import SaveHandle
from onyxstore.store.store import Store
from onyxstore.store.views import Commit, RunView
from onyxstore.tracking.best_only import BestOnly, Verdict
from onyxstore.tracking.loading import CheckpointData, CommitSource, FileSource, Source, load_from
from onyxstore.tracking.pointers import find_pointer, is_checkpoint_id, pointer_file
from onyxstore.tracking.pointing import PointerKeeper, points_to, settle_all
from onyxstore.tracking.recorded import CheckpointReference
from onyxstore.tracking.room import Room
from onyxstore.tracking.saved import find_commit, find_run, find_save, id_of, is_best, iso_time, kept_saves, saver_of

_log = logging.getLogger("onyxstore")


@dataclass(frozen=True)
class Saving:
    """A save that was asked for: what backends are told of it, and the handle that says when it is done."""

    reference: CheckpointReference
    handle: SaveHandle


class CheckpointManager:
    """Saves and loads as a config says; saving takes a run, loading only a store."""

    def __init__(self, config: ExperimentConfig, training_config: TrainingConfig | None = None, run: Run | None = None) -> None:
        self.config = config
        self.training_config = training_config
        # Absolute from here on: a program may change its working directory.
        self._folder = Path(config.checkpoint_dir).absolute()
        self._live: _Live | None = None
        self._savings: dict[str, Saving] = {}
        self._said: set[str] = set()
        if run is not None:
            self.attach(run)

    def attach(self, run: Run) -> None:
        """Saves into `run` from here on. What a killed process of its group left undone in `checkpoint_dir` is caught up."""
        self.close()
        self._live = _Live(run, self._folder)

    def flush(self) -> None:
        """Returns when what was saved so far is durable and `checkpoint_dir` says so; raises what the run met in the background."""
        if self._live is not None:
            self._live.flush()

    def close(self) -> None:
        """The same, and the last call: before the run ends or after. What was saved can still be loaded."""
        if self._live is not None:
            self._live.close()

    # ----------------------------------------------------------------------------------------------------------- saving

    def save_checkpoint(  # noqa: PLR0913 - the parts of a training, each by its name
        self,
        *,
        model: Any = None,
        optimizer: Any = None,
        scheduler: Any = None,
        scaler: Any = None,
        state: Mapping[str, Any] | None = None,
        metrics: Mapping[str, Any] | None = None,
        step: int | None = None,
        epoch: float | None = None,
        is_best: bool | None = None,
        wait: bool = False,
    ) -> str | None:
        """Saves what is handed in, as it is at this call; the path of the pointer file that will lead to it.

        Step and epoch are those of the run's last point if not given. The config says whether anything is saved, whether only the
        best, and whether optimizer and scheduler go along; None when nothing was saved, as in a process with a RANK other than 0.
        With `wait` checkpoint and pointer are there when this returns. Refused without a run; else the errors of
        `Run.save_checkpoint`.
        """
        if not self._are_saved():
            return None
        live = self._attached()
        if live.keeper is None:
            return None
        values = dict(plain_metrics(metrics or {}))
        verdict = self._judge(live, values, is_best=is_best)
        if not verdict.is_saved:
            return None
        parts = {"model": model, "scaler": scaler, "state": state}
        parts |= {"optimizer": optimizer} if self.config.save_optimizer else {}
        parts |= {"scheduler": scheduler} if self.config.save_scheduler else {}
        live.room.check(parts)
        at, during = _moment(live.run, step, epoch)
        name = live.keeper.take_id(at, during, is_best=verdict.is_best is True)
        options: dict[str, Any] = {"step": at, "epoch": during, "is_best": verdict.is_best, "message": name, "wait": wait}
        handle = live.run.save_checkpoint(**parts, metrics=values, **options)
        if live.best is not None:
            live.best.note(verdict)
        live.keeper.follow(name, handle)
        if wait:
            live.keeper.settle()
        path = str(pointer_file(self._folder, name))
        self._remember(Saving(CheckpointReference(name, live.run.name, at, during, values, verdict.is_best, path), handle))
        return path

    def find_saving(self, checkpoint_path: str) -> Saving | None:
        """A save by the path that `save_checkpoint` gave for it, until another comes after it is done."""
        return self._savings.get(checkpoint_path)

    # ---------------------------------------------------------------------------------------------------------- loading

    def load_checkpoint(
        self,
        model: Any,
        checkpoint_path: str | os.PathLike[str],
        optimizer: Any = None,
        scheduler: Any = None,
        scaler: Any = None,
        *,
        strict: bool = True,
    ) -> CheckpointData:
        """Loads a checkpoint into these objects, all of it verified; what it holds besides, and a report of what was left out.

        LoadMismatch names the tensors that only one side has, and a part that was not saved; nothing is changed then. With
        `strict=False` what fits is loaded. The random generators go along with an optimizer. UnknownRevision, CheckpointPruned,
        CorruptObject, BadFile.
        """
        live = {"model": model, "optimizer": optimizer, "scheduler": scheduler, "scaler": scaler}
        return load_from(self._source(checkpoint_path), live, strict=strict)

    def verify_checkpoint(self, checkpoint_path: str | os.PathLike[str]) -> bool:
        """Whether every byte of a checkpoint is there and is what was saved; what is wrong is said. UnknownRevision."""
        try:
            self._source(checkpoint_path).check()
        except (Damage, ObjectMissing, CheckpointPruned, BadFile) as error:
            _log.warning("checkpoint %s is not whole: %s", os.fspath(checkpoint_path), error)
            return False
        return True

    def get_latest_checkpoint(self, experiment_id: str) -> str | None:
        """The `checkpoint_path` of the newest checkpoint that is kept, None when there is none."""
        _, run = self._run_of(experiment_id)
        newest = next(kept_saves(run), None) if run is not None else None
        return self._path_of(newest) if newest is not None else None

    def get_best_checkpoint(self, experiment_id: str) -> str | None:
        """The `checkpoint_path` of the checkpoint that is best by now, None when none was."""
        _, run = self._run_of(experiment_id)
        best = run.best if run is not None else None
        return self._path_of(saver_of(best)) if best is not None and best.checkpoint is not None else None

    def get_checkpoint_info(self, experiment_id: str) -> list[dict[str, Any]]:
        """Every checkpoint that is kept, oldest first.

        `checkpoint_id`, `path`, `epoch`, `step`, `metrics`, `is_best` (what holds now), `timestamp` (ISO 8601), `file_size` (stored
        bytes, those that it shares with others among them), `raw_size` (its tensors' bytes) and `commit` (the address).
        """
        store, run = self._run_of(experiment_id)
        return [self._about(store, save) for save in [*kept_saves(run)][::-1]] if store is not None and run is not None else []

    # --------------------------------------------------------------------------------------------------------- private

    def _attached(self) -> _Live:
        if self._live is None:
            raise Refused("checkpoints are saved into a run; attach() one, or let a tracker start its own")
        return self._live

    def _are_saved(self) -> bool:
        if not self.config.save_checkpoints:
            self._say_once("no checkpoint is saved: save_checkpoints is false")
        return self.config.save_checkpoints

    def _judge(self, live: _Live, values: Mapping[str, Any], *, is_best: bool | None) -> Verdict:
        if not (self.config.save_best_only or (self.training_config is not None and self.training_config.save_best_only)):
            return Verdict(is_saved=True, is_best=is_best)
        if live.best is None:
            live.best = BestOnly(live.run, self.config.best_metric, check_mode(self.config.best_mode))
        verdict = live.best.judge(values, is_best=is_best)
        if not verdict.is_saved:
            self._say_once("a checkpoint that is not the best so far is not saved: save_best_only is true")
        elif verdict.is_best is None:
            self._say_once("save_best_only is true, but nothing says which checkpoint is best: give best_metric or is_best; all are saved")
        return verdict

    def _say_once(self, words: str) -> None:
        if words not in self._said:
            self._said.add(words)
            _log.warning(words)

    def _remember(self, saving: Saving) -> None:
        self._savings = {path: earlier for path, earlier in self._savings.items() if not earlier.handle.done()}
        self._savings[saving.reference.path] = saving

    def _store(self) -> Store:
        store = self._live.store if self._live is not None else Store.open()
        settle_all(store)
        return store

    def _run_of(self, experiment_id: str) -> tuple[Store | None, RunView | None]:
        try:
            store = self._store()
        except StoreNotFound:
            return None, None
        return store, find_run(store, experiment_id)

    def _path_of(self, save: Commit) -> str:
        return str(pointer_file(self._folder, save.message)) if points_to(self._folder, save) else save.address

    def _about(self, store: Store, save: Commit) -> dict[str, Any]:
        parts = save.checkpoint.parts if save.checkpoint is not None else []
        return {
            "checkpoint_id": id_of(save),
            "path": self._path_of(save),
            "epoch": save.epoch,
            "step": save.step,
            "metrics": dict(save.values),
            "is_best": is_best(store, save),
            "timestamp": iso_time(save.time),
            "file_size": sum(part.stored or 0 for part in parts),
            "raw_size": sum(part.raw for part in parts),
            "commit": save.address,
        }

    def _source(self, checkpoint_path: str | os.PathLike[str]) -> Source:
        text = _text_of(checkpoint_path)
        if text.endswith(".safetensors"):
            return FileSource(Path(text))
        store = self._store()
        return CommitSource(store, self._find(store, text))

    def _find(self, store: Store, text: str) -> Commit:
        """The commit that a path, an id or a revision names."""
        path = Path(text)
        name = path.stem if path.suffix == ".json" else text
        live = self._live
        own = live is not None and live.keeper is not None and live.keeper.has_made(name)
        if path.suffix == ".json" and not (own and path.parent.absolute() == self._folder):
            pointer = find_pointer(path)
            if pointer is not None:
                return _pointed_at(store, text, pointer.commit)
        if not is_checkpoint_id(name):
            return store.commit(text)
        runs = ([live.run] if live is not None else []) + store.runs()
        found = next((save for run in runs if (save := find_save(run, name)) is not None), None)
        if found is None:
            raise UnknownRevision(name, why="no run has saved it")
        return found


class _Live:
    """What the manager has while a run is attached, and after."""

    def __init__(self, run: Run, folder: Path) -> None:
        self.run = run
        self.store = _store_of(run)
        self.keeper = None if isinstance(run, Onlooker) else PointerKeeper(folder, self.store, run)
        self.room = Room(self.store.folder)
        self.best: BestOnly | None = None
        self._is_closed = False

    def flush(self) -> None:
        if self.keeper is not None:
            self.keeper.settle()
            with contextlib.suppress(RunEnded):
                self.run.flush()
            self.keeper.catch_up()

    def close(self) -> None:
        if self.keeper is None or self._is_closed:
            return
        self._is_closed = True
        try:
            self.flush()
        finally:
            self.keeper.close()


def _text_of(checkpoint_path: object) -> str:
    text = os.fspath(checkpoint_path) if isinstance(checkpoint_path, str | os.PathLike) else None
    if not isinstance(text, str):
        raise BadInput(f"a checkpoint_path is text or a path, not a {type(checkpoint_path).__name__}")
    return text


def _store_of(run: Run) -> Store:
    return Store(run._doors)  # noqa: SLF001 - the store that the run is in, wherever the program is by now


def _moment(run: Run, step: Any, epoch: Any) -> Moment:
    """The step and the epoch that are given, else those of the run's last point."""
    last_step, last_epoch = run.moment
    return last_step if step is None else plain_step(step), last_epoch if epoch is None else plain_epoch(epoch)


def _pointed_at(store: Store, path: str, address: str) -> Commit:
    commit = find_commit(store, address)
    if commit is None:
        raise UnknownRevision(path, why=f"it points to {address[:10]}, which the store in {store.folder} does not hold")
    return commit
