"""A live run's points as they come: through seals and resumes, until it ends."""

import shutil

import pytest

from onyxstore.history.metrics.records import Points, Rewind
from onyxstore.store import following
from onyxstore.store.following import follow_run


def seen(records):
    """Steps with their values; a rewind as the step that it goes back to."""
    return [(record.step, dict(record.values)) if isinstance(record, Points) else f"back to {record.step}" for record in records]


@pytest.fixture
def follow(doors):
    """Everything that following hands out while, between two looks, one after the other of `acts` is done."""

    def follow(name, acts=(), *, metrics=(), last=0):
        left = iter(acts)
        return seen(follow_run(doors, name, metrics, last=last, wait=lambda _: next(left)()))

    return follow


def log(run, *steps):
    return lambda: [run.log({"loss": step / 2, "lr": 0.1}, step=step) for step in steps]


def test_points_are_handed_out_as_they_come_until_the_run_has_ended(store, follow):
    run = store.start_run("a")
    log(run, 1)()
    assert follow("a", [log(run, 2), log(run, 3, 4), lambda: (log(run, 5)(), run.finish())]) == [
        (step, {"loss": step / 2, "lr": 0.1}) for step in (2, 3, 4, 5)
    ]


def test_it_makes_no_difference_that_the_tail_is_sealed_between_two_looks(store, follow):
    run = store.start_run("a")
    acts = [log(run, 1), run._log.seal, lambda: (log(run, 2)(), run._log.seal(), log(run, 3)()), run.finish]
    assert [step for step, _ in follow("a", acts)] == [1, 2, 3]


def test_a_resume_is_followed_and_what_it_takes_back_is_said(store, save, follow):
    run = store.start_run("a")
    save(run, 2)

    def resume():
        run.finish("failed")
        resumed = store.start_run("a", resume=True)
        acts.extend([log(resumed, 3), resumed.finish])

    acts = [log(run, 1, 2, 3), resume]
    found = follow("a", acts, metrics=["loss"])
    assert found == [(1, {"loss": 0.5}), (2, {"loss": 1.0}), (3, {"loss": 1.5}), "back to 3", (3, {"loss": 1.5})]


@pytest.mark.parametrize("is_sealed", [False, True])
def test_the_last_points_on_the_line_come_first(store, save, follow, is_sealed):
    run = store.start_run("a")
    log(run, 1, 2)()
    save(run, 2)
    log(run, 3, 4)()
    run.finish()
    run = store.start_run("a", resume=True)
    run.log({"acc": 1}, step=3)
    if is_sealed:
        run._log.seal()
    run.finish()
    assert [step for step, _ in follow("a", last=2)] == [2, 3]
    assert follow("a", last=9, metrics=["loss"]) == [(1, {"loss": 0.5}), (2, {"loss": 1.0})]
    assert follow("a", last=0) == []


def test_a_run_that_is_removed_or_replaced_has_ended(store, doors, follow):
    run = store.start_run("a")
    log(run, 1)()
    assert follow("a", [lambda: shutil.rmtree(doors.layout.run("a"))], last=1) == [(1, {"loss": 0.5, "lr": 0.1})]
    run = store.start_run("b")

    def replace():
        run.finish()
        shutil.rmtree(doors.layout.run("b"))
        with store.start_run("b") as other:
            log(other, 7)()

    assert follow("b", [replace]) == []


def test_a_run_that_is_not_there_cannot_be_followed(doors):
    with pytest.raises(FileNotFoundError):
        next(follow_run(doors, "a"))


def test_following_rests_ten_times_as_long_as_it_looks(store, doors, monkeypatch):
    clock, waits = iter(range(0, 1000, 2)), []
    monkeypatch.setattr(following.time, "monotonic", lambda: next(clock))
    run = store.start_run("a")
    list(follow_run(doors, "a", wait=lambda seconds: (waits.append(seconds), run.finish())))
    assert waits[0] >= 20


def test_a_process_that_writes_is_followed_to_its_end_and_none_of_its_points_is_missed(store, script):
    writing = script(
        "with onyx.Store.open('.').start_run('a') as run:\n"
        "    print('began', flush=True)\n"
        "    sys.stdin.readline()\n"
        "    for step in range(5000):\n"
        "        run.log({'loss': step}, step=step)\n"
        "        if step % 1000 == 0:\n"
        "            run._log.seal()\n"
    )
    writing.read()
    coming = store.run("a").follow("loss")
    writing.process.stdin.write("\n")
    writing.process.stdin.flush()
    assert [record.values["loss"] for record in coming] == list(range(5000))
    assert writing.end()[0] == 0


def test_a_process_that_is_killed_ends_its_run_and_all_that_it_logged_was_handed_out(store, script):
    writing = script(
        "run = onyx.Store.open('.').start_run('a')\n"
        "for step in range(100):\n"
        "    run.log({'loss': step}, step=step)\n"
        "print('logged', flush=True)\n"
        "time.sleep(1000)\n"
    )
    writing.read()
    coming = store.run("a").follow(last=1)
    assert next(coming).step == 99
    writing.process.kill()
    assert [record for record in coming if not isinstance(record, Rewind)] == []
    assert store.run("a").status == "crashed"
