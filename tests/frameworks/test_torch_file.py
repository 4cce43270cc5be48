import os
import subprocess
import sys
import traceback
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from onyxstore.errors import BadFile, BadInput
from onyxstore.frameworks import torch_file
from onyxstore.frameworks.restore import restore_tree
from onyxstore.frameworks.torch_file import read_torch_file


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.pt"


@pytest.mark.filterwarnings("ignore:ComplexHalf")
def test_a_file_is_read_as_what_was_saved(path, spell, tmp_path, monkeypatch):
    # A module of that name in the working directory is not torch.
    (tmp_path / "torch.py").write_text("raise SystemExit(7)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    model = nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "epoch": 3,
        "parts": [torch.ones(2, dtype=torch.bfloat16), torch.ones(2, dtype=torch.complex128), torch.empty(0, 3), torch.tensor(7)],
        "betas": (0.9, 0.999),
        "size": torch.Size([1, 2]),
        "tied": [model.weight.detach(), model.weight.detach()],
    }
    torch.save(state, path)
    restored = restore_tree(read_torch_file(Path(path.name)))
    assert spell(restored) == spell(state)
    restored["model"]["weight"].zero_()
    assert restored["tied"][1].sum() == 0


@pytest.fixture
def in_this_process(monkeypatch):
    """The reader without a process of its own, which takes seconds to load torch."""

    def run(command, **_):
        try:
            status, words = torch_file.main(Path(command[-2]), Path(command[-1])), ""
        except Exception as error:  # noqa: BLE001 (as the end of a process does)
            status, words = 1, "".join(traceback.format_exception_only(error))
        return subprocess.CompletedProcess(command, status, "", words)

    monkeypatch.setattr(torch_file.subprocess, "run", run)
    monkeypatch.setattr(torch_file, "_limit_memory", lambda _: None)
    monkeypatch.setattr(sys, "tracebacklimit", 1000, raising=False)


class Planted:
    """A pickle that would make a file where it is read."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.system, (f"touch {self.target}",)


def test_nothing_that_a_file_holds_is_run(path, tmp_path):
    torch.save({"model": Planted(tmp_path / "planted")}, path)
    with pytest.raises(BadFile) as caught:
        read_torch_file(path)
    assert str(caught.value) == f"{path} is no whole torch file: it holds posix.system, which is no tensor and no plain value"
    assert [each.name for each in tmp_path.iterdir()] == ["model.pt"]


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: nn.Linear(1, 1), "it holds torch.nn.modules.linear.Linear, which is no tensor and no plain value"),
        (lambda: {"a": np.float64(3)}, "it holds numpy._core.multiarray.scalar, which is no tensor and no plain value"),
        (lambda: {"a": torch.ones(2, device="meta")}, "a cannot be stored: a meta tensor has no encoding"),
    ],
    ids=["a module", "a numpy scalar", "a meta tensor"],
)
@pytest.mark.usefixtures("in_this_process")
def test_what_is_no_plain_state_is_refused(path, make, why):
    torch.save(make(), path)
    with pytest.raises(BadFile) as caught:
        read_torch_file(path)
    assert caught.value.why.startswith(why)


def truncated(data):
    return data[: len(data) // 2]


@pytest.mark.parametrize(
    "spoil", [truncated, lambda _: b"", lambda _: b"no pickle at all" * 9, lambda data: data[:40] + bytes(40) + data[80:]]
)
@pytest.mark.usefixtures("in_this_process")
def test_a_damaged_file_is_refused_on_one_line(path, spoil):
    torch.save({"a": torch.ones(3)}, path)
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(BadFile) as caught:
        read_torch_file(path)
    assert len(caught.value.why) < 250
    assert "\n" not in str(caught.value)


def test_what_is_no_regular_file_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path, tmp_path / "fifo", tmp_path / "absent"):
        with pytest.raises(BadFile, match="it is no regular file"):
            read_torch_file(path)


def test_a_file_that_grows_beyond_measure_is_refused(path, monkeypatch):
    """A compressed entry, as a zip may hold; torch writes none, and reads them."""
    torch.save({"a": torch.zeros(1 << 26, dtype=torch.uint8)}, path)
    packed = path.with_suffix(".packed")
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    monkeypatch.setattr(torch_file, "MODULE", "tests_limited_reader")
    (path.parent / "tests_limited_reader.py").write_text(
        "import sys\nfrom pathlib import Path\nfrom onyxstore.frameworks import torch_file\n"
        "import torch\nused = int(Path('/proc/self/statm').read_text().split()[5]) * 4096\n"
        "torch_file._FIXED_MEMORY = used + (40 << 20)\nsys.exit(torch_file.main(Path(sys.argv[1]), Path(sys.argv[2])))\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(path.parent))
    with pytest.raises(BadFile, match="it takes far more memory than its size"):
        read_torch_file(packed)


HANDED_BACK = "(folder / 'tree.json').write_text('{}'); (folder / 'tensors.safetensors').write_bytes({})"


def reader(folder, body):
    """A reader of one's own in the place of ours, as a file that took it over would have it."""
    (folder / "planted_reader.py").write_text(f"import os, sys, time\nfrom pathlib import Path\nfolder = Path(sys.argv[2])\n{body}\n")
    return "planted_reader"


@pytest.mark.parametrize(
    ("body", "error", "words"),
    [
        ("sys.exit(3)", BadInput, "reading a .pt file needs torch; 'pip install onyxstore[torch]' brings it"),
        ("sys.exit(4)", BadInput, "reading a .pt file needs torch 2.10: older ones can be made to run code"),
        ("os.kill(os.getpid(), 9)", BadFile, "it ended the process that read it (signal 9)"),
        ("time.sleep(60)", BadFile, "reading it took more than"),
        ("pass", BadFile, "its reader gave back what is no state"),
        (HANDED_BACK.format("{}", "b''"), BadFile, "its reader gave back what is no state"),
        (HANDED_BACK.format('{"tree":{"$":"x"},"tensors":[]}', "b'\\2' + bytes(7) + b'{}'"), BadFile, "what is no state: unknown tag 'x'"),
    ],
    ids=["no torch", "old torch", "killed", "slow", "nothing", "empty", "hostile"],
)
def test_a_reader_that_fails_or_lies_is_no_more_than_an_error(path, monkeypatch, body, error, words):
    path.write_bytes(b"x")
    monkeypatch.setattr(torch_file, "MODULE", reader(path.parent, body))
    monkeypatch.setattr(torch_file, "_FIXED_SECONDS", 5.0 if body != "time.sleep(60)" else 0.5)
    monkeypatch.setenv("PYTHONPATH", str(path.parent))
    with pytest.raises(error) as caught:
        read_torch_file(path)
    assert words in str(caught.value)


@pytest.mark.usefixtures("in_this_process")
def test_nothing_is_left_behind(path, tmp_path):
    torch.save([torch.ones(3)], path)
    read_torch_file(path, scratch=tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["model.pt"]


@pytest.mark.usefixtures("in_this_process")
def test_an_older_torch_is_not_trusted(path, monkeypatch):
    torch.save([1], path)
    monkeypatch.setattr(torch, "__version__", "2.9.1+cpu")
    with pytest.raises(BadInput, match=r"needs torch 2\.10: older ones"):
        read_torch_file(path)
