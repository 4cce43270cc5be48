"""Live values spelt out, so that two are compared bit for bit, and the whole way to bytes and back."""

import math
import struct
from collections import Counter, OrderedDict, defaultdict, deque

import numpy as np
import pytest
import torch

from onyxstore.canonical import plain_bytes, read_plain
from onyxstore.frameworks.capture import capture_tree
from onyxstore.frameworks.restore import restore_tree
from onyxstore.history.checkpoints.tensors import Leaf
from onyxstore.history.checkpoints.tree import encode_tree
from onyxstore.history.checkpoints.tree_decoding import decode_tree


def tensor_bytes(tensor):
    resolved = tensor.detach().resolve_conj().resolve_neg().contiguous().reshape(-1)
    return resolved.view(torch.uint8).numpy().tobytes() if resolved.numel() else b""


def spell_tensor(tensor):
    if tensor.layout == torch.sparse_coo:
        return "coo", tensor.shape, tensor.is_coalesced(), spell_tensor(tensor._indices()), spell_tensor(tensor._values())
    if tensor.layout != torch.strided:
        rows = tensor.layout in {torch.sparse_csr, torch.sparse_bsr}
        parts = (tensor.crow_indices(), tensor.col_indices()) if rows else (tensor.ccol_indices(), tensor.row_indices())
        return str(tensor.layout), tensor.shape, [spell_tensor(part) for part in (*parts, tensor.values())]
    return type(tensor), tensor.dtype, tuple(tensor.shape), tensor.requires_grad, tensor_bytes(tensor)


def spell_value(value):
    kind = type(value)
    if isinstance(value, torch.Tensor):
        return spell_tensor(value)
    if isinstance(value, np.ndarray | np.generic):
        return kind, value.dtype.newbyteorder("<"), value.shape, value.astype(value.dtype.newbyteorder("<")).tobytes()
    if kind is float:
        return "float", "nan" if math.isnan(value) else struct.pack("<d", value)
    if kind in {list, tuple, deque, torch.Size}:
        return kind, [spell_value(item) for item in value]
    if kind in {dict, OrderedDict, Counter, defaultdict}:
        extras = getattr(value, "default_factory", None), spell_value(getattr(value, "_metadata", None))
        return kind, extras, [(spell_value(key), spell_value(item)) for key, item in value.items()]
    return kind, value


@pytest.fixture(scope="session")
def spell():
    """A function that spells a live value: equal for equal values, down to bits, types and order."""
    return spell_value


@pytest.fixture(scope="session")
def stored():
    """A function that takes a live value to bytes, as a save does, and back to the neutral tree that a reader decodes."""

    def store(value):
        tagged, found = encode_tree(capture_tree(value))
        leaves = {number: Leaf(each.dtype, each.shape, bytearray(each.data), "torch.tensor") for number, (_, each) in enumerate(found)}
        return decode_tree(read_plain(plain_bytes(tagged)), leaves)

    return store


@pytest.fixture(scope="session")
def round_trip(stored):
    """The same, and back to a live value."""
    return lambda value: restore_tree(stored(value))
