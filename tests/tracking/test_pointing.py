"""`checkpoint_dir` is as the store is: a pointer for each kept checkpoint, none for a pruned one, and nothing of others touched."""

import json
import signal
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from onyxstore.tracking import pointing
from tests.tracking.training import Lab, reader


@pytest.fixture
def lab(folder):
    with Lab(folder) as made:
        yield made


def save(manager, step, **options):
    return manager.save_checkpoint(state={"w": np.full(1000, step)}, step=step, **options)


def steps_pointed_to():
    return sorted(json.loads(path.read_text())["step"] for path in Path("checkpoints").glob("checkpoint_*_*.json"))


# ---------------------------------------------------------------------------------------------------- what lies there


def test_a_pointer_says_which_commit_it_is(lab):
    manager = lab.manager()
    path = Path(save(manager, 3, epoch=1, metrics={"loss": float("nan"), "lr": 1}, wait=True))
    commit = lab.store.commit("exp")
    assert json.loads(path.read_text()) == {
        "onyx": "pointer",
        "checkpoint_id": path.stem,
        "run": "exp",
        "commit": commit.address,
        "epoch": 1,
        "step": 3,
        "metrics": {"loss": {"$": "float", "is": "nan"}, "lr": 1},
        "timestamp": datetime.fromtimestamp(commit.time, tz=UTC).astimezone().isoformat(timespec="seconds"),
    }
    assert [file.name for file in Path("checkpoints").iterdir()] == [path.name]


def test_a_pruned_checkpoint_loses_its_pointer(lab):
    manager = lab.manager(lab.start(max_checkpoints=2))
    for step in range(5):
        save(manager, step, is_best=step == 0)
    manager.flush()
    assert steps_pointed_to() == [0, 3, 4]


def test_pointers_follow_while_the_run_goes_on(lab):
    """At most a step behind: a checkpoint is durable before retention looks what goes for it."""
    manager = lab.manager(lab.start(max_checkpoints=1))
    for step in range(4):
        save(manager, step, wait=True)
    assert steps_pointed_to() in ([3], [2, 3])


def test_a_resumed_run_takes_its_earlier_pointers_away(lab):
    with lab.store.start_run("exp", max_checkpoints=2) as run:
        manager = lab.manager(run)
        for step in range(2):
            save(manager, step)
        manager.close()
    manager = lab.manager(lab.start(resume=True))
    for step in range(2, 5):
        save(manager, step)
    manager.close()
    assert steps_pointed_to() == [3, 4]


def test_files_of_others_stay_whatever_they_are_called(lab, tmp_path_factory):
    folder = Path("checkpoints")
    folder.mkdir()
    with Lab(tmp_path_factory.mktemp("elsewhere")) as other:
        foreign = Path(save(other.manager(), 77, wait=True))
    mine = {"notes.json": b"{}", "checkpoint_20240115_103000.json": b"mine", "model.pt": b"x", ".hidden": b""}
    mine[foreign.name] = foreign.read_bytes()
    for name, content in mine.items():
        (folder / name).write_bytes(content)
    manager = lab.manager(lab.start(max_checkpoints=1))
    paths = [Path(save(manager, step)) for step in range(3)]
    manager.close()
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.name != paths[2].name} == mine
    assert paths[2].is_file()


def test_a_pointer_that_somebody_changed_is_his(lab):
    manager = lab.manager(lab.start(max_checkpoints=1))
    path = Path(save(manager, 0, wait=True))
    changed = path.read_text().replace('"step": 0', '"step": 0, "note": "mine"')
    path.write_text(changed)
    save(manager, 1)
    manager.close()
    assert path.read_text() == changed


def test_a_pointer_of_another_name_is_somebody_elses(lab):
    manager = lab.manager(lab.start(max_checkpoints=1))
    pointer = json.loads(Path(save(manager, 0, wait=True)).read_text())
    mine = Path("checkpoints") / "checkpoint_20240115_103000.json"
    mine.write_text(json.dumps({**pointer, "checkpoint_id": mine.stem}))
    save(manager, 1)
    manager.close()
    lab.manager().close()
    assert (mine.is_file(), len([*Path("checkpoints").iterdir()])) == (True, 2)


def test_a_pointer_that_somebody_deleted_is_not_made_again(lab):
    manager = lab.manager()
    paths = [Path(save(manager, step, wait=True)) for step in range(3)]
    manager.close()
    paths[0].unlink()
    lab.manager().close()
    assert steps_pointed_to() == [1, 2]


