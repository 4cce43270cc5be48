"""Weights & Biases: its offline runs, read by `wandb leet inspect`, the reader that comes with it."""

import html
import io
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import wandb
from PIL import Image as Pil

from onyxstore.configs.types import ExperimentConfig
from onyxstore.errors import Refused
from onyxstore.tracking.backends.wandb import WandbBackend
from onyxstore.tracking.recorded import Gradients, Histogram
from tests.tracking.backends.suite import METADATA, BackendSuite, Kept, picture

CORE = Path(wandb.__file__).parent / "bin" / "wandb-core"
"""What `wandb leet` starts; to start Python and wandb before it takes a second."""


@pytest.fixture(scope="module", autouse=True)
def _service():
    """One service process for the module. Nothing of the environment's, and what W&B and the backend set there goes again."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("WANDB_")]:
            patch.delenv(name)
        patch.setenv("WANDB_ERROR_REPORTING", "false")
        for name in ("exit", "excepthook"):
            patch.setattr(sys, name, getattr(sys, name))
        yield
        wandb.teardown()
        os.environ.pop("WANDB_SERVICE", None)


def follow(file):
    """A process that prints the records of a run's file as JSON, until the run's end: the service writes on its own time."""
    options = ["-json", "-follow", "-idle-timeout", "60s", "-no-observability", "-run-file", file]
    return subprocess.Popen([CORE, "leet", "inspect", *options, Path(file).parents[1]], stdout=subprocess.PIPE, text=True)


class WandbRun(Kept):
    def __init__(self, backend):
        with follow(backend._run.settings.sync_file) as process:
            self.records = [json.loads(line) for line in process.stdout]
        self.folder = Path(backend._run.dir)

    def of(self, kind):
        return [record[kind] for record in self.records if record["type"] == kind]

    @property
    def rows(self):
        return [(row["step"].get("num", 0), row["item"]) for row in self.of("history")]

    def points(self, name):
        return [(step, float(row[name])) for step, row in self.rows if name in row]

    @property
    def config(self):
        updates = [record["config"] for record in self.of("run") if "config" in record] + self.of("config")
        merged = {}
        for update in updates:
            merged |= update.get("update", {})
        return merged

    def hyperparameters(self):
        known = {name: value for name, value in self.config.items() if name not in {"_wandb", "metadata", "architecture"}}
        return {"/".join(path): value for path, value in _leaves(known)}

    def images(self, name):
        (row,) = [row for _, row in self.rows if f"{name}._type" in row or f"{name}/0._type" in row]
        if row.get(f"{name}._type") == "images/separated":
            return [_decode(self.folder / path) for path in row[f"{name}.filenames"]]
        paths = [path for key, path in sorted(row.items()) if re.fullmatch(rf"{re.escape(name)}(/\d+)?\.path", key)]
        return [_decode(self.folder / path) for path in paths]

    def text(self, name):
        (path,) = [row[f"{name}.path"] for _, row in self.rows if f"{name}.path" in row]
        with (self.folder / path).open(newline="") as file:
            return html.unescape(re.fullmatch("<pre>\n(.*)</pre>", file.read(), re.DOTALL)[1])

    def histogram(self, parameter):
        key = f"gradients/{parameter}/histogram"
        (found,) = [(row[f"{key}.values"], row[f"{key}.bins"]) for _, row in self.rows if f"{key}.values" in row]
        counts, edges = found
        full = np.flatnonzero(counts)
        return counts[full[0] : full[-1] + 1], edges[full[0] : full[-1] + 2]

    def artifact(self, name):
        listed = [each["path"] for record in self.of("files") for each in record["files"]]
        assert f"artifacts/{name}" in listed
        return (self.folder / "artifacts" / name).read_bytes()

    def architecture(self):
        return self.artifact("architecture.txt").decode() + self.artifact("architecture.json").decode() + str(self.config["architecture"])

    def checkpoint(self):
        (row,) = [row for _, row in self.rows if "checkpoint.path" in row]
        found = {key.removeprefix("checkpoint."): value for key, value in row.items() if key.startswith("checkpoint.")}
        metrics = {key.removeprefix("metrics."): found.pop(key) for key in [key for key in found if key.startswith("metrics.")]}
        return found | {"metrics": metrics}

    def identity(self):
        run = {key: value for key, value in self.of("run")[0].items() if key != "telemetry"}
        return str(run)

    def status(self):
        (ended,) = self.of("exit")
        (status,) = [record["update"]["status"] for record in self.of("summary") if "status" in record.get("update", {})]
        return f"exit {ended.get('exit_code', 0)}", status


def _leaves(tree, path=()):
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, (*path, key))
        else:
            yield (*path, key), json.dumps(value) if isinstance(value, (dict, list)) else str(value)


def _decode(path):
    pixels = np.asarray(Pil.open(io.BytesIO(path.read_bytes())))
    return pixels if pixels.ndim == 3 else pixels[..., np.newaxis]


class TestWandb(BackendSuite):
    backend = WandbBackend
    library = "wandb"
    words: ClassVar = {"finished": "exit 0", "failed": "exit 1", "killed": "exit 1", "crashed": "exit 1"}

    @classmethod
    def read(cls, backend):
        return WandbRun(backend)

    def points_of_live(self, backend, name, count):
        """The reader follows until it has seen them."""
        rows = []
        with follow(backend._run.settings.sync_file) as process:
            while len(rows) < count and (line := process.stdout.readline()):
                record = json.loads(line)
                rows += [record["history"]] if record["type"] == "history" else []
            process.kill()
        return [(row["step"].get("num", 0), float(row["item"][name])) for row in rows]

    def test_a_run_is_in_the_working_directory_offline_and_named_by_its_id(self, kept, place):
        run = kept.of("run")[0]
        assert kept.folder.parents[1] == place / "wandb"
        assert re.fullmatch(r"offline-run-\d+_\d+-\w+", kept.folder.parent.name)
        assert (run["project"], run["display_name"], run["tags"], run["notes"]) == (
            "ad_classification",
            "exp_001",
            ["transformer", "v1"],
            "BERT for ads",
        )

    def test_params_are_those_of_wandb_init(self, start, tmp_path):
        shared = {"entity": "your_team", "project": "ads", "group": "seeds"}
        backend = start({**shared, "wandb": {"run_name": "seed 3", "dir": str(tmp_path), "settings": {"x_label": "left"}}})
        backend.end_experiment()
        kept = self.read(backend)
        run = kept.of("run")[0]
        assert (run["entity"], run["project"], run["run_group"], run["display_name"]) == ("your_team", "ads", "seeds", "seed 3")
        assert (kept.folder.parents[1], backend._run.settings.x_label) == (tmp_path / "wandb", "left")

    def test_what_comes_for_a_row_that_a_flush_closed_is_in_the_next(self, start):
        backend = start()
        backend.log_metrics({"loss": 1.0}, 5)
        backend.flush()
        backend.flush()
        backend.log_metrics({"accuracy": 0.5}, 5)
        backend.log_metrics({"loss": 2.0}, 6)
        backend.end_experiment()
        kept = self.read(backend)
        assert (kept.points("loss"), kept.points("accuracy")) == ([(5, 1.0), (6, 2.0)], [(6, 0.5)])

    def test_a_name_that_the_row_has_already_is_in_the_next_row(self, start):
        backend = start()
        backend.log_metrics({"loss": 1.0}, 5, 0)
        backend.log_metrics({"accuracy": 0.5}, 5, 0)
        backend.log_metrics({"loss": 2.0}, 5, 0)
        backend.log_metrics({"loss": 3.0}, 6, 0)
        backend.log_metrics({"loss": 4.0}, 9, 0)
        backend.end_experiment()
        kept = self.read(backend)
        assert kept.points("loss") == [(5, 1.0), (6, 2.0), (7, 3.0), (9, 4.0)]
        assert (kept.points("accuracy"), kept.points("epoch")) == ([(5, 0.5)], [(5, 0.0), (6, 0.0), (7, 0.0), (9, 0.0)])

    def test_more_pictures_than_wandb_has_in_a_list_all_arrive(self, start):
        backend = start()
        pictures = [picture(2, 2, 1) for _ in range(wandb.Image.MAX_ITEMS + 1)]
        backend.log_images({"many": pictures}, 0)
        backend.end_experiment()
        (row,) = [row for _, row in self.read(backend).rows]
        assert len([key for key in row if re.fullmatch(r"many/\d+\.path", key)]) == len(pictures)

    def test_a_histogram_of_more_bins_than_wandb_has_keeps_its_counts(self, start):
        backend = start()
        histogram = Histogram(np.ones(1000, np.int64), np.linspace(0, 1000, 1001))
        backend.log_gradients(Gradients(1.0, {}, {"w": histogram}), 0)
        backend.end_experiment()
        counts, edges = self.read(backend).histogram("w")
        assert (counts, edges) == ([2] * 500, list(range(0, 1001, 2)))

    def test_a_later_hyperparameter_takes_the_place_of_an_earlier(self, start):
        backend = start()
        backend.log_hyperparameters({"lr": 1, "model": {"layers": 2}})
        backend.log_hyperparameters({"lr": 2})
        backend.end_experiment()
        assert self.read(backend).hyperparameters() == {"lr": "2", "model/layers": "2"}

    def test_the_active_run_of_a_script_is_left_alone(self, start):
        own = wandb.init(mode="offline", settings=wandb.Settings(silent=True, console="off"))
        backend = start()
        backend.log_metrics({"loss": 1.0}, 0)
        backend.end_experiment("failed")
        assert wandb.run is own
        own.log({"own": 2.0})
        own.finish()
        assert self.read(backend).points("loss") == [(0, 1.0)]

    def test_tags_that_wandb_refuses_are_cut_and_said(self, start, caplog):
        backend = start(metadata=replace(METADATA, tags=["a", "a", "", "t" * 70]))
        backend.end_experiment()
        assert self.read(backend).of("run")[0]["tags"] == ["a", "t" * 64]
        assert [record.getMessage() for record in caplog.records if record.name == "onyxstore"] == [
            "W&B has tags of 64 characters at most; longer ones are cut there"
        ]

    def test_online_without_an_account_is_refused_and_nobody_is_asked(self, tmp_path, monkeypatch):
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        monkeypatch.setenv("HOME", str(tmp_path))
        backend = WandbBackend(ExperimentConfig(tracking_params={"mode": "online"}))
        with pytest.raises(Refused, match="W&B has no account to log in with; run 'wandb login', set WANDB_API_KEY"):
            backend.start_experiment(METADATA)


SCRIPT = """
import socket
from pathlib import Path

