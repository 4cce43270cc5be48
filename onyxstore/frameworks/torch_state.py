"""torch's tensors, parameters and small values as nodes, and back; its generators.

Elements are copied as bits: a lazy conjugate or negative (`x.conj()`, `x.imag` of one) is resolved first, because its memory holds
other numbers than it shows. What torch itself marks as a wrapper over tensors elsewhere (DTensor, quantized, nested, meta) has no
bytes that would mean the same on loading, and is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import torch

from onyxstore.errors import BadInput, CannotEncode
from onyxstore.frameworks.contract import Dense, Memory
from onyxstore.history.checkpoints.tensors import WIDTHS, Leaf, Special, View, packed_strides
from onyxstore.history.checkpoints.walk import Path, no_encoding, print_path

_NAMES: dict[torch.dtype, str] = {getattr(torch, name): name for name in WIDTHS if hasattr(torch, name)}
_DTYPES: dict[str, torch.dtype] = {name: dtype for dtype, name in _NAMES.items()}
_LAYOUTS = {
    torch.sparse_coo: "coo", torch.sparse_csr: "csr", torch.sparse_csc: "csc", torch.sparse_bsr: "bsr", torch.sparse_bsc: "bsc",
}  # fmt: skip
_COMPRESSED_BY_ROWS = {"csr", "bsr"}
_KINDS = {
    (torch.Tensor, False): "torch.tensor",
    (torch.Tensor, True): "torch.tensor.grad",
    (torch.nn.Parameter, True): "torch.parameter",
    (torch.nn.Parameter, False): "torch.parameter.frozen",
}
_ADVICE = {
    "DTensor": "; hand in its full_tensor()",
    "Generator": "; hand in its get_state()",
    "UninitializedParameter": "; run the module once first",
}


def describe(value: Any, path: Path) -> Dense | Special:
    """A tensor, a size, a dtype or a device; CannotEncode for all else of torch's."""
    if (type(value), getattr(value, "requires_grad", None)) in _KINDS:
        return _describe_tensor(value, path)
    if type(value) is torch.Size:
        return Special("torch.Size", tuple(value))
    if isinstance(value, torch.dtype):
        return Special("torch.dtype", str(value).removeprefix("torch."))
    if isinstance(value, torch.device):
        return Special("torch.device", str(value))
    raise no_encoding(value, path, "; hand in its state_dict()" if hasattr(value, "state_dict") else _ADVICE.get(type(value).__name__, ""))


def span(dense: Dense, start: int, end: int, pad: int) -> Dense:
    """A row of bytes of the tensor's storage on its device."""
    storage = dense.source.untyped_storage()
    row = torch.empty(0, dtype=torch.uint8, device=dense.source.device)
    row.set_(storage, start - storage.data_ptr(), (end - start,), (1,))
    row = torch.nn.functional.pad(row, (pad, 0))
    return Dense("torch", row, dense.device, start - pad, "uint8", (len(row),), (1,), len(row), True, "storage")  # noqa: FBT003 (packed)


@torch.no_grad()
def copy_all(denses: Sequence[Dense], memory: Memory, offsets: Sequence[int]) -> None:
    """Copies in one call what lies on the host, and without waiting for each what lies on a CUDA device.

    One call, because each gives up the interpreter's lock, which another thread of Python may then keep for 5 ms: beside a thread
    that never waits, 332 tensors of 255 MB took up to 785 ms one by one and 129 ms in one call (16 ms both without it).
    `targets` keeps the tensors of the last layout.
    """
    sources = [dense.source for dense in denses]
    layout = [(source.dtype, source.shape, offset) for source, offset in zip(sources, offsets, strict=True)]
    if memory.targets.get("layout") != layout:
        memory.targets |= {"layout": layout, "tensors": _targets(sources, memory, offsets)}
    pairs = list(zip(memory.targets["tensors"], sources, strict=True))
    on_host = [pair for pair in pairs if pair[1].device.type == "cpu"]
    if on_host:
        torch._foreach_copy_([target for target, _ in on_host], [source for _, source in on_host])
    for target, source in pairs:
        if source.device.type != "cpu":
            target.copy_(source, non_blocking=source.device.type == "cuda")
    for device in {source.device for source in sources if source.device.type == "cuda"}:
        torch.cuda.current_stream(device).synchronize()


def restore_leaf(leaf: Leaf, buffer: memoryview) -> torch.Tensor:
    """A tensor on the buffer; one of another memory order (channels-last) in memory of its own."""
    tensor = _bytes_of(buffer).view(_dtype_named(leaf.dtype)).reshape(leaf.shape)
    if leaf.order is not None:
        inverse = sorted(range(len(leaf.order)), key=leaf.order.__getitem__)
        tensor = tensor.permute(leaf.order).contiguous().permute(inverse)
    return _as_kind(tensor, leaf.kind)


