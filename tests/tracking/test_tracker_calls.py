"""What the tracker is told: the store has it first, backends get it as plain values, on an axis that never goes back."""

import threading
from argparse import Namespace
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from onyxstore.errors import BadInput, BadMetric, BadName, CannotEncode, OnyxError
from onyxstore.tracking import fanout, tracker
from onyxstore.tracking.architecture import describe_model
from onyxstore.tracking.backends.base import TrackingBackendBase
from onyxstore.tracking.checkpoints import CheckpointManager
from onyxstore.tracking.gradients import measure_gradients
from onyxstore.tracking.tracker import create_experiment_tracker, experiment_context


@pytest.fixture
def model():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.ReLU(), torch.nn.Linear(2, 1))


def rows_of(run, name="loss"):
    series = run.metrics[name]
    return list(zip(series.epochs.tolist(), series.steps.tolist(), series.values.tolist(), strict=True))


# --------------------------------------------------------------------------------------------------------------- metrics


def test_three_epochs_whose_steps_restart_lose_no_row_anywhere(fed, recording, store_here):
    with experiment_context(fed) as tracker:
        for epoch in range(3):
            for step in range(10):
                tracker.log_metrics({"loss": epoch + step / 10}, step=step, epoch=epoch)
            tracker.log_metrics({"val_loss": epoch}, step=step, epoch=epoch)
    run = store_here().run("exp")
    assert rows_of(run) == [(epoch, step, epoch + step / 10) for epoch in range(3) for step in range(10)]
    got = recording.made[0].of("log_metrics")
    training = [(step, epoch, metrics["loss"]) for metrics, step, epoch in got if "loss" in metrics]
    assert training == [(10 * epoch + step, epoch, epoch + step / 10) for epoch in range(3) for step in range(10)]
    assert [(step, metrics) for metrics, step, _ in got if "val_loss" in metrics] == [(10 * n + 9, {"val_loss": n}) for n in range(3)]


def test_a_step_that_is_not_given_is_the_next_and_an_epoch_the_last(fed, recording, store_here):
    with experiment_context(fed) as tracker:
        tracker.log_metrics({"loss": 1.0})
        tracker.log_metrics({"loss": 2.0}, step=7, epoch=1.5)
        tracker.log_metrics({"loss": 3.0})
    assert [row[1:] for row in rows_of(store_here().run("exp"))] == [(0, 1.0), (7, 2.0), (8, 3.0)]
    assert recording.made[0].of("log_metrics") == [({"loss": 1.0}, 0, None), ({"loss": 2.0}, 7, 1.5), ({"loss": 3.0}, 8, 1.5)]


def test_backends_get_plain_numbers_as_of_the_call(fed, recording):
    with experiment_context(fed) as tracker:
        metrics = {"loss": torch.tensor(0.5), "n": np.int64(3), "val": {"acc": True}}
        tracker.log_metrics(metrics, step=np.int64(2))
        mutable = {"loss": 1.0}
        tracker.log_metrics(mutable, step=3)
        mutable["loss"] = 2.0
    got = recording.made[0].of("log_metrics")
    assert got == [({"loss": 0.5, "n": 3, "val/acc": True}, 2, None), ({"loss": 1.0}, 3, None)]
    assert [type(value) for value in got[0][0].values()] == [float, int, bool]


def test_what_is_no_number_is_refused_and_nobody_hears_of_it(fed, recording, store_here):
    with experiment_context(fed) as tracker:
        with pytest.raises(BadMetric):
            tracker.log_metrics({"loss": "low"})
        tracker.log_metrics({"loss": 1.0})
    assert (len(recording.made[0].of("log_metrics")), len(rows_of(store_here().run("exp")))) == (1, 1)


def test_no_metric_is_dropped_whatever_the_headline_is(config, store_here):
    with experiment_context(replace(config, log_metrics=["accuracy"], log_frequency=100)) as tracker:
        tracker.log_metrics({"loss": 1.0, "anything": 2.0}, step=7)
    assert set(store_here().run("exp").metrics) == {"loss", "anything"}


def test_threads_that_log_at_once_lose_nothing_and_backends_have_the_stores_order(fed, recording, store_here):
    def log(number):
        for step in range(200):
            tracker.log_metrics({f"loss{number}": float(step)}, step=step, epoch=number)

    with experiment_context(fed) as tracker:
        started = [threading.Thread(target=log, args=(number,)) for number in range(4)]
        for thread in started:
            thread.start()
        for thread in started:
            thread.join()
    run = store_here().run("exp")
    assert [rows_of(run, f"loss{n}") for n in range(4)] == [[(n, step, step) for step in range(200)] for n in range(4)]
    got = recording.made[0].of("log_metrics")
    assert [step for _, step, _ in got] == sorted({step for _, step, _ in got})
    stored = [
        (time, name, value) for name, curve in run.metrics.items() for time, value in zip(curve.times, curve.values.tolist(), strict=True)
    ]
    assert [next(iter(metrics.items())) for metrics, _, _ in got] == [each[1:] for each in sorted(stored)]


