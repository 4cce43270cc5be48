"""MLflow: its SQLite store and its artifacts, read by MlflowClient."""

import contextlib
import io
import json
import logging
import os
import re
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient
from PIL import Image as Pil

from onyxstore.tracking.backends import mlflow as module
from onyxstore.tracking.backends.mlflow import MLflowBackend
from onyxstore.tracking.recorded import Gradients
from onyxstore.yaml12 import read_yaml
from tests.tracking.backends.suite import BackendSuite, Kept

# SQLAlchemy 2.1 says this of MLflow's own tables, once, when they are loaded.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated:sqlalchemy.exc.SADeprecationWarning")

LARGEST = 1.7976931348623157e308


@pytest.fixture(scope="module", autouse=True)
def _quiet():
    """No server of the environment's, and not MLflow's two lines for a new database."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
        yield


class MLflowRun(Kept):
    def __init__(self, backend):
        self.client = MlflowClient(backend._client.tracking_uri)
        self.run = self.client.get_run(backend.run_id)
        self.folder = Path(self.run.info.artifact_uri)

    def points(self, name):
        return [(metric.step, metric.value) for metric in self.client.get_metric_history(self.run.info.run_id, name)]

    def hyperparameters(self):
        return self.run.data.params

    def images(self, name):
        """Those of MLflow's own kind, and files of those that are too narrow for it."""
        listed = [info.path for info in self.client.list_artifacts(self.run.info.run_id, "images")]
        mark = rf"images/{re.escape(name.replace('/', '~'))}(~\d+)?\+step\+36\+timestamp\+\d+\+[0-9a-f-]+\.png"
        found = sorted(path for path in listed if re.fullmatch(mark, path)) or [f"images/{name}/step-36.png"]
        return [_decode(self.artifact(path)) for path in found]

    def text(self, name):
        return self.artifact(f"text/{name}/step-36.txt").decode()

    def histogram(self, parameter):
        found = json.loads(self.artifact("gradients/step-35.json"))["parameters"][parameter]
        edges = np.linspace(found["low"], found["high"], len(found["counts"]) + 1)
        full = np.flatnonzero(found["counts"])
        first, end = full[0], full[-1] + 1
        return found["counts"][first:end], edges[first : end + 1].tolist()

    def artifact(self, name):
        return Path(self.client.download_artifacts(self.run.info.run_id, name)).read_bytes()

    def architecture(self):
        return self.artifact("architecture.txt").decode() + self.artifact("architecture.json").decode() + str(self.run.data.tags)

    def checkpoint(self):
        name = self.run.data.tags["checkpoint.latest"]
        assert self.run.data.tags["checkpoint.best"] == name
        found = json.loads(self.artifact(f"checkpoints/{name}.json"))
        assert found.pop("global_step") == 37
        return found

    def identity(self):
        group = self.client.get_experiment(self.run.info.experiment_id).name
        return f"{group} {self.run.info.run_name} {self.run.data.tags}"

    def status(self):
        return self.run.info.status, self.run.data.tags["status"]


def _decode(png):
    pixels = np.asarray(Pil.open(io.BytesIO(png)))
    return pixels if pixels.ndim == 3 else pixels[..., np.newaxis]


