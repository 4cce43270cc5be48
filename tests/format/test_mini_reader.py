"""What the library wrote, a reader that was made from `docs/format.md` alone reads the same."""

import json
import math
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import onyxstore as onyx
from onyxstore.history.metrics import live
from onyxstore.store.trees import read_tensors, read_tree_object
from tests.format.mini_reader import CODECS, Store, read_index

torch = pytest.importorskip("torch")

CONFIG = b"# The settings of a training.\nlr: 1e-3\nseed: 123456789012345678901\nnested: {on: yes, list: [1, 2.0, null]}\n"
NAMES = ["latest", "best", "v1", "Bert", "bert@best", "BERT@latest"]


def state(scale):
    """Tensors of each codec, of several chunks, none, and one element; tied, and of frameworks' dtypes."""
    generator = torch.Generator().manual_seed(7)
    weight = torch.nn.Parameter(scale * torch.randn(64, 40, generator=generator))
    return {
        "model": {"weight": weight, "tied": weight, "half": weight.detach().bfloat16(), "steps": torch.tensor(3)},
        "optimizer": {"state": {0: {"exp_avg": weight.detach() / 3, "step": torch.tensor(2.0)}}},
        "tokens": np.arange(1_200_000, dtype=np.int32) // 7,
        "short": np.arange(2000, dtype=np.int16),
        "ids": np.arange(2000, dtype=np.int64) * 10**12,
        "half": np.linspace(-1, 1, 3000).astype(np.float16),
        "wide": np.linspace(-1, 1, 3001),
        "noise": np.frombuffer(np.random.default_rng(1).bytes(300_001), np.uint8),
        "empty": np.zeros((0, 3)),
    }