# ------------------------------------------------------------------------------------------------------- hyperparameters


def test_hyperparameters_are_a_config_of_the_commits_that_follow(fed, recording, store_here):
    nested = {"model": {"hidden": 768}, "betas": (0.9, 0.999)}
    with experiment_context(fed) as tracker:
        tracker.log_hyperparameters(nested)
        tracker.log_hyperparameters({"data": {"workers": 4}, "betas": [0.8]})
    run = store_here().run("exp")
    assert run.config["hyperparameters"] == {"model": {"hidden": 768}, "betas": [0.8], "data": {"workers": 4}}
    assert [commit.message for commit in run.commits] == ["start", "hyperparameters", "hyperparameters", "finish"]
    assert recording.made[0].of("log_hyperparameters") == [
        ({"model": {"hidden": 768}, "betas": [0.9, 0.999]},),
        ({"data": {"workers": 4}, "betas": [0.8]},),
    ]


@dataclass
class Settings:
    rate: float = 0.1


@pytest.mark.parametrize("value", [Settings(), {"rate": 0.1}, Namespace(rate=0.1)])
def test_hyperparameters_may_be_whatever_a_config_may_be(config, store_here, value):
    with experiment_context(config) as tracker:
        tracker.log_hyperparameters(value)
        tracker.log_hyperparameters({"inner": value})
    assert store_here().run("exp").config["hyperparameters"] == {"rate": 0.1, "inner": {"rate": 0.1}}


def test_secrets_among_hyperparameters_reach_neither_the_store_nor_backends(fed, recording, store_here):
    with experiment_context(fed) as tracker:
        tracker.log_hyperparameters({"api_key": "0123456789abcdef", "pad_token": "[PAD]"})
    masked = {"api_key": "<masked>", "pad_token": "[PAD]"}
    assert (store_here().run("exp").config["hyperparameters"], recording.made[0].of("log_hyperparameters")) == (masked, [(masked,)])


@pytest.mark.parametrize("value", [3, [1, 2], None])
def test_hyperparameters_have_names(config, value):
    with experiment_context(config) as tracker, pytest.raises(BadInput, match="^hyperparameters are values by name"):
        tracker.log_hyperparameters(value)


# ------------------------------------------------------------------------------------- images, texts, files, gradients


def test_images_are_pixels_for_backends_and_files_in_the_store(fed, recording, store_here):
    grey, batch = np.full((4, 5), 7, np.uint8), torch.zeros(2, 3, 4, 5)
    with experiment_context(fed) as tracker:
        tracker.log_metrics({"loss": 1.0}, step=100, epoch=2)
        tracker.log_images({"sample": grey, "batch": batch}, step=100)
        grey[:] = 0
        tracker.log_images({"sample": batch[0]})
    (first, place), (second, next_place) = recording.made[0].of("log_images")
    assert ({name: len(pictures) for name, pictures in first.items()}, place, next_place) == ({"sample": 1, "batch": 2}, 100, 101)
    assert (first["sample"][0].pixels[..., 0] == 7).all()
    assert second["sample"][0].pixels.shape == (4, 5, 3)
    names = [artifact.name for artifact in store_here().run("exp").latest.artifacts]
    assert names == ["images/sample.png", "images/batch/0.png", "images/batch/1.png", "images/sample.png"]


def test_what_is_no_picture_is_refused_before_anything_is_written(fed, recording, store_here):
    with experiment_context(fed) as tracker, pytest.raises(BadInput, match="bad"):
        tracker.log_images({"good": np.zeros((2, 2)), "bad": "text"})
    assert (store_here().run("exp").latest.artifacts, recording.made[0].of("log_images")) == ((), [])