def restore_view(view: View, buffer: memoryview) -> torch.Tensor:
    """A tensor that looks at the buffer."""
    width = WIDTHS[view.dtype]
    row = _bytes_of(buffer[: len(buffer) // width * width]).view(_dtype_named(view.dtype))
    strides = [step // width for step in view.strides]
    return _as_kind(row.as_strided(view.shape, strides, view.offset // width), view.kind)


def restore_special(kind: str, value: Any) -> Any:
    """A size, dtype, device or sparse tensor; BadInput for one that this torch does not have."""
    if kind == "torch.Size":
        return torch.Size(value)
    if kind == "torch.sparse":
        return _restore_sparse(value)
    made = getattr(torch, value, None) if kind == "torch.dtype" else None
    if isinstance(made, torch.dtype):
        return made
    try:
        return torch.device(value)
    except RuntimeError:
        raise BadInput(f"this torch has no {kind.removeprefix('torch.')} '{value}'") from None


def capture_rng() -> dict[str, Any]:
    """The states of the CPU's generator and, where CUDA is in use, of each device's."""
    state: dict[str, Any] = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def restore_rng(state: Any) -> None:
    """Gives the generators their states; those of devices that are not here are left out. BadInput when they are none."""
    try:
        torch.set_rng_state(state["cpu"])
        for index, device in enumerate(state.get("cuda", ())):
            if torch.cuda.is_available() and index < torch.cuda.device_count():
                torch.cuda.set_rng_state(device, index)
    except (AttributeError, KeyError, TypeError, RuntimeError) as error:
        raise BadInput(f"torch's generator does not take the stored state: {error}") from None


def pinned_memory(size: int) -> Any:
    """Page-locked host memory as a numpy array of bytes: what a CUDA device copies to at full speed, without waiting."""
    return torch.empty(size, dtype=torch.uint8, pin_memory=True).numpy()


def _describe_tensor(value: torch.Tensor, path: Path) -> Dense | Special:
    kind = _KINDS[type(value), value.requires_grad]
    if value.is_quantized or value.is_nested or value.is_meta:
        word = "quantized" if value.is_quantized else "nested" if value.is_nested else "meta"
        _refuse(path, f"a {word} tensor has no encoding")
    if value.layout in _LAYOUTS:
        return _describe_sparse(value, kind)
    if value.layout != torch.strided or value.dtype not in _NAMES:
        _refuse(path, f"a tensor of {value.dtype} in {value.layout} has no encoding")
    source = value.detach().resolve_conj().resolve_neg() if value.is_conj() or value.is_neg() else value
    if source.numel() and source.data_ptr() == 0:
        _refuse(path, "a tensor whose memory was freed has no elements")
    name, width = _NAMES[source.dtype], source.element_size()
    strides, size = tuple([step * width for step in source.stride()]), source.numel() * width
    place = str(source.device), source.data_ptr()
    return Dense("torch", source, *place, name, tuple(source.shape), strides, size, source.is_contiguous(), kind)


def _describe_sparse(value: torch.Tensor, kind: str) -> Special:
    value = value.detach()
    layout = _LAYOUTS[value.layout]
    parts: dict[str, Any] = {"coalesced": False, "kind": kind, "layout": layout, "shape": tuple(value.shape)}
    if layout == "coo":
        # Those with an underscore need no coalesced tensor.
        parts |= {"coalesced": value.is_coalesced(), "indices": value._indices(), "values": value._values()}  # noqa: SLF001
    elif layout in _COMPRESSED_BY_ROWS:
        parts |= {"compressed": value.crow_indices(), "plain": value.col_indices(), "values": value.values()}
    else:
        parts |= {"compressed": value.ccol_indices(), "plain": value.row_indices(), "values": value.values()}
    return Special("torch.sparse", parts)


def _restore_sparse(parts: dict[str, Any]) -> torch.Tensor:
    layout = next(known for known, name in _LAYOUTS.items() if name == parts["layout"])
    try:
        if layout == torch.sparse_coo:
            made = torch.sparse_coo_tensor(parts["indices"], parts["values"], parts["shape"], check_invariants=True)
            made._coalesced_(parts["coalesced"])
        else:
            made = torch.sparse_compressed_tensor(
                parts["compressed"], parts["plain"], parts["values"], parts["shape"], layout=layout, check_invariants=True
            )
    except (RuntimeError, TypeError, ValueError) as error:
        raise BadInput(f"the parts of a sparse tensor do not fit each other: {error}") from None
    return _as_kind(made, parts["kind"])


def _targets(sources: Sequence[torch.Tensor], memory: Memory, offsets: Sequence[int]) -> list[torch.Tensor]:
    """Tensors in the memory to copy to: in C order, of the sources' dtypes and shapes."""
    row = torch.from_numpy(memory.array)
    rows: dict[torch.dtype, torch.Tensor] = {}
    targets = []
    for source, offset in zip(sources, offsets, strict=True):
        width = source.element_size()
        if source.dtype not in rows:
            rows[source.dtype] = row[: len(row) // width * width].view(source.dtype)
        targets.append(rows[source.dtype].as_strided(source.shape, packed_strides(tuple(source.shape), 1), offset // width))
    return targets


def _bytes_of(buffer: memoryview) -> torch.Tensor:
    return torch.frombuffer(buffer, dtype=torch.uint8) if len(buffer) else torch.empty(0, dtype=torch.uint8)


def _as_kind(tensor: torch.Tensor, kind: str) -> torch.Tensor:
    if kind.startswith("torch.parameter"):
        return torch.nn.Parameter(tensor, requires_grad=kind == "torch.parameter")
    return tensor.requires_grad_() if kind == "torch.tensor.grad" else tensor


def _dtype_named(name: str) -> torch.dtype:
    if name not in _DTYPES:
        raise BadInput(f"this torch has no dtype {name}")
    return _DTYPES[name]


def _refuse(path: Path, why: str) -> NoReturn:
    raise CannotEncode(print_path(path), why)
