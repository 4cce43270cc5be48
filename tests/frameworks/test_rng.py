import random
import subprocess
import sys

import numpy as np
import pytest
import torch

from onyxstore.errors import BadInput
from onyxstore.frameworks import python_state
from onyxstore.frameworks.rng import capture_rng, restore_rng
from onyxstore.history.checkpoints.tree import encode_tree


@pytest.fixture(autouse=True)
def generators():
    """Python's and numpy's and torch's global generators, put back afterwards."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    yield
    random.setstate(states[0])
    np.random.set_state(states[1])  # noqa: NPY002
    torch.set_rng_state(states[2])


def draw():
    numpy = np.random.rand(2).tolist()  # noqa: NPY002
    return random.random(), random.gauss(), numpy, torch.rand(2).tolist(), random.sample(range(99), 3)


def seed(number):
    random.seed(number)
    np.random.seed(number)  # noqa: NPY002
    torch.manual_seed(number)


def test_all_generators_go_on_where_they_were(stored):
    seed(7)
    draw()
    tree = stored(capture_rng())
    expected = [draw(), draw()]
    seed(8)
    assert restore_rng(tree) == ()
    assert [draw(), draw()] == expected


def test_capturing_draws_nothing():
    seed(7)
    expected = draw()
    seed(7)
    capture_rng()
    assert draw() == expected


def test_the_second_half_of_a_pair_of_normal_numbers_is_kept(stored):
    random.seed(3)
    random.gauss()
    tree = stored(python_state.capture_rng())
    expected = random.gauss()
    random.gauss()
    python_state.restore_rng(tree)
    assert random.gauss() == expected


def test_the_state_of_pythons_generator_is_one_row_of_words(stored):
    tagged, leaves = encode_tree(stored({"python": capture_rng()["python"]}))
    assert [(path, leaf.dtype, leaf.shape) for path, leaf in leaves] == [(("python", "words"), "uint32", (625,))]
    assert len(str(tagged)) < 200


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()


def test_what_is_not_loaded_is_neither_loaded_nor_captured():
    code = (
        "import random, sys; from onyxstore.frameworks.rng import capture_rng;"
        "print(*capture_rng()); print(*{'numpy', 'torch'} & sys.modules.keys())"
    )
    assert run(code) == ["python"]


def test_a_generator_that_is_not_loaded_yet_is_loaded_to_be_restored():
    code = (
        "import sys; from onyxstore.frameworks.rng import restore_rng; from onyxstore.history.checkpoints.tensors import Leaf;"
        "state = {'bit_generator': 'MT19937', 'has_gauss': 0, 'gauss': 0.0,"
        " 'state': {'key': Leaf('uint32', (624,), bytes(2496), 'numpy.array'), 'pos': 3}};"
        "print(restore_rng({'numpy': state})); import numpy; print(numpy.random.get_state()[2])"
    )
    assert run(code) == ["()", "3"]


def test_a_generator_that_is_not_installed_is_named():
    code = (
        "import random, sys; sys.modules['torch'] = None; from onyxstore.frameworks.rng import capture_rng, restore_rng;"
        "print(restore_rng({'python': capture_rng()['python'], 'torch': {}}))"
    )
    assert run(code) == ["('torch',)"]


@pytest.mark.parametrize(
    "tree",
    [
        None,
        [],
        {"jax": {}},
        {"python": None},
        {"python": {"layout": 3, "words": 1, "gauss": None}},
        {"python": capture_rng()["python"] | {"layout": 9}},
        {"python": capture_rng()["python"] | {"gauss": "x" * 3, "layout": None}},
        {"numpy": {}},
        {"torch": {"cpu": None}},
    ],
)
def test_a_state_that_is_none_is_refused(tree):
    with pytest.raises(BadInput):
        restore_rng(tree)
