"""How processes end, in real processes."""

import signal

import pytest

from onyxstore.store import signals

TRAIN = """
run = onyx.start_run("a")
run.log({"loss": 1.0})
run.save_checkpoint(state={"w": np.zeros(10)}, step=3)
run.log({"loss": 2.0}, step=4)
"""
FOREVER = 'print("on", flush=True)\nwhile True:\n    time.sleep(0.01)\n'
"""The main thread is somewhere else when the signal comes."""


def ended(store):
    """How the run stands, its messages, its points, the step of its checkpoint."""
    run = store.run("a")
    return run.status, [commit.message for commit in run.commits], run.metrics["loss"].steps.tolist(), run.latest.checkpoint.step


WHOLE = (["start", "checkpoint at step 3", "finish"], [0, 4], 3)


def test_a_program_that_ends_without_finishing_its_run_has_finished_it(store, script):
    status, errors = script(TRAIN).end()
    assert (status, errors, ended(store)) == (0, "", ("finished", *WHOLE))


def test_a_program_that_ends_by_an_exception_has_failed(store, script):
    status, errors = script(f"{TRAIN}\nraise ValueError('boom')").end()
    assert (status, errors.splitlines()[-1], ended(store)) == (1, "ValueError: boom", ("failed", *WHOLE))


@pytest.mark.parametrize("block", ["", "with run:\n"])
def test_a_program_that_sigterm_ends_was_killed(store, script, block):
    body = FOREVER.replace("\n", "\n    ") if block else FOREVER
    program = script(f"{TRAIN}{block}{'    ' if block else ''}{body}")
    program.read()
    program.send(signal.SIGTERM)
    assert (program.end(), ended(store)) == ((128 + signal.SIGTERM, ""), ("killed", *WHOLE))


@pytest.mark.parametrize("block", ["", "with run:\n"])
def test_a_program_that_is_interrupted_was_killed(store, script, block):
    body = FOREVER.replace("\n", "\n    ") if block else FOREVER
    program = script(f"{TRAIN}{block}{'    ' if block else ''}{body}")
    program.read()
    program.send(signal.SIGINT)
    status, errors = program.end()
    assert (status, errors.splitlines()[-1], ended(store)) == (-signal.SIGINT, "KeyboardInterrupt", ("killed", *WHOLE))


def test_a_program_that_handles_sigterm_itself_keeps_its_handler(store, script):
    program = script(f"import signal\nsignal.signal(signal.SIGTERM, lambda *_: os._exit(7))\n{TRAIN}\nrun.flush()\n{FOREVER}")
    program.read()
    program.send(signal.SIGTERM)
    assert (program.end()[0], store.run("a").status) == (7, "crashed")


def test_a_program_that_is_killed_has_crashed_and_its_run_can_be_resumed(store, script):
    program = script(f"{TRAIN}\nrun.flush()\n{FOREVER}")
    program.read()
    program.send(signal.SIGKILL)
    assert program.end()[0] == -signal.SIGKILL
    assert (store.run("a").status, store.run("a").metrics["loss"].steps.tolist()) == ("crashed", [0, 4])
    assert [attempt.status for attempt in store.run("a").state.attempts] == ["crashed"]
    with store.start_run("a", resume=True) as run:
        assert run.restore() == 4
        run.log({"loss": 3.0})
    assert [attempt.status for attempt in store.run("a").state.attempts] == ["crashed", "finished"]
    assert (store.run("a").metrics["loss"].values.tolist(), store.fsck().damage) == ([1.0, 3.0], [])


def test_a_logged_point_survives_the_kill_that_comes_right_after(store, script):
    program = script('run = onyx.start_run("a")\nfor n in range(500):\n    run.log({"loss": n})\nprint("on", flush=True)\ntime.sleep(99)')
    program.read()
    program.send(signal.SIGKILL)
    program.end()
    assert store.run("a").metrics["loss"].values.tolist() == list(range(500))


