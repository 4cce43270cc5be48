"""The lines that `docs/architecture.md` tells a newcomer to follow are those that the calls take."""

import re
import sys
import threading
from pathlib import Path

import pytest

import onyxstore
import onyxstore as onyx
from onyxstore.cli.app import run as run_command
from onyxstore.history.metrics import live

torch = pytest.importorskip("torch")

PACKAGE = f"{Path(onyxstore.__file__).parent}/"
PAGE = (Path(__file__).parents[2] / "docs" / "architecture.md").read_text()


def told(name):
    """A block of the page: for each line its depth, its file and its function."""
    block = re.search(rf"^```text {re.escape(name)}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[1]
    return [(len(indent) // 2, file, function) for indent, file, function in re.findall(r"^( *)(\S+\.py) +(\S+)", block, re.MULTILINE)]


class Trace:
    """Every call of a function of the package while it is on: the function, and the functions of the package that it was called from."""

    def __init__(self):
        self.calls = []

    def __enter__(self):
        threading.setprofile(self._note)
        sys.setprofile(self._note)
        return self

    def __exit__(self, *_):
        sys.setprofile(None)
        threading.setprofile(None)

    def _note(self, frame, event, _):
        if event == "call" and (name := self._name(frame)) is not None:
            callers = []
            while (frame := frame.f_back) is not None:
                callers.append(self._name(frame))
            self.calls.append((name, {caller for caller in callers if caller}))

    def _name(self, frame):
        file = frame.f_code.co_filename
        return (file[len(PACKAGE) :], frame.f_code.co_qualname) if file.startswith(PACKAGE) else None

    def missing(self, lines):
        """Those of the page's lines that were not called, or not below their parent, or not after the line before them."""
        above, after, wrong = [], -1, []
        for depth, file, function in lines:
            del above[depth:]
            line = (file, function)
            later = range(after + 1, len(self.calls))
            found = next((i for i in later if self.calls[i][0] == line and self.calls[i][1].issuperset(above)), None)
            if found is None:
                wrong.append(f"{file} {function}")
            else:
                after = found
            above.append(line)
        return wrong


@pytest.fixture
def store(tmp_path):
    return onyx.Store.init(tmp_path)


def training():
    """A model and an optimizer with a state."""
    model = torch.nn.Linear(40, 40)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(40)).sum().backward()
    optimizer.step()
    return {"model": model, "optimizer": optimizer}


def test_the_line_of_log(store):
    with store.start_run("a") as run:
        run.log({"loss": 1.0})
        with Trace() as trace:
            run.log({"loss": 0.5})
    assert trace.missing(told("run.log")) == []


def test_the_line_of_the_syncer(store, monkeypatch):
    monkeypatch.setattr(live, "SEGMENT_POINTS", 1)
    with store.start_run("a") as run:
        run._syncer.stop()
        run.log({"loss": 1.0})
        with Trace() as trace:
            run._beat()
    assert trace.missing(told("the syncer")) == []


def test_the_lines_of_a_save(store):
    with Trace() as trace, store.start_run("a") as run:
        run.save_checkpoint(**training(), metrics={"loss": 1.0}, wait=True)
    assert trace.missing(told("run.save_checkpoint")) == []
    assert trace.missing(told("retention")) == []
    # The run's first commit is written by the caller's thread, in the same way but for the trees.
    trace.calls = [call for call in trace.calls if ("store/run.py", "Run._record_staged") in call[1]]
    assert trace.missing(told("the saver")) == []


def test_the_lines_of_a_checkout(store, monkeypatch):
    with store.start_run("a") as run:
        run.save_checkpoint(**training(), is_best=True, wait=True)
    monkeypatch.chdir(store.folder)
    with Trace() as trace:
        status = run_command(["checkout", "best"])
    assert status == 0
    assert trace.missing(told("onyx checkout best")) == []
    assert trace.missing(told("reading a chunk")) == []


def test_the_line_of_a_tracker(store, monkeypatch):
    class Listening(onyx.TrackingBackendBase):
        def log_metrics(self, metrics, step):
            pass

    monkeypatch.chdir(store.folder)
    onyx.register_backend("listening", Listening, replace=True)
    tracker = onyx.create_experiment_tracker(onyx.ExperimentConfig(tracking_backend="listening"))
    with tracker, Trace() as trace:
        tracker.log_metrics({"loss": 0.5})
    assert trace.missing(told("tracker.log_metrics")) == []


def test_each_line_of_the_page_names_a_file_that_is_there():
    named = re.findall(r"`((?:disk|history|configs|frameworks|store|tracking|cli)/[\w/]+\.py)`", PAGE)
    files = re.findall(r"^ *(\S+\.py) +\S+", PAGE, re.MULTILINE) + named
    assert [file for file in files if "VERB" not in file and not Path(PACKAGE, file).is_file()] == []
    assert len(files) > 60


def test_a_line_that_is_not_taken_is_told(store):
    with Trace() as trace:
        store.runs()
    assert trace.missing([(0, "store/store.py", "Store.runs"), (1, "store/gc.py", "plan_gc")]) == ["store/gc.py plan_gc"]
