"""TensorBoard's event files: summaries of the kinds that torch's SummaryWriter writes, which every reader of such files knows.

This module imports TensorBoard (neither TensorFlow nor torch); the backend imports it when it is made.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event  # type: ignore[import-untyped]
from tensorboard.compat.proto.summary_pb2 import HistogramProto, Summary  # type: ignore[import-untyped]
from tensorboard.compat.proto.tensor_pb2 import TensorProto  # type: ignore[import-untyped]
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto  # type: ignore[import-untyped]
from tensorboard.compat.proto.types_pb2 import DT_DOUBLE, DT_STRING  # type: ignore[import-untyped]
from tensorboard.plugins.hparams import metadata as hparams  # type: ignore[import-untyped]
from tensorboard.plugins.hparams.api_pb2 import Status  # type: ignore[import-untyped]
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo  # type: ignore[import-untyped]
from tensorboard.plugins.hparams.summary_v2 import hparams_pb  # type: ignore[import-untyped]
from tensorboard.plugins.scalar import metadata as scalars  # type: ignore[import-untyped]
from tensorboard.plugins.text import metadata as texts  # type: ignore[import-untyped]
from tensorboard.summary.writer.record_writer import RecordWriter  # type: ignore[import-untyped]

from onyxstore.tracking.backends.plain import Leaf
from onyxstore.tracking.media import encode_png
from onyxstore.tracking.recorded import Histogram, Image

Value = Any
"""A `Summary.Value`: one thing under one tag."""


class EventFile:
    """A new event file in a folder. What was written is in the file, and found by readers, when `write` returns."""

    def __init__(self, folder: Path) -> None:
        # With the library's EventFileWriter, which has a thread and a queue of its own, a row of four scalars takes 84 µs; so it takes 30.
        self._file = RecordWriter((folder / _file_name()).open("xb", buffering=0))
        self._add(Event(wall_time=time.time(), file_version="brain.Event:2"))

    def write(self, values: Sequence[Value], step: int) -> None:
        """Writes what belongs to one step."""
        self._add(Event(wall_time=time.time(), step=step, summary=Summary(value=values)))

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _add(self, event: Any) -> None:
        self._file.write(event.SerializeToString())


def encode_scalar(tag: str, value: float) -> Value:
    """A number as float32: the kind that all readers know."""
    return Summary.Value(tag=tag, simple_value=value)


def encode_double(tag: str, value: float) -> Value:
    """A number as float64, which is a tensor of no dimensions."""
    tensor = TensorProto(dtype=DT_DOUBLE, double_val=[value], tensor_shape=TensorShapeProto())
    return Summary.Value(tag=tag, tensor=tensor, metadata=scalars.create_summary_metadata("", ""))


def encode_image(tag: str, image: Image) -> Value:
    """A picture, as a PNG."""
    height, width, channels = image.pixels.shape
    png = Summary.Image(height=height, width=width, colorspace=channels, encoded_image_string=encode_png(image))
    return Summary.Value(tag=tag, image=png)


def encode_histogram(tag: str, histogram: Histogram) -> Value:
    """The bins from the first to the last that hold something: readers take `min` for the left edge of the first such bin."""
    full = np.flatnonzero(histogram.counts)
    first, end = (int(full[0]), int(full[-1]) + 1) if full.size else (0, 0)
    counts, edges = histogram.counts[first:end], histogram.edges[first : end + 1]
    limits = {"min": edges[0], "max": edges[-1], "num": int(counts.sum())}
    return Summary.Value(tag=tag, histo=HistogramProto(bucket_limit=edges[1:].tolist(), bucket=counts.tolist(), **limits))


def encode_text(name: str, text: str) -> Value:
    """A text, which TensorBoard renders as Markdown. One string, no list of one: it would make that a table."""
    tensor = TensorProto(dtype=DT_STRING, string_val=[text.encode()], tensor_shape=TensorShapeProto())
    return Summary.Value(tag=f"{name}/text_summary", tensor=tensor, metadata=texts.create_summary_metadata(name, ""))


def encode_session(hyperparameters: Mapping[str, Leaf]) -> list[Value]:
    """What the HParams dashboard shows of a run; it takes the first that it finds."""
    known = {name: "None" if value is None else value for name, value in hyperparameters.items()}
    return list(hparams_pb(known, start_time_secs=time.time()).value)


def encode_session_end(*, is_success: bool) -> Value:
    """How the run ended, for the HParams dashboard."""
    status = Status.STATUS_SUCCESS if is_success else Status.STATUS_FAILURE
    data = HParamsPluginData(session_end_info=SessionEndInfo(status=status, end_time_secs=time.time()))
    return Summary.Value(tag=hparams.SESSION_END_INFO_TAG, metadata=hparams.create_summary_metadata(data), tensor=hparams.NULL_TENSOR)


def _file_name() -> str:
    """As the library names its files: readers look for the first part, and order files by the second."""
    return f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}.0"
