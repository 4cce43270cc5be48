"""What the tests of this folder stand on: a folder without a store, backends that record, raise or hang, other processes."""

import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

import onyxstore as onyx
from onyxstore.configs.types import ExperimentConfig
from onyxstore.tracking.backends import table
from onyxstore.tracking.backends.base import TrackingBackendBase

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0
"""Seconds after which something that was waited for never comes, on a machine however busy."""


@pytest.fixture(autouse=True)
def _alone(monkeypatch):
    """Nothing of the environment decides which store is meant, or which rank this is."""
    for name in ("ONYX_STORE", "RANK"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def tmp_path():
    """In memory where the system has a filesystem there: waiting for a busy disk's fsyncs is most of what these tests would do."""
    memory = Path("/dev/shm")  # noqa: S108 - a folder of its own is made in it
    with tempfile.TemporaryDirectory(prefix="onyx-test-", dir=memory if os.access(memory, os.W_OK) else None) as made:
        yield Path(made).resolve()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working directory; nothing is in it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def store_here(folder):
    """Opens the store that a tracker has made in the working directory."""
    return lambda: onyx.Store.open(folder)


@pytest.fixture
def said(caplog):
    """What the library said on its logger."""
    return lambda: [record.getMessage() for record in caplog.records if record.name == "onyxstore"]


@pytest.fixture
def until():
    """Waits for something to become true, looking often, for a minute at most."""

    def wait(holds):
        deadline = time.monotonic() + PATIENCE
        while not holds():
            if time.monotonic() > deadline:
                message = "what was waited for did not come"
                raise TimeoutError(message)
            time.sleep(0.005)

    return wait


class Recording(TrackingBackendBase):
    """Keeps what it is called with, for everybody to see: `calls` by the object, `made` by the class."""

    made: ClassVar[list]
    gate: ClassVar[threading.Event]
    """What its calls wait for; set at first."""

    def __init__(self, config):
        super().__init__(config)
        self.calls = []
        self.thread = threading.current_thread()
        type(self).made.append(self)

    def record(self, method, *arguments):
        self.gate.wait(PATIENCE)
        self.calls.append((method, *arguments))

    def start_experiment(self, metadata):
        self.record("start_experiment", metadata)

    def log_metrics(self, metrics, step, epoch=None):
        self.record("log_metrics", metrics, step, epoch)

    def log_hyperparameters(self, hyperparameters):
        self.record("log_hyperparameters", hyperparameters)

    def log_model_architecture(self, architecture):
        self.record("log_model_architecture", architecture)

    def log_gradients(self, gradients, step):
        self.record("log_gradients", gradients, step)

    def log_images(self, images, step):
        self.record("log_images", images, step)

    def log_text(self, texts, step):
        self.record("log_text", texts, step)

    def log_artifact(self, name, content):
        self.record("log_artifact", name, content)

    def log_checkpoint(self, checkpoint, step):
        self.record("log_checkpoint", checkpoint, step)

    def flush(self):
        self.record("flush")

    def end_experiment(self, status="finished"):
        self.record("end_experiment", status)

    def of(self, method):
        """What it got by one method."""
        return [call[1:] for call in self.calls if call[0] == method]


@pytest.fixture
def recording():
    """A class of backends of this test's own, which a test may make wait (`gate`) or subclass."""
    kind = type("Mine", (Recording,), {"made": [], "gate": threading.Event()})
    kind.gate.set()
    yield kind
    kind.gate.set()


@pytest.fixture
def register(monkeypatch):
    """`register_backend` until the test has ended."""
    monkeypatch.setattr(table, "_table", dict(table._table))
    return table.register_backend


@pytest.fixture
def config(folder):
    """Of an experiment that only the store records."""
    return ExperimentConfig(experiment_name="ads", experiment_id="exp", project_name="p", tracking_backend="local", log_level="WARNING")


@pytest.fixture
def fed(config, recording, register):
    """The same, with a backend besides."""
    register("mine", recording)
    return replace(config, tracking_backend=["local", "mine"])


class Script:
    """A Python program in a process of its own, in the folder of the store."""

    def __init__(self, folder, text):
        begin = "import sys, os, time, threading\nimport numpy as np\nimport onyxstore as onyx\n"
        self.process = subprocess.Popen(
            [sys.executable, "-c", begin + text],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        )

    def read(self):
        """The next line that it prints."""
        line = self.process.stdout.readline().strip()
        if not line:
            raise EOFError(self.process.stderr.read())
        return line

    def send(self, number):
        self.process.send_signal(number)

    def end(self):
        """Its exit status and what it said on stderr, once it has ended."""
        _, errors = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, errors


@pytest.fixture
def script(folder):
    """Starts programs; what still runs at the test's end is killed."""
    started = []

    def start(text):
        started.append(Script(folder, text))
        return started[-1]

    yield start
    for each in started:
        each.process.kill()
        each.process.communicate()
