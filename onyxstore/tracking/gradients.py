"""What the gradients of a model are like: their norms, and how their values are spread.

`.grad` is only read; what a gradient scaler multiplied is measured as it stands. On a GPU the caller waits a few times, not once for
each parameter: for all norms and ranges together, and once for each group of parameters that are counted together, since `bincount`
asks the GPU for the largest of what it counts. (`histc` does not, but it counts in the values' own dtype, which in float32 stops at
16,777,216, fewer than the zeros in the gradient of a large embedding; and it raises an error where determinism is asked for.)
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from onyxstore.canonical import canonical_bytes
from onyxstore.errors import BadInput
from onyxstore.frameworks.wrappers import strip_wrappers
from onyxstore.tracking.recorded import Gradients, Histogram

if TYPE_CHECKING:
    from torch import Tensor

BINS = 64

TOGETHER = 64
"""Parameters that are counted together: their counts fit in the 48 KB that the threads of a GPU share."""

ELEMENTS = 1 << 24
"""Values that are counted together, where one parameter doesn't have more: their places take 64 MB."""

_OUTSIDE = BINS
"""The bin of what is in none."""

Range = tuple[float, float]


def measure_gradients(model: Any) -> Gradients:
    """The gradients that `model` has at this moment, by the names of its parameters, those of wrappers left out.

    A norm says what is there: it is NaN or infinite where a value is. Histograms are of the finite values, in bins of equal width from
    the smallest to the largest; of a sparse gradient, of the values that it stores. Of a gradient that lies on several processes the
    part of this one is measured: to ask the others would wait for them. BadInput for what has no parameters by name.
    """
    if not callable(getattr(model, "named_parameters", None)):
        raise BadInput(f"gradients are those of a torch module, and a {type(model).__name__} is none")
    found = {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}
    named: dict[str, Any] = strip_wrappers(found, model)
    values = [_values_of(gradient) for gradient in named.values()]
    norms, ranges = _measure(values)
    histograms = [_histogram(counts, range_) for counts, range_ in zip(_count(values, ranges), ranges, strict=True)]
    return Gradients(
        total=math.sqrt(sum(norm * norm for norm in norms)),
        norms=dict(zip(named, norms, strict=True)),
        histograms=dict(zip(named, histograms, strict=True)),
    )


def encode_gradients(gradients: Gradients) -> bytes:
    """The gradients as canonical JSON: `total`, and for each parameter `norm`, `low`, `high`, `counts` and `nonfinite`.

    Edges are not written out: the bins have equal widths from `low` to `high`.
    """
    parameters = {
        name: {
            "norm": norm,
            "low": float(gradients.histograms[name].edges[0]),
            "high": float(gradients.histograms[name].edges[-1]),
            "counts": gradients.histograms[name].counts.tolist(),
            "nonfinite": gradients.histograms[name].nonfinite,
        }
        for name, norm in gradients.norms.items()
    }
    return canonical_bytes({"total": gradients.total, "parameters": parameters})


def _values_of(gradient: Tensor) -> Tensor:
    """Its values in a row, in float32 or float64: 16 bits overflow when they are squared, and hold no bin's edge."""
    import torch  # noqa: PLC0415 - it is loaded: the gradient is of it

    dense = gradient.detach()
    if hasattr(dense, "to_local"):
        dense = dense.to_local()
    if dense.layout == torch.sparse_coo:
        dense = dense.coalesce().values()
    if dense.is_complex():
        dense = torch.view_as_real(dense)
    return dense.reshape(-1).to(torch.float64 if dense.dtype == torch.float64 else torch.float32)


def _measure(values: Sequence[Tensor]) -> tuple[list[float], list[Range]]:
    """The norm of each, and its smallest and largest finite value; (0, 0) where it has none."""
    import torch  # noqa: PLC0415 - as above

    rows = []
    for each in values:
        # Added up in float64, since squares of float32 leave its range; but for Apple's GPUs, which have none.
        wide = torch.float32 if each.device.type == "mps" else torch.float64
        low, high = torch.aminmax(each) if each.numel() else (each.new_zeros(()), each.new_zeros(()))
        rows.append(torch.stack([torch.linalg.vector_norm(each, dtype=wide), low.to(wide), high.to(wide)]))
    measured = _bring_over(rows)
    ranges = [
        (low, high) if math.isfinite(low) and math.isfinite(high) else _finite_range(each)
        for each, (_, low, high) in zip(values, measured, strict=True)
    ]
    return [norm for norm, _, _ in measured], ranges


def _finite_range(values: Tensor) -> Range:
    """The range of values that are not all finite: rare, and worth a wait of its own."""
    finite = values[values.isfinite()]
    if not finite.numel():
        return 0.0, 0.0
    low, high = finite.aminmax()
    return low.item(), high.item()


def _count(values: Sequence[Tensor], ranges: Sequence[Range]) -> list[list[int]]:
    """How many values are in each bin, and last how many in none."""
    import torch  # noqa: PLC0415 - as above

    counts: list[Tensor] = []
    for group in _groups(values):
        # Each parameter has bins of its own in the one count of its group.
        places = [_places(values[number], *ranges[number]) + at * (BINS + 1) for at, number in enumerate(group)]
        counted = torch.bincount(torch.cat(places), minlength=len(group) * (BINS + 1))
        counts.extend(counted.reshape(len(group), BINS + 1))
    return _bring_over(counts)


def _groups(values: Sequence[Tensor]) -> Iterator[list[int]]:
    """The numbers of neighbours on one device, as many as are counted together."""
    group: list[int] = []
    size = 0
    for number, each in enumerate(values):
        fits = len(group) < TOGETHER and size + each.numel() <= ELEMENTS
        if group and not (fits and each.device == values[group[0]].device):
            yield group
            group, size = [], 0
        group.append(number)
        size += each.numel()
    if group:
        yield group


def _places(values: Tensor, low: float, high: float) -> Tensor:
    """The number of each value's bin."""
    import torch  # noqa: PLC0415 - as above

    # By halves: the difference of the largest and the smallest number is none of their kind.
    shares = (values / 2 - low / 2).div_((high / 2 - low / 2) or 1.0).mul_(BINS).clamp_(0, BINS - 1)
    return torch.where(values.isfinite(), shares, float(_OUTSIDE)).to(torch.int32)


def _bring_over(rows: Sequence[Tensor]) -> list[list[Any]]:
    """The rows as lists of numbers; those of one device and dtype in one transfer."""
    import torch  # noqa: PLC0415 - as above

    kinds: dict[Any, list[int]] = {}
    for number, row in enumerate(rows):
        kinds.setdefault((row.device, row.dtype), []).append(number)
    found: dict[int, list[Any]] = {}
    for numbers in kinds.values():
        found |= zip(numbers, torch.stack([rows[number] for number in numbers]).tolist(), strict=True)
    return [found[number] for number in range(len(rows))]


def _histogram(counts: Sequence[int], range_: Range) -> Histogram:
    low, high = range_
    placed = np.array(counts[:BINS], np.int64)
    if low == high:
        # One value, all in the first bin: it gets the middle of a range that is wide enough to have edges.
        half = max(0.5, abs(low) * 2**-20)
        low, high = low - half, high + half
        placed = np.roll(placed, BINS // 2)
    return Histogram(placed, 2 * np.linspace(low / 2, high / 2, BINS + 1), counts[_OUTSIDE])