def test_texts_are_texts_even_where_a_character_is_cut_in_half(fed, recording, store_here):
    with experiment_context(fed) as tracker:
        tracker.log_metrics({"loss": 1.0}, step=5)
        tracker.log_text({"sample": "a\ud83dß"}, step=9)
    run = store_here().run("exp")
    assert recording.made[0].of("log_text") == [({"sample": "a?ß"}, 9)]
    assert (run.latest.artifact_bytes("text/sample.txt"), run.latest.artifacts[0].step) == ("a?ß".encode(), 9)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda tracker: tracker.log_text("sample"), "log_text takes values by name, not a str"),
        (lambda tracker: tracker.log_text({"a": 3}), "log_text takes texts, and 'a' is a int"),
        (lambda tracker: tracker.log_images([1]), "log_images takes values by name, not a list"),
    ],
)
def test_what_has_no_name_or_is_no_text_is_refused(config, call, words):
    with experiment_context(config) as tracker, pytest.raises(BadInput) as caught:
        call(tracker)
    assert str(caught.value) == words


def test_an_artifact_reaches_backends_as_its_bytes_unless_no_queue_has_room_for_it(fed, recording, said, folder, monkeypatch):
    monkeypatch.setattr(tracker, "MOST_BYTES", 10)
    monkeypatch.setattr(fanout, "MOST_BYTES", 10)
    Path("small.txt").write_bytes(b"small")
    Path("large.txt").write_bytes(b"larger than that")
    with experiment_context(fed) as made:
        made.log_artifact("small.txt", "small.txt")
        made.flush()
        made.log_artifact("large.txt", Path("large.txt"))
        made.log_artifact("bytes", b"bytes")
        names = [artifact.name for artifact in made.run.commit("look").artifacts]
    assert names == ["small.txt", "large.txt", "bytes"]
    assert recording.made[0].of("log_artifact") == [("small.txt", b"small"), ("bytes", b"bytes")]
    assert said()[-1] == "backend 'mine' has missed 1 of 3 calls; the store has them all"


@pytest.mark.parametrize(("name", "content", "error"), [("../up", b"", BadName), ("a", "no_such_file", OnyxError)])
def test_an_artifact_that_cannot_be_kept_is_refused_and_nobody_hears_of_it(fed, recording, name, content, error):
    with experiment_context(fed) as tracker, pytest.raises(error):
        tracker.log_artifact(name, content)
    assert recording.made[0].of("log_artifact") == []


def test_gradients_are_measured_once_and_stand_beside_the_metrics_of_their_step(fed, recording, store_here, model):
    model(torch.ones(1, 3)).sum().backward()
    expected = measure_gradients(model)
    with experiment_context(fed) as tracker:
        tracker.log_metrics({"loss": 1.0}, step=100, epoch=1)
        tracker.log_gradients(model, step=100)
        model.zero_grad()
    ((got, place),) = recording.made[0].of("log_gradients")
    assert (got.total, got.norms, place) == (expected.total, expected.norms, 100)
    assert store_here().run("exp").metrics["gradients/total"].values.tolist() == [expected.total]


def test_an_architecture_reaches_backends_as_values(fed, recording, model):
    with experiment_context(fed) as tracker:
        tracker.log_model_architecture(model)
    assert recording.made[0].of("log_model_architecture") == [(describe_model(model),)]


def test_a_call_that_is_made_is_never_dropped_whatever_the_config_says(fed, store_here, model):
    quiet = replace(fed, log_gradients=False, log_hyperparameters=False, log_frequency=1000)
    with experiment_context(quiet) as tracker:
        tracker.log_gradients(model)
        tracker.log_hyperparameters({"a": 1})
        tracker.log_metrics({"loss": 1.0}, step=1)
    run = store_here().run("exp")
    assert (set(run.metrics), run.config["hyperparameters"]) == ({"gradients/total", "loss"}, {"a": 1})


# --------------------------------------------------------------------------------------------------------- checkpoints


def test_a_checkpoint_is_of_the_last_step_and_backends_hear_of_it_when_it_is_durable(fed, recording, model):
    def look(backend, checkpoint, step):
        backend.record("log_checkpoint", checkpoint, step, checkpoint.checkpoint_id in [commit.message for commit in tracker.run.commits])

    recording.log_checkpoint = look
    with experiment_context(fed) as tracker:
        tracker.log_metrics({"loss": 1.0}, step=7, epoch=2)
        path = tracker.save_checkpoint(model=model, metrics={"loss": 1.0}, is_best=True)
        assert tracker.load_checkpoint(model, path)["step"] == 7
    ((reference, place, was_there),) = recording.made[0].of("log_checkpoint")
    assert (reference.run, reference.step, reference.epoch, reference.metrics, reference.is_best) == ("exp", 7, 2, {"loss": 1.0}, True)
    assert (reference.path, place, was_there) == (path, 7, True)


