from pathlib import Path

import pytest

from onyxstore.errors import BadConfig, BadInput, UnknownRevision
from onyxstore.history.config_difference import Change
from onyxstore.store.adding import Addition
from onyxstore.store.checkout import CheckoutOptions
from onyxstore.store.working import WorkingConfig, read_changed, working_configs

BASE = b"lr: 0.1  # a guess\nlayers: 2\n"


@pytest.fixture
def config(folder) -> Path:
    path = folder / "conf" / "train.yaml"
    path.parent.mkdir()
    path.write_bytes(BASE)
    return path


@pytest.fixture
def committed(store, config):
    return store.add_commit(Addition(message="first", configs={"train": config}))


def states(store, revision="HEAD"):
    return working_configs(store.plan_checkout(revision, CheckoutOptions(only="configs")), store.folder)


@pytest.mark.usefixtures("committed")
def test_a_file_is_the_same_changed_or_missing(store, config):
    assert states(store) == (WorkingConfig("train", "conf/train.yaml", "same"),)
    config.write_bytes(BASE.replace(b"2", b"3"))
    assert states(store) == (WorkingConfig("train", "conf/train.yaml", "changed"),)
    assert read_changed(states(store), store.folder) == {"train": {"lr": 0.1, "layers": 3}}
    config.unlink()
    assert states(store) == (WorkingConfig("train", "conf/train.yaml", "missing"),)
    assert read_changed(states(store), store.folder) == {}


def test_a_config_that_never_was_a_file_is_no_missing_one(store, folder):
    with store.start_run("run", configs={"train": {"lr": 1}}):
        pass
    assert states(store, "run") == ()
    (folder / "train.yaml").write_text("lr: 2\n")
    assert states(store, "run") == (WorkingConfig("train", "train.yaml", "changed"),)
    assert store.diff("run").configs == {"train": (Change(("lr",), "changed", 1, 2),)}


@pytest.mark.usefixtures("committed")
def test_the_working_files_are_compared_with_head_by_their_values(store, config):
    assert not store.diff()
    config.write_bytes(BASE.replace(b"0.1", b"0.2"))
    found = store.diff()
    assert (found.new, found.configs, found.respelt) == (None, {"train": (Change(("lr",), "changed", 0.1, 0.2),)}, ())
    assert (found.metrics, found.code, found.environment, found.tensors, bool(found)) == ((), (), (), None, True)


@pytest.mark.usefixtures("committed")
def test_other_words_for_the_same_values_are_no_difference_and_are_told(store, config):
    config.write_bytes(b"layers: 2\nlr: 0.1\n")
    found = store.diff()
    assert (bool(found), found.respelt) == (False, ("conf/train.yaml",))


@pytest.mark.usefixtures("committed")
def test_a_file_that_is_gone_takes_its_values_along(store, config):
    config.unlink()
    assert store.diff().configs == {"train": (Change(("layers",), "removed", 2), Change(("lr",), "removed", 0.1))}


def test_any_commit_is_compared_with_the_working_files(store, config, committed):
    config.write_bytes(BASE.replace(b"2", b"3"))
    store.add_commit(Addition(message="second"))
    assert not store.diff()
    assert store.diff(committed.address).configs == {"train": (Change(("layers",), "changed", 2, 3),)}


def test_a_secret_is_masked_on_both_sides(store, config):
    config.write_bytes(b"api_key: sk-proj-1234567890abcdefghijklmnop\n")
    store.add_commit(Addition(message="first", configs={"train": config}))
    assert not store.diff()


@pytest.mark.usefixtures("committed")
def test_a_file_that_cannot_be_read_is_named(store, config):
    config.write_bytes(b"lr: [1\n")
    with pytest.raises(BadConfig, match="train.yaml"):
        store.diff()


@pytest.mark.usefixtures("committed")
def test_there_are_no_tensors_among_the_working_files(store):
    with pytest.raises(BadInput, match="name two commits"):
        store.diff(tensors=True)


def test_without_a_head_there_is_nothing_to_compare_with(store):
    with pytest.raises(UnknownRevision):
        store.diff()
