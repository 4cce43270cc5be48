"""The guide's checkpoint manager: it saves what the config says, and knows what it has saved."""

import re
import threading
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import torch

from onyxstore.configs.types import TrainingConfig
from onyxstore.errors import CannotEncode, CheckpointPruned, Refused, UnknownRevision
from onyxstore.frameworks.loading import LoadReport
from onyxstore.store.recorder import Recorder
from onyxstore.tracking.checkpoints import CheckpointManager
from onyxstore.tracking.recorded import CheckpointReference
from tests.tracking.training import Lab, Training, config, reader, same


@pytest.fixture
def lab(folder):
    with Lab(folder) as made:
        yield made


@pytest.fixture
def manager(lab):
    return lab.manager()


def save_all(manager, *losses, **options):
    """A checkpoint for each of these losses, at the steps 0, 1, 2 …; their paths."""
    steps = enumerate(losses)
    return [manager.save_checkpoint(**Training(step).parts, metrics={"loss": loss}, step=step, **options) for step, loss in steps]


def answers(manager, experiment_id):
    """What it knows of an id."""
    latest, best = manager.get_latest_checkpoint(experiment_id), manager.get_best_checkpoint(experiment_id)
    return latest, best, [info["step"] for info in manager.get_checkpoint_info(experiment_id)]


NOTHING = (None, None, [])


# -------------------------------------------------------------------------------------------------------------- saving


def test_a_checkpoint_is_loaded_as_it_was_saved(manager):
    training = Training().step()
    path = manager.save_checkpoint(**training.parts, metrics={"loss": 0.5}, step=1000, epoch=5, is_best=True)
    expected = {name: part.state_dict() for name, part in training.parts.items()}
    other = Training(1).step()
    loaded = manager.load_checkpoint(other.model, path, other.optimizer, other.scheduler)
    assert loaded.report == LoadReport()
    assert same({name: part.state_dict() for name, part in other.parts.items()}, expected)


def test_the_data_has_the_guides_keys(manager):
    training = Training().step()
    path = manager.save_checkpoint(**training.parts, metrics={"loss": 0.5, "accuracy": 0.85}, step=1000, epoch=5, is_best=True)
    data = manager.load_checkpoint(Training(1).model, path)
    assert {*data} == {
        *("epoch", "step", "metrics", "is_best", "timestamp", "checkpoint_id"),
        *("model_state_dict", "optimizer_state_dict", "scheduler_state_dict"),
    }
    assert (len(data), data["epoch"], data["step"], data["is_best"]) == (9, 5, 1000, True)
    assert data["metrics"] == {"loss": 0.5, "accuracy": 0.85}
    assert re.fullmatch(r"checkpoint_epoch_5_step_1000_\d{8}_\d{6}_best", data["checkpoint_id"])
    assert abs(datetime.fromisoformat(data["timestamp"]) - datetime.now(tz=UTC)).total_seconds() < 60
    for name, part in training.parts.items():
        assert same(data[f"{name}_state_dict"], part.state_dict())


def test_the_data_is_read_when_it_is_asked_for_and_only_read(manager):
    data = manager.load_checkpoint(None, manager.save_checkpoint(**Training().parts, step=1))
    assert "model_state_dict" not in data._values
    assert data["model_state_dict"] is data["model_state_dict"]
    assert repr(data) == f"<CheckpointData of {data['checkpoint_id']}>"
    with pytest.raises(KeyError):
        data["optimizer"]
    with pytest.raises(TypeError):
        data["epoch"] = 6


def test_step_and_epoch_are_those_of_the_last_point_if_not_given(manager):
    assert re.search(r"/checkpoint_\d{8}_\d{6}\.json$", manager.save_checkpoint(**Training().parts))
    manager._live.run.log({"loss": 1.0}, step=7, epoch=2)
    data = manager.load_checkpoint(None, manager.save_checkpoint(model=Training().model))
    assert (data["step"], data["epoch"], data["checkpoint_id"][:25]) == (7, 2, "checkpoint_epoch_2_step_7")
    assert "/checkpoint_epoch_0.5_step_3_" in manager.save_checkpoint(model=Training().model, step=np.int64(3), epoch=torch.tensor(0.5))


