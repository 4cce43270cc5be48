"""Gradients are measured as they stand: norms of all their values, counts of those that are numbers."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torch import distributed
from torch.distributed.tensor import distribute_tensor

from onyxstore.canonical import read_canonical
from onyxstore.errors import BadInput
from onyxstore.tracking import gradients
from onyxstore.tracking.gradients import encode_gradients, measure_gradients


class Holder(torch.nn.Module):
    """A module of these parameters, each with the gradient that is given."""

    def __init__(self, **grads):
        super().__init__()
        for name, grad in grads.items():
            parameter = torch.nn.Parameter(torch.zeros(grad.shape, dtype=grad.dtype))
            parameter.grad = grad
            setattr(self, name, parameter)


def measured(grad):
    """The norm and the histogram of one gradient."""
    found = measure_gradients(Holder(w=grad))
    return found.norms["w"], found.histograms["w"]


@pytest.fixture
def trained():
    """A model of two layers after a backward pass."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(20, 30), torch.nn.ReLU(), torch.nn.Linear(30, 5))
    model(torch.randn(8, 20)).square().sum().backward()
    return model


# -------------------------------------------------------------------------------------------------------------- norms


def test_norms_are_those_of_each_gradient_and_the_total_that_of_all(trained):
    found = measure_gradients(trained)
    assert dict(found.norms) == {name: pytest.approx(p.grad.norm().item()) for name, p in trained.named_parameters()}
    assert found.total == pytest.approx(torch.nn.utils.get_total_norm([p.grad for p in trained.parameters()]).item())
    assert [*found.histograms] == [*found.norms] == ["0.weight", "0.bias", "2.weight", "2.bias"]


def test_measuring_leaves_the_gradients_alone(trained):
    before = {name: (p.grad, p.grad.clone(), p.grad._version) for name, p in trained.named_parameters()}
    measure_gradients(trained)
    for name, parameter in trained.named_parameters():
        same, values, version = before[name]
        assert parameter.grad is same
        assert (torch.equal(parameter.grad, values), parameter.grad._version) == (True, version)


def test_parameters_without_a_gradient_are_left_out(trained):
    trained[0].weight.grad = None
    trained[2].bias.requires_grad_(requires_grad=False).grad = None
    assert [*measure_gradients(trained).norms] == ["0.bias", "2.weight"]


def test_a_model_without_gradients_has_none():
    found = measure_gradients(torch.nn.Linear(2, 2))
    assert (found.total, dict(found.norms), dict(found.histograms)) == (0.0, {}, {})


def test_a_tied_parameter_is_measured_once():
    model = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Linear(3, 3))
    model[1].weight = model[0].weight
    model(torch.ones(3)).sum().backward()
    assert [*measure_gradients(model).norms] == ["0.weight", "0.bias", "1.bias"]


def test_the_names_are_those_of_the_model_inside_its_wrappers(trained):
    inside = measure_gradients(trained)
    for wrapped in [torch.compile(trained, backend="eager"), torch.nn.DataParallel(trained)]:
        assert measure_gradients(wrapped).norms == inside.norms


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_neither_overflows_nor_rounds(dtype):
    grad = torch.full((1000,), 300.0, dtype=dtype)
    norm, histogram = measured(grad)
    assert (norm, histogram.counts.sum()) == (pytest.approx(300 * math.sqrt(1000), rel=1e-12), 1000)


def test_the_squares_of_floats_may_leave_their_range():
    assert measured(torch.tensor([3e30, 4e30]))[0] == pytest.approx(5e30)
    assert measured(torch.tensor([3e-30, 4e-30]))[0] == pytest.approx(5e-30)


def test_a_norm_of_what_is_no_number_is_none():
    model = Holder(a=torch.tensor([1.0, math.inf]), b=torch.tensor([math.nan, 3.0]), c=torch.tensor([3.0, 4.0]))
    found = measure_gradients(model)
    assert (found.norms["a"], found.norms["c"]) == (math.inf, 5.0)
    assert math.isnan(found.norms["b"])
    assert math.isnan(found.total)


def test_complex_gradients_are_measured_by_their_parts():
    norm, histogram = measured(torch.tensor([3 + 4j]))
    assert (norm, histogram.counts.sum(), histogram.edges[0], histogram.edges[-1]) == (5.0, 2, 3.0, 4.0)


def test_a_sparse_gradient_is_measured_by_what_it_stores():
    embedding = torch.nn.Embedding(1000, 4, sparse=True)
    (embedding(torch.tensor([3, 3, 7])) * torch.tensor([1.0, 2.0, 3.0])[:, None]).sum().backward()
    found = measure_gradients(embedding)
    assert (found.norms["weight"], found.histograms["weight"].counts.sum()) == (pytest.approx(math.sqrt(8 * 9)), 8)


@pytest.fixture
def alone():
    """A process group of one process."""
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    yield distributed.init_device_mesh("cpu", (1,))
    distributed.destroy_process_group()


def test_of_a_gradient_on_several_processes_the_part_that_is_here_is_measured(alone):
    model = torch.nn.Linear(2, 1, bias=False)
    model.weight = torch.nn.Parameter(distribute_tensor(model.weight.detach(), alone))
    model.weight.grad = distribute_tensor(torch.tensor([[3.0, 4.0]]), alone)
    found = measure_gradients(model)
    assert (found.total, found.histograms["weight"].counts.sum()) == (5.0, 2)


