"""The tracker: the store has every call, backends hear of it, and nothing of theirs stops training."""

import logging
import threading
from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest

import onyxstore as onyx
from onyxstore.configs.types import TrainingConfig
from onyxstore.errors import BadInput, MissingPackage, Refused, UnknownName
from onyxstore.tracking.metadata import ExperimentMetadata
from onyxstore.tracking.tracker import create_experiment_tracker, experiment_context

GUIDES = ExperimentMetadata(
    experiment_id="exp_001",
    experiment_name="ad_classification_v1",
    project_name="ad_classification",
    created_at=datetime(2024, 1, 15, 10, 30),  # noqa: DTZ001 - as the guide has it
    tags=["transformer", "classification", "v1"],
    description="BERT-based ad classification model",
    git_commit="abc123",
    python_version="3.9.0",
)


def threads():
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("onyx-backend")}


def rows_of(run, name="loss"):
    series = run.metrics[name]
    return list(zip(series.epochs.tolist(), series.steps.tolist(), series.values.tolist(), strict=True))


# ------------------------------------------------------------------------------------------------------------ creation


def test_an_unknown_backend_is_refused_at_creation_though_nobody_is_fed(config):
    for tracks in (True, False):
        with pytest.raises(UnknownName, match="did you mean 'wandb'"):
            create_experiment_tracker(replace(config, tracking_backend="wandbb", track_experiments=tracks))


def test_params_that_nobody_takes_are_refused_at_creation(config):
    with pytest.raises(BadInput, match="did you mean entity"):
        create_experiment_tracker(replace(config, tracking_params={"entitty": "x"}))
    create_experiment_tracker(replace(config, tracking_params={"entity": "your_team", "project": "ad_classification"}))


def test_a_missing_package_is_an_import_error_at_creation_after_which_one_may_fall_back(config, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "wandb", None)
    config.tracking_backend = "wandb"
    with pytest.raises(ImportError, match="onyxstore\\[wandb\\]") as caught:
        create_experiment_tracker(config)
    assert isinstance(caught.value, MissingPackage)
    create_experiment_tracker(replace(config, track_experiments=False))
    config.tracking_backend = "local"
    create_experiment_tracker(config)


def test_creation_writes_nothing(config, folder):
    create_experiment_tracker(config)
    assert list(folder.iterdir()) == []


# ------------------------------------------------------------------------------------------------------- start and end


def test_a_run_is_who_its_metadata_says(config, store_here):
    tracker = create_experiment_tracker(replace(config, best_metric="val_loss", max_checkpoints=7), TrainingConfig(batch_size=9))
    tracker.start_experiment(GUIDES)
    run = store_here().run("exp_001")
    assert (run.status, run.group, run.labels) == ("running", "exp_001", ("transformer", "classification", "v1"))
    assert (run.state.best_metric, run.state.best_mode, run.state.max_checkpoints) == ("val_loss", "min", 7)
    assert run.config["metadata"] == {
        "experiment_id": "exp_001",
        "experiment_name": "ad_classification_v1",
        "project_name": "ad_classification",
        "created_at": "2024-01-15T10:30:00",
        "tags": ["transformer", "classification", "v1"],
        "description": "BERT-based ad classification model",
        "git_commit": "abc123",
        "python_version": "3.9.0",
    }
    assert (run.config["experiment"]["experiment_name"], run.config["training"]["batch_size"]) == ("ads", 9)
    tracker.end_experiment()
    assert run.status == "finished"


def test_an_id_that_no_run_may_have_becomes_one_that_it_may_and_stays_the_group(config, store_here):
    with experiment_context(config, replace(GUIDES, experiment_id="ads/v1: β")):
        pass
    (run,) = store_here().runs()
    assert (run.name, run.group) == ("ads-v1", "ads/v1: β")


def test_a_taken_id_makes_the_next_free_name_in_its_group(config, store_here):
    for _ in range(2):
        with experiment_context(config):
            pass
    assert [(run.name, run.group) for run in store_here().runs()] == [("exp-2", "exp"), ("exp", "exp")]


def test_the_store_is_the_nearest_above(config, folder, monkeypatch):
    store = onyx.Store.init(folder)
    (folder / "below").mkdir()
    monkeypatch.chdir(folder / "below")
    with experiment_context(config):
        pass
    assert [run.name for run in store.runs()] == ["exp"]


