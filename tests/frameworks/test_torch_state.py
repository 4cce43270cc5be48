import subprocess
import sys

import pytest
import torch

from onyxstore.errors import BadInput, CannotEncode
from onyxstore.frameworks import torch_state
from onyxstore.frameworks.capture import capture_tree
from onyxstore.frameworks.restore import restore_tree
from onyxstore.history.checkpoints.tensors import WIDTHS, Leaf, Special


def bits(dtype, count=24):
    """Every kind of bit pattern, NaNs with payloads and negative zeros among them."""
    generator = torch.Generator().manual_seed(3)
    raw = torch.randint(0, 256, (count * 16,), dtype=torch.uint8, generator=generator)
    return (raw % 2 if dtype == torch.bool else raw).view(dtype)[:count]


@pytest.mark.filterwarnings("ignore:ComplexHalf")
@pytest.mark.parametrize("name", sorted(WIDTHS))
def test_every_dtype_comes_back_bit_for_bit_in_every_shape(round_trip, spell, name):
    row = bits(getattr(torch, name))
    state = [
        row,
        row[:0],
        row[3:4].reshape(()),
        row[::3],
        row.reshape(2, 3, 4).permute(2, 0, 1),
        row.reshape(4, 6)[1:3, 2:5],
        row[5:6].expand(3),
    ]
    assert spell(round_trip([view.clone(memory_format=torch.preserve_format) for view in state])) == spell(state)
    assert spell(round_trip(state)) == spell(state)


def test_every_dtype_of_the_table_is_torchs_and_as_wide():
    assert {name: getattr(torch, name).itemsize for name in WIDTHS} == WIDTHS


def test_a_lazy_conjugate_or_negative_is_stored_as_what_it_shows(round_trip):
    value = torch.tensor([1 + 2j, 3 - 4j])
    state = {"conj": value.conj(), "imag": value.conj().imag, "both": value, "part": value.real}
    restored = round_trip(state)
    assert restored["conj"].tolist() == [1 - 2j, 3 + 4j]
    assert restored["imag"].tolist() == [-2.0, 4.0]
    assert (restored["both"].tolist(), restored["part"].tolist()) == ([1 + 2j, 3 - 4j], [1.0, 3.0])
    assert not restored["conj"].is_conj()


@pytest.mark.filterwarnings("ignore:Sparse")
@pytest.mark.parametrize("layout", ["coo", "uncoalesced", "csr", "csc", "bsr", "bsc", "hybrid", "empty"])
def test_sparse_tensors_come_back_by_their_parts(round_trip, spell, layout):
    dense = torch.tensor([[0.0, 1.0, 0.0, 2.0], [0.0, 0.0, 3.0, 0.0]])
    tensor = {
        "coo": dense.to_sparse_coo().coalesce(),
        "uncoalesced": torch.sparse_coo_tensor([[0, 0], [1, 1]], [1.0, 2.0], (2, 4)),
        "csr": dense.to_sparse_csr(),
        "csc": dense.to_sparse_csc(),
        "bsr": dense.to_sparse_bsr((1, 2)),
        "bsc": dense.to_sparse_bsc((2, 2)),
        "hybrid": torch.sparse_coo_tensor([[1]], [[1.0, 2.0]], (3, 2)),
        "empty": torch.sparse_coo_tensor(size=(3, 2)),
    }[layout]
    assert spell(round_trip({"t": tensor})["t"]) == spell(tensor)


def test_small_values_of_torch_come_back(round_trip, spell):
    state = [
        torch.Size([2, 3]),
        torch.Size([]),
        torch.bfloat16,
        torch.quint8,
        torch.device("cuda:1"),
        torch.device("cpu"),
        {torch.float32: 1},
    ]
    assert spell(round_trip(state)) == spell(state)


class Tagged(torch.Tensor):
    pass


def freed():
    tensor = torch.ones(3)
    tensor.untyped_storage().resize_(0)
    return tensor


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: torch.ones(2, device="meta"), "a meta tensor has no encoding"),
        (lambda: torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8), "a quantized tensor has no encoding"),
        (lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]), "a nested tensor has no encoding"),
        (lambda: torch.ones(2).as_subclass(Tagged), "Tagged has no encoding"),
        (lambda: torch.nn.LazyLinear(2).weight, "UninitializedParameter has no encoding; run the module once first"),
        (lambda: torch.empty(2, dtype=torch.int4), "a tensor of torch.int4 in torch.strided has no encoding"),
        (lambda: torch.ones(2).to_mkldnn(), "a tensor of torch.float32 in torch._mkldnn has no encoding"),
        (freed, "a tensor whose memory was freed has no elements"),
        (lambda: torch.strided, "a torch.layout has no encoding"),
        (lambda: torch.optim.SGD([torch.ones(1)]), "SGD has no encoding; hand in its state_dict()"),
    ],
    ids=["meta", "quantized", "nested", "subclass", "lazy", "int4", "mkldnn", "freed", "layout", "optimizer"],
)
def test_what_has_no_bytes_that_mean_the_same_elsewhere_is_refused_with_its_place(make, why):
    with pytest.raises(CannotEncode) as caught:
        capture_tree({"a": {3: make()}})
    assert caught.value.path == "a.3"
    assert caught.value.why.endswith(why)


