"""What the guide's samples promise, by their headings: the scene before one runs where it needs a certain one, and a look at what it did.

A promise is a generator over the namespace of the samples. It yields once, gets what the sample printed, and asserts.
"""

import copy
import io
import json
import logging
import re
import subprocess
import sys
from collections.abc import Callable, Generator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import onyxstore as onyx
from tests.guide.samples import Sample, run_sample
from tests.guide.stage import BATCHES, Classifier

Names = dict[str, Any]
Look = Generator[None, str, None]
Promise = Callable[[Names, Sample], Look]

PROMISES: dict[str, Promise] = {}

TYPES = ["data", "deployment", "experiment", "model", "optimization", "training"]
EPOCHS = 10


def promise(heading: str) -> Callable[[Promise], Promise]:
    return lambda made: PROMISES.setdefault(heading, made)


# --------------------------------------------------------------------------------------------------------------- configs


@promise("Creating Default Configurations")
def six_files_are_made_and_listed(names: Names, _: Sample) -> Look:
    printed = yield
    check_six_files("ad_classification")
    first, *lines = printed.splitlines()
    listed = dict(re.fullmatch(r"  (\w+): (.+)", line).groups() for line in lines)
    assert first == "Created configuration files:"
    assert {kind: Path(file).name for kind, file in listed.items()} == {kind: f"ad_classification_{kind}_config.yaml" for kind in TYPES}
    assert all(Path(file).is_file() for file in listed.values())


@promise("Loading Configurations")
def each_config_is_of_its_type_and_the_summary_is_json(names: Names, _: Sample) -> Look:
    printed = yield
    loaded = {kind: type(names[f"{kind}_config"]).__name__ for kind in TYPES}
    assert loaded == {kind: f"{kind.capitalize()}Config" for kind in TYPES}
    assert json.loads(printed.removeprefix("Configuration Summary:\n")) == names["summary"]


@promise("Updating Configurations")
def three_values_change_and_nothing_else(names: Names, _: Sample) -> Look:
    file = Path("configs/ad_classification_training_config.yaml")
    before = file.read_text().splitlines()
    yield
    after = file.read_text().splitlines()
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert [new.partition(":")[0] for _, new in changed] == ["batch_size", "learning_rate", "epochs"]
    assert [old.partition("#")[2] for old, _ in changed] == [new.partition("#")[2] for _, new in changed]
    training = names["config_manager"].load_all_configs("ad_classification")["training"]
    assert (training.batch_size, training.learning_rate, training.epochs) == (64, 1e-4, 20)


@promise("Validating Configurations")
def all_six_are_valid(names: Names, _: Sample) -> Look:
    printed = yield
    assert sorted(printed.splitlines()) == [f"{kind} config is valid: True" for kind in TYPES]


@promise("Configuration Loading Errors")
def missing_files_are_said_and_made(names: Names, _: Sample) -> Look:
    printed = yield
    assert printed.startswith("Configuration files not found: ")
    assert len(printed.splitlines()) == 1
    check_six_files("project_name")


def check_six_files(project: str) -> None:
    assert sorted(file.name for file in Path("configs").glob(f"{project}_*")) == [f"{project}_{kind}_config.yaml" for kind in TYPES]


# --------------------------------------------------------------------------------------------------------------- tracker


@promise("Basic Setup")
def a_run_begins_in_the_store_and_in_wandb(names: Names, _: Sample) -> Look:
    yield
    names["tracker"].flush()
    run = onyx.Store.open().run("exp_001")
    assert (run.status, run.group, run.labels) == ("running", "exp_001", ("transformer", "classification", "v1"))
    assert run.config["metadata"]["description"] == "BERT-based ad classification model"
    assert (run.config["metadata"]["git_commit"], run.config["metadata"]["python_version"]) == ("abc123", "3.9.0")
    assert run.config["experiment"]["tracking_backend"] == "wandb"
    assert len(list(Path("wandb").glob("offline-run-*"))) == 1