def refuse(*where, **_):
    Path("looked_for").write_text(str(where))
    raise OSError("there is no network")

socket.socket.connect_ex = socket.getaddrinfo = socket.create_connection = refuse
from onyxstore.configs.types import ExperimentConfig
from onyxstore.tracking.backends.wandb import WandbBackend
from tests.tracking.backends.suite import METADATA
backend = WandbBackend(ExperimentConfig())
backend.start_experiment(METADATA)
for step in range(20):
    backend.log_metrics({"loss": 1.0}, step)
print("training", flush=True)
"""


@pytest.mark.parametrize(
    ("ending", "code"),
    [("backend.end_experiment()", 0), ("", 0), ("raise SystemExit(3)", 3)],
    ids=["ended", "forgotten", "failed"],
)
def test_a_script_ends_quietly_looks_for_no_network_and_has_its_own_exit_code(tmp_path, ending, code):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    environment["PYTHONPATH"] = str(Path(__file__).parents[3])
    command = [sys.executable, "-c", SCRIPT + ending]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (code, "training\n", "")
    assert [path.name for path in tmp_path.iterdir()] == ["wandb"]
    (file,) = tmp_path.glob("wandb/offline-run-*/run-*.wandb")
    with follow(file) as process:
        kinds = [json.loads(line)["type"] for line in process.stdout]
    assert (kinds.count("history"), [kind for kind in kinds if "output" in kind]) == (20, [])
