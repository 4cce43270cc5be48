"""TensorBoard: an event file in `./runs/EXPERIMENT_ID`, with the kinds of summaries that torch's SummaryWriter writes.

    log_metrics              scalars NAME, and `epoch`
    log_hyperparameters      the HParams dashboard, and the text `hyperparameters` with the whole tree as YAML
    log_model_architecture   the text `architecture`
    log_gradients            scalars `gradients/NAME` and `gradients/total`, histograms `gradients/NAME/histogram`
    log_images               images NAME; of several NAME/0 and so on
    log_text                 texts NAME
    log_artifact             a file `artifacts/NAME` beside the event file
    log_checkpoint           the text `checkpoint`
    end_experiment           the text `status`, and the end of the session in the HParams dashboard

A scalar is a float32, as it is for SummaryWriter: 7 digits, and beyond 3.4e38 infinite. `double_precision: true` writes float64, as
tensors: TensorBoard shows them alike, but `EventAccumulator.Scalars`, which many scripts read with, doesn't find them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from onyxstore.configs.types import ExperimentConfig
from onyxstore.names import run_name_from
from onyxstore.tracking.backends.base import TrackingBackendBase
from onyxstore.tracking.backends.plain import Leaf, flatten, plain_tree
from onyxstore.tracking.backends.table import params_for
from onyxstore.tracking.metadata import ExperimentMetadata
from onyxstore.tracking.recorded import Architecture, CheckpointReference, Gradients, Image
from onyxstore.yaml12 import write_yaml


class TensorBoardBackend(TrackingBackendBase):
    """Writes an event file. Each call is in the file when it returns, but what the HParams dashboard shows."""

    name: ClassVar[str] = "tensorboard"
    known_params: ClassVar[frozenset[str]] = frozenset({"double_precision", "log_dir"})
    """`log_dir` is the folder of all runs, what `tensorboard --logdir` is given; `double_precision`, whether scalars are float64."""

    def __init__(self, config: ExperimentConfig) -> None:
        from onyxstore.tracking.backends import event_file  # noqa: PLC0415 - it imports the library

        super().__init__(config)
        self.params = params_for(self.name, type(self), config.tracking_params)
        self._events = event_file
        self._encode_scalar = event_file.encode_double if self.params.get("double_precision") else event_file.encode_scalar
        self._hyperparameters: dict[str, Leaf] = {}
        self._is_session_known = False
        self._kinds: dict[str, str] = {}
        self._step = 0
        self._epoch_at: int | None = None

    def start_experiment(self, metadata: ExperimentMetadata) -> None:
        """Makes a folder of the run's own, `ID-2` and so on where it is taken, and says in it who the run is."""
        self._folder = _make_folder(Path(self.params.get("log_dir", "runs")).absolute(), run_name_from(metadata.experiment_id))
        self._file = self._events.EventFile(self._folder)
        self._write([self._text("experiment", _fenced(plain_tree(metadata)))])

    def log_metrics(self, metrics: Mapping[str, float], step: int, epoch: float | None = None) -> None:
        """A scalar each."""
        values = metrics if epoch is None or step == self._epoch_at else {"epoch": epoch, **metrics}
        self._epoch_at = step
        self._write([self._scalar(name, value) for name, value in values.items()], step)

    def log_hyperparameters(self, hyperparameters: Mapping[str, Any]) -> None:
        """A text, whole, and flat for the HParams dashboard: it takes what is written first, so all until the first step are gathered."""
        self._hyperparameters |= flatten(hyperparameters)
        self._write([self._text("hyperparameters", _fenced(plain_tree(hyperparameters)))])

    def log_model_architecture(self, architecture: Architecture) -> None:
        """What the model prints as, and a table of its modules."""
        count = f"{architecture.name}: {architecture.parameters:,} parameters, {architecture.trainable:,} of them trained"
        rows = [f"| `{each.name}` | {each.kind} | {each.parameters:,} | {each.trainable:,} |" for each in architecture.modules]
        table = "\n".join(["| module | class | parameters | trained |", "| --- | --- | --- | --- |", *rows])
        self._write([self._text("architecture", f"{count}\n\n```\n{architecture.summary}\n```\n\n{table}")])

    def log_gradients(self, gradients: Gradients, step: int) -> None:
        """Norms as scalars, and the histograms."""
        norms = {"total": gradients.total, **gradients.norms}
        scalars = [self._scalar(f"gradients/{name}", norm) for name, norm in norms.items()]
        histograms = {self._tag(f"gradients/{name}/histogram", "histogram"): each for name, each in gradients.histograms.items()}
        self._write([*scalars, *(self._events.encode_histogram(tag, each) for tag, each in histograms.items())], step)

    def log_images(self, images: Mapping[str, Sequence[Image]], step: int) -> None:
        """PNGs, pixel by pixel."""
        for name, pictures in images.items():
            for number, picture in enumerate(pictures):
                tag = self._tag(name if len(pictures) == 1 else f"{name}/{number}", "image")
                self._write([self._events.encode_image(tag, picture)], step)

    def log_text(self, texts: Mapping[str, str], step: int) -> None:
        """Texts, which TensorBoard renders as Markdown."""
        self._write([self._text(name, text) for name, text in texts.items()], step)

    def log_artifact(self, name: str, content: bytes) -> None:
        """A file: an event file has no place for one."""
        path = self._folder / "artifacts" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def log_checkpoint(self, checkpoint: CheckpointReference, step: int) -> None:
        """What is known of it, as a text."""
        self._write([self._text("checkpoint", _fenced(plain_tree(checkpoint)))], step)

    def flush(self) -> None:
        """Writes what the HParams dashboard shows."""
        if self._hyperparameters and not self._is_session_known:
            self._is_session_known = True
            self._file.write(self._events.encode_session(self._hyperparameters), self._step)

    def end_experiment(self, status: str = "finished") -> None:
        """Says how it ended, and closes the file."""
        self.flush()
        self._write([self._text("status", status), self._events.encode_session_end(is_success=status == "finished")])
        self._file.close()

    def _write(self, values: Sequence[Any], step: int | None = None) -> None:
        """Without a step, at the last one."""
        if step is not None:
            self.flush()
            self._step = step
        self._file.write(values, self._step)

    def _scalar(self, name: str, value: float) -> Any:
        return self._encode_scalar(self._tag(name, "scalar"), value)

    def _text(self, name: str, text: str) -> Any:
        return self._events.encode_text(name, text)

    def _tag(self, name: str, kind: str) -> str:
        """TensorBoard shows a tag as what it was first: a picture that is called like a scalar would not be seen."""
        return name if self._kinds.setdefault(name, kind) == kind else f"{name}/{kind}"


def _make_folder(above: Path, name: str) -> Path:
    """A new folder: two runs in one would be one curve that goes back and forth."""
    folder, number = above / name, 1
    while True:
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            number += 1
            folder = above / f"{name}-{number}"
        else:
            return folder


def _fenced(tree: Any) -> str:
    """A tree as YAML, in the marks that keep Markdown from running its lines together."""
    return f"```\n{write_yaml(tree).decode()}```"
