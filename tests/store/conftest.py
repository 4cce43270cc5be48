"""What the tests of this folder stand on: a store, states of numpy arrays, other processes."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

import onyxstore as onyx
from onyxstore.disk import files
from onyxstore.disk.files import walk_files

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
    """The folder that holds the store, and the working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def store(folder):
    return onyx.Store.init(folder)


@pytest.fixture
def doors(store):
    return store._doors


@pytest.fixture
def weights():
    """A state of `size` float32s that another seed shares nothing with."""

    def make(seed, size=1000):
        return {"w": np.random.default_rng(seed).standard_normal(size, np.float32)}

    return make


@pytest.fixture
def save(weights):
    """Saves a state of its own for each step, and waits for it and for what retention does after it."""

    def save(run, step, size=1000, seed=None, **options):
        commit = run.save_checkpoint(state=weights(step if seed is None else seed, size), step=step, **options).wait(PATIENCE)
        run._saver.flush()
        return commit

    return save


@pytest.fixture
def steps_kept():
    """The steps whose checkpoints load, of all that a run ever saved."""

    def kept(run):
        found = {}
        for commit in run.commits:
            if commit.checkpoint is not None and commit.checkpoint.step not in found:
                try:
                    commit.checkpoint.load()
                except onyx.OnyxError:
                    continue
                found[commit.checkpoint.step] = True
        return list(found)

    return kept


@pytest.fixture
def size_of():
    """Bytes of all files below a folder, but for what is derived and comes with a question."""

    def size(folder):
        return sum(path.stat().st_size for path in walk_files(folder) if not path.name.startswith("index.sqlite"))

    return size


@pytest.fixture
def until():
    """Waits for something to become true, looking often, for a minute at most."""

    def wait(holds):
        deadline = time.monotonic() + PATIENCE
        while not (found := holds()):
            if time.monotonic() > deadline:
                message = "what was waited for did not come"
                raise TimeoutError(message)
            time.sleep(0.005)
        return found

    return wait


class Script:
    """A Python program in a process of its own, in the folder of the store."""

    def __init__(self, folder, text, *arguments, **environment):
        self.process = subprocess.Popen(
            [sys.executable, "-c", f"import sys, os, time\nimport numpy as np\nimport onyxstore as onyx\n{text}", *map(str, arguments)],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment},
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

    def start(text, *arguments, **environment):
        started.append(Script(folder, text, *arguments, **environment))
        return started[-1]

    yield start
    for each in started:
        each.process.kill()
        each.process.communicate()


class Deadly:
    """The system calls, the n-th of which that could change something is not reached."""

    CHANGES = frozenset({"open", "write", "writev", "link", "rename", "unlink", "mkdir", "ftruncate"})

    def __init__(self, left):
        self.left = left

    def __getattr__(self, name):
        call = getattr(os, name)
        if name not in self.CHANGES:
            return call

        def counted(*arguments, **options):
            self.left -= name != "open" or bool(arguments[1] & os.O_CREAT)
            if self.left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments, **options)

        return counted


@pytest.fixture
def killed_at(monkeypatch):
    """Does something in a process of its own, `prepare` and then `act`, which is killed before its n-th change; whether it was."""

    def killed(number, act, prepare=lambda: None):
        if (child := os.fork()) == 0:
            prepared = prepare()
            monkeypatch.setattr(files, "os", Deadly(number))
            act(*([] if prepared is None else [prepared]))
            os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL

    return killed


@pytest.fixture
def said(caplog):
    """What the library said on its logger."""
    return lambda: [record.getMessage() for record in caplog.records if record.name == "onyxstore"]


@pytest.fixture
def make_small_disk(tmp_path_factory):
    """A filesystem of so many bytes; skipped where none can be mounted."""
    mounted = []

    def make(size):
        folder = tmp_path_factory.mktemp("small")
        if os.geteuid() != 0 or sys.platform != "linux":
            pytest.skip("a disk that can be filled is a tmpfs, which takes Linux and root to mount")
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
        if (done := subprocess.run(command, check=False, capture_output=True, text=True)).returncode:
            pytest.skip(f"no tmpfs can be mounted here: {done.stderr.strip()}")
        mounted.append(folder)
        return folder

    yield make
    for folder in mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
