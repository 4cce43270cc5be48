import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onyxstore.disk import workers
from onyxstore.disk.workers import MOST_THREADS, default_threads, run_jobs


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    """The threads that are left when a test is over must be those that were there."""
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) == before


@given(st.lists(st.integers()), st.integers(0, 9))
def test_results_come_in_the_order_of_the_jobs(numbers, threads):
    assert list(run_jobs([lambda number=number: number * 2 for number in numbers], threads)) == [number * 2 for number in numbers]


def test_results_keep_their_order_when_the_first_job_ends_last():
    second = threading.Event()

    def first():
        second.wait()
        return 1

    assert list(run_jobs([first, lambda: second.set() or 2], 2)) == [1, 2]


def test_jobs_run_at_the_same_time():
    together = threading.Barrier(3)
    assert sorted(run_jobs([together.wait] * 3, 3)) == [0, 1, 2]


@pytest.mark.parametrize("count", [1, 2, 4, 8])
def test_jobs_are_drawn_only_a_few_ahead_of_the_results_taken(count):
    drawn = []

    def jobs():
        for number in range(1000):
            drawn.append(number)
            yield lambda number=number: number

    results = run_jobs(jobs(), count)
    assert drawn == []
    for taken in range(1, 50):
        next(results)
        assert len(drawn) <= taken + count + 2
    results.close()
    assert len(drawn) < 100


@pytest.mark.parametrize("count", [1, 3])
def test_the_first_error_comes_in_its_place_and_ends_all(count):
    begun = []

    def job(number):
        begun.append(number)
        if number in {5, 6}:
            message = f"job {number}"
            raise ValueError(message)
        return number

    results, got = run_jobs([lambda number=number: job(number) for number in range(1000)], count), []
    with pytest.raises(ValueError, match="job 5"):  # noqa: PT012 - what came before it matters
        for result in results:
            got.append(result)  # noqa: PERF402
    assert got == list(range(5))
    assert len(begun) < 20
    assert list(results) == []


@pytest.mark.parametrize("count", [1, 3])
def test_an_error_of_whoever_makes_the_jobs_is_raised(count):
    def jobs():
        yield lambda: 1
        message = "no more"
        raise OSError(message)

    with pytest.raises(OSError, match="no more"):
        list(run_jobs(jobs(), count))


def test_whoever_leaves_early_drops_the_jobs_that_have_not_begun(monkeypatch):
    may_end, begun, closed = threading.Event(), [], []

    class Ending(workers.ThreadPoolExecutor):
        def shutdown(self, *arguments, **options):
            may_end.set()
            super().shutdown(*arguments, **options)

    def jobs():
        try:
            yield lambda: 0
            for number in range(1, 1000):
                yield lambda number=number: begun.append(number) or may_end.wait()
        finally:
            closed.append(True)

    monkeypatch.setattr(workers, "ThreadPoolExecutor", Ending)
    results = run_jobs(jobs(), 2)
    assert next(results) == 0
    results.close()
    assert set(begun) <= {1, 2}  # the third was drawn, and waited for a thread
    assert closed == [True]


def test_whoever_leaves_early_begins_nothing_more_one_at_a_time():
    begun = []
    results = run_jobs((lambda number=number: begun.append(number) for number in range(9)), 1)
    next(results)
    results.close()
    assert begun == [0]


def test_no_thread_is_started_for_one_at_a_time():
    assert list(run_jobs([threading.get_ident] * 3, 1)) == [threading.get_ident()] * 3


@pytest.mark.parametrize("error", [None, KeyError("k")])
def test_when_no_thread_can_be_had_jobs_are_done_by_the_caller(monkeypatch, error):
    class Ended(workers.ThreadPoolExecutor):
        def submit(self, *_):
            message = "cannot schedule new futures after interpreter shutdown"
            raise RuntimeError(message)

    def job():
        if error:
            raise error
        return threading.get_ident()

    monkeypatch.setattr(workers, "ThreadPoolExecutor", Ended)
    if error is None:
        assert list(run_jobs([job] * 5, 4)) == [threading.get_ident()] * 5
    else:
        with pytest.raises(KeyError) as caught:
            list(run_jobs([job], 4))
        assert caught.value.__context__ is None


def test_threads_are_those_of_this_process_s_cores(monkeypatch):
    assert 1 <= default_threads() <= MOST_THREADS
    monkeypatch.setattr(workers.os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    assert default_threads() == MOST_THREADS
    monkeypatch.delattr(workers.os, "sched_getaffinity")
    monkeypatch.setattr(workers.os, "cpu_count", lambda: None)
    assert default_threads() == 1