def test_a_first_signal_lets_the_loop_save_and_end(store, script):
    text = """
run = onyx.start_run("a")
with run:
    run.stop_on_signal()
    step = 0
    while not run.stop_requested:
        run.log({"loss": 1.0}, step=step)
        if step == 0:
            print("on", flush=True)
        step += 1
        time.sleep(0.001)
    run.save_checkpoint(state={"w": np.zeros(3)}, step=step)
"""
    program = script(text)
    program.read()
    program.send(signal.SIGTERM)
    assert program.end() == (0, "")
    run = store.run("a")
    assert (run.status, run.latest.checkpoint.step) == ("killed", run.metrics["loss"].steps[-1] + 1)


def test_a_second_sigterm_ends_a_loop_that_does_not_stop(store, script):
    program = script(f"{TRAIN}\nrun.stop_on_signal()\n{FOREVER.replace('time.sleep(0.01)', 'print(run.stop_requested, flush=True)')}")
    program.read()
    program.send(signal.SIGTERM)
    while program.read() == "False":
        pass
    program.send(signal.SIGTERM)
    program.process.stdout.read()
    assert (program.end()[0], ended(store)) == (128 + signal.SIGTERM, ("killed", *WHOLE))


def test_after_the_run_has_ended_one_sigterm_ends_the_program(store, script):
    program = script(f"{TRAIN}\nrun.stop_on_signal()\nrun.finish()\n{FOREVER}")
    program.read()
    program.send(signal.SIGTERM)
    assert program.end()[0] in {128 + signal.SIGTERM, -signal.SIGTERM}
    assert store.run("a").status == "finished"


def test_a_forked_child_can_neither_write_nor_end_the_run_and_the_parent_is_unharmed(store, script):
    text = f"""
{TRAIN}
handle = run.save_checkpoint(state={{"w": np.ones(10)}}, step=5)
calls = [
    lambda: run.log({{"loss": 9.0}}), lambda: run.log_many({{"loss": [9.0]}}, [9]), lambda: run.summary({{"a": 1}}),
    lambda: run.save_checkpoint(state={{}}), lambda: run.commit("x"), lambda: run.log_artifact("a", b""), run.flush, run.restore,
]
if (child := os.fork()) == 0:
    refused = []
    for call in calls:
        try:
            call()
        except onyx.OnyxError as error:
            refused.append(error.id)
    run.finish()
    with run:
        pass
    sys.exit(refused != ["run-ended"] * len(calls))
assert os.waitpid(child, 0)[1] == 0
run.log({{"loss": 3.0}}, step=6)
assert onyx.Store.open().run("a").status == "running"
"""
    assert script(text).end() == (0, "")
    run = store.run("a")
    assert (run.status, run.metrics["loss"].steps.tolist(), run.latest.checkpoint.step) == ("finished", [0, 4, 6], 5)
    assert [commit.message for commit in run.commits] == ["start", "checkpoint at step 3", "checkpoint at step 5", "finish"]
    assert store.fsck().damage == []


def test_a_child_that_lives_on_does_not_keep_the_run_alive(store, script):
    child = "if os.fork() == 0:\n    sys.stdin.readline()\n    os._exit(0)"
    program = script(f'run = onyx.start_run("a")\n{child}\nprint("on", flush=True)\ntime.sleep(99)')
    program.read()
    program.send(signal.SIGKILL)
    program.process.wait(60)
    assert store.run("a").status == "crashed"
    store.start_run("a", resume=True).finish()


def test_the_status_of_an_ending_is_told_by_its_exception():
    errors = [None, SystemExit(), SystemExit(0), SystemExit(3), signals.Terminated(), KeyboardInterrupt(), ValueError()]
    assert [signals.status_of(error) for error in errors] == [
        "finished",
        "finished",
        "finished",
        "failed",
        "killed",
        "killed",
        "failed",
    ]