@pytest.mark.parametrize("status", ["finished", "failed", "killed", "crashed"])
def test_a_run_ends_as_is_said_once(fed, store_here, recording, status):
    tracker = create_experiment_tracker(fed)
    tracker.start_experiment()
    tracker.end_experiment(status)
    tracker.end_experiment("finished")
    assert (store_here().run("exp").status, recording.made[0].of("end_experiment")) == (status, [(status,)])
    assert threads() == set()


def test_a_status_that_is_none_is_refused_and_ends_nothing(config):
    with experiment_context(config) as tracker:
        with pytest.raises(BadInput, match="not 'done'"):
            tracker.end_experiment("done")
        tracker.log_metrics({"loss": 1.0})


@pytest.mark.parametrize(
    ("error", "status"), [(None, "finished"), (ValueError, "failed"), (KeyboardInterrupt, "killed"), (SystemExit(0), "finished")]
)
def test_a_run_ends_as_its_block_does(fed, store_here, recording, error, status):
    def train():
        with experiment_context(fed, GUIDES) as tracker:
            tracker.log_metrics({"loss": 1.0})
            if error:
                raise error

    if error:
        with pytest.raises(error if isinstance(error, type) else SystemExit):
            train()
    else:
        train()
    assert (store_here().run("exp_001").status, recording.made[0].of("end_experiment")) == (status, [(status,)])


def test_a_tracker_is_a_context_manager_that_starts_itself(config, store_here):
    with create_experiment_tracker(config) as tracker:
        assert tracker.run.name == "exp"
    assert store_here().run("exp").status == "finished"


def test_a_loop_that_was_asked_to_stop_was_killed(config, store_here):
    with create_experiment_tracker(config) as tracker:
        tracker.run.stop_requested = True
    assert store_here().run("exp").status == "killed"


def test_backends_hear_how_the_run_ended_whoever_ended_it(fed, recording):
    tracker = create_experiment_tracker(fed)
    tracker.start_experiment()
    tracker.run.finish("failed")
    tracker.end_experiment()
    assert recording.made[0].of("end_experiment") == [("failed",)]


def test_backends_are_ended_though_the_store_cannot_be(fed, recording):
    tracker = create_experiment_tracker(fed)
    tracker.start_experiment()
    tracker.run.save_checkpoint(state={"w": np.zeros(3)})
    tracker.run._saver.submit(lambda: (_ for _ in ()).throw(BadInput("no")))
    with pytest.raises(BadInput, match="no"):
        tracker.end_experiment()
    assert len(recording.made[0].of("end_experiment")) == 1


@pytest.mark.parametrize(
    "call",
    [
        lambda tracker: tracker.log_metrics({"loss": 1.0}),
        lambda tracker: tracker.log_hyperparameters({}),
        lambda tracker: tracker.log_model_architecture(None),
        lambda tracker: tracker.log_gradients(None),
        lambda tracker: tracker.log_images({}),
        lambda tracker: tracker.log_text({}),
        lambda tracker: tracker.log_artifact("a", b""),
        lambda tracker: tracker.save_checkpoint(state={}),
        lambda tracker: tracker.flush(),
    ],
)
def test_calls_before_the_start_and_after_the_end_are_refused(config, call):
    tracker = create_experiment_tracker(config)
    with pytest.raises(Refused, match=r"^the tracker takes no \w+: start_experiment\(\) comes first$"):
        call(tracker)
    tracker.end_experiment()
    tracker.start_experiment()
    with pytest.raises(Refused, match=r"^the tracker is on already, with run 'exp'"):
        tracker.start_experiment()
    tracker.end_experiment()
    with pytest.raises(Refused, match=r"^the tracker takes no \w+: it has ended$"):
        call(tracker)


def test_who_the_run_is_is_known_from_the_start_on(config):
    tracker = create_experiment_tracker(config)
    for ask in (lambda: tracker.run, lambda: tracker.metadata):
        with pytest.raises(Refused, match=r"^the tracker has no \w+ yet: start_experiment\(\) comes first$"):
            ask()
    with tracker:
        tracker.log_metrics({"loss": 1.0})
    assert (tracker.run.status, len(tracker.run.metrics["loss"]), tracker.metadata.experiment_id) == ("finished", 1, "exp")


