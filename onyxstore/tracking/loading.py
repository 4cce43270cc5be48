"""What a checkpoint is loaded from, and what is handed out of it.

A source is a commit of the store, or a `.safetensors` file of anybody's. Both are verified: the store's bytes by their addresses, a
file by its own header, strictly. Names are compared before anything is read, shapes before anything is changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from onyxstore.canonical import TAG
from onyxstore.errors import BadFile, BadInput, LoadMismatch, disk_error
from onyxstore.frameworks.loading import LoadReport, load_into
from onyxstore.frameworks.restore import restore_tree
from onyxstore.frameworks.wrappers import match_names
from onyxstore.history.checkpoints.safetensors_file import LENGTH_BYTES, decode_header, header_length
from onyxstore.history.checkpoints.tensors import Leaf
from onyxstore.history.checkpoints.tree import Tagged
from onyxstore.history.checkpoints.tree_decoding import split_parts
from onyxstore.history.checkpoints.walk import MODULE_METADATA
from onyxstore.store.store import Store
from onyxstore.store.views import Commit
from onyxstore.tracking.saved import id_of, is_best, iso_time, saver_of

MODEL = "model"

_STATE_DICTS = {"model_state_dict": MODEL, "optimizer_state_dict": "optimizer", "scheduler_state_dict": "scheduler"}

_SHOWN = 5
"""Names that an error lists."""


class CheckpointData(Mapping[str, Any]):
    """A loaded checkpoint under the guide's keys, for reading.

    `epoch`, `step`, `metrics`, `timestamp`, `checkpoint_id`, `is_best` (what held when it was loaded), and `model_state_dict`,
    `optimizer_state_dict`, `scheduler_state_dict`: None for what was not saved, else read when it is first asked for. `report` says
    what the load left out.
    """

    def __init__(self, source: Source, report: LoadReport) -> None:
        self.report = report
        self._source = source
        self._values = dict(source.about)
        self._keys = (*self._values, *_STATE_DICTS)

    def __getitem__(self, key: str) -> Any:
        if key not in self._values and key in _STATE_DICTS:
            self._values[key] = self._source.read_part(_STATE_DICTS[key])
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def __repr__(self) -> str:
        return f"<CheckpointData of {self['checkpoint_id']}>"


class Source(Protocol):
    """Where a checkpoint is."""

    @property
    def about(self) -> Mapping[str, Any]:
        """What is known besides the tensors, under the guide's keys."""

    @property
    def parts(self) -> Mapping[str, Tagged]:
        """What was saved, by part, as it is stored; a tree without a model is one."""

    def load_into(self, live: Mapping[str, Any]) -> LoadReport:
        """Loads parts into live objects."""

    def read_part(self, part: str) -> Any:
        """A part as it was handed in; None where there is none."""

    def check(self) -> None:
        """Reads every byte; raises what is wrong."""


def load_from(source: Source, live: Mapping[str, Any], *, strict: bool) -> CheckpointData:
    """Loads the parts of a source into the live objects of their names, those that are not None.

    With `strict` a tensor that only one side has, or a part that was not saved, is a LoadMismatch and nothing is changed; without,
    what both have is loaded and the report says the rest. What is of another shape fits in neither case.
    """
    wanted = {part: each for part, each in live.items() if each is not None}
    if strict and MODEL in wanted:
        _check_names(wanted[MODEL], source.parts[MODEL])
    lacking = () if strict else tuple(part for part in wanted if part not in source.parts)
    report = source.load_into({part: each for part, each in wanted.items() if part not in lacking})
    return CheckpointData(source, LoadReport((*report.missing, *lacking), report.unexpected, report.reshaped, report.not_restored))


