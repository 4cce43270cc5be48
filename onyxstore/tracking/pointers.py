"""Checkpoint ids, and the pointer files that carry them.

    checkpoint_epoch_5_step_1000_20240115_103000_best       what is not known is left out; a taken one gets -2, -3 …

The id is the message of the commit that saved the checkpoint. A pointer file `ID.json` says which commit that is, for people and
programs that look into `checkpoint_dir`:

    {"onyx": "pointer", "checkpoint_id", "run", "commit": address, "epoch", "step", "metrics": {…}, "timestamp": ISO 8601}

It is derived: the store has all of it, and where the file is gone its name is still the id. So a pointer is written without fsync,
beside its place and renamed there; what lies there already stays.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from onyxstore.canonical import decode_value, encode_value, read_plain
from onyxstore.hashing import Address, is_address
from onyxstore.tracking.steps import Epoch

LARGEST = 1 << 20
"""Bytes of a pointer that is read; one with a thousand metrics has 50,000."""

_ID = re.compile(r"checkpoint(_epoch_[0-9.e-]{1,30})?(_step_-?[0-9]{1,20})?_[0-9]{8}_[0-9]{6}(_best)?(-[0-9]{1,9})?", re.ASCII)

_KIND = "pointer"


@dataclass(frozen=True)
class Pointer:
    """What a pointer file says of a checkpoint."""

    checkpoint_id: str
    run: str
    commit: Address
    epoch: Epoch
    step: int | None
    metrics: Mapping[str, float]
    timestamp: str


def make_id(step: int | None, epoch: Epoch, now: datetime, *, is_best: bool, taken: Collection[str]) -> str:
    """The id of a checkpoint of this moment that is not among the taken ones."""
    parts = ["checkpoint"]
    parts += ["epoch", _epoch_word(epoch)] if epoch is not None else []
    parts += ["step", str(step)] if step is not None else []
    parts += [f"{now:%Y%m%d_%H%M%S}"]
    parts += ["best"] if is_best else []
    wanted, number = "_".join(parts), 1
    while (found := wanted if number == 1 else f"{wanted}-{number}") in taken:
        number += 1
    return found


def is_checkpoint_id(text: str) -> bool:
    """Whether `text` is one, which then is no part of a path but a name."""
    return _ID.fullmatch(text) is not None


def pointer_file(folder: Path, checkpoint_id: str) -> Path:
    """Where the pointer to a checkpoint lies."""
    return folder / f"{checkpoint_id}.json"


def encode_pointer(pointer: Pointer) -> bytes:
    """The file's content: JSON as people read it, with the tags of canonical JSON for numbers that JSON lacks."""
    value = encode_value({"onyx": _KIND, **asdict(pointer)})
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def decode_pointer(data: bytes) -> Pointer:
    """The pointer; ValueError for what is none."""
    fields = decode_value(read_plain(data))
    if type(fields) is not dict or fields.pop("onyx", None) != _KIND:
        raise ValueError("it is no pointer")
    try:
        pointer = Pointer(**fields)
    except TypeError as error:
        raise ValueError(f"it has other fields than a pointer ({error})") from None
    if not (type(pointer.checkpoint_id) is str and is_checkpoint_id(pointer.checkpoint_id) and is_address(pointer.commit)):
        raise ValueError("it points to nothing")
    return pointer


def find_pointer(path: Path) -> Pointer | None:
    """The pointer in a file; None where there is no such file, or something else in it."""
    try:
        if not path.is_file():  # a pipe would be waited for
            return None
        with path.open("rb") as file:
            return decode_pointer(file.read(LARGEST))
    except (OSError, ValueError):
        return None


def list_pointers(folder: Path) -> Iterator[Pointer]:
    """Every pointer that lies in a folder under its own name."""
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    for path in files:
        pointer = find_pointer(path) if path.suffix == ".json" and is_checkpoint_id(path.stem) else None
        if pointer is not None and pointer.checkpoint_id == path.stem:
            yield pointer


def write_pointer(folder: Path, pointer: Pointer) -> None:
    """Writes the pointer's file where there is none of that name; OSError."""
    path = pointer_file(folder, pointer.checkpoint_id)
    if path.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    beside = folder / f".{path.name}.{os.getpid()}"
    beside.write_bytes(encode_pointer(pointer))
    beside.replace(path)


def delete_pointer(folder: Path, checkpoint_id: str, commit: Address) -> None:
    """Deletes the checkpoint's file if it still points to this commit; OSError."""
    path = pointer_file(folder, checkpoint_id)
    pointer = find_pointer(path)
    if pointer is not None and pointer.commit == commit:
        path.unlink(missing_ok=True)


def _epoch_word(epoch: float) -> str:
    return str(int(epoch)) if epoch == int(epoch) and abs(epoch) < 2**53 else f"{epoch:g}".replace("+", "")