def test_a_save_under_way_is_waited_for_by_every_manager_of_the_process(manager, monkeypatch):
    gate = threading.Event()
    record = Recorder.record
    monkeypatch.setattr(Recorder, "record", lambda *arguments: (gate.wait(60), record(*arguments))[1])
    path = manager.save_checkpoint(**Training().parts, step=1)
    assert (manager.find_saving(path).handle.done(), Path("checkpoints").exists()) == (False, False)
    threading.Timer(0.05, gate.set).start()
    assert reader().get_latest_checkpoint("exp") == path
    assert Path(path).is_file()


def test_what_backends_are_told_is_known_from_the_call_on(manager):
    path = manager.save_checkpoint(model=Training().model, metrics={"loss": torch.tensor(0.5)}, step=3, epoch=1, is_best=False)
    saving = manager.find_saving(path)
    assert saving.reference == CheckpointReference(Path(path).stem, "exp", 3, 1, {"loss": 0.5}, is_best=False, path=path)
    assert saving.handle.wait().step == 3
    other = manager.save_checkpoint(model=Training().model, step=4)
    assert (manager.find_saving(path), manager.find_saving(other).reference.step) == (None, 4)


def test_saving_takes_a_run(folder):
    with pytest.raises(Refused, match=r"^checkpoints are saved into a run; attach\(\) one"):
        reader().save_checkpoint(model=Training().model)


def test_a_save_that_fails_is_raised_by_the_run_and_leaves_no_pointer(manager, monkeypatch):
    def failing(*_):
        raise OSError("no disk")

    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "record", failing)
        path = manager.save_checkpoint(**Training().parts, step=1)
        with pytest.raises(UnknownRevision, match="no run has saved it"):
            manager.load_checkpoint(None, path)
    with pytest.raises(OSError, match="^no disk$"):
        manager.flush()
    assert not Path(path).exists()
    assert manager.load_checkpoint(None, manager.save_checkpoint(**Training().parts, step=2))["step"] == 2


def test_another_rank_saves_nothing_and_loads_everything(manager, lab, monkeypatch):
    path = manager.save_checkpoint(**Training().parts, step=1, wait=True)
    monkeypatch.setenv("RANK", "1")
    other = lab.manager(lab.start())
    assert other.save_checkpoint(**Training().parts, step=2) is None
    other.flush()
    assert other.load_checkpoint(Training(1).model, path)["step"] == 1


def test_a_manager_can_be_subclassed_as_the_guide_shows(lab):
    class CustomCheckpointManager(CheckpointManager):
        def save_checkpoint(self, **kwargs):
            return super().save_checkpoint(**kwargs, state={"by": "custom"})

        def load_checkpoint(self, **kwargs):
            return super().load_checkpoint(**kwargs)

    manager = lab.manager(kind=CustomCheckpointManager)
    path = manager.save_checkpoint(model=Training().model, step=1)
    assert manager.load_checkpoint(model=Training(1).model, checkpoint_path=path)["step"] == 1
    assert lab.store.commit("exp").checkpoint.load()["by"] == "custom"


# ----------------------------------------------------------------------------------------------------------- questions


def test_latest_and_best_are_the_runs(manager):
    paths = [manager.save_checkpoint(**Training(step).parts, step=step, is_best=step == 1) for step in range(3)]
    assert answers(manager, "exp") == (paths[2], paths[1], [0, 1, 2])


def test_best_follows_the_runs_metric(lab):
    manager = lab.manager(lab.start(best_metric="loss"))
    paths = save_all(manager, 3, 1, 2)
    assert manager.get_best_checkpoint("exp") == paths[1]
    assert [info["is_best"] for info in manager.get_checkpoint_info("exp")] == [False, True, False]


def test_best_is_the_checkpoint_that_holds_it_by_now(manager):
    paths = [manager.save_checkpoint(**Training(step).parts, step=step, is_best=True) for step in range(2)]
    assert [manager.load_checkpoint(None, path)["is_best"] for path in paths] == [False, True]


def test_the_same_state_saved_twice_is_two_checkpoints(manager):
    training = Training()
    paths = [manager.save_checkpoint(**training.parts, step=1, is_best=is_best) for is_best in (False, True)]
    assert answers(manager, "exp") == (paths[1], paths[1], [1, 1])
    assert [(info["path"], info["is_best"]) for info in manager.get_checkpoint_info("exp")] == [(paths[0], False), (paths[1], True)]


