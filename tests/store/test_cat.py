import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onyxstore.canonical import canonical_bytes
from onyxstore.errors import AmbiguousRevision, CorruptObject, ObjectMissing, UnknownName, UnknownRevision
from onyxstore.history.checkpoints.summary import Summary
from onyxstore.store.adding import Addition
from onyxstore.store.cat import find_content, split_place

CONFIG = b"# how we train\nlr: 1\n"


@pytest.fixture
def run(store, folder):
    (folder / "config").mkdir()
    (folder / "config" / "train.yaml").write_bytes(CONFIG)
    with store.start_run("run", configs={"train": folder / "config" / "train.yaml", "data": {"name": "books"}}) as run:
        run.log_artifact("sample.txt", b"old", kind="text")
        run.log_artifact("sample.txt", b"once upon a time", kind="text")
        weight = np.arange(6, dtype=np.float32).reshape(2, 3)
        run.save_checkpoint(state={"model": {"weight": weight, "turned": weight.T, "config/train": weight + 1}}, step=5, wait=True)
    return run


def read(store, what):
    return b"".join(map(bytes, find_content(store, what).blocks()))


@pytest.mark.parametrize(
    ("what", "revision", "path"),
    [
        *(("run", "run", None), ("run:x", "run", "x"), ("run@best:a/b:c", "run@best", "a/b:c"), ("run~2:x", "run~2", "x")),
        *(("run@step:5", "run@step:5", None), ("run@step:5:x", "run@step:5", "x"), ("run@epoch:0.5~1:x:y", "run@epoch:0.5~1", "x:y")),
        *((":x", "", "x"), ("run:", "run", ""), ("", "", None), ("run@steps:x", "run@steps", "x"), ("best@{1}:x", "best@{1}", "x")),
    ],
)
def test_a_place_is_a_revision_and_a_path_behind_its_colon(what, revision, path):
    assert split_place(what) == (revision, path)


@given(st.text())
def test_any_text_is_split_without_loss(what):
    revision, path = split_place(what)
    assert what == (revision if path is None else f"{revision}:{path}")


@pytest.mark.usefixtures("run")
def test_a_config_is_found_by_its_file_and_by_its_name_with_the_bytes_that_it_had(store):
    for what in ("run:config/train.yaml", "run:config/train", "run:train", "run@step:5:train"):
        content = find_content(store, what)
        assert (content.name, content.kind, content.size, read(store, what)) == ("config train", "config", len(CONFIG), CONFIG)
    assert read(store, "run:config/data") == b"name: books\n"


@pytest.mark.usefixtures("run")
def test_an_artifact_is_found_by_its_name_the_newest_of_several(store):
    for what in ("run:artifact/sample.txt", "run:sample.txt"):
        content = find_content(store, what)
        assert (content.name, content.kind, content.size) == ("artifact sample.txt", "artifact", 16)
        assert read(store, what) == b"once upon a time"


@pytest.mark.usefixtures("run")
def test_a_tensor_is_found_by_its_path_and_by_its_name_in_the_model(store):
    weight = np.arange(6, dtype=np.float32).reshape(2, 3)
    for what in ("run:weight", "run:model.weight", "run:tensor/weight"):
        content = find_content(store, what)
        assert (content.name, content.kind, content.address, content.size) == ("tensor model.weight", "tensor", None, 24)
        assert (content.place.dtype, content.place.shape, read(store, what)) == ("float32", (2, 3), weight.tobytes())
        assert content.summarize() == Summary(6, 0, 0, 0.0, 5.0, 2.5, pytest.approx(weight.std()), tuple(map(float, range(6))))
    assert read(store, "run:turned") == weight.T.tobytes()


@pytest.mark.usefixtures("run")
def test_a_first_word_says_which_of_two_of_one_name_is_meant(store):
    assert find_content(store, "run:config/train").kind == "config"
    assert find_content(store, "run:tensor/config/train").kind == "tensor"


def test_a_revision_alone_is_the_commits_own_object(store, run):
    content = find_content(store, "run@step:5")
    assert (content.kind, content.value["onyx"], content.value["step"]) == ("commit", "commit", 5)
    assert content.address == store.commit("run@step:5").address
    assert json.loads(read(store, "run@step:5")) == content.value
    assert content.summarize() is None