class CommitSource:
    """A checkpoint that the store has. BadInput for a commit from before the first save."""

    def __init__(self, store: Store, commit: Commit) -> None:
        if commit.checkpoint is None:
            raise BadInput(f"{commit.short} of run '{commit.run}' has no checkpoint: it was made before the first was saved")
        self._store = store
        self._saver = saver_of(commit)
        self._checkpoint = commit.checkpoint

    @cached_property
    def about(self) -> Mapping[str, Any]:
        """As the commit says it."""
        checkpoint = self._checkpoint
        return {
            "epoch": checkpoint.epoch,
            "step": checkpoint.step,
            "metrics": dict(checkpoint.metrics),
            "is_best": is_best(self._store, self._saver),
            "timestamp": iso_time(self._saver.time),
            "checkpoint_id": id_of(self._saver),
        }

    @cached_property
    def parts(self) -> Mapping[str, Tagged]:
        """The first level of its tree."""
        tree = self._checkpoint.state_tree.tree
        parts = {str(name): part for name, part in split_parts(tree).items()}
        return parts if MODEL in parts else {**parts, MODEL: tree}

    def load_into(self, live: Mapping[str, Any]) -> LoadReport:
        """As `Checkpoint.load_into`: random generators too when an optimizer is given."""
        return self._checkpoint.load_into(**live)

    def read_part(self, part: str) -> Any:
        """From the store, without the other parts."""
        if part not in self.parts:
            return None
        return restore_tree(self._checkpoint.read_neutral(self._checkpoint.state_tree, self.parts[part]))

    def check(self) -> None:
        """A tensor at a time: the whole may be larger than memory."""
        for tree in (self._checkpoint.state_tree, *self._checkpoint.other_trees().values()):
            for index in range(len(tree.tensors)):
                self._checkpoint.read_stored(tree, index)


class FileSource:
    """A `.safetensors` file, read whole: a model and nothing else. BadFile, DiskError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._tensors = _read_tensors(path)

    @cached_property
    def about(self) -> Mapping[str, Any]:
        """What a file says of itself: its name, and when it was written."""
        return {
            "epoch": None,
            "step": None,
            "metrics": {},
            "is_best": False,
            "timestamp": iso_time(self._path.stat().st_mtime),
            "checkpoint_id": self._path.stem,
        }

    @property
    def parts(self) -> Mapping[str, Tagged]:
        """The model, with nothing in the place of its tensors."""
        return {MODEL: {TAG: "dict", "items": [[name, None] for name in self._tensors]}}

    def load_into(self, live: Mapping[str, Any]) -> LoadReport:
        """The tensors into the model; LoadMismatch for any other part."""
        return load_into({MODEL: self._tensors}, **live)

    def read_part(self, part: str) -> Any:
        """The tensors by name."""
        return restore_tree(self._tensors, copy=True) if part == MODEL else None

    def check(self) -> None:
        """Nothing is left to read: a file of this format has no checksum beyond its header."""


def _read_tensors(path: Path) -> dict[str, Leaf]:
    """The file's tensors on the memory that it was read into. Not by the library, which maps it: `safetensors_file` says why not."""
    try:
        data = np.fromfile(path, np.uint8) if path.is_file() else None
    except OSError as error:
        raise disk_error("reading", path, error) from None
    if data is None:
        raise BadFile(str(path), "safetensors file", "there is none")
    length = header_length(data[:LENGTH_BYTES].data, data.nbytes, str(path))
    header = decode_header(data[LENGTH_BYTES : LENGTH_BYTES + length].data, str(path), data.nbytes)
    places = {tensor.name: header.data_offset + tensor.offset for tensor in header.tensors}
    return {
        tensor.name: Leaf(tensor.dtype, tensor.shape, data[places[tensor.name] :][: tensor.size].data, "torch.tensor")
        for tensor in header.tensors
    }


def _check_names(model: Any, stored: Tagged) -> None:
    """LoadMismatch for a tensor that only the model or only the checkpoint has."""
    missing, unexpected = _compare(model, stored, "")
    if missing or unexpected:
        found = [f"{what}: {_some(names)}" for what, names in (("missing", missing), ("unexpected", unexpected)) if names]
        raise LoadMismatch("the model", f"{'; '.join(found)} (strict=False loads what both have)")


def _compare(live: Any, stored: Tagged, prefix: str) -> tuple[list[str], list[str]]:
    """The names of a module, or of several in lists and dicts, that the stored one lacks, and those that only that one has."""
    if hasattr(live, "named_modules"):
        here, there = list(live.state_dict()), [str(name) for name in split_parts(stored) if name != MODULE_METADATA]
        matches = match_names(there, here)
        lacks = [prefix + name for name in here if name not in matches]
        return lacks, [prefix + name for name in there if name not in matches.values()]
    children = live if isinstance(live, dict) else dict(enumerate(live)) if isinstance(live, list | tuple) else {}
    beside = _children(stored)
    pairs = [_compare(child, beside[key], f"{prefix}{key}.") for key, child in children.items() if key in beside]
    return [name for lacks, _ in pairs for name in lacks], [name for _, rest in pairs for name in rest]


def _children(stored: Tagged) -> dict[Any, Tagged]:
    """The parts of a stored dict, list or tuple."""
    if isinstance(stored, dict) and stored.get(TAG) == "tuple":
        stored = stored["items"]
    return dict(enumerate(stored)) if isinstance(stored, list) else dict(split_parts(stored))


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"
