import random
import subprocess
import sys
from pathlib import Path

import pytest

from onyxstore.hashing import address_of
from onyxstore.history.metrics.live import LogWriter
from onyxstore.history.metrics.log import read_log

WRITER = """
import sys, threading
from pathlib import Path
from onyxstore.disk import files
from onyxstore.hashing import address_of
from onyxstore.history.metrics.live import LogWriter

root = Path(sys.argv[1])

def put(data):
    address = address_of(data)
    files.publish_bytes(root / "tmp", root / "objects" / address, data)
    return address

writer = LogWriter.open(
    root / "run", root / "tmp", log="a" * 32, run="run", put=put, get=lambda address: (root / "objects" / address).read_bytes()
)

sealed = threading.Event()

def tend():
    while True:
        writer.sync()
        if writer.position > 20:
            writer.seal()
            sealed.set()

threading.Thread(target=tend, daemon=True).start()
while True:
    if writer.position == 100:
        sealed.wait()
    position = writer.append_points({"loss": writer.position / 7}, writer.position, None, 0)
    print(position, flush=True)
"""


def written_and_killed(root, acknowledgements):
    """Runs a writer until it has acknowledged so many records, then kills it; the last position that it told."""
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(root)], stdout=subprocess.PIPE, cwd=Path(__file__).parents[3])
    told = [process.stdout.readline() for _ in range(acknowledgements)]
    process.kill()
    told += process.stdout.read().splitlines(keepends=True)
    process.wait()
    process.stdout.close()
    return max(int(line) for line in told if line.endswith(b"\n"))


def get_from(root):
    return lambda address: (root / "objects" / address).read_bytes()


@pytest.mark.parametrize("seed", range(4))
def test_a_killed_writer_leaves_every_record_that_it_acknowledged(tmp_path, seed):
    print("seed", seed)
    acknowledged = 0
    for _ in range(2):
        acknowledged = written_and_killed(tmp_path, random.Random(seed).randrange(150, 2000))
    log = read_log(tmp_path / "run", get_from(tmp_path))
    # At most the record of the call that was under way may be there besides.
    assert log.position - acknowledged in {0, 1}
    assert [(record.step, record.values) for record in log.records()] == [(step, {"loss": step / 7}) for step in range(log.position)]
    assert log.damage == ()


def test_a_log_of_a_killed_writer_is_gone_on_with(tmp_path):
    written_and_killed(tmp_path, 300)
    found = read_log(tmp_path / "run", get_from(tmp_path)).position

    def put(data):
        address = address_of(data)
        (tmp_path / "objects" / address).write_bytes(data)
        return address

    writer = LogWriter.open(tmp_path / "run", tmp_path / "tmp", log="a" * 32, run="run", put=put, get=get_from(tmp_path))
    writer.append_points({"loss": found / 7}, found, None, 0)
    writer.close()
    log = read_log(tmp_path / "run", get_from(tmp_path))
    assert ([record.step for record in log.records()], log.damage) == (list(range(found + 1)), ())
