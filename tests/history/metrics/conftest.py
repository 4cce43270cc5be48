import pytest

from onyxstore.errors import ObjectMissing
from onyxstore.hashing import address_of
from onyxstore.history.metrics.live import LogWriter
from onyxstore.history.metrics.log import read_log

LOG = "0123456789abcdef0123456789abcdef"


class Objects:
    """An object store in memory."""

    def __init__(self):
        self.held = {}

    def put(self, data):
        address = address_of(data)
        self.held[address] = data
        return address

    def get(self, address):
        if address not in self.held:
            raise ObjectMissing(address)
        return self.held[address]


class RunFolder:
    """One run's metric log: what its process would hold."""

    def __init__(self, root):
        self.path, self.tmp, self.objects = root / "runs" / "run", root / "tmp", Objects()

    def open(self, log=LOG):
        return LogWriter.open(self.path, self.tmp, log=log, run="run", put=self.objects.put, get=self.objects.get)

    def read(self):
        return read_log(self.path, self.objects.get)

    def tails(self):
        return sorted(path.name for path in self.path.iterdir() if path.name != "segments")


@pytest.fixture
def run(tmp_path):
    return RunFolder(tmp_path)