def test_every_object_is_found_by_the_first_digits_of_its_address(store, run):
    commit = run.latest
    manifest = commit.checkpoint.manifest
    entry = commit.config_entries["train"]
    kinds = {
        commit.address: "commit",
        commit.checkpoint.address: "manifest",
        manifest.state: "tree",
        commit.record.environment: "environment",
        entry.value: "value",
        entry.snapshot: "bytes",
        commit.checkpoint.tensors.stored("weight").chunks[0]: "chunk",
    }
    assert {address: find_content(store, address[:20]).kind for address in kinds} == kinds
    assert find_content(store, entry.value).value == {"lr": 1}
    assert read(store, entry.snapshot.upper()) == CONFIG
    assert read(store, commit.checkpoint.tensors.stored("weight").chunks[0]) == np.arange(6, dtype=np.float32).tobytes()


def test_tags_of_values_are_shown_as_they_are_stored(store):
    address = store._doors.objects.put(canonical_bytes({"a": float("nan")}))
    assert find_content(store, address).value == {"a": {"$": "float", "is": "nan"}}


@pytest.mark.parametrize("data", [b"", b"1", b"{}\n", b'{"b":1,"a":2}', b'{"a":NaN}', b"\xff", b'{"a": 1}', b"[" * 5000])
def test_what_is_no_canonical_json_is_bytes(store, data):
    address = store._doors.objects.put(data)
    content = find_content(store, address)
    assert (content.kind, content.value, content.size, read(store, address)) == ("bytes", None, len(data), data)


def test_a_run_called_like_an_address_is_the_run(store):
    with store.start_run("deadbeef"):
        pass
    assert find_content(store, "deadbeef").value["run"] == "deadbeef"


def test_too_few_digits_list_the_candidates(store):
    put = store._doors.objects.put
    addresses: dict[str, str] = {}
    for number in range(10_000):
        address = put(b"%d" % number)
        if address[:4] in addresses:
            break
        addresses[address[:4]] = address
    with pytest.raises(AmbiguousRevision) as raised:
        find_content(store, address[:4])
    assert set(raised.value.candidates) == {address[:10], addresses[address[:4]][:10]}
    assert find_content(store, address[:32]).address == address


@pytest.mark.usefixtures("run")
def test_what_is_not_there_is_answered_with_near_matches(store):
    with pytest.raises(UnknownName, match="'wieght'; did you mean 'weight'"):
        find_content(store, "run:wieght")
    with pytest.raises(UnknownName, match="did you mean 'config/train'"):
        find_content(store, "run:config/trian")
    with pytest.raises(UnknownName, match="no config, artifact or tensor called ''"):
        find_content(store, "run:")
    with pytest.raises(UnknownRevision, match="did you mean 'run'"):
        find_content(store, "rnu:train")
    with pytest.raises(UnknownRevision, match="no object's address begins with it"):
        find_content(store, "0" * 64)


def test_a_commit_without_a_checkpoint_has_no_tensors(store, run):
    with pytest.raises(UnknownName):
        find_content(store, f"{run.commits[0].address}:weight")


def test_bytes_are_verified_as_they_come(store, run, folder):
    def path_of(address):
        return folder / ".onyx" / "objects" / address[:2] / address[2:]

    artifact = find_content(store, "run:sample.txt")
    path_of(artifact.address).write_bytes(path_of(run.latest.config_entries["train"].snapshot).read_bytes())
    with pytest.raises(CorruptObject):
        list(artifact.blocks())
    path_of(artifact.address).unlink()
    with pytest.raises(ObjectMissing):
        list(artifact.blocks())
    path_of(run.latest.config_entries["data"].value).write_bytes(b"noise")
    with pytest.raises(CorruptObject):
        find_content(store, run.latest.config_entries["data"].value)


def test_a_large_artifact_is_streamed(store, folder):
    with (folder / "large.bin").open("wb") as file:
        file.truncate(65 << 20)
    store.add_commit(Addition(message="large", artifacts=[folder / "large.bin"]))
    content = find_content(store, "main:large.bin")
    assert (content.size, max(len(block) for block in content.blocks()) < 8 << 20) == (65 << 20, True)
    assert find_content(store, content.address).kind == "bytes"
