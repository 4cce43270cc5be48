"""MLflow: a run of its own in `sqlite:///mlflow.db`, or where `mlflow.set_tracking_uri` or MLFLOW_TRACKING_URI point.

    log_metrics              metrics NAME, and `epoch`
    log_hyperparameters      params, nested names joined with `/`, and the artifact `hyperparameters.yaml` with the whole tree
    log_model_architecture   artifacts `architecture.json` and `architecture.txt`, tags `architecture.*`
    log_gradients            metrics `gradients/NAME` and `gradients/total`, the histograms in `gradients/step-N.json`
    log_images               MLflow's own images by name and step; of several NAME/0 and so on
    log_text                 artifacts `text/NAME/step-N.txt`
    log_artifact             an artifact of that name
    log_checkpoint           an artifact `checkpoints/ID.json`, tags `checkpoint.latest` and `checkpoint.best`
    end_experiment           the run's status, and the tag `status` with the word as it was

Only MlflowClient is used: the active run of a script that has one is left alone. MLflow keeps NaN, but ±inf as ±1.797e308; it refuses
some characters in names, which are replaced; it keeps the first value of a param. What is replaced or left out is said once.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import math
import os
import re
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from onyxstore.configs.types import ExperimentConfig
from onyxstore.tracking.architecture import encode_architecture
from onyxstore.tracking.backends.base import TrackingBackendBase
from onyxstore.tracking.backends.plain import flatten, plain_tree
from onyxstore.tracking.backends.table import params_for
from onyxstore.tracking.gradients import encode_gradients
from onyxstore.tracking.media import encode_png
from onyxstore.tracking.metadata import ExperimentMetadata
from onyxstore.tracking.recorded import Architecture, CheckpointReference, Gradients, Image
from onyxstore.yaml12 import write_yaml

_log = logging.getLogger("onyxstore")

BATCH = 1000
"""Metrics that MLflow takes in one call."""
INTERVAL = 1.0
"""Seconds between two writes of metrics. Each is a transaction: a row of four takes 8.3 ms in SQLite by itself, 0.4 among 250."""
MOST_WAITING = 50_000
"""Metrics that are kept for a tracking server that doesn't answer."""
THUMBNAIL = 256
"""Pixels of the longer side of an image's thumbnail; MLflow fails where the shorter one then has none."""

_STATUSES = {"finished": "FINISHED", "failed": "FAILED", "killed": "KILLED", "crashed": "FAILED"}


