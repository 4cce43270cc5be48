"""A checkpoint is found by whatever name one has for it, and fits what it is loaded into, or an error says why not."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

import onyxstore as onyx
from onyxstore.errors import BadFile, BadInput, CorruptObject, DiskError, LoadMismatch, StoreNotFound, UnknownRevision
from onyxstore.frameworks.loading import LoadReport
from tests.tracking.training import Lab, Training, copied, reader, same


@pytest.fixture
def lab(folder):
    with Lab(folder) as made:
        yield made


@pytest.fixture
def manager(lab):
    return lab.manager()


# ---------------------------------------------------------------------------------------------------- ways to name one


def test_a_checkpoint_goes_by_its_pointer_its_id_and_its_revision(manager, lab, monkeypatch, tmp_path_factory):
    training = Training().step()
    path = manager.save_checkpoint(**training.parts, step=1, is_best=True)
    manager.save_checkpoint(**training.step().parts, step=2)
    manager.flush()
    names = [path, Path(path), os.path.relpath(path), Path(path).stem, f"{Path(path).stem}.json"]
    revisions = ["exp@best", "exp@step:1", "exp~1", lab.store.commit("exp~1").address]
    assert [reader().load_checkpoint(None, name)["step"] for name in names + revisions] == [1] * 9
    Path(path).unlink()
    assert [reader().load_checkpoint(None, name)["step"] for name in names] == [1] * 5
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert manager.load_checkpoint(None, path)["step"] == 1


def test_a_pointer_that_was_renamed_still_points(manager):
    path = manager.save_checkpoint(**Training().parts, step=1, wait=True)
    renamed = Path(path).rename(Path(path).with_name("mine.json"))
    assert manager.load_checkpoint(None, renamed)["step"] == 1


def test_a_run_may_be_called_like_a_pointer(manager, lab):
    lab.start("exp.json").save_checkpoint(model=Training().model, step=5, wait=True)
    assert manager.load_checkpoint(None, "exp.json")["step"] == 5


def test_a_revision_without_a_save_of_its_own_loads_what_it_carries(manager, lab):
    path = manager.save_checkpoint(**Training().parts, step=1, metrics={"loss": float("nan")}, is_best=True, wait=True)
    manager._live.run.commit("a word")
    data = manager.load_checkpoint(None, "exp")
    assert (data["checkpoint_id"], data["is_best"], data["step"]) == (Path(path).stem, True, 1)
    with pytest.raises(BadInput, match=r"^[0-9a-f]+ of run 'exp' has no checkpoint: it was made before the first was saved$"):
        manager.load_checkpoint(None, "exp~2")


def test_a_fork_loads_what_it_starts_from(manager, lab):
    path = manager.save_checkpoint(**Training().parts, step=1, wait=True)
    lab.start("fork", parent="exp")
    assert manager.load_checkpoint(None, "fork")["checkpoint_id"] == Path(path).stem


@pytest.mark.parametrize(
    "path",
    [
        *("../x", "../../etc/passwd", "/etc/passwd", "/etc/passwd.json", "a" * 300, "a" * 300 + ".json", "\0", "\0.json"),
        *("", ".json", "x\n.json", ".", "/", "exp@best~99", "exp@", "checkpoint_٢٠٢٤٠١١٥_103000"),
        *("checkpoint_20240115_103000", "/nowhere/checkpoint_20240115_103000.json", "checkpoint_epoch_../../x_20240115_103000"),
    ],
)
def test_a_name_that_leads_nowhere_is_an_error_of_one_line(manager, path):
    manager.save_checkpoint(**Training().parts, step=1)
    with pytest.raises(UnknownRevision) as caught:
        manager.load_checkpoint(Training().model, path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("path", [None, 5, b"x", object()])
def test_what_is_no_path_is_refused(manager, path):
    with pytest.raises(BadInput, match="^a checkpoint_path is text or a path, not a "):
        manager.load_checkpoint(Training().model, path)


def test_a_pointer_into_another_store_is_an_error(manager, tmp_path_factory, monkeypatch):
    path = manager.save_checkpoint(**Training().parts, step=1, wait=True)
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    onyx.Store.init()
    with pytest.raises(UnknownRevision, match="it points to [0-9a-f]{10}, which the store in .* does not hold;"):
        reader().load_checkpoint(None, path)


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"onyx": "pointer"}', b"[1]", b"{" * 100_000])
def test_a_file_that_is_no_pointer_is_passed_over_for_its_name(manager, content):
    path = manager.save_checkpoint(**Training().parts, step=1, wait=True)
    Path(path).write_bytes(content)
    assert reader().load_checkpoint(None, path)["step"] == 1


def test_loading_without_a_store_says_that_there_is_none(folder):
    with pytest.raises(StoreNotFound):
        reader().load_checkpoint(None, "exp@best")


def test_a_forked_child_loads_and_does_not_wait_for_threads_that_it_lacks(manager):
    path = manager.save_checkpoint(model=Training().model, step=1, wait=True)
    if (child := os.fork()) == 0:
        signal.alarm(60)
        loaded = manager.load_checkpoint(None, path)["step"]
        manager.close()
        os._exit(loaded)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1


# --------------------------------------------------------------------------------------------------------- safetensors


def test_a_safetensors_file_is_a_model(manager):
    training = Training().step()
    safetensors.torch.save_file(training.model.state_dict(), "model.safetensors")
    other = Training(1)
    data = manager.load_checkpoint(other.model, Path("model.safetensors"))
    assert same(copied(other.model), copied(training.model))
    assert (data["checkpoint_id"], data["step"], data["metrics"], data["optimizer_state_dict"]) == ("model", None, {}, None)
    assert same(data["model_state_dict"], copied(training.model))
    assert manager.verify_checkpoint("model.safetensors") is True
    with pytest.raises(LoadMismatch, match="the optimizer cannot take the stored state: the checkpoint holds none"):
        manager.load_checkpoint(other.model, "model.safetensors", other.optimizer)


def test_a_safetensors_file_needs_no_store(folder):
    odd = {"weight": torch.ones(1, 2), "bias": torch.zeros(1), "$": torch.zeros(1), "none": torch.zeros(0)}
    safetensors.torch.save_file(odd, "m.safetensors")
    model = torch.nn.Linear(2, 1)
    with pytest.raises(LoadMismatch, match=r"unexpected: .*\$"):
        reader().load_checkpoint(model, "m.safetensors")
    report = reader().load_checkpoint(model, "m.safetensors", strict=False).report
    assert ({*report.unexpected}, model.weight.tolist()) == ({"$", "none"}, [[1, 1]])


class KeepsWhatItGets:
    """No module: it takes the tensors themselves."""

    def load_state_dict(self, state):
        self.state = state


def test_what_is_handed_out_of_a_file_shares_nothing_with_what_was_loaded(folder):
    safetensors.torch.save_file({"w": torch.ones(2)}, "m.safetensors")
    model = KeepsWhatItGets()
    data = reader().load_checkpoint(model, "m.safetensors")
    data["model_state_dict"]["w"].zero_()
    assert model.state["w"].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda data: data[:-1], "it has [0-9]+ bytes where its header speaks of"),
        (lambda data: data[:6], "it is shorter than its header"),
        (lambda data: b"\xff" * 8 + data[8:], "it is shorter than its header"),
        (lambda data: data.replace(b'"F32"', b'"F99"'), "a dtype that is not known"),
        (lambda _: b"", "it is shorter than its header"),
    ],
)
def test_a_safetensors_file_that_is_none_changes_nothing(manager, spoil, words):
    safetensors.torch.save_file(Training().model.state_dict(), "m.safetensors")
    Path("m.safetensors").write_bytes(spoil(Path("m.safetensors").read_bytes()))
    model = Training(1).model
    before = copied(model)
    with pytest.raises(BadFile, match=f"^m.safetensors is no whole safetensors file: .*{words}"):
        manager.load_checkpoint(model, "m.safetensors")
    assert same(copied(model), before)
    assert manager.verify_checkpoint("m.safetensors") is False


@pytest.mark.parametrize("path", ["../x.safetensors", "\0.safetensors", "/dev/null/x.safetensors", ".safetensors", "."])
def test_a_file_that_is_not_there_is_an_error_of_one_line(manager, path):
    Path("folder.safetensors").mkdir()
    with pytest.raises(BadFile, match="there is none$"):
        manager.load_checkpoint(Training().model, path if path != "." else "folder.safetensors")


def test_a_file_that_cannot_be_there_is_an_error_of_one_line(manager):
    with pytest.raises(DiskError, match="^reading aaa.* failed: File name too long$"):
        manager.load_checkpoint(Training().model, "a" * 300 + ".safetensors")


# -------------------------------------------------------------------------------------------------- strict and partial


@pytest.fixture
def saved(manager):
    """The path of a checkpoint of `Training`."""
    return manager.save_checkpoint(**Training().step().parts, step=1)


@pytest.fixture
def longer():
    """A model that lacks a tensor of that, and has two more."""
    torch.manual_seed(7)
    return torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Linear(3, 1, bias=False), torch.nn.Linear(1, 1))


def test_a_tensor_that_one_side_lacks_is_named_and_nothing_changes(manager, saved, longer):
    before = copied(longer)
    with pytest.raises(LoadMismatch) as caught:
        manager.load_checkpoint(longer, saved)
    assert str(caught.value) == (
        "the model cannot take the stored state: missing: 2.weight, 2.bias; unexpected: 1.bias (strict=False loads what both have); "
        "nothing was loaded"
    )
    assert same(copied(longer), before)


def test_of_many_names_some_are_said(manager, saved):
    many = torch.nn.ModuleList([torch.nn.Linear(4, 3), *(torch.nn.Linear(3, 1) for _ in range(5))])
    with pytest.raises(LoadMismatch, match=r"missing: 2\.weight, 2\.bias, 3\.weight, 3\.bias, 4\.weight and 3 more \("):
        manager.load_checkpoint(many, saved)


def test_what_both_have_is_loaded_when_asked_for(manager, saved, longer):
    data = manager.load_checkpoint(longer, saved, strict=False)
    assert same(longer[0].weight.detach(), data["model_state_dict"]["0.weight"])
    assert (data.report.missing, data.report.unexpected) == (("2.weight", "2.bias"), ("1.bias",))
    assert {"optimizer", "scheduler"} <= {*data.report.not_restored}


@pytest.mark.parametrize("strict", [True, False])
def test_another_shape_fits_in_neither_case(manager, saved, strict):
    model = torch.nn.Sequential(torch.nn.Linear(5, 3), torch.nn.Linear(3, 1))
    with pytest.raises(LoadMismatch, match=r"0\.weight is \[3, 4\] there and \[3, 5\] here"):
        manager.load_checkpoint(model, saved, strict=strict)


def test_wrapped_models_and_plain_ones_load_each_other(manager, saved):
    for wrapped in [torch.compile(Training(1).model, backend="eager"), torch.nn.DataParallel(Training(2).model)]:
        manager.load_checkpoint(wrapped, saved)
        plain = Training(3).model
        manager.load_checkpoint(plain, manager.save_checkpoint(model=wrapped.train(), step=2))
        assert same([*copied(wrapped).values()], [*copied(plain).values()])


def test_models_in_lists_and_dicts_are_compared_one_by_one(manager):
    several = {"g": Training().model, "d": [torch.nn.Linear(2, 2), torch.nn.Linear(1, 1)]}
    path = manager.save_checkpoint(model=several, step=1)
    assert manager.load_checkpoint(several, path).report.missing == ()
    other = {"g": Training(1).model, "d": [torch.nn.Linear(2, 2), torch.nn.Linear(1, 1, bias=False)]}
    before = copied(other["g"])
    with pytest.raises(LoadMismatch, match=r"unexpected: d\.1\.bias "):
        manager.load_checkpoint(other, path)
    assert same(copied(other["g"]), before)
    pair = (torch.nn.Linear(1, 1), torch.nn.Linear(1, 1))
    path = manager.save_checkpoint(model=pair, step=2)
    assert manager.load_checkpoint(pair, path).report.missing == ()
    with pytest.raises(LoadMismatch, match="2 are stored, 1 are here"):
        manager.load_checkpoint(pair[:1], path)


def test_a_part_that_was_not_saved_is_an_error_and_the_guides_fallback_works(manager):
    path = manager.save_checkpoint(model=Training().step().model, step=1)
    other = Training(1)
    before = copied(other.model)
    with pytest.raises(LoadMismatch, match="^the optimizer cannot take the stored state: the checkpoint holds none; nothing was loaded$"):
        manager.load_checkpoint(other.model, path, other.optimizer, other.scheduler)
    assert same(copied(other.model), before)
    data = manager.load_checkpoint(other.model, path, optimizer=None, scheduler=None)
    assert (data.report.missing, data["optimizer_state_dict"], same(copied(other.model), before)) == ((), None, False)
    assert manager.load_checkpoint(other.model, path, other.optimizer, strict=False).report.missing == ("optimizer",)


def test_a_state_without_a_model_is_the_models(manager, lab):
    expected = copied(Training().model)
    lab.start("plain").save_checkpoint(state=expected, step=1, wait=True)
    model = Training(1).model
    data = manager.load_checkpoint(model, "plain")
    assert same(copied(model), expected)
    assert same(data["model_state_dict"], expected)
    assert data["checkpoint_id"] == lab.store.commit("plain").address


def test_the_random_generators_go_along_with_an_optimizer(manager):
    training = Training().step()
    path = manager.save_checkpoint(**training.parts, step=1)
    expected = torch.rand(3).tolist()
    manager.load_checkpoint(training.model, path)
    assert torch.rand(3).tolist() != expected
    manager.load_checkpoint(training.model, path, training.optimizer)
    assert torch.rand(3).tolist() == expected


def test_a_grad_scaler_goes_along(manager):
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    path = manager.save_checkpoint(model=Training().model, scaler=scaler, state={"ema": torch.ones(2)}, step=1)
    other = torch.amp.GradScaler("cpu")
    data = manager.load_checkpoint(Training(1).model, path, scaler=other)
    assert (other.get_scale(), data.report) == (1024.0, LoadReport(not_restored=("ema",)))


# -------------------------------------------------------------------------------------------------------------- damage


def test_a_damaged_checkpoint_is_an_error_and_the_one_before_it_loads(manager, folder):
    packs = folder / ".onyx" / "packs"
    first = manager.save_checkpoint(state={"w": np.random.default_rng(0).random(10_000)}, step=0, wait=True)
    before = {*packs.iterdir()}
    second = manager.save_checkpoint(state={"w": np.random.default_rng(1).random(10_000)}, step=1, wait=True)
    (pack,) = {*packs.iterdir()} - before
    data = bytearray(pack.read_bytes())
    data[len(data) // 2] ^= 1
    pack.write_bytes(data)
    assert manager.get_latest_checkpoint("exp") == second
    with pytest.raises(CorruptObject):
        manager.load_checkpoint(None, second)["model_state_dict"]
    assert [manager.verify_checkpoint(path) for path in (first, second)] == [True, False]
    assert manager.load_checkpoint(None, first)["model_state_dict"]["w"].shape == (10_000,)


def test_a_checkpoint_damaged_in_its_model_leaves_the_model_alone(manager, folder):
    training = Training().step()
    path = manager.save_checkpoint(**training.parts, step=0, wait=True)
    for pack in (folder / ".onyx" / "packs").iterdir():
        pack.write_bytes(pack.read_bytes()[:200])
    before = copied(training.model)
    with pytest.raises(onyx.OnyxError):
        manager.load_checkpoint(training.model, path, training.optimizer)
    assert same(copied(training.model), before)