@promise("Using Context Manager")
def every_batch_is_a_point_and_each_epoch_a_checkpoint(names: Names, _: Sample) -> Look:
    others = {run.name for run in onyx.Store.open().runs()}
    offline = set(Path("wandb").glob("offline-run-*"))
    yield
    (run,) = (run for run in onyx.Store.open().runs() if run.name not in others)
    assert (run.status, run.group) == ("finished", "exp_001")
    moments = [(epoch, batch) for epoch in range(EPOCHS) for batch in range(BATCHES)]
    assert moments_of(run.metrics["loss"]) == moments_of(run.metrics["accuracy"]) == moments
    assert run.metrics["loss"].last == names["loss"].item()
    saved = [commit for commit in run.commits if commit.message.startswith("checkpoint_epoch_")]
    assert [(commit.epoch, commit.step) for commit in saved] == [(epoch, 0) for epoch in range(EPOCHS)]
    kept = [commit.message for commit in saved if not commit.checkpoint.is_pruned]
    assert kept == [commit.message for commit in saved][-len(kept) :]
    assert len(kept) == names["experiment_config"].max_checkpoints
    assert set(kept) <= {file.stem for file in Path("checkpoints").iterdir()}
    (new,) = set(Path("wandb").glob("offline-run-*")) - offline
    assert rows_of_wandb(new) == len(moments)


def moments_of(series: onyx.Series) -> list[tuple[float, int]]:
    """Epoch and step of each point."""
    return list(zip(series.epochs.tolist(), series.steps.tolist(), strict=True))


def rows_of_wandb(folder: Path) -> int:
    """How many rows with a loss W&B's own reader finds in an offline run; it reads until the run's end is there."""
    import wandb  # noqa: PLC0415 - it takes a second, and not every guide feeds W&B

    (file,) = folder.glob("*.wandb")
    reader = Path(wandb.__file__).parent / "bin" / "wandb-core"
    options = ["-json", "-follow", "-idle-timeout", "60s", "-no-observability", "-run-file", file]
    read = subprocess.run([reader, "leet", "inspect", *options, folder.parent], stdout=subprocess.PIPE, check=True)
    records = [json.loads(line) for line in read.stdout.splitlines()]
    return sum("loss" in record["history"]["item"] for record in records if record["type"] == "history")


@promise("Metrics Logging")
def both_calls_are_points_of_one_moment(names: Names, _: Sample) -> Look:
    yield
    points = {name: series.last for name, series in names["tracker"].run.metrics.items()}
    assert points == {
        "train_loss": 0.5,
        "train_accuracy": 0.85,
        "val_loss": 0.6,
        "val_accuracy": 0.82,
        "learning_rate": 1e-4,
        "f1_score": 0.78,
        "precision": 0.81,
        "recall": 0.75,
        "auc": 0.92,
    }
    assert {(*each.steps, *each.epochs) for each in names["tracker"].run.metrics.values()} == {(100, 5)}


@promise("Hyperparameters Logging")
def hyperparameters_are_a_config_of_the_run(names: Names, _: Sample) -> Look:
    yield
    assert names["tracker"].run.config["hyperparameters"] == names["hyperparameters"]


@promise("Model Architecture Logging")
def the_modules_are_kept_with_their_parameters(names: Names, _: Sample) -> Look:
    yield
    kept = artifacts(names)
    described = json.loads(kept["architecture.json"])
    assert described["parameters"] == sum(each.numel() for each in names["model"].parameters())
    assert kept["architecture.txt"].decode() == str(names["model"])


@promise("Gradient Logging")
def gradients_are_logged_where_that_is_enabled(names: Names, sample: Sample) -> Look:
    yield
    assert "gradients/total" not in names["tracker"].run.metrics
    run_sample(sample, names | {"training_config": replace(names["training_config"], log_gradients=True)})
    total = names["tracker"].run.metrics["gradients/total"]
    norm = torch.nn.utils.get_total_norm([each.grad for each in names["model"].parameters()]).item()
    assert (total.steps.tolist(), total.last) == ([100], pytest.approx(norm, rel=1e-5))
    assert "gradients.json" in artifacts(names)


