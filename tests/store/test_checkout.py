"""Checkout: files where they came from, nothing overwritten that would be lost, nothing written outside."""

import json
import os

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import onyxstore as onyx
from onyxstore.disk.refs import is_call
from onyxstore.errors import BadInput, BadName, PlanSpent, UnknownName, WouldOverwrite
from onyxstore.history.checkpoints.tensors import Leaf
from onyxstore.history.checkpoints.tree_decoding import decode_tree
from onyxstore.store.adding import Addition
from onyxstore.store.checkout import CheckoutOptions
from onyxstore.store.starting import begin_run


@pytest.fixture
def files(folder):
    """Every file beside the store, by its path relative to the folder, with its bytes."""

    def look():
        paths = (path for path in folder.rglob("*") if path.is_file() and ".onyx" not in path.relative_to(folder).parts)
        return {str(path.relative_to(folder)): path.read_bytes() for path in paths}

    return look


@pytest.fixture
def committed(store, folder):
    """Two commits of a config with a comment; the file is as of the second."""
    (folder / "conf").mkdir()
    for number in (1, 2):
        (folder / "conf" / "train.yaml").write_bytes(b"# by hand\nlr: %d\n" % number)
        store.add_commit(Addition(message=f"number {number}", configs={"train": folder / "conf" / "train.yaml"}))
    return store


