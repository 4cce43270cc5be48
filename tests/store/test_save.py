"""The saver's queue by itself: order, waiting, and errors that are never silent and never said twice."""

import threading

import pytest

from onyxstore.errors import BadInput, RunEnded
from onyxstore.store.save import Saver

PATIENCE = 60.0


@pytest.fixture
def saver():
    saver = Saver("a", lambda address: f"commit {address}")
    yield saver
    saver.close()


@pytest.fixture
def gate():
    """A job that waits until it is let go."""
    go = threading.Event()
    yield go
    go.set()


def held(go, result="0" * 64):
    def job():
        if not go.wait(PATIENCE):
            raise TimeoutError
        return result

    return job


def failing(error):
    def job():
        raise error

    return job


def test_jobs_are_done_in_order_and_their_handles_give_what_they_made(saver):
    done = []
    handles = [saver.submit(lambda n=n: done.append(n) or f"{n}") for n in range(20)]
    assert [handle.wait(PATIENCE) for handle in handles] == [f"commit {n}" for n in range(20)]
    assert (done, [handle.done() for handle in handles]) == (list(range(20)), [True] * 20)


def test_a_handle_is_not_done_while_its_job_runs_and_its_commit_waits(saver, gate):
    handle = saver.submit(held(gate))
    assert not handle.done()
    with pytest.raises(TimeoutError, match=r"the save of run 'a' is not done after 0\.01 s"):
        handle.wait(0.01)
    gate.set()
    assert handle.commit == handle.wait() == f"commit {'0' * 64}"


def test_an_error_is_the_handles_when_that_is_asked_first(saver):
    handle = saver.submit(failing(BadInput("no")))
    with pytest.raises(BadInput):
        handle.wait(PATIENCE)
    saver.flush()
    with pytest.raises(RunEnded):
        handle.wait(PATIENCE)


def test_an_error_is_the_flushs_when_that_is_asked_first(saver):
    handle = saver.submit(failing(BadInput("no")))
    with pytest.raises(BadInput):
        saver.flush()
    saver.flush()
    with pytest.raises(RunEnded):
        handle.wait(PATIENCE)


def test_several_errors_come_as_the_first_with_the_others_in_its_notes(saver, gate):
    saver.submit(held(gate))
    for number in range(3):
        saver.submit(failing(BadInput(f"error {number}")))
    gate.set()
    with pytest.raises(BadInput, match="error 0") as caught:
        saver.flush()
    assert caught.value.__notes__ == ["and after it: error 1", "and after it: error 2"]
    saver.flush()


def test_the_error_of_a_job_under_way_is_not_asked_for_yet(saver, gate):
    def job():
        held(gate)()
        raise BadInput("late")

    saver.submit(job)
    saver.raise_error()
    gate.set()
    with pytest.raises(BadInput, match="late"):
        saver.flush()


@pytest.mark.parametrize("error", [ValueError("x"), MemoryError(), ZeroDivisionError()])
def test_any_error_is_kept_and_the_thread_goes_on(saver, error):
    broken, fine = saver.submit(failing(error)), saver.submit(lambda: "1")
    with pytest.raises(type(error)) as caught:
        broken.wait(PATIENCE)
    assert (caught.value, fine.wait(PATIENCE)) == (error, "commit 1")


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt()])
def test_what_would_end_a_program_does_not_end_the_one_that_waits(saver, error):
    with pytest.raises(RuntimeError, match=type(error).__name__):
        saver.submit(failing(error)).wait(PATIENCE)


def test_closing_does_what_is_queued_first(gate):
    saver = Saver("a", str)
    handles = [saver.submit(held(gate, n)) for n in range(3)]
    gate.set()
    saver.close()
    assert [handle.done() for handle in handles] == [True] * 3


def test_no_error_is_lost_when_many_threads_submit_and_look(saver):
    raised, wrong = [], [BadInput(str(number)) for number in range(300)]

    def submit(part):
        for error in part:
            saver.submit(failing(error))
            try:
                saver.raise_error()
            except BadInput as found:
                raised.append((found, list(getattr(found, "__notes__", []))))

    threads = [threading.Thread(target=submit, args=(wrong[start::3],)) for start in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    try:
        saver.flush()
    except BadInput as found:
        raised.append((found, list(getattr(found, "__notes__", []))))
    seen = [found.what for found, _ in raised] + [note.rpartition(" ")[2] for _, notes in raised for note in notes]
    assert sorted(seen, key=int) == [str(number) for number in range(300)]
