"""However a process ends, the store and the backends have what was logged; in real processes."""

import signal

import pytest

import onyxstore as onyx

BEGIN = """
import atexit
from onyxstore.configs.types import ExperimentConfig
from onyxstore.tracking import live
from onyxstore.tracking.backends.base import TrackingBackendBase
from onyxstore.tracking.backends.table import register_backend
from onyxstore.tracking.tracker import create_experiment_tracker

class Lines(TrackingBackendBase):
    # Its library stops by itself at exit, as W&B's does.
    def start_experiment(self, metadata):
        self.file = open("lines", "w", 1)
        atexit.register(self.file.close)

    def log_metrics(self, metrics, step):
        self.file.write(f"{step}\\n")

    def end_experiment(self, status):
        self.file.write(f"{status}\\n")
        self.file.close()

class Hanging(TrackingBackendBase):
    def log_metrics(self, metrics, step):
        threading.Event().wait()

register_backend("lines", Lines)
register_backend("hanging", Hanging)
config = ExperimentConfig(experiment_name="a", experiment_id="a", tracking_backend="lines", checkpoint_dir="checkpoints")
"""
TRAIN = """
tracker = create_experiment_tracker(config)
tracker.start_experiment()
for step in range(100):
    tracker.log_metrics({"loss": float(step)}, step=step)
tracker.save_checkpoint(state={"w": np.zeros(10)})
"""
FOREVER = 'print("on", flush=True)\nwhile True:\n    time.sleep(0.01)\n'
"""The main thread is somewhere else when the signal comes."""


def ended(folder):
    """How the run stands and how many points it has, what the backend got, what fsck finds."""
    store = onyx.Store.open(folder)
    run = store.run("a")
    lines = (folder / "lines").read_text().split()
    return run.status, len(run.metrics["loss"]), run.latest.checkpoint.step, lines, store.fsck().damage


def all_of_it(status):
    return status, 100, 99, [*map(str, range(100)), status], []


def test_a_program_that_ends_without_ending_its_tracker_has_ended_it(folder, script):
    status, errors = script(BEGIN + TRAIN).end()
    assert (status, errors, ended(folder)) == (0, f"made a store in {folder}\n", all_of_it("finished"))


def test_a_program_that_ends_by_an_exception_has_failed(folder, script):
    status, errors = script(f"{BEGIN}{TRAIN}\nraise ValueError('boom')").end()
    assert (status, errors.splitlines()[-1], ended(folder)) == (1, "ValueError: boom", all_of_it("failed"))


@pytest.mark.parametrize("block", [False, True], ids=["", "in a block"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 128 + signal.SIGTERM), (signal.SIGINT, -signal.SIGINT)])
def test_a_program_that_a_signal_ends_was_killed(folder, script, number, code, block):
    body = "with tracker:\n    " + FOREVER.replace("\n", "\n    ") if block else FOREVER
    program = script(f"{BEGIN}{TRAIN}{body}")
    program.read()
    program.send(number)
    assert (program.end()[0], ended(folder)) == (code, all_of_it("killed"))


def test_a_backend_that_hangs_is_waited_for_so_long_and_no_longer(folder, script):
    text = f"{BEGIN}\nlive.PATIENCE = 0.1\nconfig.tracking_backend = ['hanging', 'lines']\n{TRAIN}"
    status, errors = script(text).end()
    assert (status, ended(folder)) == (0, all_of_it("finished"))
    assert errors.splitlines()[1:] == [
        "backend 'hanging' has not answered for 0.1 s, and is not waited for any longer",
        "backend 'hanging' has missed 100 of 100 calls; the store has them all",
    ]


def test_a_killed_process_leaves_the_store_whole_and_the_next_goes_on_behind_its_rows(folder, script):
    program = script(f"{BEGIN}{TRAIN}tracker.flush()\n{FOREVER}")
    program.read()
    program.send(signal.SIGKILL)
    program.end()
    assert onyx.Store.open(folder).run("a").status == "crashed"
    again = """
tracker = create_experiment_tracker(config)
tracker.start_experiment(resume=True)
for step in range(50, 60):
    tracker.log_metrics({"loss": 0.0}, step=step)
tracker.end_experiment()
"""
    assert script(BEGIN + again).end() == (0, "")
    store = onyx.Store.open(folder)
    assert ([run.name for run in store.runs()], store.run("a").metrics["loss"].steps.tolist()) == (["a"], [*range(50), *range(50, 60)])
    assert (folder / "lines").read_text().split() == [*map(str, range(100, 110)), "finished"]


def test_a_forked_child_can_neither_log_nor_end_and_the_parent_is_unharmed(folder, script):
    text = f"""{BEGIN}{TRAIN}
calls = [
    lambda: tracker.log_metrics({{"loss": 9.0}}), lambda: tracker.log_hyperparameters({{"a": 1}}), lambda: tracker.log_text({{"a": "b"}}),
    lambda: tracker.log_images({{"a": np.zeros((2, 2))}}), lambda: tracker.log_artifact("a", b""),
    lambda: tracker.save_checkpoint(state={{}}), tracker.flush,
]
tracker.flush()
with tracker._live._fanout.order:  # as another thread may hold it
    child = os.fork()
if child == 0:
    refused = []
    for call in calls:
        try:
            call()
        except onyx.OnyxError as error:
            refused.append(error.id)
    tracker.end_experiment()
    with tracker:
        pass
    sys.exit(refused != ["run-ended"] * len(calls))
assert os.waitpid(child, 0)[1] == 0
"""
    assert script(text).end()[0] == 0
    assert ended(folder) == all_of_it("finished")


def test_a_program_that_ends_while_a_backend_starts_waits_for_it(folder, script):
    text = BEGIN.replace("self.file = open", "time.sleep(0.3); self.file = open") + TRAIN
    assert script(text).end()[0] == 0
    assert ended(folder) == all_of_it("finished")
