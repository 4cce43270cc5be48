"""The guide's tracker: a run of the store, and the backends that are fed besides.

Each call is recorded by the store first, in the caller's thread, whatever becomes of the rest; then it is queued for the backends.
What is converted (images, gradients) is converted once, as of the call. A tracker may be used from several threads; a forked child
that touches it gets an error, as with a Run. With a RANK other than 0 it restores and loads, and writes nothing.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from onyxstore.configs.types import ExperimentConfig, TrainingConfig
from onyxstore.errors import BadInput, OnyxError, Refused
from onyxstore.store import signals
from onyxstore.store.run import ENDINGS, Run
from onyxstore.tracking.architecture import describe_model
from onyxstore.tracking.backends.local import LocalBackend
from onyxstore.tracking.backends.table import Kind, check_backend_names, check_params, find_backends
from onyxstore.tracking.checkpoints import CheckpointManager
from onyxstore.tracking.fanout import MOST_BYTES, Call
from onyxstore.tracking.gradients import measure_gradients
from onyxstore.tracking.identity import identify
from onyxstore.tracking.live import PATIENCE, LiveTracking
from onyxstore.tracking.log_level import LogLevel
from onyxstore.tracking.media import to_images
from onyxstore.tracking.metadata import ExperimentMetadata

_log = logging.getLogger("onyxstore")

SLOW = 1.0
"""Seconds: a call that takes longer holds training up, and that is said."""

P = ParamSpec("P")
R = TypeVar("R")


def create_experiment_tracker(config: ExperimentConfig, training_config: TrainingConfig | None = None) -> ExperimentTracker:
    """A tracker, not started yet, with everything checked that can be: names, params, packages.

    UnknownName for a backend that nobody knows, BadInput for `tracking_params` that no backend takes, MissingPackage (an
    ImportError) with the extra to install.
    """
    return ExperimentTracker(config, training_config)


@contextlib.contextmanager
def experiment_context(
    config: ExperimentConfig, metadata: ExperimentMetadata | None = None, training_config: TrainingConfig | None = None
) -> Iterator[ExperimentTracker]:
    """A tracker that is on inside the `with` block: its run ends as finished, failed or killed, as the block does."""
    tracker = create_experiment_tracker(config, training_config)
    tracker.start_experiment(metadata)
    with tracker:
        yield tracker


def _timed(call: Callable[Concatenate[ExperimentTracker, P], R]) -> Callable[Concatenate[ExperimentTracker, P], R]:
    """A call that says so when it takes long: training waits for it."""

    @functools.wraps(call)
    def timed(self: ExperimentTracker, /, *args: P.args, **kwargs: P.kwargs) -> R:
        began = time.perf_counter()
        result = call(self, *args, **kwargs)
        seconds = time.perf_counter() - began
        if seconds > SLOW and not kwargs.get("wait"):
            self._say_slow(call.__name__, seconds)
        return result

    return timed


class ExperimentTracker:
    """Records what a training says of itself. Use `create_experiment_tracker`.

    Of the config, `log_frequency` and `checkpoint_frequency` are what `should_log` and `should_checkpoint` answer by, and
    `log_gradients` is for the loop to read: what is logged explicitly is never dropped. `log_hyperparameters` says whether backends
    get the training config at the start. `log_metrics` names the headline metrics. `log_level` is that of the logger `onyxstore`
    while the tracker is on.
    """

    def __init__(self, config: ExperimentConfig, training_config: TrainingConfig | None = None) -> None:
        self.config = config
        self.checkpoint_manager = CheckpointManager(config, training_config)
        """Finds and loads checkpoints, before the start and after the end too; one of your own may take its place before the start."""
        self._training_config = training_config
        self._level = LogLevel(config.log_level)
        self._backends: dict[str, Kind] = {}
        check_backend_names(config.tracking_backend)
        if config.track_experiments:
            self._backends = find_backends(config.tracking_backend)
        check_params(self._backends, config.tracking_params)
        self._live: LiveTracking | None = None
        self._is_on = False
        self._slowest: dict[str, float] = {}

    @property
    def run(self) -> Run:
        """The run in the store; after the end too. Refused before the start."""
        return self._started("run").run

    @property
    def metadata(self) -> ExperimentMetadata:
        """Who the run is, with what was left out filled in; after the end too. Refused before the start."""
        return self._started("metadata").metadata

    # --------------------------------------------------------------------------------------------------- start and end

    def start_experiment(self, metadata: ExperimentMetadata | None = None, *, resume: bool = False) -> None:
        """Starts the run, and the backends in their threads.

        Its name is the id with `-` for what no run's name may have, its group the id, its labels the tags. Without metadata the
        config says these, and without an id there it is the name and the time. The store is the nearest, or one made here. With
        `resume` the newest run of the id goes on (see `Store.start_run`), and begins if there is none. Refused when it is on
        already, BadInput, RunIsLive.
        """
        if self._is_on:
            raise Refused(f"the tracker is on already, with run '{self.run.name}'; end_experiment() comes before another start")
        whole = identify(self.config, metadata)
        local = LocalBackend(self.config, self._training_config, resume=resume)
        local.start_experiment(whole)
        with contextlib.ExitStack() as undo:
            undo.callback(local.end_experiment, "failed")
            self.checkpoint_manager.attach(local.run)
            self._live = live = LiveTracking(local, whole, self._backends, self.end_experiment)
            undo.pop_all()
        self._is_on = True
        self._level.set()
        if self._training_config is not None and self.config.log_hyperparameters and live.is_fed:
            live.feed(Call("log_hyperparameters", ({"training": live.run.config["training"]},)))

    def end_experiment(self, status: str = "finished") -> None:
        """Ends the run and the backends after all that was logged; `status` is finished, failed, killed or crashed. Once.

        The run first; then backends are waited for, a minute at most (ten seconds when it was killed), and who has not got
        everything is said. An error of the store is raised when all have ended.
        """
        if status not in ENDINGS:
            raise BadInput(f"a run ends as one of {', '.join(ENDINGS)}, not {status!r}")
        live = self._live
        if live is None or not self._is_on or live.is_foreign:
            return
        self._is_on = False
        with contextlib.ExitStack() as steps:
            steps.callback(self._level.give_back)
            steps.callback(self.checkpoint_manager.close)
            steps.callback(live.end, status)

    def __enter__(self) -> Self:
        if not self._is_on:
            self.start_experiment()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        is_stopped = error is None and self.run.stop_requested
        try:
            self.end_experiment("killed" if is_stopped else signals.status_of(error))
        except OnyxError as failure:
            if error is None:
                raise
            _log.warning("the tracker did not end cleanly: %s", failure)

    def flush(self, timeout: float = PATIENCE) -> None:
        """Returns when all earlier calls survive a power cut, and every backend has them; after `timeout` seconds it says which have not.

        Raises the first error that the store met in the background.
        """
        live = self._on("flush")
        live.local.flush()
        self.checkpoint_manager.flush()
        live.flush_backends(timeout)

    # --------------------------------------------------------------------------------------------------------- logging

    @_timed
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None, epoch: float | None = None) -> None:
        """Numbers by name, as `Run.log` takes them; it survives `kill -9` when this returns.

        `step` is the last one + 1 if not given, `epoch` the last one. Backends get a global step that never goes back. BadMetric.
        """
        self._on("log_metrics").log_metrics(metrics, step, epoch)

    @_timed
    def log_hyperparameters(self, hyperparameters: Any) -> None:
        """Settings by name, nested as deep as they go: dicts, dataclasses, whatever a config may be. CannotEncode, BadInput."""
        live = self._on("log_hyperparameters")
        if not live.local.looks_on:
            live.local.log_hyperparameters(hyperparameters)
            live.feed(Call("log_hyperparameters", (live.local.logged_last,)))

    @_timed
    def log_model_architecture(self, model: Any) -> None:
        """The model's modules with their parameters, trained and frozen, and what it prints as."""
        live = self._on("log_model_architecture")
        if not live.local.looks_on:
            architecture = describe_model(model)
            live.local.log_model_architecture(architecture)
            live.feed(Call("log_model_architecture", (architecture,), size=len(architecture.summary)))

    @_timed
    def log_gradients(self, model: Any, step: int | None = None) -> None:
        """The norms and histograms of the gradients that the parameters have at this moment; `step` is the last one if not given."""
        live = self._on("log_gradients")
        if not live.local.looks_on:
            gradients = measure_gradients(model)
            live.local.log_gradients(gradients, step)
            size = sum(each.counts.nbytes + each.edges.nbytes for each in gradients.histograms.values())
            live.feed_at(step, ["gradients/total"], Call("log_gradients", (gradients,), size=size))

    @_timed
    def log_images(self, images: Mapping[str, Any], step: int | None = None) -> None:
        """Pictures by name: tensors, arrays, PIL images, figures, or lists of them; `step` is the last one if not given. BadInput."""
        live = self._on("log_images")
        if not live.local.looks_on:
            pictures = {name: to_images(value, name) for name, value in _by_name("log_images", images).items()}
            live.local.log_images(pictures, step)
            size = sum(picture.pixels.nbytes for each in pictures.values() for picture in each)
            live.feed_at(step, [f"images/{name}" for name in pictures], Call("log_images", (pictures,), size=size))

    @_timed
    def log_text(self, texts: Mapping[str, str], step: int | None = None) -> None:
        """Texts by name; `step` is the last one if not given. BadInput."""
        live = self._on("log_text")
        if not live.local.looks_on:
            plain = {name: _plain_text(name, text) for name, text in _by_name("log_text", texts).items()}
            live.local.log_text(plain, step)
            live.feed_at(step, [f"text/{name}" for name in plain], Call("log_text", (plain,), size=sum(map(len, plain.values()))))

    @_timed
    def log_artifact(self, name: str, content_or_path: bytes | str | Path, step: int | None = None) -> None:
        """A file, by its path, or bytes, kept under `name`. BadName; DiskError for a file that cannot be read."""
        live = self._on("log_artifact")
        if not live.local.looks_on:
            live.local.log_artifact(name, content_or_path, step)
            if live.is_fed:
                content, size = _read(content_or_path)
                live.feed(Call("log_artifact", (name, content), size=size))

    # ----------------------------------------------------------------------------------------------------- checkpoints

    @_timed
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
        """Saves a checkpoint as `CheckpointManager.save_checkpoint` does: what `load_checkpoint` takes, or None where none was saved.

        Step and epoch are those of the last `log_metrics` if not given. Backends hear of it once it is durable.
        """
        live = self._on("save_checkpoint")
        saved: str | None = self.checkpoint_manager.save_checkpoint(
            model=model,
            optimizer=optimizer,
            scheduler=scheduler,
            scaler=scaler,
            state=state,
            metrics=metrics,
            step=step,
            epoch=epoch,
            is_best=is_best,
            wait=wait,
        )
        saving = self.checkpoint_manager.find_saving(saved) if saved is not None else None
        if saving is not None:
            live.feed_checkpoint(saving)
        return saved

    def load_checkpoint(self, model: Any, checkpoint_path: Any, optimizer: Any = None, scheduler: Any = None, **options: Any) -> Any:
        """Loads a checkpoint as `CheckpointManager.load_checkpoint` does, and returns what that does; before the start too."""
        return self.checkpoint_manager.load_checkpoint(
            model=model, checkpoint_path=checkpoint_path, optimizer=optimizer, scheduler=scheduler, **options
        )

    # ----------------------------------------------------------------------------------------------- what loops ask for

    def should_log(self, step: int) -> bool:
        """Whether this is a step to log at, by the config's `log_frequency`."""
        return step % self.config.log_frequency == 0

    def should_checkpoint(self, step: int) -> bool:
        """Whether this is a step to save at, by the config's `checkpoint_frequency`; never where checkpoints are not saved."""
        return self.config.save_checkpoints and step % self.config.checkpoint_frequency == 0

    # --------------------------------------------------------------------------------------------------------- private

    def _started(self, what: str) -> LiveTracking:
        if self._live is None:
            raise Refused(f"the tracker has no {what} yet: start_experiment() comes first")
        return self._live

    def _on(self, call: str) -> LiveTracking:
        if self._live is None or not self._is_on:
            why = "start_experiment() comes first" if self._live is None else "it has ended"
            raise Refused(f"the tracker takes no {call}: {why}")
        return self._live

    def _say_slow(self, call: str, seconds: float) -> None:
        """Once for each call, and again when it took twice as long."""
        if seconds >= 2 * self._slowest.get(call, 0.0):
            self._slowest[call] = seconds
            _log.warning("%s took %.1f s, while training waited", call, seconds)


def _by_name(call: str, values: Any) -> Mapping[str, Any]:
    if not isinstance(values, Mapping):
        raise BadInput(f"{call} takes values by name, not a {type(values).__name__}")
    return values


def _plain_text(name: str, text: Any) -> str:
    """Text that every backend can write as UTF-8: half a character, as the middle of a token may be one, becomes `?`."""
    if not isinstance(text, str):
        raise BadInput(f"log_text takes texts, and '{name}' is a {type(text).__name__}")
    return text.encode("utf-8", "replace").decode()


def _read(content_or_path: bytes | str | Path) -> tuple[bytes, int]:
    """The bytes that backends get, and how many they are; a file that no queue has room for is not read."""
    if isinstance(content_or_path, bytes | bytearray | memoryview):
        return bytes(content_or_path), len(content_or_path)
    path = Path(content_or_path)
    size = path.stat().st_size
    return (path.read_bytes() if size <= MOST_BYTES else b""), size