def test_backends_do_not_hear_of_a_checkpoint_that_could_not_be_saved(fed, recording, monkeypatch, until):
    tracker = create_experiment_tracker(fed)
    tracker.start_experiment()
    tracker.log_metrics({"loss": 1.0})
    monkeypatch.setattr(tracker.run._recorder, "record", lambda _: (_ for _ in ()).throw(BadInput("the disk is gone")))
    path = tracker.save_checkpoint(state={"w": np.zeros(3)})
    until(tracker.checkpoint_manager.find_saving(path).handle.done)
    monkeypatch.undo()
    with pytest.raises(BadInput, match="the disk is gone"):
        tracker.end_experiment()
    assert [call[0] for call in recording.made[0].calls] == ["start_experiment", "log_metrics", "end_experiment"]


def test_a_state_that_cannot_be_encoded_is_refused_and_nobody_hears_of_it(fed, recording):
    with experiment_context(fed) as tracker, pytest.raises(CannotEncode):
        tracker.save_checkpoint(state={"w": object()})
    assert recording.made[0].of("log_checkpoint") == []


def test_checkpoints_load_without_a_start_and_after_the_end(config, model):
    with experiment_context(config) as tracker:
        path = tracker.save_checkpoint(model=model, step=3)
    other = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.ReLU(), torch.nn.Linear(2, 1))
    for each in (tracker, create_experiment_tracker(config)):
        assert each.load_checkpoint(model=other, checkpoint_path=path)["step"] == 3
        assert each.load_checkpoint(other, each.checkpoint_manager.get_latest_checkpoint("exp"))["step"] == 3
    assert torch.equal(other[0].weight, model[0].weight)


def test_a_manager_of_ones_own_may_save_and_load_as_it_likes(fed, recording):
    class Custom(CheckpointManager):
        def save_checkpoint(self, **kwargs):
            return f"mine:{sorted(name for name, value in kwargs.items() if value)}"

        def load_checkpoint(self, **kwargs):
            return sorted(kwargs)

    tracker = create_experiment_tracker(fed)
    tracker.checkpoint_manager = Custom(fed)
    with tracker:
        assert tracker.save_checkpoint(model="m", wait=True) == "mine:['model', 'wait']"
        assert tracker.load_checkpoint("m", "path") == ["checkpoint_path", "model", "optimizer", "scheduler"]
    assert recording.made[0].of("log_checkpoint") == []


# ------------------------------------------------------------------------------------------------- flush, slow, asking


def test_after_a_flush_the_store_and_the_backends_have_everything(fed, recording, store_here):
    with experiment_context(fed) as tracker:
        tracker.log_metrics({"loss": 1.0})
        tracker.save_checkpoint(state={"w": np.zeros(3)})
        tracker.flush()
        assert [call[0] for call in recording.made[0].calls] == ["start_experiment", "log_metrics", "log_checkpoint", "flush"]
        assert store_here().run("exp").latest.checkpoint is not None


def test_a_call_that_takes_long_is_said_and_again_when_it_takes_twice_as_long(config, said, monkeypatch):
    seconds = iter([0.0, 1.5, 10.0, 10.5, 20.0, 22.0, 30.0, 33.5, 40.0, 45.0])
    with experiment_context(config) as made:
        monkeypatch.setattr(tracker, "time", SimpleNamespace(perf_counter=lambda: next(seconds)))
        for _ in range(4):
            made.log_text({"a": "b"})
        made.save_checkpoint(state={"w": np.zeros(2)}, wait=True)
        monkeypatch.undo()
    assert said()[1:] == ["log_text took 1.5 s, while training waited", "log_text took 3.5 s, while training waited"]


def test_loops_are_told_when_to_log_and_when_to_save(config):
    tracker = create_experiment_tracker(replace(config, log_frequency=3, checkpoint_frequency=4))
    assert [step for step in range(10) if tracker.should_log(step)] == [0, 3, 6, 9]
    assert [step for step in range(10) if tracker.should_checkpoint(step)] == [0, 4, 8]
    assert not create_experiment_tracker(replace(config, save_checkpoints=False)).should_checkpoint(0)


def test_the_guides_backend_works(config, register, said):
    got = []

    class CustomBackend(TrackingBackendBase):
        def __init__(self, config):
            super().__init__(config)

        def start_experiment(self, metadata):
            got.append(metadata.experiment_id)

        def log_metrics(self, metrics, step):
            got.append((metrics, step))

        def end_experiment(self):
            got.append("ended")

    register("custom", CustomBackend)
    with experiment_context(replace(config, tracking_backend="custom", tracking_params={"url": "x"})) as tracker:
        tracker.log_metrics({"loss": 1.0}, step=4, epoch=1)
        tracker.log_text({"a": "b"})
    assert (got, said()[1:]) == (["exp", ({"loss": 1.0}, 4), "ended"], [])