class TestMLflow(BackendSuite):
    backend = MLflowBackend
    library = "mlflow"
    words: ClassVar = {"finished": "FINISHED", "failed": "FAILED", "killed": "KILLED", "crashed": "FAILED"}
    infinity = LARGEST
    names: ClassVar = {"loss@1 (%)": "loss_1 ___", "größe/rgba": "gr__e/rgba", "tables/late results [1].bin": "tables/late results _1_.bin"}

    @classmethod
    def read(cls, backend):
        return MLflowRun(backend)

    def test_a_run_is_in_the_working_directory_under_the_project(self, start, place):
        backend = start()
        backend.end_experiment()
        kept = self.read(backend)
        assert kept.client.get_experiment(kept.run.info.experiment_id).name == "ad_classification"
        assert (kept.run.info.run_name, kept.folder.is_relative_to(place / "mlruns")) == ("exp_001", True)
        with contextlib.closing(sqlite3.connect(place / "mlflow.db")) as database:
            assert database.execute("select name from runs where run_uuid = ?", [backend.run_id]).fetchone() == ("exp_001",)

    def test_params_name_the_group_and_the_run(self, start):
        backend = start({"experiment": "others", "mlflow": {"run_name": "seed 3"}})
        backend.end_experiment()
        kept = self.read(backend)
        assert (kept.client.get_experiment(kept.run.info.experiment_id).name, kept.run.info.run_name) == ("others", "seed 3")

    def test_a_group_that_somebody_else_makes_meanwhile_is_taken(self, start, monkeypatch):
        look, looks = MlflowClient.get_experiment_by_name, []

        def look_too_early(client, name):
            looks.append(name)
            return look(client, name) if len(looks) > 1 else None

        start().end_experiment()
        monkeypatch.setattr(MlflowClient, "get_experiment_by_name", look_too_early)
        backend = start()
        backend.end_experiment()
        assert (self.read(backend).identity().split()[0], looks) == ("ad_classification", ["ad_classification"] * 2)

    def test_the_active_run_of_a_script_is_left_alone(self, start, place, monkeypatch):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{place}/mlflow.db")
        with mlflow.start_run() as own:
            backend = start()
            backend.log_metrics({"loss": 1.0}, 0)
            mlflow.log_metric("own", 2.0)
            backend.end_experiment("failed")
            assert mlflow.active_run().info.run_id == own.info.run_id
        found = MlflowClient().get_run(own.info.run_id)
        assert (found.data.metrics, found.info.status) == ({"own": 2.0}, "FINISHED")

    def test_where_a_script_sends_mlflow_its_runs_go_too(self, start, place, monkeypatch):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{place}/sent.db")
        (place / "sent.db").write_bytes((place / "mlflow.db").read_bytes())
        backend = start()
        backend.end_experiment()
        assert backend._client.tracking_uri == f"sqlite:///{place}/sent.db"

    def test_a_training_may_change_its_working_directory(self, start, place, tmp_path, monkeypatch):
        backend = start()
        assert backend._client.tracking_uri == f"sqlite:///{place}/mlflow.db"
        monkeypatch.chdir(tmp_path)
        backend.log_metrics({"loss": 1.0}, 0)
        backend.log_artifact("a.txt", b"a")
        backend.end_experiment()
        assert (self.read(backend).points("loss"), self.read(backend).artifact("a.txt"), list(tmp_path.iterdir())) == ([(0, 1.0)], b"a", [])

    def test_a_row_is_written_at_once_and_those_of_the_next_second_together(self, start, monkeypatch):
        backend = start()
        clock = [100.0]
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock[0], time_ns=time.time_ns))
        found = []
        for step, now in enumerate([100.0, 100.3, 100.9, 101.5]):
            clock[0] = now
            backend.log_metrics({"loss": float(step)}, step)
            found.append(len(self.read(backend).points("loss")))
        backend.end_experiment()
        assert found == [1, 1, 1, 4]

    def test_rows_of_a_write_that_failed_are_in_the_next(self, start):
        backend = start()
        client, backend._client = backend._client, None
        with pytest.raises(AttributeError):
            backend.log_metrics({"loss": 0.0}, 0)
        backend._client = client
        backend.log_metrics({"loss": 1.0}, 1)
        backend.end_experiment()
        assert self.read(backend).points("loss") == [(0, 0.0), (1, 1.0)]

    def test_names_that_mlflow_refuses_are_replaced_each_by_its_own_and_said_once(self, start, caplog):
        backend = start()
        names = ["a@b", "a#b", "/a", "a//b", "a/../b", ".", "x" * 300, "x" * 301, "a b:c-d.e_f/ü"]
        for step in range(2):
            backend.log_metrics(dict.fromkeys(names, 1.0), step)
        backend.log_hyperparameters({"a@b": 1})
        backend.end_experiment()
        stored = ["a_b", "a_b-2", "_/a", "a/_/b", "a/_/b-2", "_", "x" * 250, f"{'x' * 240}-2", "a b:c-d.e_f/ü"]
        assert self.read(backend).run.data.metrics == dict.fromkeys(stored, 1.0)
        assert [record.getMessage() for record in caplog.records if "a@b" in record.getMessage()] == [
            "MLflow takes no metric called 'a@b'; there it is 'a_b'",
            "MLflow takes no param called 'a@b'; there it is 'a_b'",
        ]
        assert len([record for record in caplog.records if record.name == "onyxstore"]) == len(names)

    def test_a_param_keeps_its_first_value_and_6000_characters_and_the_file_has_the_whole(self, start, caplog):
        backend = start()
        backend.log_hyperparameters({"lr": 1, "prompt": "p" * 7000})
        for _ in range(2):
            backend.log_hyperparameters({"lr": 2, "batch": 3})
        backend.end_experiment()
        kept = self.read(backend)
        assert kept.hyperparameters() == {"lr": "1", "prompt": "p" * 6000, "batch": "3"}
        assert read_yaml(kept.artifact("hyperparameters.yaml"), "hyperparameters.yaml").value == {"lr": 2, "prompt": "p" * 7000, "batch": 3}
        words = "MLflow keeps the first value of a param, and 6000 characters: {}; hyperparameters.yaml has them whole"
        said = [record.getMessage() for record in caplog.records if record.name == "onyxstore"]
        assert said == [words.format("prompt"), words.format("lr")]

    def test_gradients_of_later_steps_have_files_of_their_own(self, start):
        backend = start()
        for step in (1, 2):
            backend.log_gradients(Gradients(float(step), {}, {}), step)
        backend.end_experiment()
        assert [json.loads(self.read(backend).artifact(f"gradients/step-{step}.json"))["total"] for step in (1, 2)] == [1.0, 2.0]


SCRIPT = """
import mlflow.store.tracking.sqlalchemy_store, sys
from onyxstore.configs.types import ExperimentConfig
from onyxstore.tracking.backends.mlflow import MLflowBackend
from tests.tracking.backends.suite import METADATA
backend = MLflowBackend(ExperimentConfig(tracking_params={"tracking_uri": "sqlite:///new/runs.db"}))
print("ready", flush=True)
sys.stdin.readline()
backend.start_experiment(METADATA)
backend.end_experiment()
"""


def test_scripts_that_start_at_once_on_a_new_database_all_have_their_run(tmp_path):
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    scripts = [subprocess.Popen([sys.executable, "-c", SCRIPT], cwd=tmp_path, env=environment, text=True, **pipes) for _ in range(2)]
    assert [script.stdout.readline() for script in scripts] == ["ready\n"] * 2
    for script in scripts:
        script.stdin.write("\n")
        script.stdin.flush()
    for script in scripts:
        script.communicate()
    assert [script.returncode for script in scripts] == [0, 0]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["runs.db"]
    with contextlib.closing(sqlite3.connect(tmp_path / "new" / "runs.db")) as database:
        assert database.execute("select count(*), count(distinct experiment_id) from runs").fetchone() == (2, 1)
