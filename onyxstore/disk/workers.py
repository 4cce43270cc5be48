"""Jobs on threads, results in order.

numpy, zstandard and BLAKE3 drop the interpreter lock, so threads are enough for hashing and coding. A generator of jobs is drawn
only a few ahead of the results that were taken, so that memory stays bounded by the number of threads, not by the work.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

MOST_THREADS = 8
"""Beyond eight the one writer of a pack is the limit, and memory for chunks in flight grows."""


def default_threads() -> int:
    """One for each core that this process may use, up to MOST_THREADS."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(usable, MOST_THREADS)


def run_jobs(jobs: Iterable[Callable[[], T]], threads: int) -> Iterator[T]:
    """The jobs' results in the jobs' order; the first error is raised in its place, jobs not yet begun are dropped."""
    if threads <= 1:
        yield from (job() for job in jobs)
        return
    waiting: deque[Future[T]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="onyx-worker") as pool:
        try:
            for job in jobs:
                waiting.append(_submit(pool, job))
                if len(waiting) > threads + 1:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _submit(pool: ThreadPoolExecutor, job: Callable[[], T]) -> Future[T]:
    """The job on the pool, or done here when the interpreter is ending and gives no more threads."""
    try:
        return pool.submit(job)
    except RuntimeError:
        done: Future[T] = Future()
    done.set_result(job())
    return done
