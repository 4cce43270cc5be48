"""Backends are fed in order, in threads of their own, and nobody waits for one that raises, hangs or is slow."""

import threading
from typing import ClassVar

import pytest

from onyxstore.errors import BadInput
from onyxstore.tracking import fanout
from onyxstore.tracking.backends.base import TrackingBackendBase
from onyxstore.tracking.fanout import Call, Fanout, Feed

PATIENCE = 60.0
SOON = 0.05
"""Seconds for which something is waited for that does not come."""


@pytest.fixture
def feed(recording):
    """Starts a backend of a class; when the test has ended, so have all."""
    started = []

    def begin(kind, name="mine", start=None):
        started.append(Feed(name, kind, start or (lambda: kind(None))))
        return started[-1]

    yield begin
    recording.gate.set()
    Fanout(each for each in started if not each.join(0)).end("finished", PATIENCE)


def rows(count, first=0):
    return [Call("log_metrics", ({"loss": n}, n), {"epoch": 0}) for n in range(first, first + count)]


def put_all(fan, calls):
    for call in calls:
        fan.put(call)


# --------------------------------------------------------------------------------------------------------- in good order


def test_calls_arrive_in_order_in_one_thread_that_is_not_the_callers(feed, recording):
    fan = Fanout([feed(recording)])
    put_all(fan, rows(500))
    fan.put(Call("log_text", ({"a": "b"}, 3)))
    fan.end("failed", PATIENCE)
    (backend,) = recording.made
    assert backend.calls == [
        *(("log_metrics", {"loss": n}, n, 0) for n in range(500)),
        ("log_text", {"a": "b"}, 3),
        ("end_experiment", "failed"),
    ]
    assert backend.thread is not threading.current_thread()


def test_a_flush_returns_when_all_have_everything(feed, recording, said):
    other = type("Other", (recording,), {"made": []})
    fan = Fanout([feed(recording, "one"), feed(other, "two")])
    for first in (0, 10):
        put_all(fan, rows(10, first))
        fan.flush(PATIENCE)
        for kind in (recording, other):
            assert [len(kind.made[0].of(method)) for method in ("log_metrics", "flush")] == [first + 10, first / 10 + 1]
    assert said() == []