@pytest.mark.parametrize("name", ["other", "../x", "", "exp@best", "a" * 300, "exp/../exp", "exp"])
def test_of_an_id_that_has_saved_nothing_nobody_knows_anything(manager, name):
    assert answers(manager, name) == NOTHING


def test_without_a_store_nobody_knows_anything(folder):
    assert answers(reader(), "exp") == NOTHING


def test_an_id_means_the_newest_run_of_its_group_that_has_saved(manager, lab):
    old = manager.save_checkpoint(**Training().parts, step=1, is_best=True)
    manager.attach(lab.start())
    assert answers(manager, "exp") == (old, old, [1])
    new = manager.save_checkpoint(**Training(1).parts, step=2)
    assert answers(manager, "exp") == (new, None, [2])


def test_an_id_may_be_the_name_of_a_run_and_its_checkpoints_saved_by_others(manager, lab):
    lone = lab.start("lone", group="others")
    lone.save_checkpoint(model=Training().model, metrics={"loss": float("nan")}, step=9, is_best=True, wait=True)
    lone.commit("no checkpoint of its own")
    address = lab.store.commit("lone~1").address
    assert answers(manager, "lone") == (address, address, [9])
    assert manager.load_checkpoint(None, address)["checkpoint_id"] == address


def test_the_information_is_all_there(manager, lab):
    training = Training().step()
    path = manager.save_checkpoint(**training.parts, step=1000, epoch=5, metrics={"loss": 0.5}, is_best=True)
    (info,) = manager.get_checkpoint_info("exp")
    commit = lab.store.commit("exp")
    raw, stored = (sum(getattr(part, size) for part in commit.checkpoint.parts) for size in ("raw", "stored"))
    assert info == {
        "checkpoint_id": Path(path).stem,
        "path": path,
        "epoch": 5,
        "step": 1000,
        "metrics": {"loss": 0.5},
        "is_best": True,
        "timestamp": datetime.fromtimestamp(commit.time, tz=UTC).astimezone().isoformat(timespec="seconds"),
        "file_size": stored,
        "raw_size": raw,
        "commit": commit.address,
    }
    weights = sum(tensor.nbytes for tensor in training.model.state_dict().values())
    assert (raw > 3 * weights, stored > 0) == (True, True)


# ----------------------------------------------------------------------------------------------------- what configs say


def test_what_is_not_to_be_saved_is_not_and_that_is_said_once(lab, said):
    manager = lab.manager(save_checkpoints=False)
    assert save_all(manager, 3, 2, 1) == [None, None, None]
    assert said() == ["no checkpoint is saved: save_checkpoints is false"]
    assert (answers(manager, "exp"), Path("checkpoints").exists()) == (NOTHING, False)


def test_optimizer_and_scheduler_are_left_out_if_the_config_says_so(lab):
    manager = lab.manager(save_optimizer=False)
    data = manager.load_checkpoint(None, manager.save_checkpoint(**Training().parts, step=1))
    assert [data[f"{part}_state_dict"] is None for part in ("model", "optimizer", "scheduler")] == [False, True, False]
    manager.config.save_optimizer, manager.config.save_scheduler = True, False
    data = manager.load_checkpoint(None, manager.save_checkpoint(**Training().parts, step=2))
    assert [data[f"{part}_state_dict"] is None for part in ("model", "optimizer", "scheduler")] == [False, False, True]


@pytest.mark.parametrize("says", ["config", "training_config"])
def test_only_what_is_better_than_all_before_is_saved(lab, said, says):
    training_config = TrainingConfig(save_best_only=says == "training_config")
    manager = lab.manager(lab.start(best_metric="loss"), training_config, best_metric="loss", save_best_only=says == "config")
    paths = save_all(manager, 3.0, 4.0, float("nan"), 2.0, 2.0, 1.0, is_best=False)
    assert [path is not None for path in paths] == [True, False, False, True, False, True]
    assert answers(manager, "exp") == (paths[5], paths[5], [0, 3, 5])
    assert Path(paths[5]).stem.endswith("_best")
    assert said() == ["a checkpoint that is not the best so far is not saved: save_best_only is true"]