def test_a_folder_that_cannot_be_written_stops_nothing_and_is_said_once(lab, said):
    Path("checkpoints").write_text("a file")
    manager = lab.manager()
    paths = [save(manager, step) for step in range(2)]
    manager.close()
    assert [manager.load_checkpoint(None, path)["step"] for path in paths] == [0, 1]
    assert [line.split(": ")[0] for line in said()] == [f"the pointers in {Path('checkpoints').absolute()} are not as the store is"]


def test_what_nobody_expected_is_raised_and_not_swallowed(lab, monkeypatch):
    manager = lab.manager()
    monkeypatch.setattr(pointing, "write_pointer", lambda *_: {}["a mistake"])
    save(manager, 1)
    with pytest.raises(KeyError, match="a mistake"):
        manager.flush()
    manager.flush()


# --------------------------------------------------------------------------------------------------- after a crash


BEGIN = """
import atexit, signal
from onyxstore.configs.types import ExperimentConfig
from onyxstore.tracking import pointing
from onyxstore.tracking.checkpoints import CheckpointManager
run = onyx.Store.open().start_run("exp", group="exp", max_checkpoints=2)
manager = CheckpointManager(ExperimentConfig(experiment_name="ads", project_name="p"), run=run)
"""

KILLED = """
for step in range(2):
    manager.save_checkpoint(state={"w": np.full(1000, step)}, step=step, wait=True)

def killed(folder, pointer):
    if pointer.step == 3:
        run._saver.flush()
        os.kill(os.getpid(), signal.SIGKILL)

pointing.write_pointer = killed
pointing.delete_pointer = lambda *_: None
for step in range(2, 4):
    manager.save_checkpoint(state={"w": np.full(1000, step)}, step=step)
time.sleep(60)
"""


def test_what_a_killed_process_left_undone_is_caught_up(lab, script):
    killed = script(BEGIN + KILLED)
    assert (killed.end()[0], steps_pointed_to()) == (-signal.SIGKILL, [0, 1])
    manager = lab.manager()
    manager.flush()
    assert steps_pointed_to() == [2, 3]
    assert manager.load_checkpoint(None, manager.get_latest_checkpoint("exp"))["step"] == 3


def test_other_groups_are_left_to_their_own_runs(lab):
    one = lab.manager(lab.start("one", group="one"))
    path = Path(save(one, 1, wait=True))
    path.unlink()
    lab.manager(lab.start("two", group="two")).flush()
    assert not path.exists()
    lab.manager(lab.start("three", group="one")).flush()
    assert path.exists()


@pytest.mark.parametrize("closes", ["", "atexit.register(manager.close)", "atexit.register(lambda: [run.finish(), manager.close()])"])
def test_a_program_that_just_ends_leaves_its_pointers(lab, script, closes):
    assert script(f"{BEGIN}{closes}\nmanager.save_checkpoint(state={{'w': np.zeros(100)}}, step=1)").end() == (0, "")
    assert steps_pointed_to() == [1]


# ------------------------------------------------------------------------------------------------------------- its ids


class Frozen(datetime):
    """A clock that stands."""

    @classmethod
    def now(cls, tz=None):
        return datetime(2024, 1, 15, 10, 30, tzinfo=tz)


def test_ids_are_unique_in_their_group(lab, monkeypatch):
    monkeypatch.setattr(pointing, "datetime", Frozen)
    names = []
    for folder in ("checkpoints", "checkpoints", "others"):
        manager = lab.manager(checkpoint_dir=folder)
        names += [Path(save(manager, 1)).stem for _ in range(2)]
        manager.close()
    wanted = f"checkpoint_step_1_{Frozen.now(tz=UTC).astimezone():%Y%m%d_%H%M%S}"
    assert names == [wanted, *(f"{wanted}-{number}" for number in range(2, 7))]


def test_of_two_programs_with_one_id_each_loads_its_own(lab, monkeypatch):
    """They ran at one moment, so that neither saw the other's."""
    monkeypatch.setattr(pointing, "datetime", Frozen)
    one, two = lab.manager(lab.start("a")), lab.manager(lab.start("b"))
    with monkeypatch.context() as patch:
        patch.setattr(pointing, "write_pointer", lambda *_: None)
        one.flush()
        two.flush()
        path = save(one, 1, metrics={"by": 1})
        assert save(two, 1, metrics={"by": 2}) == path
        one.flush()
        two.flush()
    lab.manager(lab.start("c")).flush()
    assert [each.load_checkpoint(None, path)["metrics"] for each in (one, two)] == [{"by": 1}, {"by": 2}]
    found = [reader().get_latest_checkpoint(run) for run in ("a", "b", "exp")]
    assert [reader().load_checkpoint(None, each)["metrics"] for each in found] == [{"by": 1}, {"by": 2}, {"by": 2}]