@promise("Image Logging")
def every_picture_is_a_file(names: Names, _: Sample) -> Look:
    yield
    kept = artifacts(names, "image", 100)
    sizes = {name: Image.open(io.BytesIO(content)).size for name, content in kept.items()}
    figure = names["confusion_matrix_plot"]
    assert sizes == {
        **{f"images/sample_predictions/{number}.png": (16, 16) for number in range(4)},
        **{f"images/attention_maps/{number}.png": (8, 8) for number in range(2)},
        "images/confusion_matrix.png": tuple(int(side * figure.dpi) for side in figure.get_size_inches()),
    }


@promise("Text Logging")
def every_text_is_a_file(names: Names, _: Sample) -> Look:
    yield
    kept = artifacts(names, "text", 100)
    assert kept == {f"text/{name}.txt": text.encode() for name, text in names["text_data"].items()}


def artifacts(names: Names, kind: str | None = None, step: int | None = None) -> dict[str, bytes]:
    """What the run has kept by now, or that of a kind and step."""
    now = names["tracker"].run.commit("a look at what is there")
    return {
        each.name: now.artifact_bytes(each.name)
        for each in now.artifacts
        if kind in {None, each.kind} and step in {None, each.step}
    }


# ----------------------------------------------------------------------------------------------------------- checkpoints


@promise("Saving Checkpoints")
def both_are_saved_and_the_second_is_best(names: Names, _: Sample) -> Look:
    yield
    names["tracker"].flush()
    manager = names["tracker"].checkpoint_manager
    infos = {info["checkpoint_id"]: info for info in manager.get_checkpoint_info("exp_001")}
    ids = [Path(str(names[name])).stem for name in ("checkpoint_path", "best_checkpoint_path")]
    assert [infos[each]["is_best"] for each in ids] == [False, True]
    metrics = {"loss": names["loss"].item(), "accuracy": names["accuracy"].item()}
    assert [infos[each]["metrics"] for each in ids] == [metrics, metrics]


@promise("Loading Checkpoints")
def the_weights_come_back(names: Names, _: Sample) -> Look:
    saved = state_of(names)
    spoil(names["model"])
    names["optimizer"].state.clear()
    printed = yield
    assert state_of(names) == saved
    latest, best = printed.splitlines()
    assert latest == "Loaded checkpoint from epoch 5"
    assert best == f"Loaded best checkpoint with metrics: {names['checkpoint_info']['metrics']}"


@promise("Checkpoint Information")
def every_checkpoint_is_listed(names: Names, _: Sample) -> Look:
    printed = yield
    infos = names["checkpoint_infos"]
    assert len(infos) >= 2
    assert printed.splitlines() == [
        line
        for info in infos
        for line in [
            f"Checkpoint: {info['checkpoint_id']}",
            f"  Epoch: {info['epoch']}",
            f"  Step: {info['step']}",
            f"  Metrics: {info['metrics']}",
            f"  Is Best: {info['is_best']}",
            f"  File Size: {info['file_size']} bytes",
        ]
    ]
    assert [(info["epoch"], info["step"], info["file_size"] > 0) for info in infos] == [(5, 100, True)] * len(infos)


@promise("Checkpoint Structure")
def what_is_loaded_has_these_keys(names: Names, _: Sample) -> Look:
    yield
    loaded = names["tracker"].load_checkpoint(names["model"], names["checkpoint_path"])
    assert set(names["checkpoint_data"]) - set(loaded) == set()
    assert re.fullmatch(r"checkpoint_epoch_5_step_100_\d{8}_\d{6}(_best)?(-\d+)?", loaded["checkpoint_id"])


@promise("Checkpoint Issues")
def a_checkpoint_loads_and_one_that_does_not_fit_is_said(names: Names, sample: Sample) -> Look:
    spoil(names["model"])
    printed = yield
    assert (printed, names["checkpoint_info"]["checkpoint_id"]) == ("", Path(str(names["checkpoint_path"])).stem)
    assert any(each.abs().sum() > 0 for each in names["model"].parameters())
    with pytest.raises(onyx.OnyxError):
        run_sample(sample, names | {"model": Classifier(hidden=5)})


def state_of(names: Names) -> list[Any]:
    """The weights, what the optimizer knows of each, and where the schedule is."""
    weights = [each.tolist() for each in names["model"].parameters()]
    moments = [(each["step"].item(), each["exp_avg"].tolist()) for each in names["optimizer"].state.values()]
    return [weights, moments, names["scheduler"].last_epoch]


