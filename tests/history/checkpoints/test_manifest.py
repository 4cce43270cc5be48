import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onyxstore.canonical import plain_bytes
from onyxstore.hashing import address_of
from onyxstore.history.checkpoints.chunking import CHUNK_BYTES, MAX_CHUNK_BYTES, MIN_CHUNK_BYTES
from onyxstore.history.checkpoints.manifest import (
    CommittedFile,
    Manifest,
    StoredTensor,
    TreeObject,
    decode_manifest,
    decode_tree_object,
    encode_manifest,
    encode_tree_object,
    scan_addresses,
)

A, B, C = (address_of(name.encode()) for name in "abc")
TENSORS = (
    StoredTensor(("model", "w"), "float32", (2, 3), (A,)),
    StoredTensor(("model", "big"), "uint8", (CHUNK_BYTES + 1,), (A, B)),
    StoredTensor(("optimizer", "state", 0, "m"), "bfloat16", (0, 3), ()),
    StoredTensor((), "int64", (), (C,)),
)
TREE_OBJECT = TreeObject({"model": {"$": "tuple", "items": []}}, TENSORS)
TREE = encode_tree_object(TREE_OBJECT)
MANIFEST = Manifest(A, B, None, {"model": 24, "": 8}, CommittedFile("weights/model.safetensors", C))


def test_a_tree_object_comes_back_as_it_was():
    assert decode_tree_object(TREE) == TREE_OBJECT


def test_a_tree_object_is_written_like_this():
    """The bytes of the format: a change here is a new format."""
    assert encode_tree_object(TreeObject([1], TENSORS[:1])).decode() == (
        f'{{"chunk_bytes":4194304,"onyx":"tree","tensors":[{{"dtype":"float32","path":["model","w"],"pieces":[{{"chunks":["{A}"],"offset":[0,0],"shape":[2,3]}}],'
        f'"shape":[2,3]}}],"tree":[1]}}'
    )


def test_a_manifest_comes_back_as_it_was():
    assert decode_manifest(encode_manifest(MANIFEST)) == MANIFEST
    assert decode_manifest(encode_manifest(Manifest(A))) == Manifest(A)


def test_a_manifest_is_written_like_this():
    assert encode_manifest(MANIFEST).decode() == (
        f'{{"file":{{"header":"{C}","kind":"safetensors","name":"weights/model.safetensors"}},"onyx":"manifest","rng":"{B}",'
        f'"sizes":{{"":8,"model":24}},"state":"{A}","tracked":null}}'
    )


def test_the_bytes_of_each_part_are_counted_by_the_first_key():
    assert TreeObject(None, TENSORS).sizes() == {"model": 24 + CHUNK_BYTES + 1, "optimizer": 0, "": 8}


def test_what_must_not_be_dropped_is_known():
    assert (TreeObject(None, TENSORS).addresses(), MANIFEST.trees()) == ({A, B, C}, [A, B])


def test_addresses_are_scanned_without_decoding_and_texts_like_one_with_them():
    assert scan_addresses(TREE) == {A, B, C}
    text = encode_tree_object(TreeObject({"note": "f" * 64, "short": "f" * 63, "long": "f" * 65, "upper": "F" * 64}))
    assert scan_addresses(text) == {"f" * 64}
    assert scan_addresses(b"noise") == set()


TENSOR = json.loads(TREE)["tensors"][0]
PIECE = TENSOR["pieces"][0]


@pytest.mark.parametrize(
    "tensor",
    [
        TENSOR | {"path": "model.w"},
        TENSOR | {"path": [1.5]},
        TENSOR | {"path": [True]},
        TENSOR | {"dtype": "object"},
        TENSOR | {"dtype": 4},
        TENSOR | {"shape": [2, -3]},
        TENSOR | {"shape": [2, 3.0]},
        TENSOR | {"shape": [6]},
        TENSOR | {"pieces": []},
        TENSOR | {"more": 1},
        TENSOR | {"pieces": [PIECE, PIECE]},
        TENSOR | {"pieces": [PIECE | {"offset": [1, 0]}]},
        TENSOR | {"pieces": [PIECE | {"shape": [1, 3]}]},
        TENSOR | {"pieces": [PIECE | {"chunks": []}]},
        TENSOR | {"pieces": [PIECE | {"chunks": [A, B]}]},
        TENSOR | {"pieces": [PIECE | {"chunks": ["x"]}]},
        TENSOR | {"shape": [2**40, 2**40], "pieces": [PIECE | {"shape": [2**40, 2**40], "offset": [0, 0]}]},
        [TENSOR],
        None,
    ],
    ids=lambda tensor: str(tensor)[:60],
)
def test_a_tensor_whose_fields_dont_go_together_is_refused(tensor):
    with pytest.raises(ValueError, match=r"\S"):
        decode_tree_object(plain_bytes({"onyx": "tree", "chunk_bytes": CHUNK_BYTES, "tree": None, "tensors": [tensor]}))