def test_best_only_looks_at_what_was_logged_when_the_save_does_not_say_it(lab):
    run = lab.start(best_metric="loss")
    manager = lab.manager(run, best_metric="loss", save_best_only=True)
    paths = []
    for step, loss in enumerate([2.0, 3.0, 1.0]):
        run.log({"loss": loss}, step=step)
        run.log({"other": 0.0}, step=step)
        paths.append(manager.save_checkpoint(model=Training(step).model))
    assert [path is not None for path in paths] == [True, False, True]
    assert manager.get_best_checkpoint("exp") == paths[2]


def test_best_only_goes_on_from_the_best_of_a_resumed_run(lab):
    best_only = {"best_metric": "acc", "best_mode": "max", "save_best_only": True}
    with lab.store.start_run("r", best_metric="acc", best_mode="max") as run:
        lab.manager(run, **best_only).save_checkpoint(model=Training().model, metrics={"acc": 0.8}, step=1)
    manager = lab.manager(lab.start("r", resume=True), **best_only)
    assert manager.save_checkpoint(model=Training(1).model, metrics={"acc": 0.7}, step=2) is None
    assert manager.save_checkpoint(model=Training(2).model, metrics={"acc": 0.9}, step=3) is not None


def test_best_only_takes_the_callers_word(lab):
    manager = lab.manager(save_best_only=True)
    paths = [manager.save_checkpoint(**Training(step).parts, step=step, is_best=step == 1) for step in range(3)]
    assert [path is not None for path in paths] == [False, True, False]
    assert manager.get_best_checkpoint("exp") == paths[1]


def test_best_only_saves_everything_when_nothing_can_judge_and_says_so_once(lab, said):
    assert None not in save_all(lab.manager(save_best_only=True), 1, 2)
    assert said() == ["save_best_only is true, but nothing says which checkpoint is best: give best_metric or is_best; all are saved"]


def test_what_cannot_be_saved_is_not_the_best(lab):
    manager = lab.manager(best_metric="loss", save_best_only=True)
    with pytest.raises(CannotEncode):
        manager.save_checkpoint(state={"x": object()}, metrics={"loss": 1.0}, step=1)
    assert manager.save_checkpoint(model=Training().model, metrics={"loss": 2.0}, step=2) is not None


def test_a_save_that_will_not_fit_is_warned_of_once_a_minute(lab, said, monkeypatch):
    monkeypatch.setattr("onyxstore.tracking.room.shutil.disk_usage", lambda _: type("Usage", (), {"free": 1_000_000}))
    manager = lab.manager()
    for step in range(2):
        manager.save_checkpoint(state={"w": np.full(1_000_000, step)}, step=step)
    words = f"the next checkpoint takes some 7 MB, and 1 MB are free for the store in {lab.store.folder}; 'onyx gc' may free some"
    assert said() == [words]


# ----------------------------------------------------------------------------------------------------------- retention


def test_a_pruned_checkpoint_is_none_of_those_kept_and_says_why_it_does_not_load(lab):
    manager = lab.manager(lab.start(max_checkpoints=2))
    paths = [manager.save_checkpoint(**Training(step).step().parts, step=step, is_best=step == 0) for step in range(5)]
    manager.flush()
    assert answers(manager, "exp") == (paths[4], paths[0], [0, 3, 4])
    lab.store.gc()
    with pytest.raises(CheckpointPruned):
        manager.load_checkpoint(Training().model, paths[1])
    assert [manager.verify_checkpoint(path) for path in paths] == [True, False, False, True, True]


def test_what_is_not_whole_is_said(lab, said):
    manager = lab.manager(lab.start(max_checkpoints=1))
    path, _ = save_all(manager, 2, 1)
    manager.flush()
    lab.store.gc()
    assert manager.verify_checkpoint(path) is False
    words = r"the checkpoint of [0-9a-f]+ was pruned: its run keeps only so many; tag what must stay"
    assert re.match(rf"^checkpoint {path} is not whole: {words}", said()[-1])


def test_the_folder_is_that_of_the_start_whatever_the_program_does_then(lab, monkeypatch, tmp_path_factory):
    manager = lab.manager(checkpoint_dir="./deep/er")
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    path = manager.save_checkpoint(model=Training().model, step=1, wait=True)
    assert (Path(path).parent, Path(path).is_file()) == (lab.store.folder / "deep" / "er", True)
    assert (answers(manager, "exp")[0], config().checkpoint_dir) == (path, "./checkpoints")
