"""A training whose steps restart each epoch, with every real backend at once: each row is in each of them, however the program ends."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import wandb

import onyxstore as onyx

EPOCHS, STEPS = 3, 10

TRAIN = f"""
from onyxstore.configs.types import ExperimentConfig
from onyxstore.tracking.tracker import create_experiment_tracker

config = ExperimentConfig(experiment_name="ads", experiment_id="exp_001", project_name="ads")
config.tracking_backend = ["local", "tensorboard", "mlflow", "wandb"]
tracker = create_experiment_tracker(config)
tracker.start_experiment()
tracker.flush()  # all have started: W&B misses what ends while it does, which is said in shortcomings.md
for epoch in range({EPOCHS}):
    for step in range({STEPS}):
        tracker.log_metrics({{"loss": epoch + step / 8}}, step=step, epoch=epoch)
    tracker.log_metrics({{"val_loss": float(epoch)}}, step=step, epoch=epoch)
    tracker.save_checkpoint(state={{"w": np.full(3, epoch)}}, metrics={{"val_loss": float(epoch)}}, is_best=True)
print("trained", flush=True)
"""
ENDS = {"forgotten": "", "killed": "while True:\n    time.sleep(0.01)\n"}
"""What comes after: the tracker is not ended, or a signal comes. W&B's own service stops at exit, if the tracker lets it."""

READ = """
import json, warnings
from pathlib import Path
warnings.simplefilter("ignore")
from mlflow import MlflowClient
from tensorboard.backend.event_processing.event_accumulator import STORE_EVERYTHING_SIZE_GUIDANCE, EventAccumulator

events = EventAccumulator("runs/exp_001", STORE_EVERYTHING_SIZE_GUIDANCE).Reload()
client = MlflowClient("sqlite:///mlflow.db")
(run,) = client.search_runs([each.experiment_id for each in client.search_experiments()])
for name in ("loss", "val_loss"):
    board = [(event.step, event.value) for event in events.Scalars(name)]
    flow = [(metric.step, metric.value) for metric in client.get_metric_history(run.info.run_id, name)]
    print(json.dumps([board, flow]))
text = [event.tensor_proto.string_val[0].decode() for event in events.Tensors("status/text_summary")]
print(json.dumps([len(events.Tensors("checkpoint/text_summary")), text, run.data.tags["status"], run.data.tags["checkpoint.best"]]))
"""


def read_wandb(folder):
    """What `wandb leet inspect`, W&B's own reader, finds in the one offline run: rows by metric, checkpoints, the status."""
    (file,) = folder.glob("wandb/offline-run-*/run-*.wandb")
    options = ["-json", "-follow", "-idle-timeout", "60s", "-no-observability", "-run-file", str(file)]
    core = Path(wandb.__file__).parent / "bin" / "wandb-core"
    done = subprocess.run([core, "leet", "inspect", *options, str(file.parents[1])], capture_output=True, text=True, check=True)
    records = [json.loads(line) for line in done.stdout.splitlines()]
    rows = [(each["history"]["step"].get("num", 0), each["history"]["item"]) for each in records if each["type"] == "history"]
    points = [[[step, float(row[name])] for step, row in rows if name in row] for name in ("loss", "val_loss")]
    checkpoints = [step for step, row in rows if any(key.startswith("checkpoint.") for key in row)]
    summaries = [each["summary"]["update"] for each in records if each["type"] == "summary"]
    return points, len(checkpoints), [each["status"] for each in summaries if "status" in each]


@pytest.fixture(autouse=True)
def _offline(monkeypatch):
    """Nothing of the environment's, and W&B looks for no network."""
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_DIR", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")


@pytest.mark.parametrize(("end", "status"), [("forgotten", "finished"), ("killed", "killed")])
def test_every_row_of_three_epochs_is_in_every_backend(folder, script, end, status):
    program = script(TRAIN + ENDS[end])
    assert program.read() == "trained"
    if end == "killed":
        program.send(signal.SIGTERM)
    code, errors = program.end()
    said = [line for line in errors.splitlines() if " INFO mlflow." not in line]  # of its new database
    assert (code, said) == (128 + signal.SIGTERM if end == "killed" else 0, [f"made a store in {folder}"])

    run = onyx.Store.open(folder).run("exp_001")
    loss = [[STEPS * epoch + step, epoch + step / 8] for epoch in range(EPOCHS) for step in range(STEPS)]
    val_loss = [[STEPS * epoch + STEPS - 1, float(epoch)] for epoch in range(EPOCHS)]
    assert (run.status, run.metrics["loss"].values.tolist()) == (status, [value for _, value in loss])
    assert run.metrics["loss"].steps.tolist() == [*range(STEPS)] * EPOCHS

    found = subprocess.run([sys.executable, "-c", READ], cwd=folder, capture_output=True, text=True, check=True).stdout
    of_loss, of_val_loss, rest = map(json.loads, found.splitlines())
    assert (of_loss, of_val_loss) == ([loss, loss], [val_loss, val_loss])
    assert rest == [EPOCHS, [status], status, run.best.message]
    assert read_wandb(folder) == ([loss, val_loss], EPOCHS, [status])