class MLflowBackend(TrackingBackendBase):
    """Writes to a tracking store of MLflow's. Metrics wait for others up to a second, and after that for the next call."""

    name: ClassVar[str] = "mlflow"
    known_params: ClassVar[frozenset[str]] = frozenset({"experiment", "run_name", "tracking_uri"})
    """The `"experiment"` is what MLflow groups runs by: the project, unless it is given; `run_name` the `experiment_id`, unless given."""

    def __init__(self, config: ExperimentConfig) -> None:
        super().__init__(config)
        self.params = params_for(self.name, type(self), config.tracking_params)
        self._metric_names = _Names("metric")
        self._param_names = _Names("param")
        self._file_names = _Names("file")
        # MLflow's images have names of ASCII alone.
        self._image_names = _Names("image", re.ASCII)
        self._waiting: list[Any] = []
        self._written_at = -math.inf
        self._epoch_at: int | None = None
        self._hyperparameters: dict[str, Any] = {}
        self._params: dict[str, str] = {}
        self._cut: set[str] = set()

    def start_experiment(self, metadata: ExperimentMetadata) -> None:
        """Makes the run, and before it what is not there yet: the database and the MLflow experiment."""
        from mlflow import MlflowClient  # noqa: PLC0415 - a second's import, for those who use it

        uri = _absolute(self.params.get("tracking_uri") or _default_uri())
        with _alone_with(uri):
            self._client = MlflowClient(uri)
            group = self._group(self.params.get("experiment") or metadata.project_name)
        run = self._client.create_run(
            group,
            start_time=int(metadata.created_at.timestamp() * 1000),
            tags=_tags(metadata),
            run_name=self.params.get("run_name") or metadata.experiment_id,
        )
        self.run_id: str = run.info.run_id

    def log_metrics(self, metrics: Mapping[str, float], step: int, epoch: float | None = None) -> None:
        """Puts them with those that wait, and writes all when the last write is a second ago."""
        from mlflow.entities import Metric  # noqa: PLC0415 - as above

        now = time.time_ns() // 1_000_000
        values = metrics if epoch is None or step == self._epoch_at else {"epoch": epoch, **metrics}
        self._epoch_at = step
        self._waiting += [Metric(self._metric_names[name], float(value), now, step) for name, value in values.items()]
        if len(self._waiting) >= BATCH or time.monotonic() - self._written_at > INTERVAL:
            self.flush()

    def log_hyperparameters(self, hyperparameters: Mapping[str, Any]) -> None:
        """Params; of one that was logged before with another value MLflow keeps the first, the artifact has the last."""
        from mlflow.entities import Param  # noqa: PLC0415 - as above
        from mlflow.utils.validation import MAX_PARAM_VAL_LENGTH as longest  # noqa: PLC0415, N811 - as above

        self._hyperparameters |= plain_tree(hyperparameters)
        values = {self._param_names[name]: str(value) for name, value in flatten(hyperparameters).items()}
        cut = {name for name, text in values.items() if len(text) > longest or self._params.get(name, text) != text} - self._cut
        if cut:
            words = "MLflow keeps the first value of a param, and %d characters: %s; hyperparameters.yaml has them whole"
            _log.warning(words, longest, ", ".join(sorted(cut)))
        new = {name: text for name, text in values.items() if name not in self._params}
        self._client.log_batch(self.run_id, params=[Param(name, text[:longest]) for name, text in new.items()], synchronous=True)
        self._params |= new
        self._cut |= cut
        self.log_artifact("hyperparameters.yaml", write_yaml(self._hyperparameters))

    def log_model_architecture(self, architecture: Architecture) -> None:
        """Its modules and what it prints as, and the counts as tags."""
        self.log_artifact("architecture.json", encode_architecture(architecture))
        self.log_artifact("architecture.txt", architecture.summary.encode())
        counts = {"name": architecture.name, "parameters": architecture.parameters, "trainable": architecture.trainable}
        self._tag({f"architecture.{name}": str(count) for name, count in counts.items()})

    def log_gradients(self, gradients: Gradients, step: int) -> None:
        """Norms as metrics, histograms as JSON."""
        norms = {"total": gradients.total, **gradients.norms}
        self.log_metrics({f"gradients/{name}": norm for name, norm in norms.items()}, step)
        self.log_artifact(f"gradients/step-{step}.json", encode_gradients(gradients))

    def log_images(self, images: Mapping[str, Sequence[Image]], step: int) -> None:
        """PNGs that MLflow shows by step; a file each of those that are too narrow for the thumbnail that it makes."""
        for name, pictures in images.items():
            for number, picture in enumerate(pictures):
                key = self._image_names[name if len(pictures) == 1 else f"{name}/{number}"]
                narrow, wide = sorted(picture.pixels.shape[:2])
                if narrow * THUMBNAIL < wide:
                    self.log_artifact(f"images/{key}/step-{step}.png", encode_png(picture))
                else:
                    self._client.log_image(self.run_id, picture.pixels, key=key, step=step, synchronous=True)

    def log_text(self, texts: Mapping[str, str], step: int) -> None:
        """A file each."""
        for name, text in texts.items():
            self.log_artifact(f"text/{name}/step-{step}.txt", text.encode())

    def log_artifact(self, name: str, content: bytes) -> None:
        """A file among the run's artifacts."""
        path = Path(self._file_names[name])
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, path.name)
            file.write_bytes(content)
            self._client.log_artifact(self.run_id, str(file), None if path.parent == Path() else str(path.parent))

    def log_checkpoint(self, checkpoint: CheckpointReference, step: int) -> None:
        """What is known of it, and which one is the latest and the best."""
        reference = {"global_step": step, **plain_tree(checkpoint)}
        self.log_artifact(f"checkpoints/{checkpoint.checkpoint_id}.json", json.dumps(reference, indent=2).encode())
        best = {"checkpoint.best": checkpoint.checkpoint_id} if checkpoint.is_best else {}
        self._tag({"checkpoint.latest": checkpoint.checkpoint_id, **best})

    def flush(self) -> None:
        """Writes the metrics that wait. Those of a write that fails wait for the next, up to a bound."""
        self._written_at = time.monotonic()
        del self._waiting[:-MOST_WAITING]
        while self._waiting:
            batch = self._waiting[:BATCH]
            self._client.log_batch(self.run_id, metrics=batch, synchronous=True)
            del self._waiting[: len(batch)]

    def end_experiment(self, status: str = "finished") -> None:
        """Ends the run: MLflow has no word for a crash, it failed."""
        self.flush()
        self._tag({"status": status})
        self._client.set_terminated(self.run_id, _STATUSES.get(status, "FAILED"))

    # --------------------------------------------------------------------------------------------------------------------

    def _group(self, name: str) -> str:
        """The id of the MLflow experiment of that name, made where there is none."""
        from mlflow.exceptions import MlflowException  # noqa: PLC0415 - as above

        found = self._client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        try:
            return str(self._client.create_experiment(name))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            return self._group(name)  # another process made it just now

    def _tag(self, tags: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag  # noqa: PLC0415 - as above

        self._client.log_batch(self.run_id, tags=[RunTag(name, text) for name, text in tags.items()], synchronous=True)


class _Names(dict[str, str]):
    """Names as MLflow takes them: no characters but letters, digits and `_ - . : / space`, no odd slashes, 250 at most; each its own."""

    def __init__(self, kind: str, flags: re.RegexFlag = re.NOFLAG) -> None:
        self._kind = kind
        self._refused = re.compile(r"[^/\w.\- :]" if not flags else r"[^/\w.\- ]", flags)
        self._taken: set[str] = set()

    def __missing__(self, name: str) -> str:
        parts = self._refused.sub("_", name).split("/")
        allowed = "/".join("_" if part in {"", ".", ".."} else part for part in parts)[:250].rstrip("/")
        word = next(word for word in _variants(allowed) if word not in self._taken)
        if word != name:
            _log.warning("MLflow takes no %s called %r; there it is '%s'", self._kind, name, word)
        self._taken.add(word)
        self[name] = word
        return word


def _variants(name: str) -> Iterator[str]:
    yield name
    number = 2
    while True:
        yield f"{name[:240]}-{number}"
        number += 1


def _tags(metadata: ExperimentMetadata) -> dict[str, str]:
    """Who the run is, in MLflow's own words where it has some."""
    known = {
        "experiment_id": metadata.experiment_id,
        "experiment_name": metadata.experiment_name,
        "tags": ", ".join(metadata.tags),
        "python_version": metadata.python_version,
        "mlflow.note.content": metadata.description,
        "mlflow.source.git.commit": metadata.git_commit,
    }
    return {name: text for name, text in known.items() if text}


def _default_uri() -> str:
    """Where the script or its environment sends MLflow; else a database here.

    Also where there is a `./mlruns`: that is what MLflow would take, and from release 3.13 on refuse.
    """
    from mlflow import get_tracking_uri, is_tracking_uri_set  # noqa: PLC0415 - as above

    return get_tracking_uri() if is_tracking_uri_set() else "sqlite:///mlflow.db"  # type: ignore[no-untyped-call]


def _absolute(uri: str) -> str:
    """SQLite's file is found from the working directory at every connect, and a training may change that."""
    kind, is_file, path = uri.partition("sqlite:///")
    return f"sqlite:///{Path(path).absolute()}" if is_file and not kind and path and path != ":memory:" else uri


@contextlib.contextmanager
def _alone_with(uri: str) -> Iterator[None]:
    """One at a time makes a database's tables: two that start on a new file trip over each other's.

    The lock is on the folder, and leaves no file. It is given back outright: to close it would leave it with a child that was forked.
    """
    _, is_file, path = uri.partition("sqlite:///")
    if not is_file or path == ":memory:":
        yield
        return
    folder = Path(path).parent
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)