def spoil(model: torch.nn.Module) -> None:
    with torch.no_grad():
        for each in model.parameters():
            each.zero_()


@promise("Custom Checkpoint Formats")
def a_manager_of_ones_own_saves_what_the_tracker_is_asked_to(names: Names, _: Sample) -> Look:
    yield
    tracker = onyx.create_experiment_tracker(onyx.ExperimentConfig(experiment_id="own_format"))
    tracker.checkpoint_manager = names["CustomCheckpointManager"](tracker.config)
    with tracker:
        assert tracker.save_checkpoint(model=names["model"], metrics={"loss": 0.5}) is None
        assert tracker.load_checkpoint(names["model"], "wherever") is None
    assert onyx.Store.open().run("own_format").latest.checkpoint is None


# ------------------------------------------------------------------------------------------- loops, troubles, what is own


@promise("Basic Integration")
def the_function_trains_and_everything_is_there(names: Names, _: Sample) -> Look:
    others = {run.name for run in onyx.Store.open().runs()}
    yield
    configs = names["configs"]
    names["train_with_tracking"](names["model"], names["train_loader"], names["val_loader"], configs)
    (run,) = (run for run in onyx.Store.open().runs() if run.name not in others)
    assert (run.status, re.sub(r"\d", "0", run.name)) == ("finished", "exp_00000000_000000")
    sections = ["model", "training", "data", "optimization"]
    assert run.config["hyperparameters"] == json.loads(json.dumps({each: asdict(configs[each]) for each in sections}))
    assert "architecture.json" in {each.name for each in run.latest.artifacts}
    assert moments_of(run.metrics["train_loss"]) == [(epoch, 0) for epoch in range(EPOCHS)]
    assert moments_of(run.metrics["val_loss"]) == [(epoch, BATCHES - 1) for epoch in range(EPOCHS)]
    assert run.best.values["val_loss"] == run.metrics["val_loss"].min
    assert "_best" in run.best.message


@promise("Experiment Tracking Issues")
def a_backend_that_is_not_installed_is_said_and_the_store_takes_its_place(names: Names, sample: Sample) -> Look:
    printed = yield
    assert printed == ""
    missing = names | {"experiment_config": copy.copy(names["experiment_config"])}
    said: list[str] = []
    missing["print"] = said.append
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "wandb", None)
        run_sample(sample, missing)
    why = "tracking backend 'wandb' needs the package wandb: it is not installed; pip install 'onyxstore[wandb]'"
    assert said == [f"Tracking backend not available: {why}"]
    assert missing["tracker"].config.tracking_backend == "local"


@promise("Performance Monitoring")
def a_call_is_quick(names: Names, _: Sample) -> Look:
    said: list[logging.LogRecord] = []
    names["logger"].addFilter(said.append)
    yield
    point = names["tracker"].run.metrics["loss"]
    assert (point.steps.tolist(), point.last, said) == ([names["step"]], names["metrics"]["loss"], [])


@promise("Custom Tracking Backends")
def a_backend_of_ones_own_is_fed(names: Names, _: Sample) -> Look:
    yield
    told: list[object] = []

    class Telling(names["CustomBackend"]):
        def start_experiment(self, metadata):
            super().start_experiment(metadata)
            told.append(metadata.experiment_id)

        def log_metrics(self, metrics, step):
            super().log_metrics(metrics, step)
            told.append((metrics, step))

        def end_experiment(self):
            super().end_experiment()
            told.append("ended")

    onyx.register_backend("telling", Telling)
    onyx.register_backend("custom", names["CustomBackend"])
    config = onyx.ExperimentConfig(experiment_id="own_backend", tracking_backend=["custom", "telling"])
    with onyx.experiment_context(config) as tracker:
        tracker.log_metrics({"loss": 0.5}, step=0, epoch=0)
        tracker.log_metrics({"loss": 0.4}, step=0, epoch=1)
    assert told == ["own_backend", ({"loss": 0.5}, 0), ({"loss": 0.4}, 1), "ended"]
