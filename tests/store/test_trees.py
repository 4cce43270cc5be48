"""State trees into the store and out of it: what is written, what a second time is not, what is refused before anything is."""

import numpy as np
import pytest

from onyxstore.disk import files
from onyxstore.disk.layout import create_layout
from onyxstore.disk.objects import NewTensor, ObjectStore
from onyxstore.errors import CannotEncode, CorruptObject, ObjectMissing
from onyxstore.hashing import address_of
from onyxstore.history.checkpoints.chunking import split_chunks
from onyxstore.history.checkpoints.manifest import StoredTensor, TreeObject, encode_tree_object
from onyxstore.history.checkpoints.tensors import Leaf
from onyxstore.store.trees import (
    Trees,
    manifest_chunks,
    manifest_objects,
    read_indexed,
    read_manifest,
    read_tree,
    read_tree_object,
    write_trees,
)

VALUES = np.linspace(-1, 1, 5000, dtype=np.float32)


@pytest.fixture
def objects(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_sync", lambda _: None)
    return ObjectStore(create_layout(tmp_path / ".onyx", b""))


@pytest.fixture
def layout_size(objects, size_of):
    return lambda: size_of(objects._layout.root)


def put_cut(objects, cut, said):
    """A tree with a tensor that is cut at multiples of `cut`; the tree says `said`."""
    chunks = [(address_of(window), window) for window in split_chunks(VALUES.data, cut)]
    objects.put_tensors([NewTensor("float32", VALUES.data.cast("B"), chunks)])
    tensor = StoredTensor(("a",), "float32", VALUES.shape, tuple(address for address, _ in chunks))
    return objects.put(encode_tree_object(TreeObject(None, (tensor,), said)))


@pytest.mark.parametrize("cut", [1024, 1040, 20_000, 64 << 20])
def test_a_tensor_is_read_as_its_own_tree_says_that_it_was_cut(objects, cut):
    tree = read_tree_object(objects, put_cut(objects, cut, cut))
    assert (tree.chunk_bytes, bytes(read_indexed(objects, tree, [0])[0].data)) == (cut, VALUES.tobytes())


def test_chunks_of_another_size_than_the_tree_says_are_refused(objects):
    with pytest.raises(CorruptObject, match="it has 1056 bytes where its tree says 1104"):  # 19 chunks either way
        read_indexed(objects, read_tree_object(objects, put_cut(objects, 1056, 1104)), [0])


def leaf(seed, size=3000):
    return Leaf("float32", (size,), np.random.default_rng(seed).standard_normal(size, np.float32).data.cast("B"), "numpy.array")


def plain(tree):
    """A neutral tree with the bytes of its leaves in their place."""
    if isinstance(tree, dict):
        return {key: plain(value) for key, value in tree.items()}
    return (tree.dtype, tree.shape, bytes(tree.data)) if isinstance(tree, Leaf) else tree


def test_a_checkpoint_comes_back_as_its_three_trees(objects):
    given = {"state": {"model": {"w": leaf(0), "b": leaf(1, 0)}, 3: None}, "rng": {"numpy": leaf(2, 7)}, "tracked": {"loader": 5}}
    manifest = read_manifest(objects, write_trees(objects, Trees(**given)).manifest)
    found = {name: read_tree_object(objects, getattr(manifest, name)) for name in given}
    assert {name: plain(read_tree(objects, tree, tree.tree)) for name, tree in found.items()} == plain(given)
    assert (manifest.sizes["model"], manifest.file) == (12_000, None)


def test_the_same_state_again_is_the_same_manifest_and_stores_nothing(objects, layout_size):
    first = write_trees(objects, Trees({"w": leaf(0)}, {"r": leaf(1)}))
    before = layout_size()
    again = write_trees(objects, Trees({"w": leaf(0)}, {"r": leaf(1)}))
    assert (again.manifest, again.raw, again.stored, layout_size()) == (first.manifest, 24_000, 0, before)
    assert first.stored > 18_000


def test_a_state_without_an_encoding_is_named_and_nothing_of_it_is_written(objects, layout_size):
    before = layout_size()
    with pytest.raises(CannotEncode, match=r"optimizer\.state\.3\.callback"):
        write_trees(objects, Trees({"w": leaf(0), "optimizer": {"state": {3: {"callback": print}}}}))
    assert layout_size() == before


def test_what_a_manifest_needs_is_all_that_was_written_for_it(objects):
    saved = write_trees(objects, Trees({"w": leaf(0), "same": leaf(0), "v": leaf(1)}, {"r": leaf(2)}))
    assert manifest_objects(objects, saved.manifest) == set(objects.loose.addresses())
    assert manifest_chunks(objects, saved.manifest) == {address_of(leaf(seed).data) for seed in range(3)}


def test_a_part_is_read_without_the_chunks_of_the_others(objects):
    saved = write_trees(objects, Trees({"a": leaf(0)}))
    whole = read_tree_object(objects, read_manifest(objects, saved.manifest).state)
    lacking = TreeObject(whole.tree, (*whole.tensors, StoredTensor(("b",), "float32", (1,), (address_of(b"gone"),))))
    assert plain(read_tree(objects, lacking, lacking.tree)) == plain({"a": leaf(0)})
    with pytest.raises(ObjectMissing):
        read_indexed(objects, lacking, [1])


@pytest.mark.parametrize("index", [-1, 1])
def test_a_tensor_that_the_tree_does_not_have_is_refused(objects, index):
    saved = write_trees(objects, Trees({"a": leaf(0)}))
    tree = read_tree_object(objects, read_manifest(objects, saved.manifest).state)
    with pytest.raises(ValueError, match="a tree names a tensor that it does not have"):
        read_indexed(objects, tree, [index])


def test_an_object_that_is_no_manifest_and_no_tree_is_damage(objects):
    address = objects.put(b'{"onyx": "other"}')
    for read in (read_manifest, read_tree_object):
        with pytest.raises(CorruptObject):
            read(objects, address)