@pytest.mark.parametrize(
    ("node", "words"),
    [
        (Special("torch.dtype", "float33"), "this torch has no dtype 'float33'"),
        (Special("torch.dtype", "nn"), "this torch has no dtype 'nn'"),
        (Special("torch.device", "warp"), "this torch has no device 'warp'"),
        (
            Special(
                "torch.sparse",
                {
                    "layout": "coo",
                    "shape": (2,),
                    "kind": "torch.tensor",
                    "coalesced": True,
                    "indices": Leaf("int64", (1, 1), (9).to_bytes(8, "little"), "torch.tensor"),
                    "values": Leaf("float32", (1,), bytes(4), "torch.tensor"),
                },
            ),
            "the parts of a sparse tensor do not fit each other",
        ),
        (
            Special(
                "torch.sparse",
                {"layout": "csr", "shape": (2, 2), "kind": "torch.tensor", "coalesced": False, "compressed": 1, "plain": 2, "values": 3},
            ),
            "the parts of a sparse tensor do not fit each other",
        ),
    ],
)
def test_a_stored_value_that_torch_cannot_have_is_refused(node, words):
    with pytest.raises(BadInput, match=f"^{words}"):
        restore_tree([node])


def test_copying_beside_other_state_copies_again_what_was_laid_out_anew():
    """Targets are kept for a layout; another one in the same memory gets its own."""
    memory = torch_state.Memory(torch.zeros(256, dtype=torch.uint8).numpy())
    first, second = torch.arange(4.0), torch.arange(8, dtype=torch.int16)
    for tensors in ([first], [second], [first.reshape(2, 2)], [second]):
        denses = [torch_state.describe(tensor, ()) for tensor in tensors]
        torch_state.copy_all(denses, memory, [64])
        assert bytes(memory.array[64 : 64 + denses[0].size]) == tensors[0].numpy().tobytes()


def test_the_generators_state_comes_back_and_nothing_is_drawn(stored):
    torch.manual_seed(5)
    torch.rand(3)
    before = torch.get_rng_state().clone()
    tree = stored(torch_state.capture_rng())
    assert torch.equal(torch.get_rng_state(), before)
    expected = torch.rand(4)
    torch_state.restore_rng(restore_tree(tree))
    assert torch.equal(torch.rand(4), expected)


@pytest.mark.parametrize("state", [{}, None, {"cpu": 3}, {"cpu": torch.zeros(3, dtype=torch.uint8)}, {"cpu": torch.zeros(5056)}])
def test_a_generators_state_that_is_none_is_refused(state):
    with pytest.raises(BadInput, match="torch's generator does not take the stored state"):
        torch_state.restore_rng(state)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_tensors_on_a_cuda_device_are_copied_to_the_host(round_trip, spell):
    tensors = [
        torch.arange(1000.0, device="cuda"),
        torch.ones(3, 4, device="cuda").t(),
        torch.ones((), device="cuda", dtype=torch.bfloat16),
    ]
    assert spell(round_trip(tensors)) == spell([tensor.cpu().contiguous() for tensor in tensors])


def test_saving_arrays_loads_no_torch():
    code = (
        "import sys, numpy; from onyxstore.frameworks.torch_staging import StagingPool; from onyxstore.frameworks.rng import capture_rng;"
        "from onyxstore.frameworks import loading, training; slot = StagingPool().take();"
        "slot.capture({'a': numpy.ones(3)}); slot.capture(capture_rng()); print('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_a_row_of_a_devices_memory_is_padded_and_lies_in_the_tensors_storage():
    tensor = torch.arange(6, dtype=torch.int16)
    dense = torch_state.describe(tensor[2:4], ())
    row = torch_state.span(dense, tensor.data_ptr() + 2, tensor.data_ptr() + 10, 4)
    assert (row.source.tolist(), row.address, row.size) == ([0] * 4 + [1, 0, 2, 0, 3, 0, 4, 0], tensor.data_ptr() - 2, 12)
