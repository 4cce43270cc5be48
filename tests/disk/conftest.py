"""What the tests of this folder stand on: a store's layout, other processes, a disk of a few kB."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from onyxstore.disk import files
from onyxstore.disk.layout import create_layout

ROOT = Path(__file__).parents[2]


@pytest.fixture
def layout(tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "_sync", lambda _: None)  # twenty of them, before each test
        return create_layout(tmp_path / ".onyx", b"")


@pytest.fixture
def start_python():
    """Starts a script in a process of its own and returns once it has printed `ready`; it gets its lines by `send`."""
    started = []

    def start(script, *arguments):
        process = subprocess.Popen(
            [sys.executable, "-c", script, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            start_new_session=True,
        )
        started.append(process)
        said = process.stdout.readline()
        if said != "ready\n":
            message = f"the script said {said!r} where it should be ready"
            raise RuntimeError(message)
        return process

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # with what it forked
        process.communicate()


@pytest.fixture
def run_python():
    """Runs a script in a process of its own, without root's rights, and returns what it printed."""

    def run(script, *arguments):
        script = f"import os\nif os.geteuid() == 0:\n    os.setgid(65534); os.setuid(65534)\n{script}"
        # What it imports must be readable without root, so it is imported before: by `-c`, with the path handed over.
        imports = "import onyxstore.disk.loose, onyxstore.disk.refs\n"
        finished = subprocess.run(
            [sys.executable, "-c", imports + script, *map(str, arguments)],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        return finished.stdout.splitlines()

    return run


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a filesystem of its own with room for 64 kB."""
    folder = tmp_path / "small"
    folder.mkdir()
    if os.geteuid() != 0 or sys.platform != "linux":
        pytest.skip("a disk that can be filled is a tmpfs, which takes Linux and root to mount")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], check=False, capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
