"""`.pt` files: what torch.save wrote, read without ever running what is in it.

A `.pt` file is a pickle, which is a program. torch's restricted reader (`weights_only=True`) runs only the instructions that build
tensors and containers; until 2.10 it could be led astray by crafted files (CVE-2025-32434, CVE-2026-24747). So the file is read
by a process of its own, with bounded time and memory, which passes back data: the tree as tagged JSON, the tensors as rows of
bytes in a safetensors file. This process believes it no more than any file from outside.

    python -m onyxstore.frameworks.torch_file FILE FOLDER      writes tree.json and tensors.safetensors into FOLDER
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from onyxstore.canonical import plain_bytes, read_plain
from onyxstore.errors import BadFile, BadInput
from onyxstore.frameworks.capture import capture_tree
from onyxstore.history.checkpoints.safetensors_file import LENGTH_BYTES, decode_header, encode_file, header_length
from onyxstore.history.checkpoints.tensors import Leaf
from onyxstore.history.checkpoints.tree import encode_tree
from onyxstore.history.checkpoints.tree_decoding import decode_tree

MODULE = "onyxstore.frameworks.torch_file"
OLDEST_TORCH = (2, 10)
_KIND = "torch file"
_NO_TORCH = 3
_OLD_TORCH = 4

_FIXED_MEMORY = 4 << 30
_MEMORY_PER_BYTE = 4
"""torch itself and its threads; the tensors as torch has them, their copy, and room for compressed ones."""

_FIXED_SECONDS = 120.0
_BYTES_PER_SECOND = 10e6
_LONGEST_TREE = 1 << 28


def read_torch_file(path: Path, scratch: Path | None = None) -> Any:
    """The neutral tree of a `.pt` file; its tensors are in memory of this process.

    `scratch` is a folder with room for the tensors while they are handed over, the system's temporary one unless given. BadFile
    when the file holds anything but tensors and plain containers, or is damaged; BadInput without a torch that reads it safely.
    """
    if not path.is_file():
        raise BadFile(str(path), _KIND, "it is no regular file")
    with tempfile.TemporaryDirectory(prefix="onyx-", dir=scratch) as folder:
        _run_reader(path, Path(folder))
        try:
            return _read_result(Path(folder))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BadFile(str(path), _KIND, f"its reader gave back what is no state: {error}") from None


def _run_reader(path: Path, folder: Path) -> None:
    # -P: a torch.py in the working directory is not torch.
    command = [sys.executable, "-P", "-W", "ignore", "-m", MODULE, str(path.absolute()), str(folder)]
    package = str(Path(__file__).parents[2])
    search = os.pathsep.join(part for part in (package, os.environ.get("PYTHONPATH")) if part)
    environment = os.environ | {"PYTHONPATH": search, "CUDA_VISIBLE_DEVICES": ""}
    seconds = _FIXED_SECONDS + path.stat().st_size / _BYTES_PER_SECOND
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=seconds, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        raise BadFile(str(path), _KIND, f"reading it took more than {seconds:.0f} s") from None
    if done.returncode == _NO_TORCH:
        raise BadInput("reading a .pt file needs torch; 'pip install onyxstore[torch]' brings it")
    if done.returncode == _OLD_TORCH:
        raise BadInput(f"reading a .pt file needs torch {'.'.join(map(str, OLDEST_TORCH))}: older ones can be made to run code")
    if done.returncode:
        raise BadFile(str(path), _KIND, _reason(done.stderr, done.returncode))


def _reason(words: str, status: int) -> str:
    """What the reader's last words mean, on one line."""
    if status < 0:
        return f"it ended the process that read it (signal {-status})"
    foreign = re.search(r"(?:GLOBAL|class) ([\w.]{1,100})", words)
    if foreign:
        return f"it holds {foreign[1]}, which is no tensor and no plain value"
    if "MemoryError" in words or "allocate memory" in words:
        return "it takes far more memory than its size"
    if "Weights only load failed" in words:
        return "it is no pickle of tensors and plain values"
    lines = [line for line in words.splitlines() if line.strip()]
    return re.split(r"\. ", lines[0].split(": ", 1)[-1])[0][:200] if lines else f"its reader ended with status {status}"


def _read_result(folder: Path) -> Any:
    tree, tensors = folder / "tree.json", folder / "tensors.safetensors"
    if tree.stat().st_size > _LONGEST_TREE:
        _refuse("a tree of more than 256 MB")
    result = read_plain(tree.read_bytes())
    leaves = {}
    for name, data in _read_rows(tensors):
        dtype, shape = result["tensors"][int(name)]
        leaves[int(name)] = Leaf(dtype, tuple(shape), data, "torch.tensor")
    return decode_tree(result["tree"], leaves)


def _read_rows(path: Path) -> Iterator[tuple[str, bytearray]]:
    size = path.stat().st_size
    with path.open("rb") as file:
        header = decode_header(file.read(header_length(file.read(LENGTH_BYTES), size, path.name)), path.name, size)
        for tensor in header.tensors:
            data = bytearray(tensor.size)
            if file.readinto(data) != tensor.size:
                _refuse("tensors cut short")
            yield tensor.name, data


def _refuse(why: str) -> NoReturn:
    raise ValueError(why)


# ----------------------------------------------------------------------------------------------- in the process of its own


def main(source: Path, folder: Path) -> int:
    """Reads `source` and writes its tree and tensors into `folder`; the exit status. Errors end the process with their words."""
    sys.tracebacklimit = 0
    _limit_memory(source.stat().st_size)
    try:
        import torch  # noqa: PLC0415 (after the limit)
    except ModuleNotFoundError:
        return _NO_TORCH
    if tuple(int(part) for part in torch.__version__.split(".")[:2]) < OLDEST_TORCH:
        return _OLD_TORCH
    tagged, found = encode_tree(capture_tree(torch.load(source, map_location="cpu", weights_only=True)))
    description = {"tree": tagged, "tensors": [[leaf.dtype, list(leaf.shape)] for _, leaf in found]}
    (folder / "tree.json").write_bytes(plain_bytes(description))
    rows = [Leaf("uint8", (memoryview(leaf.data).nbytes,), leaf.data, "torch.tensor") for _, leaf in found]
    with (folder / "tensors.safetensors").open("wb") as file:
        for part in encode_file((str(number), row) for number, row in enumerate(rows)):
            file.write(part)
    return 0


def _limit_memory(file_size: int) -> None:
    """Private memory, which is what data ends up in; the address space of torch's libraries says nothing."""
    import resource  # noqa: PLC0415 (only this process needs it)

    limit = _FIXED_MEMORY + _MEMORY_PER_BYTE * file_size
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