def test_flushes_of_several_threads_all_return(feed, recording):
    fan = Fanout([feed(recording)])
    threads = [threading.Thread(target=fan.flush, args=(PATIENCE,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert len(recording.made[0].of("flush")) == 8


def test_a_call_that_is_not_due_yet_holds_those_after_it(feed, recording, until):
    is_due = threading.Event()
    fan = Fanout([feed(recording)])
    put_all(fan, [*rows(1), Call("log_checkpoint", ("reference", 0), due=is_due.is_set), *rows(1, 1)])
    fan.flush(SOON)
    until(lambda: recording.made[0].calls)
    assert [call[0] for call in recording.made[0].calls] == ["log_metrics"]
    is_due.set()
    fan.end("finished", PATIENCE)
    assert [call[0] for call in recording.made[0].calls] == ["log_metrics", "log_checkpoint", "log_metrics", "flush", "end_experiment"]


def test_a_thread_ends_with_its_backend(feed, recording):
    mine = feed(recording)
    Fanout([mine]).end("finished", PATIENCE)
    assert not mine._thread.is_alive()


# --------------------------------------------------------------------------------------------- what a backend leaves out


class Guides(TrackingBackendBase):
    """As the guide's CustomBackend: no epoch, no status."""

    def start_experiment(self, metadata):
        pass

    def log_metrics(self, metrics, step):
        self.got = [*getattr(self, "got", []), (metrics, step)]

    def end_experiment(self):
        self.got.append("ended")


def test_a_method_is_called_without_the_parameters_that_it_lacks(feed, said):
    made = []
    fan = Fanout([feed(Guides, "guide", lambda: made.append(Guides(None)) or made[0])])
    put_all(fan, rows(2))
    fan.end("killed", PATIENCE)
    assert (made[0].got, said()) == ([({"loss": 0}, 0), ({"loss": 1}, 1), "ended"], [])


def test_a_method_that_takes_anything_by_name_gets_everything(feed):
    class Taking(TrackingBackendBase):
        got = ()

        def log_metrics(self, *arguments, **named):
            type(self).got = arguments, named

    fan = Fanout([feed(Taking)])
    put_all(fan, rows(1))
    fan.flush(PATIENCE)
    assert Taking.got == (({"loss": 0}, 0), {"epoch": 0})


def test_what_a_backend_would_ignore_does_not_wait_for_it(feed, said):
    gate = threading.Event()
    mine = feed(Guides, "guide", lambda: gate.wait(PATIENCE) and Guides(None))
    fan = Fanout([mine])
    put_all(fan, [Call("log_images", ({}, 0), size=fanout.MOST_BYTES + 1), *rows(1)])
    assert len(mine._queue) == 1
    gate.set()
    fan.end("finished", PATIENCE)
    assert said() == []


# ------------------------------------------------------------------------------------------------------- what goes wrong


def test_a_backend_that_raises_goes_on_with_the_next_call_and_is_said_once(feed, recording, said):
    class Odd(recording):
        made: ClassVar = []

        def log_metrics(self, metrics, step, epoch=None):
            if step % 2:
                raise KeyError("odd\nvery odd")
            super().log_metrics(metrics, step, epoch)

    fan = Fanout([feed(Odd, "odd"), feed(recording)])
    put_all(fan, rows(60))
    fan.end("finished", PATIENCE)
    assert [len(kind.made[0].of("log_metrics")) for kind in (Odd, recording)] == [30, 60]
    assert said() == [
        "backend 'odd' failed in log_metrics: KeyError: 'odd\\nvery odd'; it goes on with the next call, and the store has everything",
        "backend 'odd' has missed 30 of 60 calls; the store has them all",
    ]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError(), "ValueError"),
        (SystemExit(3), "SystemExit: 3"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (BadInput("no such project"), "no such project"),
    ],
)
def test_a_backend_that_raises_again_and_again_is_left_alone_and_ended(feed, recording, said, monkeypatch, error, words):
    monkeypatch.setattr(fanout, "TIRED", 3)
    tries = []

    class Broken(recording):
        made: ClassVar = []

        def log_metrics(self, metrics, step):
            tries.append((metrics, step)[1])
            raise error

    fan = Fanout([feed(Broken, "broken"), feed(recording)])
    put_all(fan, rows(10))
    fan.end("finished", PATIENCE)
    assert said() == [
        f"backend 'broken' failed in log_metrics: {words}; it goes on with the next call, and the store has everything",
        "backend 'broken' failed 3 times in a row and is left alone; the store records everything",
        "backend 'broken' has missed 10 of 10 calls; the store has them all",
    ]
    assert (tries, Broken.made[0].calls) == ([0, 1, 2], [("end_experiment", "finished")])
    assert len(recording.made[0].of("log_metrics")) == 10


def test_a_backend_that_cannot_start_is_left_alone(feed, recording, said):
    def start():
        raise OSError(28, "No space left on device")

    fan = Fanout([feed(recording, "far", start), feed(recording)])
    put_all(fan, rows(4))
    fan.flush(PATIENCE)
    fan.end("finished", PATIENCE)
    assert said() == [
        "backend 'far' could not start: OSError: [Errno 28] No space left on device; it is left alone, the store records everything",
        "backend 'far' has missed 4 of 4 calls; the store has them all",
    ]
    assert [len(backend.of("log_metrics")) for backend in recording.made] == [4]


def test_a_backend_that_hangs_holds_up_neither_the_caller_nor_the_others(feed, recording, said):
    hanging = type("Hanging", (recording,), {"made": [], "gate": threading.Event()})
    fan = Fanout([feed(hanging, "hanging"), feed(recording)])
    put_all(fan, rows(100))
    fan.flush(SOON)
    fan.flush(PATIENCE)  # waits for the other alone
    assert len(recording.made[0].of("log_metrics")) == 100
    fan.end("finished", SOON)
    assert said() == [
        "backend 'hanging' has not answered for 0.05 s, and is not waited for any longer",
        "backend 'hanging' has missed 100 of 100 calls; the store has them all",
    ]
    hanging.gate.set()


def test_a_backend_that_hangs_is_said_while_training_goes_on(feed, recording, said, until, monkeypatch):
    monkeypatch.setattr(fanout, "HANGING", 1e-9)
    recording.gate.clear()
    mine = feed(recording)
    fan = Fanout([mine])
    until(lambda: recording.made)
    put_all(fan, rows(1))
    until(lambda: not mine._queue)
    put_all(fan, rows(5))
    assert said() == ["backend 'mine' has not answered for 1e-09 s, and is not waited for any longer"]
    fan.flush(PATIENCE)


def test_a_backend_that_answers_again_is_waited_for_again(feed, recording, until):
    mine = feed(recording)
    fan = Fanout([mine])
    recording.gate.clear()
    put_all(fan, rows(1))
    fan.flush(SOON)
    recording.gate.set()
    until(lambda: not mine.is_late)
    put_all(fan, rows(1))
    fan.flush(PATIENCE)
    assert [call[0] for call in recording.made[0].calls] == ["log_metrics", "flush", "log_metrics", "flush"]


def test_a_backend_that_only_was_slow_gets_everything_in_the_end(feed, recording):
    fan = Fanout([feed(recording)])
    recording.gate.clear()
    put_all(fan, rows(10))
    fan.end("finished", SOON)
    recording.gate.set()
    assert fan._feeds[0].join(PATIENCE)
    assert [call[0] for call in recording.made[0].calls] == ["log_metrics"] * 10 + ["end_experiment"]


# ------------------------------------------------------------------------------------------------------ bounded in memory


def test_a_queue_takes_so_many_calls_and_what_has_no_room_is_counted_and_said_once(feed, recording, said, monkeypatch, until):
    monkeypatch.setattr(fanout, "MOST_CALLS", 20)
    other = type("Other", (recording,), {"made": [], "gate": threading.Event()})
    slow = feed(other, "slow")
    fan = Fanout([slow])
    put_all(fan, rows(1))
    until(lambda: not slow._queue)  # it is under way
    put_all(fan, rows(50, 1))
    words = "backend 'slow' does not keep up: 20 calls wait, and what there is no room for is dropped; the store has it"
    assert said() == [words]
    other.gate.set()
    fan.end("finished", PATIENCE)
    assert said() == [words, "backend 'slow' has missed 30 of 51 calls; the store has them all"]
    assert [call[1] for call in other.made[0].of("log_metrics")] == list(range(21))


def test_a_queue_takes_so_many_bytes_and_has_room_again_once_they_are_taken(feed, recording, said, monkeypatch):
    monkeypatch.setattr(fanout, "MOST_BYTES", 1000)
    recording.gate.clear()
    fan = Fanout([feed(recording)])
    images = [Call("log_images", ({"a": n}, n), size=400) for n in range(5)]
    put_all(fan, [*rows(1), *images[:3], *rows(1, 1)])
    recording.gate.set()
    fan.flush(PATIENCE)
    put_all(fan, images[3:])
    fan.end("finished", PATIENCE)
    assert [call[0] for call in recording.made[0].of("log_images")] == [{"a": 0}, {"a": 1}, {"a": 3}, {"a": 4}]
    assert said()[-1] == "backend 'mine' has missed 1 of 7 calls; the store has them all"


def test_what_is_larger_than_a_queue_is_dropped(feed, recording, said):
    fan = Fanout([feed(recording)])
    fan.put(Call("log_artifact", ("a", b""), size=fanout.MOST_BYTES + 1))
    fan.end("finished", PATIENCE)
    assert said()[-1] == "backend 'mine' has missed 1 of 1 calls; the store has them all"