def log_steps(run, first, last):
    for step in range(first, last):
        values = {"loss": math.sin(step), "acc": step / 100, "n": step * 10 ** (step % 40), "ok": step % 3 == 0}
        values["single"] = np.float32(step / 7)
        run.log(values if step % 5 else {**values, "odd/nan": math.nan, "inf": -math.inf, "zero": -0.0}, step=step, epoch=step // 10)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A store with two attempts of a run, the second under way: checkpoints, segments, a tail, a tag."""
    folder = tmp_path_factory.mktemp("store")
    (folder / "train.yaml").write_bytes(CONFIG)
    store = onyx.Store.init(folder)
    configs = {"train": folder / "train.yaml", "handed": {"limit": math.inf, "sizes": (3, 4), 7: "seven"}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(live, "SEGMENT_POINTS", 64)
        with store.start_run("Bert", configs=configs, best_metric="val") as run:
            log_steps(run, 0, 30)
            run.save_checkpoint(state=state(1.0), metrics={"val": 0.5}, wait=True)
            run._beat()
            log_steps(run, 30, 40)
            run.log_artifact("notes.txt", b"some words", kind="text", step=39)
        with store.start_run("Bert", resume=True) as run:
            log_steps(run, 30, 35)
            run.save_checkpoint(state=state(2.0), metrics={"val": 0.75}, wait=True)
            run.summary({"final": 1})
            run._beat()
            log_steps(run, 35, 42)
            store.tag("v1", "Bert@step:34")
            yield folder


@pytest.fixture(scope="module")
def library(folder):
    return onyx.Store.open(folder)


@pytest.fixture(scope="module")
def reader(folder):
    return Store(folder / ".onyx")


def bits(value):
    """A value with its kind, so that 1, 1.0 and True differ, and NaN equals NaN."""
    return type(value).__name__, struct.pack("<d", value) if type(value) is float else value


def curves_of(series):
    """The library's curves as the reader gives them, but times, which the library rounds to doubles."""
    made = {}
    for name, curve in series.items():
        epochs = [None if math.isnan(epoch) else epoch for epoch in curve.epochs.tolist()]
        made[name] = list(zip(epochs, curve.steps.tolist(), [bits(float(value)) for value in curve.values], strict=True))
    return made


def points_of(curves):
    return {name: [(epoch, step, bits(float(value))) for epoch, step, _, value in curve] for name, curve in curves.items()}


def test_names_lead_to_the_same_commits(library, reader):
    assert {name: reader.resolve(name) for name in NAMES} == {name: library.commit(name).address for name in NAMES}


def test_the_line_of_a_run_is_the_same(library, reader):
    commits = reader.commits(reader.resolve("bert"))
    line = library.run("bert").commits[::-1]
    assert list(commits) == [commit.address for commit in line]
    assert [(each["message"], each["step"], each["time"]) for each in commits.values()] == [
        (commit.message, commit.step, commit.record.time) for commit in line
    ]


def test_configs_are_the_same_to_the_byte(library, reader):
    configs = reader.configs(reader.commits(reader.resolve("latest"))[reader.resolve("latest")])
    commit = library.commit("latest")
    assert {name: value for name, (value, _) in configs.items()} == dict(commit.config)
    assert configs["train"] == ({"lr": 0.001, "seed": 123456789012345678901, "nested": {"on": "yes", "list": [1, 2.0, None]}}, CONFIG)


def test_curves_are_the_same_to_the_bit(library, reader):
    assert len(list((reader.root / "runs" / "bert").glob("tail-*"))) == 1
    assert points_of(reader.curves("Bert")) == curves_of(library.run("Bert").metrics)


def test_curves_up_to_a_commit_are_the_same(library, reader):
    commits = reader.commits(reader.resolve("bert"))
    assert {each: points_of(reader.curves("bert", commit["log"]["position"])) for each, commit in commits.items()} == {
        commit.address: curves_of(commit.metrics) for commit in library.run("bert").commits
    }


def test_values_keep_their_kind_in_tails_and_segments(reader):
    last = {name: curve[-1][3] for name, curve in reader.curves("bert").items()}
    values = {"acc": 0.41, "n": 410, "ok": False, "odd/nan": math.nan, "zero": -0.0, "inf": -math.inf}
    assert {name: bits(last[name]) for name in values} == {name: bits(value) for name, value in values.items()}


def tree_of(library, name, kind):
    """What the library reads of a tree's tensors: dtype, shape and bytes by path."""
    objects = library._doors.objects
    tree = read_tree_object(objects, getattr(library.commit(name).checkpoint.manifest, kind))
    leaves = read_tensors(objects, list(tree.tensors), tree.chunk_bytes)
    return {each.path: (each.dtype, each.shape, bytes(leaf.data)) for each, leaf in zip(tree.tensors, leaves, strict=True)}


@pytest.mark.parametrize("name", ["best", "latest"])
def test_every_tensor_is_the_same_to_the_byte(library, reader, name):
    commit = reader.commits(reader.resolve(name))[reader.resolve(name)]
    assert {kind: reader.tensors(commit, kind) for kind in ["state", "rng"]} == {
        kind: tree_of(library, name, kind) for kind in ["state", "rng"]
    }


def test_a_tensor_is_what_was_handed_in(reader):
    commit = reader.commits(reader.resolve("bert@best"))[reader.resolve("bert@best")]
    tensors = reader.tensors(commit)
    handed = state(1.0)
    assert tensors["model", "weight"] == ("float32", (64, 40), handed["model"]["weight"].detach().numpy().tobytes())
    assert tensors["tokens",] == ("int32", (1_200_000,), handed["tokens"].tobytes())
    assert tensors["optimizer", "state", 0, "step"] == ("float32", (), struct.pack("<f", 2.0))
    assert ("model", "tied") not in tensors


def test_every_codec_is_in_the_store(reader):
    packs = [path.read_bytes() for path in (reader.root / "packs").iterdir()]
    assert {codec for pack in packs for _, (_, codec, _) in read_index(pack)} == set(CODECS)


def test_a_pack_is_a_safetensors_file_to_the_tools_of_others(reader, tmp_path):
    safetensors = pytest.importorskip("safetensors")
    for pack in (reader.root / "packs").iterdir():
        plain = tmp_path / pack.stem
        done = subprocess.run(["zstd", "-q", "-d", str(pack), "-o", str(plain)], check=False)
        assert done.returncode == 0
        with safetensors.safe_open(plain, "np") as opened:
            names = list(opened.keys())
            recipe = json.loads(opened.metadata()["onyx"])["chunks"]
            assert {key.split(".")[0] for key in names} == {str(number) for number in range(len(recipe))}


def test_the_reader_needs_nothing_of_the_library():
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import mini_reader; print('onyxstore' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": ""}, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