@pytest.fixture
def trained(store):
    """A run with one checkpoint of a model, an optimizer and more."""
    with store.start_run("bert") as run:
        state = {
            "optimizer": {"state": {0: {"step": 3, "exp_avg": np.full((2, 3), 0.5, np.float32)}}, "lr": 0.1},
            "odd": {"z": np.array([1 + 2j, 3j], np.complex128), "empty": np.zeros((0, 4), np.int8), "scalar": np.array(7, np.int64)},
        }
        model = {"layer.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "layer.bias": np.ones(3, np.float16)}
        run.save_checkpoint(model=model, state=state, step=1, epoch=0.5, metrics={"loss": float("nan"), "acc": 1}, wait=True)
    return store


def head(store):
    return store._doors.refs.read("HEAD")


# ------------------------------------------------------------------------------------------------------------- configs


def test_configs_come_back_byte_for_byte_where_they_were(committed, files):
    report = committed.checkout("main~1")
    assert files() == {"conf/train.yaml": b"# by hand\nlr: 1\n"}
    assert ([path.name for path in report.written], report.same) == (["train.yaml"], ())
    assert head(committed) == {"commit": committed.commit("main~1").address}


def test_a_file_that_is_gone_is_written_again_with_its_folders(committed, folder, files):
    (folder / "conf" / "train.yaml").unlink()
    (folder / "conf").rmdir()
    committed.checkout("main")
    assert files() == {"conf/train.yaml": b"# by hand\nlr: 2\n"}


def test_a_file_that_is_the_same_is_left_alone(committed, folder):
    before = (folder / "conf" / "train.yaml").stat()
    report = committed.checkout("main")
    after = (folder / "conf" / "train.yaml").stat()
    assert (report.written, [path.name for path in report.same]) == ((), ["train.yaml"])
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


@pytest.mark.parametrize("content", [b"# by hand\nlr: 99\n", b"lr: [unfinished", b"\xff\xfe", b""])
def test_what_was_changed_is_not_overwritten_without_force(committed, folder, files, content):
    (folder / "conf" / "train.yaml").write_bytes(content)
    plan = committed.plan_checkout("main~1")
    assert str(plan) == f"lost    {folder}/conf/train.yaml"
    with pytest.raises(WouldOverwrite, match="checkout would overwrite what changed in .*train.yaml; commit it, move it away"):
        plan.execute()
    assert (files(), head(committed)) == ({"conf/train.yaml": content}, {"run": "main"})
    committed.checkout("main~1", CheckoutOptions(force=True))
    assert files() == {"conf/train.yaml": b"# by hand\nlr: 1\n"}


def test_a_plan_prints_itself_and_is_executed_once(committed, folder):
    plan = committed.plan_checkout("main~1")
    assert str(plan) == f"changed {folder}/conf/train.yaml"
    plan.execute()
    with pytest.raises(PlanSpent, match="checkout"):
        plan.execute()


def test_configs_that_were_values_come_as_yaml_under_their_names(store, files):
    store.start_run("a", configs={"training": {"lr": 0.1, "amp": True}, "deep/data": [1, "two"]}).finish()
    store.checkout("a")
    assert files() == {"training.yaml": b"lr: 0.1\namp: true\n", "deep/data.yaml": b"- 1\n- two\n"}


def test_two_files_of_one_name_from_outside_become_two(store, folder, files, tmp_path_factory):
    configs = {}
    for name in ("a", "b"):
        configs[name] = tmp_path_factory.mktemp(name) / "config.yaml"
        configs[name].write_text(f"is: {name}\n")
    store.start_run("run", configs=configs).finish()
    store.checkout("run")
    assert files() == {"config.yaml": b"is: a\n", "b.yaml": b"is: b\n"}


def test_configs_that_would_have_one_file_are_refused(store, folder):
    (folder / "b.yaml").write_text("is: file\n")
    store.start_run("run", configs={"a": "b.yaml", "b": {"is": "value"}, "c": "b.yaml"}).finish()
    with pytest.raises(BadInput, match="two configs of .* would be written to one file"):
        store.checkout("run")


def test_a_mask_is_never_written_over_a_files_own_value(store, folder, files):
    (folder / "c.yaml").write_text("# mine\napi_key: own-secret-of-mine\nlr: 1\n")
    store.add_commit(Addition(message="one", configs={"c": folder / "c.yaml"}))
    (folder / "c.yaml").write_text("# mine\napi_key: another-secret-now\nlr: 2\n")
    store.add_commit(Addition(message="two"))
    store.checkout("main~1")
    assert files() == {"c.yaml": b"# mine\napi_key: another-secret-now\nlr: 1\n"}


def test_a_file_that_differs_only_in_its_secret_is_the_same(store, folder, files):
    (folder / "c.yaml").write_text("api_key: own-secret-of-mine\n")
    store.add_commit(Addition(message="one", configs={"c": folder / "c.yaml"}))
    (folder / "c.yaml").write_text("api_key: another-secret-now\n")
    assert [path.name for path in store.checkout("main").same] == ["c.yaml"]
    assert files() == {"c.yaml": b"api_key: another-secret-now\n"}


def test_a_secret_whose_key_would_go_is_not_lost_without_force(store, folder, files):
    (folder / "c.yaml").write_text("lr: 1\n")
    store.add_commit(Addition(message="one", configs={"c": folder / "c.yaml"}))
    (folder / "c.yaml").write_text("api_key: own-secret-of-mine\nlr: 1\n")
    store.add_commit(Addition(message="two"))
    with pytest.raises(WouldOverwrite):
        store.checkout("main~1")
    assert files() == {"c.yaml": b"api_key: own-secret-of-mine\nlr: 1\n"}


def test_a_mask_that_nothing_replaces_is_said(store, folder, said):
    (folder / "c.yaml").write_text("api_key: own-secret-of-mine\nlr: 1\n")
    store.add_commit(Addition(message="one", configs={"c": folder / "c.yaml"}))
    (folder / "c.yaml").unlink()
    store.checkout("main")
    assert (folder / "c.yaml").read_text() == "api_key: <masked>\nlr: 1\n"
    assert said()[-1].startswith(f"masked in {folder}/c.yaml: api_key")


# ---------------------------------------------------------------------------------------------------------- checkpoints


def test_a_checkpoint_becomes_files_that_safetensors_loads(trained, folder, files):
    trained.checkout("bert@latest")
    assert set(files()) == {"bert-latest.safetensors", "bert-latest.state.safetensors", "bert-latest.json"}
    model = load_file(folder / "bert-latest.safetensors")
    assert {name: (array.dtype.name, array.tolist()) for name, array in model.items()} == {
        "layer.weight": ("float32", [[0, 1, 2], [3, 4, 5]]),
        "layer.bias": ("float16", [1, 1, 1]),
    }
    rest = load_file(folder / "bert-latest.state.safetensors")
    assert {"state.optimizer.state.0.exp_avg", "state.odd.z", "state.odd.empty", "state.odd.scalar"} <= set(rest)
    assert rest["state.optimizer.state.0.exp_avg"].tolist() == [[0.5] * 3] * 2


def test_the_files_hold_the_whole_checkpoint(trained, folder):
    trained.checkout("bert")
    about = json.loads((folder / "bert.json").read_text(), parse_constant=pytest.fail)
    assert {name: about[name] for name in ("onyx", "step", "epoch", "metrics")} == {
        "onyx": "checkout",
        "step": 1,
        "epoch": 0.5,
        "metrics": {"loss": {"$": "float", "is": "nan"}, "acc": 1},
    }
    tensors = {name: load_file(folder / name) for name in ("bert.safetensors", "bert.state.safetensors")}
    checkpoint = trained.commit("bert").checkpoint
    for kind, stored in {"state": checkpoint.state_tree, **checkpoint.other_trees()}.items():
        leaves = {}
        for index, (place, tensor) in enumerate(zip(about["trees"][kind]["tensors"], stored.tensors, strict=True)):
            array = tensors[place["file"]][place["name"]]
            dtype, shape = place.get("dtype", array.dtype.name), tuple(place.get("shape", array.shape))
            assert (dtype, shape) == (tensor.dtype, tensor.shape)
            leaves[index] = Leaf(dtype, shape, array.tobytes(), "numpy.array")
        assert about["trees"][kind]["tree"] == stored.tree
        tree = decode_tree(about["trees"][kind]["tree"], leaves)
        if kind == "state":
            assert bytes(tree["odd"]["z"].data) == np.array([1 + 2j, 3j]).tobytes()
            assert tree["optimizer"]["lr"] == 0.1


def test_the_same_checkout_again_changes_nothing_and_a_changed_file_is_not_lost(trained, folder, files):
    trained.checkout("bert")
    before = files()
    assert len(trained.checkout("bert").same) == 3
    (folder / "bert.safetensors").write_bytes(b"mine")
    with pytest.raises(WouldOverwrite, match=r"bert\.safetensors"):
        trained.checkout("bert")
    assert files() == {**before, "bert.safetensors": b"mine"}
    trained.checkout("bert", CheckoutOptions(force=True))
    assert files() == before


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"only": "model"}, {"bert.safetensors"}),
        ({"only": "checkpoint"}, {"bert.safetensors", "bert.state.safetensors", "bert.json"}),
        ({"only": "configs"}, set()),
        ({"checkpoint": False}, set()),
    ],
)
def test_a_part_may_be_checked_out_alone(trained, files, options, names):
    trained.checkout("bert", CheckoutOptions(**options))
    assert set(files()) == names
    assert (head(trained) is None) == ("only" in options)


