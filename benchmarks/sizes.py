"""How small: one checkpoint, its weights alone, in bfloat16; what a second one adds."""

from __future__ import annotations

import copy
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from trace import state_of, tensors_of, trained
from typing import Any

import torch
import zstandard
from pairs import Row
from safetensors.torch import save_file

import onyxstore as onyx


def measure() -> list[Row]:
    """The rows of the table."""
    model, optimizer = trained()
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    halves = {name: tensor.bfloat16() for name, tensor in weights.items()}
    rows = []
    for what, state, limit in (
        ("a checkpoint, fp32 weights and Adam state", state_of(model, optimizer), 0.825),
        ("fp32 weights alone", {"model": weights}, 0.83),
        ("the same in bfloat16", {"model": halves}, 0.65),
    ):
        ours, peers = _share(state), ", ".join(f"{name} {share:.3f}" for name, share in _peers(state))
        rows.append(Row(what, f"≤ {limit} of raw", f"{ours:.4f}", ours <= limit, peers))
    return [*rows, _frozen(model), _other_run(weights)]


def _share(state: dict[str, Any]) -> float:
    with _store() as (store, folder), store.start_run("run") as run:
        start = _bytes_of(folder)
        commit = run.save_checkpoint(state=state, wait=True).commit
        return (_bytes_of(folder) - start) / commit.cost["raw_bytes"]


def _frozen(model: torch.nn.Module) -> Row:
    """A second checkpoint of a model of which only the last layer trains."""
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    changed = copy.deepcopy(weights)
    changed["logits.weight"] += 1e-3 * torch.randn(changed["logits.weight"].shape, generator=torch.Generator().manual_seed(1))
    with _store() as (store, folder), store.start_run("run") as run:
        run.save_checkpoint(model=weights, wait=True)
        before = _bytes_of(folder)
        run.save_checkpoint(model=changed, wait=True)
        grown = _bytes_of(folder) - before
    head, whole = changed["logits.weight"].nbytes, _raw(weights)
    more = (grown - head) / whole
    detail = f"{grown:,} bytes for {head:,} that changed, of {whole:,}"
    name = "a second checkpoint, all but the last layer frozen"
    return Row(name, "what changed + 1 percent", f"{100 * more:+.2f} percent", more < 0.01, detail)


def _other_run(weights: dict[str, torch.Tensor]) -> Row:
    with _store() as (store, folder):
        for name in ("one", "two"):
            before = _bytes_of(folder)
            with store.start_run(name) as run:
                run.save_checkpoint(model=weights, wait=True)
            grown = _bytes_of(folder) - before
    return Row("the same weights in another run, the run included", "< 20 kB", f"{grown / 1000:.1f} kB", grown < 20_000)


# ------------------------------------------------------------------------------------------------------------- the peers


def _peers(state: dict[str, Any]) -> Iterator[tuple[str, float]]:
    """Each peer's share of the raw bytes, of those that are here."""
    tensors = {name: tensor.contiguous().clone() for name, tensor in tensors_of(state).items()}
    raw = sum(tensor.nbytes for tensor in tensors.values())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "work" / "state.safetensors"
        path.parent.mkdir()
        save_file(tensors, path)
        yield "zstd -3", len(zstandard.ZstdCompressor(level=3).compress(path.read_bytes())) / raw
        others = {
            "ZipNN": lambda: _zipnn(tensors),
            "git": lambda: _git(path),
            "restic": lambda: _restic(path),
            "borg": lambda: _borg(path),
        }
        for name, pack in others.items():
            size = _or_none(pack)
            if size is None:
                print(f"sizes: {name} is not here; its figure is left out", flush=True)
            else:
                yield name, size / raw


def _zipnn(tensors: dict[str, torch.Tensor]) -> int:
    import zipnn  # noqa: PLC0415 - a peer that is not always here

    coders: dict[torch.dtype, Any] = {}
    size = 0
    for tensor in tensors.values():
        if tensor.numel() < 64:
            size += tensor.nbytes
            continue
        name = str(tensor.dtype).removeprefix("torch.")
        coder = coders.setdefault(tensor.dtype, zipnn.ZipNN(input_format="byte", bytearray_dtype=name))
        size += len(coder.compress(bytearray(tensor.contiguous().flatten().view(torch.uint8).numpy())))
    return size


def _git(path: Path) -> int:
    git = ["git", "-C", str(path.parent), "-c", "user.name=x", "-c", "user.email=x@example.org"]
    for command in (["init", "-q"], ["add", path.name], ["commit", "-qm", "x"]):
        subprocess.run([*git, *command], check=True)
    return _bytes_of(path.parent / ".git" / "objects")


def _restic(path: Path) -> int:
    repository, environment = path.parent.parent / "restic", {"RESTIC_PASSWORD": "x", "PATH": "/usr/bin:/bin", "HOME": str(path.parent)}
    for command in (["init"], ["backup", str(path)]):
        subprocess.run(["restic", "-q", "-r", str(repository), *command], check=True, env=environment)
    return _bytes_of(repository / "data")


def _borg(path: Path) -> int:
    repository = str(path.parent.parent / "borg")
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(path.parent)}
    for command in (["init", "-e", "none", repository], ["create", "-C", "zstd,3", f"{repository}::x", str(path)]):
        subprocess.run(["borg", *command], check=True, env=environment)
    return _bytes_of(Path(repository) / "data")


def _or_none(pack: Callable[[], int]) -> int | None:
    try:
        return pack()
    except (ImportError, FileNotFoundError):
        return None


def _raw(state: Any) -> int:
    return sum(tensor.nbytes for tensor in tensors_of(state).values())


def _bytes_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@contextmanager
def _store() -> Iterator[tuple[onyx.Store, Path]]:
    folder = Path(tempfile.mkdtemp())
    try:
        yield onyx.Store.init(folder), folder
    finally:
        shutil.rmtree(folder)
