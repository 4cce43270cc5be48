import threading

from onyxstore.disk.syncer import Syncer
from onyxstore.errors import DiskError, DiskFull


class Beats:
    """An action that counts its calls, raises what it is told to, and can be waited for."""

    def __init__(self, *errors):
        self.errors = list(errors)
        self.count = 0
        self.reached = threading.Condition()

    def __call__(self):
        with self.reached:
            self.count += 1
            self.reached.notify_all()
            if self.errors and (error := self.errors.pop(0)):
                raise error

    def wait_for(self, count):
        with self.reached:
            self.reached.wait_for(lambda: self.count >= count)


def test_the_action_is_called_again_and_again_until_stopped():
    beats = Beats()
    syncer = Syncer(beats, 0.001)
    beats.wait_for(3)
    syncer.stop()
    count = beats.count
    assert not syncer._thread.is_alive()
    syncer.stop()
    assert (beats.count, syncer.take_error()) == (count, None)


def test_nothing_is_done_before_the_first_interval_is_over():
    beats = Beats()
    Syncer(beats, 3600).stop()
    assert beats.count == 0


def test_the_first_error_stays_until_it_is_taken_and_is_told_once():
    first, second = DiskFull("syncing", "tail", 28), DiskError("syncing", "tail", 5)
    beats = Beats(first, None, second)
    syncer = Syncer(beats, 0.001)
    beats.wait_for(5)  # it went on after both
    syncer.stop()
    assert [syncer.take_error(), syncer.take_error()] == [first, None]


def test_an_error_after_the_first_was_taken_is_told_too():
    first, second = DiskFull("syncing", "tail", 28), DiskError("syncing", "tail", 5)
    beats = Beats(first)
    syncer = Syncer(beats, 0.001)
    beats.wait_for(2)
    assert syncer.take_error() is first
    with beats.reached:
        beats.errors.append(second)
    beats.wait_for(beats.count + 2)
    syncer.stop()
    assert syncer.take_error() is second


def test_a_beat_under_way_is_waited_for():
    begun, may_end, ended = threading.Event(), threading.Event(), []

    def slow():
        begun.set()
        may_end.wait()
        ended.append(True)

    syncer = Syncer(slow, 0.001)
    begun.wait()
    stopper = threading.Thread(target=syncer.stop)
    stopper.start()
    assert ended == []
    may_end.set()
    stopper.join()
    assert ended == [True]


def test_the_action_may_stop_its_own_syncer():
    holder = []
    ready = threading.Event()

    def stop():
        ready.wait()
        holder[0].stop()

    holder.append(Syncer(stop, 0.001))
    ready.set()
    holder[0]._thread.join()
    assert not holder[0]._thread.is_alive()


def test_errors_are_told_in_order_and_each_once_while_more_come():
    errors = [DiskError("syncing", str(number), 5) for number in range(50)]
    beats = Beats(*errors)
    syncer = Syncer(beats, 0.0)
    told = []
    while beats.count <= 50:
        told += [syncer.take_error()]
    syncer.stop()
    told = [error for error in [*told, syncer.take_error()] if error]
    assert told
    assert [error for error in errors if error in told] == told