def test_an_unknown_part_and_a_missing_checkpoint_are_refused(trained, store):
    with pytest.raises(UnknownName, match="a checkout has no part called 'weights'"):
        trained.checkout("bert", CheckoutOptions(only="weights"))
    with pytest.raises(BadInput, match="has no checkpoint to check out"):
        trained.checkout("bert@step:1~1", CheckoutOptions(only="model"))


def test_a_revision_becomes_a_file_name(trained, folder, files):
    trained.checkout("bert@step:1")
    trained.checkout("bert@{1}~0")
    assert {"bert-step-1.safetensors", "bert-1-0.safetensors"} <= set(files())


def test_a_committed_safetensors_file_comes_back_byte_for_byte_under_its_own_name(store, folder, files):
    (folder / "out").mkdir()
    arrays = {"b": np.arange(7, dtype=np.int8), "a": np.ones((2, 2), np.float32), "empty": np.zeros((0,), np.float64)}
    save_file(arrays, folder / "out" / "model.safetensors", metadata={"z": "1", "a": "ü", "format": "pt"})
    before = files()
    commit = store.add_commit(Addition(message="file", checkpoint=folder / "out" / "model.safetensors"))
    (folder / "out" / "model.safetensors").unlink()
    store.checkout("main")
    assert files() == before
    loaded = commit.checkpoint.load()
    assert list(loaded) == [name for name in loaded if name in arrays]
    assert {name: commit.checkpoint.tensors.numpy(name).tolist() for name in arrays} == {name: a.tolist() for name, a in arrays.items()}


