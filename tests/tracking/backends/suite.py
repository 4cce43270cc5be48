"""What every backend promises, fed to it as a tracker feeds it and read back with its library's own reader.

A backend's test file subclasses `BackendSuite`: its class, and how `Kept` is read. What a library cannot hold it says by overriding
one of the few attributes that say so.
"""

import contextlib
import math
import os
import subprocess
import sys
from abc import ABC, abstractmethod
from datetime import UTC, datetime
from typing import ClassVar

import numpy as np
import pytest

from onyxstore.configs.types import ExperimentConfig
from onyxstore.tracking.metadata import ExperimentMetadata
from onyxstore.tracking.recorded import Architecture, CheckpointReference, Gradients, Histogram, Image, Module

RNG = np.random.default_rng(0)


def picture(height, width, channels):
    return Image(RNG.integers(0, 256, (height, width, channels), dtype=np.uint8))


HYPERPARAMETERS = {
    "model": {"name": "bert", "hidden sizes": [512, 256], "batch_norm": True, "head": None, "extra": {}},
    "größe": {"lr": 2e-5, "epochs": 10},
    "note": "ü/ö\nsecond line",
}
"""Nested, with kinds that many libraries turn into text."""

FLAT = {
    "model/name": "bert",
    "model/hidden sizes": "[512, 256]",
    "model/batch_norm": "True",
    "model/head": "None",
    "model/extra": "{}",
    "größe/lr": "2e-05",
    "größe/epochs": "10",
    "note": "ü/ö\nsecond line",
}

ARCHITECTURE = Architecture(
    name="Net",
    summary="Net(\n  (encoder): Linear(in_features=3, out_features=4)\n)",
    modules=(Module("encoder", "Linear", 16, 12),),
    parameters=16,
    trainable=12,
)

GRADIENTS = Gradients(
    total=1.25,
    norms={"encoder.weight": 0.75, "encoder.bias": 1.0},
    histograms={
        "encoder.weight": Histogram(np.array([0, 3, 0, 5, 0]), np.linspace(-1, 1, 6), nonfinite=2),
        "encoder.bias": Histogram(np.array([2**40, 1]), np.array([-0.5, 0.0, 0.5])),
    },
)

IMAGES = {
    "grey": [picture(5, 7, 1)],
    "plots/RGB": [picture(6, 4, 3)],
    "größe/rgba": [picture(3, 3, 4)],
    "one row": [picture(1, 300, 3)],
    "many": [picture(4, 4, 3), picture(4, 4, 3)],
    "unlike": [picture(4, 4, 3), picture(2, 2, 1)],
}

TEXTS = {
    "samples/prediction": "\n  first\r\n<b>bold</b> & *ü* &lt; 😀\n\nend",
    "long": "0123456789abcdef" * 65536,
}

ARTIFACT = "tables/late results [1].bin"
CONTENT = bytes(range(256)) * 3

CHECKPOINT = CheckpointReference(
    checkpoint_id="checkpoint_epoch_2_step_9_20240115_103000_best",
    run="exp_001",
    step=9,
    epoch=2,
    metrics={"val/loss": 0.5},
    is_best=True,
    path="/data/checkpoints/checkpoint_epoch_2_step_9_20240115_103000_best.json",
)

METADATA = ExperimentMetadata(
    experiment_id="exp_001",
    experiment_name="ads",
    project_name="ad_classification",
    created_at=datetime(2024, 1, 15, 10, 30, tzinfo=UTC),
    tags=["transformer", "v1"],
    description="BERT for ads",
    git_commit="abc123",
    python_version="3.11.7",
)

LOSSES = [(step, (60 - step) / 8) for step in range(30)]
"""Eighths: a float32 holds them exactly."""

ODD_NAMES = ["größe/früh", "a.b", "with space", "loss@1 (%)"]


class Kept(ABC):
    """What a library's own reader finds of one run."""

    @abstractmethod
    def points(self, name) -> list[tuple[int, float]]:
        """(step, value) of a metric, in order."""

    @abstractmethod
    def hyperparameters(self) -> dict[str, str]:
        """The flat ones, as text."""

    @abstractmethod
    def images(self, name) -> list[np.ndarray]:
        """The pixels under a name, of shape (height, width, channels)."""

    @abstractmethod
    def text(self, name) -> str: ...

    @abstractmethod
    def histogram(self, parameter) -> tuple[list[int], list[float]]:
        """The counts of the bins from the first to the last full one, and their edges."""

    @abstractmethod
    def artifact(self, name) -> bytes: ...

    @abstractmethod
    def architecture(self) -> str:
        """All that is kept of it, as one text."""

    @abstractmethod
    def checkpoint(self) -> dict: ...

    @abstractmethod
    def identity(self) -> str:
        """All that is kept of who the run is, as one text."""

    @abstractmethod
    def status(self) -> tuple[str, str]:
        """The library's own word for how the run ended, and ours."""


