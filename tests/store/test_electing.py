"""Elections: which commit is best by which value, what is passed over, and who follows."""

import pytest

import onyxstore as onyx
from onyxstore.errors import BadInput, BadName, UnknownName


@pytest.fixture
def run(store, save):
    """A finished run whose steps have values of several metrics, handed in, logged before and after the save, or noted."""
    with store.start_run("a", best_metric="loss", max_checkpoints=None) as run:
        for step, loss, accuracy in ((1, 0.5, 0.7), (2, 0.3, 0.9), (3, 0.4, 0.9)):
            run.log({"early": 10 - step}, step=step, epoch=1)
            save(run, step, metrics={"loss": loss, "acc": accuracy}, epoch=1)
            run.log({"late": step % 3}, step=step, epoch=1)
    for step, f1 in ((1, 0.1), (2, 0.2), (3, 0.15)):
        store.commit(f"a@step:{step}~0" if step < 3 else "a~1").add_note(metrics={"f1": f1})
    return store.run("a")


def at(elected, store):
    commit = store.commit(elected.commit)
    return (commit.step, commit.message, elected.value)


@pytest.mark.parametrize(
    ("metric", "mode", "step", "value"),
    [
        ("loss", "min", 2, 0.3),
        ("loss", "max", 1, 0.5),
        ("acc", "max", 2, 0.9),
        ("early", "max", 1, 9),
        ("early", "min", 3, 7),
        ("late", "max", 2, 2),
        ("f1", "max", 2, 0.2),
        ("f1", "min", 1, 0.1),
    ],
)
def test_the_best_is_the_first_commit_with_the_best_value(store, run, metric, mode, step, value):
    elected = run.elect_best(metric, mode)
    assert at(elected, store) == (step, f"checkpoint at step {step}", value)
    assert (run.best.address, run.state.best_metric, run.state.best_mode) == (elected.commit, metric, mode)
    assert store._doors.refs.read("runs/a/best") == {"commit": elected.commit, "metric": metric, "mode": mode, "value": value}


def test_without_a_metric_the_one_that_the_run_follows_is_asked_again(store, run):
    assert run.best.step == 2
    assert at(run.elect_best(), store) == (2, "checkpoint at step 2", 0.3)
    run.elect_best("acc", "max")
    assert at(run.elect_best("acc"), store) == (2, "checkpoint at step 2", 0.9)


def test_the_values_of_a_commit_come_before_logged_ones_and_these_before_notes(store, run):
    worst = store.commit("a@step:1")
    worst.add_note(metrics={"loss": -1.0, "early": 99, "late": 99})
    assert at(run.elect_best("loss", "min"), store)[0] == 2
    assert at(run.elect_best("early", "max"), store)[2] == 9
    worst.add_note(metrics={"f1": 0.9})
    assert at(run.elect_best("f1", "max"), store) == (1, "checkpoint at step 1", 0.9)


def test_later_commits_compete_by_the_new_metric(store, run, save):
    run.elect_best("acc", "max")
    with store.start_run("a", resume=True) as again:
        save(again, 4, metrics={"loss": 0.0, "acc": 0.8})
        assert again.best.step == 2
        save(again, 5, metrics={"loss": 9.0, "acc": 0.95})
        assert again.best.step == 5


def test_best_of_the_store_follows_its_own_rule(store, run):
    assert store._doors.refs.read("best")["metric"] == "loss"
    before = store._doors.refs.read("best")
    run.elect_best("acc", "max")
    assert store._doors.refs.read("best") == before
    (store.folder / ".onyx" / "settings.yaml").write_text("best_metric: acc\nbest_mode: max\n")
    onyx.Store.open(store.folder).run("a").elect_best("acc", "max")
    assert store._doors.refs.read("best") == {"commit": run.best.address, "metric": "acc", "mode": "max", "value": 0.9}


def test_a_live_run_goes_on_by_its_own_metric_and_that_is_known(store, save):
    with store.start_run("a", best_metric="loss") as run:
        save(run, 1, metrics={"loss": 1.0, "acc": 0.1})
        save(run, 2, metrics={"loss": 2.0, "acc": 0.2})
        elected = store.run("a").elect_best("acc", "max")
        assert (run.best.step, elected.is_followed, run.state.best_metric) == (2, False, "loss")
        save(run, 3, metrics={"loss": 3.0, "acc": 0.3})
        assert run.best.step == 3