def test_a_file_with_a_padded_header_and_its_own_order_comes_back_too(store, folder):
    header = b'{ "b":{"shape":[2],"data_offsets":[4,6],"dtype":"U8"},"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}'.ljust(112)
    data = len(header).to_bytes(8, "little") + header + b"\0\0\x80?" + b"\x01\x02"
    (folder / "m.safetensors").write_bytes(data)
    store.add_commit(Addition(message="file", checkpoint=folder / "m.safetensors"))
    store.checkout("main", CheckoutOptions(to=folder / "elsewhere"))
    assert (folder / "elsewhere" / "m.safetensors").read_bytes() == data


# ------------------------------------------------------------------------------------------------------- where it writes


def test_all_goes_into_another_folder_and_head_stays(committed, folder, files):
    committed.checkout("main~1", CheckoutOptions(to=folder / "there"))
    assert files() == {"conf/train.yaml": b"# by hand\nlr: 2\n", "there/conf/train.yaml": b"# by hand\nlr: 1\n"}
    assert head(committed) == {"run": "main"}


def test_a_relative_folder_is_below_the_working_directory(committed, folder, files, monkeypatch):
    (folder / "sub").mkdir()
    monkeypatch.chdir(folder / "sub")
    committed.checkout("main", CheckoutOptions(to=onyx.store.checkout.Path("there")))
    assert "sub/there/conf/train.yaml" in files()


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_link_is_not_written_through(committed, folder, tmp_path_factory, kind):
    outside = tmp_path_factory.mktemp("outside")
    (outside / "train.yaml").write_text("untouched: 1\n")
    (folder / "conf" / "train.yaml").unlink()
    if kind == "file":
        (folder / "conf" / "train.yaml").symlink_to(outside / "train.yaml")
    else:
        (folder / "conf").rmdir()
        (folder / "conf").symlink_to(outside)
    with pytest.raises(BadInput, match="leads out of"):
        committed.checkout("main~1", CheckoutOptions(force=True))
    assert (outside / "train.yaml").read_text() == "untouched: 1\n"


def test_a_name_in_the_store_that_leads_outside_is_refused(store, folder):
    run = begin_run(store._doors, onyx.store.starting.StartOptions(name="a", configs={"c": {"lr": 1}}))
    entry = run.latest.record.configs["c"]
    run._recorder._configs = {"c": type(entry)("../../evil.yaml", entry.snapshot, entry.value)}
    run.finish()
    with pytest.raises(BadName):
        store.checkout("a")
    assert not (folder.parent.parent / "evil.yaml").exists()


def test_a_folder_where_a_file_should_be_stops_everything(committed, folder):
    (folder / "conf" / "train.yaml").unlink()
    (folder / "conf" / "train.yaml").mkdir()
    with pytest.raises(onyx.OnyxError):
        committed.checkout("main~1")
    assert head(committed) == {"run": "main"}


def test_no_half_written_file_stays_when_the_disk_fails(committed, folder, files, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(onyx.disk.files.os, "rename", fail)
    with pytest.raises(onyx.OnyxError, match="No space left"):
        committed.checkout("main~1")
    monkeypatch.undo()
    assert files() == {"conf/train.yaml": b"# by hand\nlr: 2\n"}
    assert os.listdir(folder / "conf") == ["train.yaml"]  # noqa: PTH208


# ---------------------------------------------------------------------------------------------------------------- HEAD


def test_head_names_an_open_run_when_that_was_asked_for_by_its_name(committed):
    committed.checkout("main~1")
    assert head(committed) == {"commit": committed.commit("main~1").address}
    committed.checkout("HEAD")
    assert head(committed) == {"commit": committed.commit("main~1").address}
    committed.checkout("main")
    assert head(committed) == {"run": "main"}
    committed.checkout("HEAD")
    assert head(committed) == {"run": "main"}
    for revision in ("latest", "main@latest", committed.commit("main").address[:12]):
        committed.checkout(revision)
        assert head(committed) == {"commit": committed.commit("main").address}


def test_head_names_one_commit_of_a_run_that_the_library_made(store):
    store.start_run("a").finish()
    store.checkout("a")
    assert head(store) == {"commit": store.commit("a").address}


def test_the_move_of_head_is_in_the_reflog(committed):
    commit = committed.commit("main~1")
    committed.checkout("main~1")
    last = committed._doors.refs.moves("HEAD")[-1]
    assert (last.by, is_call(last.call)) == (f"checkout {commit.short}", True)
