"""The store as a backend, and the first of them: it records every call before anything else hears of it.

It keeps the contract of the others with two differences. It is called in the caller's thread, and its errors are the caller's: a
call has been recorded when it returns. And its steps are the loop's own, since the store keeps (epoch, step) as they are; None is
the step after the last one for metrics, the last one for all else.

    log_metrics              points
    log_hyperparameters      a commit with the config `hyperparameters`: what was logged so far
    log_model_architecture   artifacts `architecture.json`, `architecture.txt`
    log_gradients            points `gradients/NAME`, `gradients/total`, and an artifact `gradients.json` with the histograms
    log_images               artifacts `images/NAME.png`; of several `images/NAME/0.png` and so on
    log_text                 artifacts `text/NAME.txt`
    log_artifact             an artifact of that name
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, ClassVar, cast

from onyxstore.configs.types import ExperimentConfig, TrainingConfig
from onyxstore.errors import BadInput, StoreNotFound
from onyxstore.history.config_values import plain_value
from onyxstore.names import check_relative_path, run_name_from
from onyxstore.store.onlooker import Onlooker
from onyxstore.store.run import Run
from onyxstore.store.store import Store, start_run
from onyxstore.tracking.architecture import encode_architecture
from onyxstore.tracking.backends.base import TrackingBackendBase
from onyxstore.tracking.gradients import encode_gradients
from onyxstore.tracking.media import encode_png
from onyxstore.tracking.metadata import ExperimentMetadata
from onyxstore.tracking.recorded import Architecture, Gradients, Image

HYPERPARAMETERS = "hyperparameters"
"""The config that `log_hyperparameters` makes."""


class LocalBackend(TrackingBackendBase):
    """Records in the nearest store, or in one made in the working directory."""

    name: ClassVar[str] = "local"

    def __init__(self, config: ExperimentConfig, training_config: TrainingConfig | None = None, *, resume: bool = False) -> None:
        super().__init__(config)
        self._training_config = training_config
        self._resume = resume
        self._hyperparameters: dict[str, Any] = {}
        self._logged_last: tuple[str, ...] = ()
        self.run: Run
        """The run, from `start_experiment` on."""

    def start_experiment(self, metadata: ExperimentMetadata) -> None:
        """Starts the run: named by the id, in a group of that name, with the tags for labels; errors are those of `start_run`."""
        config = self.config
        name = run_name_from(metadata.experiment_id)
        self.run = start_run(
            (self._resume and _newest_of(metadata.experiment_id)) or name,
            configs=self._configs(metadata),
            labels=list(dict.fromkeys(metadata.tags)),
            group=metadata.experiment_id,
            best_metric=config.best_metric,
            best_mode=config.best_mode,
            max_checkpoints=config.max_checkpoints,
            resume=self._resume,
        )

    @property
    def looks_on(self) -> bool:
        """Whether this is a process that writes nothing, since its RANK is not 0."""
        return isinstance(self.run, Onlooker)

    @property
    def logged_last(self) -> dict[str, Any]:
        """The hyperparameters of the last call, as the store has them: plain values, secrets masked."""
        stored = self.run.config[HYPERPARAMETERS]
        return {name: stored[name] for name in self._logged_last}

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None, epoch: float | None = None) -> None:
        """Points, as `Run.log` takes them."""
        self.run.log(metrics, step, epoch)

    def log_hyperparameters(self, hyperparameters: Any) -> None:
        """A commit with all that was logged so far; of values of one name the later one is taken. CannotEncode for what has no value."""
        plain = plain_value(hyperparameters)
        if not isinstance(plain, dict):
            raise BadInput(f"hyperparameters are values by name, not a {type(hyperparameters).__name__}")
        self.run.commit("hyperparameters", configs={HYPERPARAMETERS: {**self._hyperparameters, **plain}})
        self._hyperparameters |= plain
        self._logged_last = tuple(plain)

    def log_model_architecture(self, architecture: Architecture) -> None:
        """The modules as JSON, and what the model prints as."""
        self.run.log_artifact("architecture.json", encode_architecture(architecture), kind="architecture")
        self.run.log_artifact("architecture.txt", architecture.summary.encode(), kind="text")

    def log_gradients(self, gradients: Gradients, step: int | None = None) -> None:
        """Norms as points, histograms as an artifact."""
        at = self._at(step)
        norms = {f"gradients/{name}": norm for name, norm in gradients.norms.items()}
        self.run.log({**norms, "gradients/total": gradients.total}, 0 if at is None else at)
        self.run.log_artifact("gradients.json", encode_gradients(gradients), kind="histogram", step=at)

    def log_images(self, images: Mapping[str, Sequence[Image]], step: int | None = None) -> None:
        """PNG files; BadName, before any is written, for a name that no file can have."""
        files = dict(pair for name, pictures in images.items() for pair in _image_files(name, pictures))
        for name, image in files.items():
            self.run.log_artifact(name, encode_png(image), kind="image", step=self._at(step))

    def log_text(self, texts: Mapping[str, str], step: int | None = None) -> None:
        """Text files; BadName, before any is written, for a name that no file can have."""
        files = {check_relative_path("text", f"text/{name}.txt"): text.encode() for name, text in texts.items()}
        for name, content in files.items():
            self.run.log_artifact(name, content, kind="text", step=self._at(step))

    def log_artifact(self, name: str, content: bytes | str | Path, step: int | None = None) -> None:
        """The bytes, or those of the file."""
        self.run.log_artifact(name, content, step=self._at(step))

    def flush(self) -> None:
        """Returns when all of it survives a power cut."""
        self.run.flush()

    def end_experiment(self, status: str = "finished") -> None:
        """Ends the run."""
        self.run.finish(cast("Any", status))

    def earlier_rows(self) -> Iterator[tuple[int, float | None]]:
        """The step and epoch of each call that earlier attempts logged, in their order."""
        logged = [*self.run.metrics.values(), *self.run.superseded.values()]
        rows = {time: (step, epoch) for each in logged for time, step, epoch in zip(each.times, each.steps, each.epochs, strict=True)}
        return ((int(step), None if math.isnan(epoch) else float(epoch)) for _, (step, epoch) in sorted(rows.items()))

    def _at(self, step: int | None) -> int | None:
        """The step that is meant: without one, that of the last point."""
        return self.run.moment[0] if step is None else step

    def _configs(self, metadata: ExperimentMetadata) -> dict[str, Any]:
        """What the run's first commit holds: this tracker's config, the training's if it was handed in, who the run is."""
        training = {} if self._training_config is None else {"training": self._training_config}
        who = {each.name: getattr(metadata, each.name) for each in fields(metadata)}
        return {"experiment": self.config, **training, "metadata": who}


def _newest_of(group: str) -> str | None:
    """The run of a group that was begun last."""
    with contextlib.suppress(StoreNotFound):
        return next((run.name for run in Store.open().runs() if run.group == group), None)
    return None


def _image_files(name: str, pictures: Sequence[Image]) -> Iterator[tuple[str, Image]]:
    if len(pictures) == 1:
        yield check_relative_path("image", f"images/{name}.png"), pictures[0]
        return
    for number, picture in enumerate(pictures):
        yield check_relative_path("image", f"images/{name}/{number}.png"), picture
