"""Weights & Biases: a run of its own in `./wandb`, offline unless `mode` says otherwise; `wandb sync` uploads it later.

    log_metrics              a row at the step: NAME, and `epoch`
    log_hyperparameters      the run's config, nested
    log_model_architecture   files `artifacts/architecture.json` and `.txt`, the counts in the config under `architecture`
    log_gradients            in the row: numbers `gradients/NAME` and `gradients/total`, histograms `gradients/NAME/histogram`
    log_images               in the row: images NAME, or a list of them
    log_text                 in the row: NAME as preformatted HTML, which W&B shows by step
    log_artifact             a file `artifacts/NAME` among the run's files
    log_checkpoint           in the row: `checkpoint`, with what is known of it
    end_experiment           the exit code, 0 or 1, and `status` in the summary

A row gathers what comes at its step, and is closed by the next step or by `flush`. W&B drops what comes for a closed row, and of two
values of one name in a row the first; such things go into the next row instead.

Runs are used by themselves (`reinit="create_new"`), so the active run of a script that has one is left alone. Offline nothing is to
leave the machine: yet release 0.31 looks its server up for telemetry of its own, and waits for that at the exit where there is no
network, unless WANDB_ERROR_REPORTING is false. So it is set, where it isn't set to something, before W&B starts.
"""

from __future__ import annotations

import glob
import html
import inspect
import logging
import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from onyxstore.configs.types import ExperimentConfig
from onyxstore.errors import Refused
from onyxstore.tracking.architecture import encode_architecture
from onyxstore.tracking.backends.base import TrackingBackendBase
from onyxstore.tracking.backends.plain import plain_tree
from onyxstore.tracking.backends.table import params_for
from onyxstore.tracking.metadata import ExperimentMetadata
from onyxstore.tracking.recorded import Architecture, CheckpointReference, Gradients, Histogram, Image

_log = logging.getLogger("onyxstore")

WRITE_INTERVAL = 0.1
"""Seconds after which the service of W&B has a closed row in the file; its own 15 would lose as much when the machine fails."""
UPLOAD_TIMEOUT = 300.0
"""Seconds that the end of a run, and of the script, waits for an upload; `wandb sync` sends the rest. W&B's own default is for ever."""

_UPLOADING = frozenset({"online", "run", "shared"})
_MOST_BINS = 512
_LONGEST_TAG = 64
_NO_PROJECT = re.compile(r"[/\\#?%:]")
_PASSED_ON = frozenset({"dir", "entity", "group", "id", "job_type", "notes", "resume"})


