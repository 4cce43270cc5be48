"""TensorBoard: event files, read by TensorBoard's own accumulator and loader."""

import io
import math
import re
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image as Pil
from tensorboard.backend.event_processing.event_accumulator import STORE_EVERYTHING_SIZE_GUIDANCE, EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.plugins.hparams import metadata as hparams
from tensorboard.plugins.hparams.api_pb2 import Status
from tensorboard.util import tensor_util

from onyxstore.configs.types import ExperimentConfig
from onyxstore.tracking.backends.tensorboard import TensorBoardBackend
from onyxstore.tracking.recorded import Image
from onyxstore.yaml12 import read_yaml
from tests.tracking.backends.suite import METADATA, BackendSuite, Kept


class EventFolder(Kept):
    def __init__(self, folder):
        self.folder = folder
        self.events = EventAccumulator(str(folder), STORE_EVERYTHING_SIZE_GUIDANCE).Reload()

    def points(self, name):
        return [(event.step, event.value) for event in self.events.Scalars(name)]

    def texts(self, name):
        tensors = [event.tensor_proto for event in self.events.Tensors(f"{name}/text_summary")]
        return [tensor_util.make_ndarray(tensor).item().decode() for tensor in tensors]

    def text(self, name):
        (text,) = self.texts(name)
        return text

    def tree(self, name):
        (fenced,) = self.texts(name)
        return read_yaml(re.fullmatch("```\n(.*)```", fenced, re.DOTALL)[1].encode(), name).value

    def hyperparameters(self):
        content = self.events.PluginTagToContent("hparams").get(hparams.SESSION_START_INFO_TAG)
        session = hparams.parse_session_start_info_plugin_data(content).hparams if content else {}
        return {name: _shown(value) for name, value in session.items()}

    def images(self, name):
        tags = [tag for tag in self.events.Tags()["images"] if re.fullmatch(rf"{re.escape(name)}(/\d+)?", tag)]
        return [_decode(event) for tag in sorted(tags) for event in self.events.Images(tag)]

    def histogram(self, parameter):
        (event,) = self.events.Histograms(f"gradients/{parameter}/histogram")
        value = event.histogram_value
        return [int(count) for count in value.bucket], [value.min, *value.bucket_limit]

    def artifact(self, name):
        return (self.folder / "artifacts" / name).read_bytes()

    def architecture(self):
        return self.text("architecture")

    def checkpoint(self):
        return self.tree("checkpoint")

    def identity(self):
        return self.text("experiment")

    def status(self):
        content = self.events.PluginTagToContent("hparams")[hparams.SESSION_END_INFO_TAG]
        return Status.Name(hparams.parse_session_end_info_plugin_data(content).status), self.text("status")


def _shown(value):
    kind = value.WhichOneof("kind")
    content = getattr(value, kind)
    return f"{content:.12g}" if kind == "number_value" else str(content)


def _decode(event):
    pixels = np.asarray(Pil.open(io.BytesIO(event.encoded_image_string)))
    pixels = pixels if pixels.ndim == 3 else pixels[..., np.newaxis]
    assert (event.height, event.width) == pixels.shape[:2]
    return pixels


class TestTensorBoard(BackendSuite):
    backend = TensorBoardBackend
    library = "tensorboard"
    words: ClassVar = {"finished": "STATUS_SUCCESS", "failed": "STATUS_FAILURE", "killed": "STATUS_FAILURE", "crashed": "STATUS_FAILURE"}

    @classmethod
    def read(cls, backend):
        return EventFolder(backend._folder)

    def test_a_run_lies_in_a_folder_of_its_own_where_tensorboard_looks(self, start, place):
        backends = [start(), start()]
        for backend in backends:
            backend.end_experiment()
        assert {backend._folder.parent for backend in backends} == {place / "runs"}
        assert len({backend._folder for backend in backends}) == 2
        assert all(re.fullmatch(r"exp_001(-\d+)?", backend._folder.name) for backend in backends)

    def test_log_dir_is_the_folder_of_all_runs(self, start, tmp_path):
        backend = start({"tensorboard": {"log_dir": str(tmp_path / "curves")}})
        backend.end_experiment()
        assert backend._folder == tmp_path / "curves" / "exp_001"

    def test_each_call_is_in_the_file_when_it_returns(self, start):
        backend = start()
        backend.log_metrics({"loss": 1.5}, 3)
        found = self.read(backend).points("loss")
        backend.end_experiment()
        assert found == [(3, 1.5)]

    def test_the_dashboard_of_hyperparameters_has_those_before_the_first_step_and_the_text_has_all(self, start):
        backend = start()
        backend.log_hyperparameters({"a": 1})
        backend.log_hyperparameters({"b": {"c": [2]}})
        backend.log_metrics({"loss": 1.0}, 0)
        backend.log_hyperparameters({"d": 3})
        backend.end_experiment()
        kept = self.read(backend)
        content = kept.events.PluginTagToContent("hparams")[hparams.SESSION_START_INFO_TAG]
        assert {*hparams.parse_session_start_info_plugin_data(content).hparams} == {"a", "b/c"}
        assert kept.texts("hyperparameters") == ["```\na: 1\n```", "```\nb:\n  c:\n    - 2\n```", "```\nd: 3\n```"]

    def test_hyperparameters_are_on_the_dashboard_after_a_flush(self, start):
        backend = start()
        backend.log_hyperparameters({"a": 1})
        backend.flush()
        found = self.read(backend).hyperparameters()
        backend.end_experiment()
        assert found == {"a": "1"}

    def test_a_picture_that_is_called_like_a_metric_is_seen_too(self, start):
        backend = start()
        backend.log_metrics({"loss": 1.0}, 0)
        backend.log_images({"loss": [Image(np.zeros((2, 2, 3), np.uint8))]}, 0)
        backend.end_experiment()
        assert self.read(backend).events.Tags()["images"] == ["loss/image"]

    @pytest.mark.parametrize(("params", "tokens", "huge"), [({}, 2.0**40, math.inf), ({"double_precision": True}, 2.0**40 + 1, 1e300)])
    def test_tensorboard_shows_float32_unless_double_precision_is_asked_for(self, start, params, tokens, huge):
        """Its own server reads by way of the loader, which makes one kind of both; a scalar's metadata says so."""
        backend = start(params)
        backend.log_metrics({"tokens": 2.0**40 + 1, "huge": 1e300}, 7)
        backend.end_experiment()
        events = EventFileLoader(str(next(backend._folder.glob("events.out.tfevents.*")))).Load()
        values = [(event.step, value) for event in events for value in event.summary.value]
        scalars = [(step, value) for step, value in values if value.metadata.plugin_data.plugin_name == "scalars"]
        found = [(step, value.tag, tensor_util.make_ndarray(value.tensor).item()) for step, value in scalars]
        assert found == [(7, "tokens", tokens), (7, "huge", huge)]


@pytest.mark.parametrize("name", ["../out", "a/b", "häß lich", "latest"])
def test_no_name_leads_out_of_the_folder(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    backend = TensorBoardBackend(ExperimentConfig())
    backend.start_experiment(replace(METADATA, experiment_id=name))
    backend.end_experiment()
    assert backend._folder.parent == tmp_path / "runs"