def feed(backend):
    """One run, with something of everything."""
    backend.log_hyperparameters(HYPERPARAMETERS)
    backend.log_model_architecture(ARCHITECTURE)
    for step, loss in LOSSES:
        backend.log_metrics({"train/loss": loss, "lr": 0.5}, step, step // 10)
        if step % 10 == 9:
            backend.log_metrics({"val/loss": loss / 2}, step, step // 10)
    backend.log_metrics(dict.fromkeys(ODD_NAMES, 1.5), 30)
    for step, value in enumerate([math.nan, math.inf, -math.inf], 31):
        backend.log_metrics({"odd": value}, step)
    backend.log_metrics({"flag": True, "count": 7}, 34)
    backend.log_gradients(GRADIENTS, 35)
    backend.log_images(IMAGES, 36)
    backend.log_text(TEXTS, 36)
    backend.log_artifact(ARTIFACT, CONTENT)
    backend.log_checkpoint(CHECKPOINT, 37)


class BackendSuite:
    """A backend's own tests derive from it. One run with everything is fed once for the class, others as small as can be."""

    backend: ClassVar[type]
    library: ClassVar[str]
    """The package that may not be loaded before a backend is made."""
    words: ClassVar[dict[str, str]]
    """The library's own word for each status."""
    infinity: ClassVar[float] = math.inf
    names: ClassVar[dict[str, str]] = {}
    """What names with characters that the library refuses become."""

    @classmethod
    def read(cls, backend) -> Kept:
        """What the library's reader finds of a backend's run."""
        raise NotImplementedError

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def place(cls, tmp_path_factory):
        """The working directory of all runs of the class."""
        folder = tmp_path_factory.mktemp("place")
        with contextlib.chdir(folder):
            yield folder

    @pytest.fixture(scope="class")
    @classmethod
    def start(cls):
        """Starts a run."""

        def start(params=None, metadata=METADATA):
            backend = cls.backend(ExperimentConfig(project_name=metadata.project_name, tracking_params=params or {}))
            backend.start_experiment(metadata)
            return backend

        return start

    @pytest.fixture(scope="class")
    @classmethod
    def kept(cls, start):
        backend = start()
        feed(backend)
        backend.end_experiment("finished")
        return cls.read(backend)

    # ----------------------------------------------------------------------------------------------------------- metrics

    def test_every_row_of_three_epochs_arrives(self, kept):
        assert kept.points("train/loss") == LOSSES
        assert kept.points("lr") == [(step, 0.5) for step in range(30)]

    def test_metrics_logged_later_at_the_same_step_arrive_there(self, kept):
        assert kept.points("val/loss") == [(step, loss / 2) for step, loss in LOSSES if step % 10 == 9]

    def test_the_epoch_goes_along_once_a_step(self, kept):
        assert kept.points("epoch") == [(step, step // 10) for step in range(30)]

    @pytest.mark.parametrize("name", ODD_NAMES)
    def test_a_metric_may_be_called_what_the_store_allows(self, kept, name):
        assert kept.points(self.names.get(name, name)) == [(30, 1.5)]

    def test_nan_and_infinities_arrive_as_the_library_holds_them(self, kept):
        (_, nan), plus, minus = kept.points("odd")
        assert (math.isnan(nan), plus, minus) == (True, (32, self.infinity), (33, -self.infinity))

    def test_bools_and_ints_are_numbers(self, kept):
        assert (kept.points("flag"), kept.points("count")) == ([(34, 1.0)], [(34, 7.0)])

    # ------------------------------------------------------------------------------------------------ everything else

    def test_hyperparameters_arrive(self, kept):
        assert kept.hyperparameters() == FLAT

    def test_the_architecture_arrives(self, kept):
        text = kept.architecture()
        assert ARCHITECTURE.summary in text
        assert [word for word in ["Net", "encoder", "Linear", "16", "12"] if word not in text] == []

    def test_norms_of_gradients_are_metrics(self, kept):
        norms = {"total": 1.25, **GRADIENTS.norms}
        assert {name: kept.points(f"gradients/{name}") for name in norms} == {name: [(35, norm)] for name, norm in norms.items()}

    @pytest.mark.parametrize(
        ("name", "counts", "edges"),
        [("encoder.weight", [3, 0, 5], [-0.6, -0.2, 0.2, 0.6]), ("encoder.bias", [2**40, 1], [-0.5, 0.0, 0.5])],
    )
    def test_histograms_arrive_bin_by_bin(self, kept, name, counts, edges):
        found_counts, found_edges = kept.histogram(name)
        assert (found_counts, found_edges) == (counts, pytest.approx(edges))

    @pytest.mark.parametrize("name", IMAGES)
    def test_images_arrive_pixel_by_pixel(self, kept, name):
        for found, image in zip(kept.images(self.names.get(name, name)), IMAGES[name], strict=True):
            np.testing.assert_array_equal(found, image.pixels)

    @pytest.mark.parametrize("name", TEXTS)
    def test_texts_arrive_to_the_letter(self, kept, name):
        assert kept.text(name) == TEXTS[name]

    def test_artifacts_arrive(self, kept):
        assert kept.artifact(self.names.get(ARTIFACT, ARTIFACT)) == CONTENT

    def test_references_to_checkpoints_arrive(self, kept):
        assert kept.checkpoint() == {
            "checkpoint_id": CHECKPOINT.checkpoint_id,
            "run": "exp_001",
            "step": 9,
            "epoch": 2,
            "metrics": {"val/loss": 0.5},
            "is_best": True,
            "path": CHECKPOINT.path,
        }

    def test_who_the_run_is_arrives(self, kept):
        text = kept.identity()
        expected = ["exp_001", "ads", "ad_classification", "transformer", "v1", "BERT for ads", "abc123", "3.11.7"]
        assert [word for word in expected if word not in text] == []

    @pytest.mark.parametrize("status", ["finished", "failed", "killed", "crashed"])
    def test_how_it_ended_arrives(self, start, status):
        backend = start()
        backend.end_experiment(status)
        assert self.read(backend).status() == (self.words[status], status)

    # ------------------------------------------------------------------------------------------------------- behaviour

    def test_what_was_flushed_is_found_while_the_run_goes_on(self, start):
        backend = start()
        for step in range(5):
            backend.log_metrics({"loss": float(step)}, step)
        backend.flush()
        assert self.points_of_live(backend, "loss", 5) == [(step, float(step)) for step in range(5)]
        backend.end_experiment()

    def points_of_live(self, backend, name, count):
        """The first points of a metric of a run that goes on, `count` of them."""
        return self.read(backend).points(name)[:count]

    def test_rows_go_on_after_a_flush(self, start):
        backend = start()
        for step in range(3):
            backend.log_metrics({"loss": float(step)}, step)
            backend.flush()
        backend.end_experiment()
        assert self.read(backend).points("loss") == [(0, 0.0), (1, 1.0), (2, 2.0)]

    def test_two_runs_at_once_are_kept_apart(self, start):
        one, two = start(), start()
        for step in range(3):
            one.log_metrics({"loss": 1.0}, step)
            two.log_metrics({"loss": 2.0}, step)
        one.end_experiment("failed")
        two.log_metrics({"loss": 2.0}, 3)
        two.end_experiment("finished")
        found = [(self.read(each).points("loss"), self.read(each).status()[1]) for each in (one, two)]
        assert found == [([(step, 1.0) for step in range(3)], "failed"), ([(step, 2.0) for step in range(4)], "finished")]

    def test_more_than_a_thousand_hyperparameters_and_metrics_arrive(self, start):
        backend = start()
        many = {f"p{number:04}": number for number in range(1200)}
        backend.log_hyperparameters(many)
        backend.log_metrics(many, 1)
        backend.end_experiment()
        kept = self.read(backend)
        assert kept.hyperparameters() == {name: str(number) for name, number in many.items()}
        assert (kept.points("p0000"), kept.points("p1199")) == ([(1, 0.0)], [(1, 1199.0)])

    def test_nothing_is_also_something_to_log(self, start):
        backend = start()
        backend.log_hyperparameters({})
        backend.log_metrics({}, 0)
        backend.log_metrics({}, 1, 0)
        backend.log_images({}, 1)
        backend.log_text({}, 1)
        backend.log_gradients(Gradients(0.0, {}, {}), 1)
        backend.log_artifact("empty", b"")
        backend.end_experiment()
        kept = self.read(backend)
        assert (kept.hyperparameters(), kept.artifact("empty"), kept.points("gradients/total")) == ({}, b"", [(1, 0.0)])

    def test_hyperparameters_may_be_logged_in_parts(self, start):
        backend = start()
        backend.log_hyperparameters({"a": 1})
        backend.log_hyperparameters({"b": {"c": 2}})
        backend.end_experiment()
        assert self.read(backend).hyperparameters() == {"a": "1", "b/c": "2"}

    def test_a_run_without_metadata_that_can_be_left_out_starts(self, start):
        bare = ExperimentMetadata(experiment_id="b" * 300, experiment_name="", project_name="p/q: r")
        backend = start(metadata=bare)
        backend.log_metrics({"loss": 1.0}, 0)
        backend.end_experiment()
        assert self.read(backend).points("loss") == [(0, 1.0)]

    def test_a_run_prints_nothing_to_stdout(self, start, capfd):
        backend = start()
        backend.log_metrics({"loss": 1.0}, 0)
        backend.end_experiment()
        assert capfd.readouterr().out == ""

    def test_its_module_is_imported_without_its_library(self):
        code = f"import sys, {self.backend.__module__}; print({self.library!r} in sys.modules)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
        assert done.stdout == "False\n"