class WandbBackend(TrackingBackendBase):
    """Writes a run of W&B's, by way of its service process."""

    name: ClassVar[str] = "wandb"
    known_params: ClassVar[frozenset[str]] = _PASSED_ON | {"mode", "project", "run_name", "settings"}
    """Those of `wandb.init`, where `run_name` is its `name`; `settings` are of `wandb.Settings`, and the last word."""

    def __init__(self, config: ExperimentConfig) -> None:
        super().__init__(config)
        self.params = params_for(self.name, type(self), config.tracking_params)
        self._step = 0
        self._names: set[str] = set()

    def start_experiment(self, metadata: ExperimentMetadata) -> None:
        """Starts the service, if it isn't there yet, and the run. Refused where it is to be online and nobody is logged in."""
        mode = self.params.get("mode", "offline")
        if mode not in _UPLOADING:
            os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        import wandb  # noqa: PLC0415 - 0.7 s, for those who use it

        if mode in _UPLOADING:
            _check_account(wandb)
        who = {"notes": metadata.description or None, **{name: self.params[name] for name in _PASSED_ON & self.params.keys()}}
        self._run: Any = wandb.init(
            **who,
            mode=mode,
            project=self.params.get("project") or _NO_PROJECT.sub("-", metadata.project_name)[:128],
            name=self.params.get("run_name") or metadata.experiment_id,
            tags=_tags(metadata.tags),
            reinit="create_new",
            config={"metadata": plain_tree(metadata)},
            settings=_settings(wandb, self.params.get("settings") or {}),
        )
        self._files = Path(self._run.dir)

    def log_metrics(self, metrics: Mapping[str, float], step: int, epoch: float | None = None) -> None:
        """Numbers, in the row."""
        self._add(metrics, step, {} if epoch is None else {"epoch": epoch})

    def log_hyperparameters(self, hyperparameters: Mapping[str, Any]) -> None:
        """The run's config; a later value takes an earlier one's place."""
        self._run.config.update(plain_tree(hyperparameters), allow_val_change=True)

    def log_model_architecture(self, architecture: Architecture) -> None:
        """Its modules and what it prints as, and the counts."""
        self.log_artifact("architecture.json", encode_architecture(architecture))
        self.log_artifact("architecture.txt", architecture.summary.encode())
        counts = {"name": architecture.name, "parameters": architecture.parameters, "trainable": architecture.trainable}
        self._run.config.update({"architecture": counts}, allow_val_change=True)

    def log_gradients(self, gradients: Gradients, step: int) -> None:
        """Norms and histograms, in the row."""
        norms = {"total": gradients.total, **gradients.norms}
        row: dict[str, Any] = {f"gradients/{name}": norm for name, norm in norms.items()}
        row |= {f"gradients/{name}/histogram": _histogram(each) for name, each in gradients.histograms.items()}
        self._add(row, step)

    def log_images(self, images: Mapping[str, Sequence[Image]], step: int) -> None:
        """Pictures, in the row. W&B cuts lists after 108, and shows what is not of one size askew: such ones are NAME/0 and so on."""
        from wandb import Image as Shown  # noqa: PLC0415 - as above

        row: dict[str, Any] = {}
        for name, pictures in images.items():
            shown = [_picture(each) for each in pictures]
            is_list = len(pictures) <= Shown.MAX_ITEMS and len({each.pixels.shape[:2] for each in pictures}) == 1
            if is_list:
                row[name] = shown if len(shown) > 1 else shown[0]
            else:
                row |= {f"{name}/{number}": each for number, each in enumerate(shown)}
        self._add(row, step)

    def log_text(self, texts: Mapping[str, str], step: int) -> None:
        """Texts, in the row. HTML drops a line's end right after `<pre>`, so there is one to be dropped."""
        from wandb import Html  # noqa: PLC0415 - as above

        self._add({name: Html(f"<pre>\n{html.escape(text)}</pre>", inject=False) for name, text in texts.items()}, step)

    def log_artifact(self, name: str, content: bytes) -> None:
        """A file of the run's. An Artifact of W&B's would be kept in the user's home, and is for what has editions."""
        path = self._files / "artifacts" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        self._run.save(glob.escape(str(path)), base_path=str(self._files), policy="now")

    def log_checkpoint(self, checkpoint: CheckpointReference, step: int) -> None:
        """What is known of it, in the row."""
        self._add({"checkpoint": plain_tree(checkpoint)}, step)

    def flush(self) -> None:
        """Closes the row; within WRITE_INTERVAL it is in the file."""
        if self._names:
            self._run.log({}, step=self._step, commit=True)
            self._step, self._names = self._step + 1, set()

    def end_experiment(self, status: str = "finished") -> None:
        """Ends the run: W&B knows success and failure."""
        self._run.summary["status"] = status
        self._run.finish(exit_code=0 if status == "finished" else 1)

    def _add(self, values: Mapping[str, Any], step: int, beside: Mapping[str, Any] | None = None) -> None:
        """Puts values into the row of the step; into a later one where that is closed, or has one of the names."""
        place = max(step, self._step)
        if place == self._step and not self._names.isdisjoint(values):
            place += 1
        if place > self._step:
            self._step, self._names = place, set()
        self._names |= values.keys()
        self._run.log({**(beside or {}), **values}, step=place)


def _settings(wandb: Any, given: Mapping[str, Any]) -> Any:
    """W&B's settings: as quiet as can be, and nothing of the script's output redirected, least of all from another thread."""
    wanted = {
        "silent": True,
        "console": "off",
        "finish_timeout": UPLOAD_TIMEOUT,
        "x_transaction_log_flush_interval": WRITE_INTERVAL,
    }
    known = {name: value for name, value in wanted.items() if name in wandb.Settings.model_fields}
    return wandb.Settings(**{**known, **given})


def _check_account(wandb: Any) -> None:
    """Refused when there is none: W&B would ask for its key on the terminal, in the midst of a training."""
    can_ask_quietly = "prompt" in inspect.signature(wandb.login).parameters
    if wandb.run is None and can_ask_quietly and not wandb.login(prompt=False, verify=False):
        raise Refused("W&B has no account to log in with; run 'wandb login', set WANDB_API_KEY, or leave mode: online out")


def _tags(tags: Sequence[str]) -> list[str]:
    """The tags that W&B takes: of 1 to 64 characters, each once."""
    cut = [tag[:_LONGEST_TAG] for tag in tags if tag]
    if any(len(tag) > _LONGEST_TAG for tag in tags):
        _log.warning("W&B has tags of %d characters at most; longer ones are cut there", _LONGEST_TAG)
    return list(dict.fromkeys(cut))


def _picture(image: Image) -> Any:
    """A picture of W&B's, by way of PIL's: of arrays it drops axes of length 1, and reads one row of RGB as a grey picture."""
    from PIL.Image import fromarray  # noqa: PLC0415 - an extra
    from wandb import Image as Shown  # noqa: PLC0415 - as above

    return Shown(fromarray(image.pixels[..., 0] if image.pixels.shape[2] == 1 else image.pixels))


def _histogram(histogram: Histogram) -> Any:
    """A histogram of W&B's, which has 512 bins at most: neighbours are put together."""
    from wandb import Histogram as Shown  # noqa: PLC0415 - as above

    width = math.ceil(len(histogram.counts) / _MOST_BINS) or 1
    starts = np.arange(0, len(histogram.counts), width)
    counts = np.add.reduceat(histogram.counts, starts) if starts.size else histogram.counts
    return Shown(np_histogram=(counts, np.append(histogram.edges[starts], histogram.edges[-1])))