def test_a_pruned_checkpoint_that_is_gone_is_passed_over(store, save):
    with store.start_run("a", best_metric="loss", max_checkpoints=2) as run:
        commits = [save(run, step, 100_000, metrics={"loss": -step, "acc": -step}) for step in range(5)]
    store.gc()
    elected = store.run("a").elect_best("acc", "max")
    assert (elected.commit, elected.passed_over) == (commits[3].address, tuple(commit.address for commit in commits[:3]))
    assert store.fsck().damage == []


def test_a_pruned_checkpoint_that_is_still_there_is_kept_from_then_on(store, save, steps_kept):
    (store.folder / ".onyx" / "settings.yaml").write_text("auto_gc: false\n")
    store = onyx.Store.open(store.folder)
    with store.start_run("a", best_metric="loss", max_checkpoints=1) as run:
        for step in range(3):
            save(run, step, 100_000, metrics={"loss": -step, "acc": abs(step - 1)})
    assert store.commit("a@step:1").checkpoint.is_pruned
    elected = store.run("a").elect_best("acc", "min")
    assert (store.commit(elected.commit).step, store.run("a").best.checkpoint.is_pruned) == (1, False)
    store.gc()
    assert (steps_kept(store.run("a")), store.fsck().damage) == ([1, 2], [])


def test_when_all_checkpoints_are_gone_nothing_moves(store, save):
    (store.folder / ".onyx" / "settings.yaml").write_text("auto_gc: false\n")
    store = onyx.Store.open(store.folder)
    with store.start_run("a", max_checkpoints=1) as run:
        save(run, 1, 100_000, metrics={"f1": 1.0})
        save(run, 2, 100_000)
    store.gc()
    with pytest.raises(BadInput, match="every checkpoint of run 'a' that has a value of 'f1' was pruned"):
        store.run("a").elect_best("f1", "max")
    assert store.run("a").best is None


def test_commits_without_a_checkpoint_compete_by_what_was_handed_in(store, folder):
    for accuracy in (0.5, 0.7, 0.6):
        store.add_commit(onyx.Addition(message=str(accuracy), metrics={"acc": accuracy}))
    store.run("main").elect_best("acc", "max")
    assert store.run("main").best.message == "0.7"


def test_nan_is_no_candidate(store, save):
    with store.start_run("a") as run:
        save(run, 1, metrics={"loss": float("nan"), "only": float("nan")})
        save(run, 2, metrics={"loss": 3.0})
    assert at(store.run("a").elect_best("loss", "min"), store)[0] == 2
    with pytest.raises(BadInput, match="no commit of run 'a' has a value of 'only' that could be best"):
        store.run("a").elect_best("only", "min")


def test_what_was_logged_after_a_checkpoint_does_not_count_for_a_commit_that_carries_it(store, save):
    with store.start_run("a") as run:
        run.log({"loss": 2.0}, step=1)
        save(run, 1)
        run.log({"loss": 1.0}, step=2)
        run.commit("in between")
    assert at(store.run("a").elect_best("loss", "min"), store) == (1, "checkpoint at step 1", 2.0)


@pytest.mark.parametrize(
    ("metric", "mode", "error", "words"),
    [
        ("los", "min", UnknownName, "run 'a' has no metric called 'los'; did you mean 'loss'"),
        ("acc", None, BadInput, "run 'a' does not follow 'acc' yet; say whether min or max of it is better"),
        ("loss", "least", BadInput, "best_mode is 'min' or 'max', not 'least'"),
        ("", "min", BadName, "it is no text"),
    ],
)
def test_what_cannot_be_elected_by_is_said(run, metric, mode, error, words):
    with pytest.raises(error, match=words):
        run.elect_best(metric, mode)


def test_a_run_that_follows_nothing_asks_for_a_metric(store, save):
    with store.start_run("a") as run:
        save(run, 1)
    with pytest.raises(BadInput, match="run 'a' follows no metric; name one"):
        store.run("a").elect_best()


def test_an_election_that_is_killed_anywhere_leaves_whole_refs(store, run, folder, killed_at):
    import shutil  # noqa: PLC0415

    copy, calls, was_killed = folder / "copy", 0, True
    while was_killed:
        shutil.copytree(folder / ".onyx", copy / ".onyx")
        was_killed = killed_at(calls, lambda: onyx.Store.open(copy).run("a").elect_best("acc", "max"))
        found = onyx.Store.open(copy)
        assert (found.fsck().damage, found.run("a").best.step) == ([], 2), f"killed at change {calls}"
        found.run("a").elect_best("acc", "max")
        assert (found.run("a").state.best_metric, found.run("a").best.step) == ("acc", 2)
        shutil.rmtree(copy)
        calls += 1
    assert calls > 5