def test_a_tracker_may_be_started_again(fed, store_here, recording):
    tracker = create_experiment_tracker(fed)
    for name in ("a", "b"):
        tracker.start_experiment(replace(GUIDES, experiment_id=name))
        tracker.log_metrics({"loss": 1.0}, step=3)
        tracker.end_experiment()
    assert [rows_of(store_here().run(name))[0][1] for name in ("a", "b")] == [3, 3]
    assert [backend.of("log_metrics")[0][1] for backend in recording.made] == [3, 3]


def test_two_trackers_at_once_are_apart(fed, store_here, recording):
    who = [replace(GUIDES, experiment_id=name) for name in ("a", "b")]
    with experiment_context(fed, who[0]) as one, experiment_context(fed, who[1]) as two:
        for step in range(5):
            one.log_metrics({"loss": 1.0}, step=step)
            two.log_metrics({"loss": 2.0}, step=10 * step)
    store = store_here()
    assert [[row[1:] for row in rows_of(store.run(name))] for name in ("a", "b")] == [
        [(step, 1.0) for step in range(5)],
        [(10 * step, 2.0) for step in range(5)],
    ]
    got = {backend.calls[0][1].experiment_id: [call[1] for call in backend.of("log_metrics")] for backend in recording.made}
    assert got == {"a": [0, 1, 2, 3, 4], "b": [0, 10, 20, 30, 40]}


def test_the_level_of_the_logger_is_the_configs_while_it_is_on(config):
    logger = logging.getLogger("onyxstore")
    before = logger.level
    with experiment_context(replace(config, log_level="DEBUG")):
        assert logger.level == logging.DEBUG
    assert logger.level == before


def test_a_start_that_fails_leaves_nothing_on(config, store_here):
    tracker = create_experiment_tracker(replace(config, best_mode="sideways", best_metric="x"))
    with pytest.raises(BadInput):
        tracker.start_experiment()
    with pytest.raises(Refused, match="start_experiment"):
        tracker.log_metrics({"loss": 1.0})


# -------------------------------------------------------------------------------------------------------- who is fed


def test_the_store_alone_has_no_thread_for_it(config):
    with experiment_context(config) as tracker:
        tracker.log_metrics({"loss": 1.0})
        assert threads() == set()


def test_nobody_is_fed_where_nothing_is_to_be_tracked_and_the_store_has_it_all_the_same(fed, recording, store_here):
    with experiment_context(replace(fed, track_experiments=False)) as tracker:
        tracker.log_metrics({"loss": 1.0})
        assert threads() == set()
    assert (recording.made, len(rows_of(store_here().run("exp")))) == ([], 1)


def test_with_a_rank_nothing_is_written_and_nobody_is_fed(fed, recording, folder, monkeypatch):
    store = onyx.Store.init(folder)
    monkeypatch.setenv("RANK", "1")
    with experiment_context(fed, GUIDES) as tracker:
        tracker.log_metrics({"loss": 1.0})
        tracker.log_hyperparameters({"a": 1})
        tracker.log_model_architecture(object())
        tracker.log_gradients(object())
        tracker.log_images({"a": object()})
        tracker.log_text({"a": "b"})
        tracker.log_artifact("a", b"")
        assert tracker.save_checkpoint(state={"w": np.zeros(2)}) is None
        tracker.flush()
        assert threads() == set()
    assert (recording.made, store.runs()) == ([], [])


def test_a_backend_is_told_who_the_run_is_first(fed, recording, folder):
    with experiment_context(fed, replace(GUIDES, python_version=None)) as tracker:
        assert tracker.metadata.python_version is not None
        known = tracker.metadata
    assert recording.made[0].calls[0] == ("start_experiment", known)


def test_a_backend_knows_a_rerun_by_the_name_of_its_run(fed, recording):
    for _ in range(2):
        with experiment_context(fed, GUIDES):
            pass
    odd = replace(GUIDES, experiment_id="exp/002")
    with experiment_context(fed, odd):
        pass
    told = [call[1].experiment_id for backend in recording.made for call in backend.calls if call[0] == "start_experiment"]
    assert told == ["exp_001", "exp_001-2", "exp/002"]


def test_the_training_config_is_hyperparameters_for_backends_unless_that_is_not_wanted(fed, recording):
    training = TrainingConfig(batch_size=9)
    for wanted in (True, False):
        with experiment_context(replace(fed, log_hyperparameters=wanted), None, training):
            pass
    with experiment_context(fed):
        pass
    got = [backend.of("log_hyperparameters") for backend in recording.made]
    assert [[each["training"]["batch_size"] for (each,) in calls] for calls in got] == [[9], [], []]
