"""The store as a backend: what each call leaves in a run."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

import onyxstore as onyx
from onyxstore.configs.types import ExperimentConfig
from onyxstore.errors import BadName
from onyxstore.tracking.architecture import describe_model, encode_architecture
from onyxstore.tracking.backends.local import LocalBackend
from onyxstore.tracking.gradients import encode_gradients, measure_gradients
from onyxstore.tracking.media import encode_png, to_images
from onyxstore.tracking.metadata import ExperimentMetadata

CONFIG = ExperimentConfig(experiment_name="ads", project_name="p")
WHO = ExperimentMetadata("exp", "ads", "p", tags=["a", "a", "b"])


@pytest.fixture
def backend(folder):
    made = LocalBackend(CONFIG)
    made.start_experiment(WHO)
    yield made
    made.end_experiment()


@pytest.fixture
def model():
    made = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Linear(2, 1))
    made(torch.ones(1, 3)).sum().backward()
    return made


def artifacts(backend):
    """Every artifact so far: its name, kind, step, bytes."""
    commit = backend.run.commit("look")
    return [(each.name, each.kind, each.step, commit.artifact_bytes(each.name)) for each in commit.artifacts]


def test_a_label_that_is_said_twice_is_one(backend):
    assert backend.run.labels == ("a", "b")


def test_the_first_commit_holds_the_configs(backend):
    (first,) = backend.run.commits
    assert sorted(first.config) == ["experiment", "metadata"]


def test_a_picture_is_a_png_and_several_have_numbers(backend):
    one, two = to_images(np.zeros((4, 5), np.uint8)), to_images(np.zeros((2, 4, 5, 3), np.uint8))
    backend.log_images({"val/sample": one, "batch": two}, step=3)
    assert artifacts(backend) == [
        ("images/val/sample.png", "image", 3, encode_png(one[0])),
        ("images/batch/0.png", "image", 3, encode_png(two[0])),
        ("images/batch/1.png", "image", 3, encode_png(two[1])),
    ]


def test_a_text_is_a_file(backend):
    backend.log_text({"sample": "Schön…"}, step=3)
    assert artifacts(backend) == [("text/sample.txt", "text", 3, "Schön…".encode())]


@pytest.mark.parametrize("log", [LocalBackend.log_images, LocalBackend.log_text])
def test_a_name_that_no_file_can_have_is_refused_before_any_is_written(backend, log):
    content = to_images(np.zeros((4, 5))) if log is LocalBackend.log_images else "text"
    with pytest.raises(BadName):
        log(backend, {"good": content, "../bad": content}, 3)
    assert artifacts(backend) == []


def test_a_step_that_is_not_given_is_that_of_the_last_point(backend):
    backend.log_text({"early": "a"})
    backend.log_metrics({"loss": 1.0}, step=7, epoch=1)
    backend.log_text({"late": "b"})
    backend.log_artifact("file.bin", b"c")
    assert [(name, step) for name, _, step, _ in artifacts(backend)] == [("text/early.txt", None), ("text/late.txt", 7), ("file.bin", 7)]


def test_an_artifact_may_be_bytes_or_a_file(backend, folder):
    (folder / "plot.bin").write_bytes(b"from a file")
    backend.log_artifact("a.bin", b"bytes", step=1)
    backend.log_artifact("b.bin", folder / "plot.bin", step=2)
    backend.log_artifact("c.bin", "plot.bin")
    assert artifacts(backend) == [
        ("a.bin", "file", 1, b"bytes"),
        ("b.bin", "file", 2, b"from a file"),
        ("c.bin", "file", None, b"from a file"),
    ]


def test_gradients_are_norms_at_a_step_and_a_file_of_histograms(backend, model):
    gradients = measure_gradients(model)
    backend.log_metrics({"loss": 1.0}, step=7, epoch=2)
    backend.log_gradients(gradients)
    backend.log_gradients(gradients, step=9)
    curves = backend.run.metrics
    names = [f"gradients/{number}.{kind}" for number in (0, 1) for kind in ("weight", "bias")]
    assert sorted(set(curves) - {"loss"}) == sorted([*names, "gradients/total"])
    assert [(curves[name].steps.tolist(), curves[name].epochs.tolist()) for name in names] == [([7, 9], [2, 2])] * 4
    assert curves["gradients/total"].last == gradients.total
    assert artifacts(backend) == [("gradients.json", "histogram", step, encode_gradients(gradients)) for step in (7, 9)]


def test_gradients_before_any_point_are_of_step_0(backend, model):
    backend.log_gradients(measure_gradients(model))
    assert backend.run.metrics["gradients/total"].steps.tolist() == [0]


def test_an_architecture_is_two_files(backend, model):
    architecture = describe_model(model)
    backend.log_model_architecture(architecture)
    assert artifacts(backend) == [
        ("architecture.json", "architecture", None, encode_architecture(architecture)),
        ("architecture.txt", "text", None, str(model).encode()),
    ]
    assert json.loads(encode_architecture(architecture))["parameters"] == 11


# ------------------------------------------------------------------------------------------------------------- resuming


def started(*, resume, **changed):
    backend = LocalBackend(CONFIG, resume=resume)
    backend.start_experiment(replace(WHO, **changed))
    return backend


def test_a_resume_goes_on_with_the_newest_run_of_the_id(folder):
    for _ in range(2):
        started(resume=False).end_experiment()
    backend = started(resume=True)
    backend.end_experiment()
    assert (backend.run.name, [len(run.state.attempts) for run in onyx.Store.open().runs()]) == ("exp-2", [2, 1])


def test_a_resume_of_what_there_is_not_begins_it(folder):
    backend = started(resume=True)
    backend.end_experiment()
    assert (backend.run.name, backend.run.group, len(backend.run.state.attempts)) == ("exp", "exp", 1)


def test_the_rows_of_earlier_attempts_come_in_their_order_superseded_ones_too(folder):
    first = started(resume=False)
    for epoch, step in [(None, 3), (0, 0), (0, 1), (1, 0)]:
        first.log_metrics({"a": 1.0, "b": 2.0}, step, epoch)
        if (epoch, step) == (0, 0):
            first.run.save_checkpoint(state={"w": np.zeros(3)}, wait=True)
    first.end_experiment("failed")
    rows = [(3, None), (0, 0.0), (1, 0.0), (0, 1.0)]
    second = started(resume=True)
    assert list(second.earlier_rows()) == rows
    second.log_metrics({"c": 1.0}, 1, 0)
    second.end_experiment()
    third = started(resume=True)
    assert list(third.earlier_rows()) == [*rows, (1, 0.0)]
    third.end_experiment()