@pytest.mark.parametrize("chunk_bytes", [MIN_CHUNK_BYTES, MIN_CHUNK_BYTES + 16, CHUNK_BYTES, MAX_CHUNK_BYTES])
def test_tensors_may_be_cut_otherwise_than_this_release_cuts_them(chunk_bytes):
    tensors = (
        StoredTensor(("a",), "uint8", (chunk_bytes,), (A,)),
        StoredTensor(("b",), "uint8", (2 * chunk_bytes + 1,), (A, B, C)),
        StoredTensor(("c",), "float32", (0,), ()),
    )
    tree = TreeObject(None, tensors, chunk_bytes)
    assert decode_tree_object(encode_tree_object(tree)) == tree


@pytest.mark.parametrize("chunk_bytes", [CHUNK_BYTES // 2, 2 * CHUNK_BYTES])
def test_the_number_of_chunks_is_held_against_how_the_tree_says_it_was_cut(chunk_bytes):
    two = TreeObject(None, (StoredTensor(("a",), "uint8", (CHUNK_BYTES + 1,), (A, B)),), chunk_bytes)
    with pytest.raises(ValueError, match="chunks don't make up its size"):
        decode_tree_object(encode_tree_object(two))


@pytest.mark.parametrize(
    "chunk_bytes",
    [None, True, "4194304", 4194304.0, [], 0, -CHUNK_BYTES, MIN_CHUNK_BYTES - 16, MAX_CHUNK_BYTES + 16, CHUNK_BYTES + 8, 2**70],
)
def test_chunks_of_a_size_that_none_can_have_are_refused(chunk_bytes):
    """In a tree without tensors too."""
    with pytest.raises(ValueError, match="a multiple of 16"):
        decode_tree_object(plain_bytes({"onyx": "tree", "chunk_bytes": chunk_bytes, "tree": None, "tensors": []}))


def test_a_tree_that_does_not_say_how_it_was_cut_is_refused():
    with pytest.raises(ValueError, match="other fields"):
        decode_tree_object(plain_bytes({"onyx": "tree", "tree": None, "tensors": []}))


FIELDS = json.loads(encode_manifest(MANIFEST))


@pytest.mark.parametrize(
    "fields",
    [
        FIELDS | {"onyx": "tree"},
        FIELDS | {"state": None},
        FIELDS | {"state": A[:-1]},
        FIELDS | {"rng": ""},
        FIELDS | {"tracked": [A]},
        FIELDS | {"sizes": {"model": -1}},
        FIELDS | {"sizes": {"model": True}},
        FIELDS | {"sizes": []},
        FIELDS | {"step": 3},
        FIELDS | {"file": FIELDS["file"] | {"name": "../../.bashrc"}},
        FIELDS | {"file": FIELDS["file"] | {"name": "/etc/passwd"}},
        FIELDS | {"file": FIELDS["file"] | {"kind": "pickle"}},
        FIELDS | {"file": FIELDS["file"] | {"kind": []}},
        FIELDS | {"file": {}},
        [FIELDS],
    ],
    ids=lambda fields: str(fields)[-60:],
)
def test_a_manifest_whose_fields_dont_go_together_is_refused(fields):
    with pytest.raises(ValueError, match=r"\S"):
        decode_manifest(plain_bytes(fields))


@pytest.mark.parametrize(
    "spelt", [lambda data: data + b"\n", lambda data: data.replace(b":", b": ", 1), lambda data: data.replace(b"f", b"\\u0066", 1)]
)
def test_another_spelling_of_the_same_value_is_refused(spelt):
    """Else one checkpoint could have many addresses."""
    data = encode_manifest(MANIFEST)
    with pytest.raises(ValueError, match="another spelling"):
        decode_manifest(spelt(data))


@settings(max_examples=400)
@given(st.data())
def test_bytes_that_were_damaged_or_made_up_are_read_or_refused(data):
    whole = bytearray(data.draw(st.sampled_from([TREE, encode_manifest(MANIFEST)])))
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    for decode in (decode_tree_object, decode_manifest):
        try:
            decode(bytes(whole))
        except ValueError:
            continue


@pytest.mark.parametrize(
    "data", [b"", b"null", b"[" * 100_000, b'{"onyx":' * 5000, b"\xff\xfe", b'{"onyx":NaN}', b'{"a":1,"a":2}', b"1" * 5000]
)
def test_json_that_is_made_to_hurt_is_refused(data):
    with pytest.raises(ValueError, match=r"\S"):
        decode_tree_object(data)