def test_what_has_no_parameters_is_refused():
    with pytest.raises(BadInput, match="^gradients are those of a torch module, and a dict is none$"):
        measure_gradients({"w": torch.zeros(3)})


# --------------------------------------------------------------------------------------------------------- histograms


FLOATS = st.floats(width=32, allow_subnormal=False)


def check_counts(values, histogram):
    """Every finite value is in a bin that holds it, but for the rounding of float32 at the bin's edges."""
    finite = np.sort(values[np.isfinite(values)].astype(np.float64))
    assert histogram.counts.dtype == np.int64
    assert (histogram.counts.sum(), histogram.nonfinite) == (finite.size, values.size - finite.size)
    edges = histogram.edges
    assert (len(edges), (np.diff(edges) > 0).all()) == (65, True)
    slack = 4e-6 * (edges[-1] / 2 - edges[0] / 2)
    below = np.concatenate([[0], np.cumsum(histogram.counts)])
    assert (below >= np.searchsorted(finite, edges - slack, "left"))[1:].all()
    assert (below <= np.searchsorted(finite, edges + slack, "right"))[:-1].all()


@given(arrays.arrays(np.float32, st.integers(0, 200), elements=FLOATS))
def test_every_finite_value_is_counted_once_in_a_bin_that_holds_it(values):
    check_counts(values, measured(torch.tensor(values))[1])


@given(st.lists(st.integers(0, 300), min_size=1, max_size=12), st.integers(1, 5), st.integers(0, 500))
def test_counting_in_groups_is_counting_one_by_one(sizes, together, elements):
    rng = np.random.default_rng(0)
    grads = {f"p{number}": torch.tensor(rng.standard_normal(size, np.float32)) for number, size in enumerate(sizes)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gradients, "TOGETHER", together)
        patch.setattr(gradients, "ELEMENTS", elements)
        found = measure_gradients(Holder(**grads)).histograms
    for name, grad in grads.items():
        alone = measured(grad)[1]
        np.testing.assert_array_equal(found[name].counts, alone.counts)
        np.testing.assert_array_equal(found[name].edges, alone.edges)


def test_the_first_and_the_last_edge_are_the_smallest_and_the_largest_value():
    _, histogram = measured(torch.tensor([-1.5, 0.25, 2.5]))
    assert (histogram.edges[0], histogram.edges[-1]) == (-1.5, 2.5)
    assert histogram.counts.nonzero()[0].tolist() == [0, 28, 63]


@pytest.mark.parametrize("value", [0.0, -3.0, 1e20])
def test_a_single_value_stands_in_the_middle(value):
    _, histogram = measured(torch.full((7,), value))
    assert (histogram.counts[32], histogram.counts.sum()) == (7, 7)
    assert histogram.edges[32] == pytest.approx(value)
    assert (np.diff(histogram.edges) > 0).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_widest_range_there_is_has_bins(dtype):
    most = torch.finfo(dtype).max
    _, histogram = measured(torch.tensor([-most, 0, most], dtype=dtype))
    assert histogram.counts.nonzero()[0].tolist() == [0, 32, 63]
    assert (histogram.edges[0], histogram.edges[-1]) == (-most, most)


def test_a_gradient_without_a_finite_value_has_an_empty_histogram():
    for grad in [torch.tensor([math.nan, math.inf]), torch.zeros(0)]:
        _, histogram = measured(grad)
        assert (histogram.counts.sum(), histogram.nonfinite) == (0, grad.numel())


def test_more_values_than_float32_counts_are_counted():
    grad = torch.zeros(1 << 24).expand(2, -1)
    _, histogram = measured(grad)
    assert histogram.counts.sum() == 1 << 25


def test_determinism_may_be_asked_for(trained):
    torch.use_deterministic_algorithms(mode=True)
    try:
        assert measure_gradients(trained).total > 0
    finally:
        torch.use_deterministic_algorithms(mode=False)


# --------------------------------------------------------------------------------------------------------------- JSON


def test_the_json_says_everything(trained):
    found = measure_gradients(trained)
    read = json.loads(encode_gradients(found))
    assert (read["total"], {*read["parameters"]}) == (found.total, {*found.norms})
    for name, parameter in read["parameters"].items():
        histogram = found.histograms[name]
        assert parameter["norm"] == found.norms[name]
        assert parameter["counts"] == histogram.counts.tolist()
        assert parameter["nonfinite"] == histogram.nonfinite
        edges = np.linspace(parameter["low"], parameter["high"], len(parameter["counts"]) + 1)
        np.testing.assert_allclose(edges, histogram.edges, rtol=1e-12, atol=1e-300)


def test_the_same_gradients_have_the_same_bytes(trained):
    assert encode_gradients(measure_gradients(trained)) == encode_gradients(measure_gradients(trained))


def test_a_norm_that_is_no_number_is_written_so_that_it_is_read_again():
    data = encode_gradients(measure_gradients(Holder(w=torch.tensor([math.inf]))))
    assert read_canonical(data)["parameters"]["w"]["norm"] == math.inf
