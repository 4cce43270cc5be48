"""Every document is strict JSON and has the keys that the module's docstring names; those of the table there are read here."""

import math
import re

import pytest

from onyxstore.cli import json_shapes
from onyxstore.cli.app import VERBS
from onyxstore.store.store import Store

COMMIT = {"address", "run", "message", "step", "epoch", "time", "parents", "refs", "metrics", "checkpoint", "notes"}
MOVE = {"ref", "old", "new"}
CURVE = {"last", "min", "max", "points"}
WHOLE = COMMIT | {"configs", "curves", "parts", "artifacts", "code", "environment", "cost"}
RUN = {"name", "status", "created", "ended", "labels", "group", "step", "epoch", "rate", "commits"}
RUN |= {"latest", "best", "configs", "curves", "values"}

SHAPES = {
    "init": (["init", "new"], "stores", {"folder", "created"}, set()),
    "commit": (["commit", "-m", "x"], "commits", COMMIT, set()),
    "log": (["log"], "commits", COMMIT, set()),
    "show": (["show", "base"], "commits", WHOLE, set()),
    "runs": (["runs"], "runs", RUN, {"damaged"}),
    "metrics": (["metrics", "base"], "rows", {"run", "epoch", "step", "time", "values"}, set()),
    "diff": (["diff", "base", "tuned"], "differences", {"part", "config", "path", "kind", "old", "new"}, {"old", "new", "same_tensors"}),
    "checkout": (["checkout", "base", "--to", "out"], "files", {"path", "state", "written"}, set()),
    "tag": (["tag"], "tags", {"name", "commit"}, set()),
    "status": (["status"], "files", {"config", "path", "state"}, {"head", "running"}),
    "config create": (["config", "create", "ads"], "files", {"type", "path"}, set()),
    "config show": (
        ["config", "show", "ads"],
        "values",
        {"type", "key", "value", "source", "file", "line", "column", "variables"},
        {"problems"},
    ),
    "config validate": (["config", "validate", "ads"], "problems", {"file", "line", "column", "key", "why"}, {"is_valid"}),
    "config diff": (["config", "diff", "ads", "b"], "differences", {"config", "path", "kind", "old", "new"}, {"old", "new"}),
    "config schema": (
        ["config", "schema"],
        "schemas",
        {"$schema", "title", "description", "type", "additionalProperties", "properties", "$defs"},
        set(),
    ),
    "gc": (
        ["gc", "-n"],
        "actions",
        {"action", "what", "bytes", "reason", "run", "commit", "manifest"},
        {"dry_run", "freed", "to_trash", "trash_emptied", "unreadable", "checkpoints"},
    ),
    "du": (
        ["du"],
        "shares",
        {"by", "name", "checkpoints", "raw", "stored", "shared", "unique"},
        {"packs", "objects", "logs", "other", "trash", "total", "garbage", "overhead", "unreadable"},
    ),
    "cat": (["cat", "base:train.yaml"], "objects", {"name", "kind", "address", "size", "value", "text", "tensor"}, set()),
    "whence": (
        ["whence", "out/base.safetensors"],
        "origins",
        {"revision", "commit", "run", "step", "pruned", "bytes", "matched", "differ", "lacks"},
        {"file", "tensors", "telling"},
    ),
    "note": (["note", "base", "f1=0.5"], "commits", COMMIT, set()),
    "reflog": (["reflog"], "moves", {"name", "time", "by", "call", "run", "old", "new"}, set()),
    "undo": (["undo", "-n"], "moves", MOVE, {"dry_run", "undone", "restored", "removed"}),
    "best": (
        ["best", "base", "--by", "loss", "--mode", "max"],
        "commits",
        COMMIT,
        {"metric", "mode", "value", "is_followed", "passed_over"},
    ),
    "rm": (["rm", "--yes", "base"], "runs", {"name", "status", "commits", "needed_by"}, {"dry_run", "bytes", "moves"}),
    "restore": (["restore", "base"], "entries", {"name", "run", "time", "bytes", "days_left", "is_restored"}, {"moves"}),
    "purge": (
        ["purge", "--yes"],
        "objects",
        {"address", "kind", "bytes", "lacked_by"},
        {"dry_run", "runs", "batches", "staying", "bytes", "moves"},
    ),
    "settings": (["settings"], "settings", {"name", "value", "default"}, set()),
    "fsck": (["fsck"], "findings", {"where", "words", "is_damage", "address"}, {"is_whole", "objects", "chunks", "bytes"}),
}


def test_every_verb_has_a_shape_here_and_in_the_table_of_the_docstring():
    table = dict(re.findall(r"^    ([a-z]+(?: [a-z]+)?) {2,}([a-z]+) {3,}", json_shapes.__doc__, re.MULTILINE))
    assert {verb: noun for verb, noun in table.items() if verb != "verb"} == {verb: shape[1] for verb, shape in SHAPES.items()}
    assert {verb.split()[0] for verb in SHAPES} == VERBS.keys()


@pytest.mark.parametrize("verb", SHAPES)
def test_a_document_is_a_schema_and_rows_with_their_keys(onyx, trained, verb):
    arguments, noun, keys, beside = SHAPES[verb]
    settings = trained / ".onyx" / "settings.yaml"
    if verb == "gc":
        settings.write_text("max_checkpoints: 1\n")
        onyx("tag", "-d", "paper")
    if verb == "fsck":
        (trained / ".onyx" / "tmp" / "left").touch()
    if verb == "status":
        onyx("commit", "-m", "x", "--config", "train.yaml")
    if verb == "purge":
        arguments = [*arguments, onyx("show", "base", "--json").json["commits"][0]["configs"]["training"]["snapshot"]]
    if verb == "restore":
        onyx("rm", "--yes", "base")
    if verb == "whence":
        onyx("checkout", "base", "--to", "out")
    if verb.startswith("config"):
        onyx("config", "create", "ads")
        onyx("config", "create", "b")
        for old, new in (("batch_size: 32", "batch_size: 64"), ("epochs: 10", "epochs: 0")):
            path = trained / "configs" / ("b" if "64" in new else "ads")
            path = path.with_name(f"{path.name}_training_config.yaml")
            path.write_text(path.read_text().replace(old, new) if verb == "config validate" or "64" in new else path.read_text())
    done = onyx(*arguments, "--json")
    assert (done.json["schema"], done.json.keys()) == (1, {"schema", noun, *beside})
    assert done.status == (1 if verb == "config validate" else 0)
    assert done.json[noun]
    for row in done.json[noun]:
        assert row.keys() - {"change"} == keys
    assert done.out.isascii()


@pytest.mark.usefixtures("trained")
def test_the_parts_of_a_row_have_their_keys(onyx):
    (commit,) = onyx("show", "base@best", "--json").json["commits"]
    assert commit["checkpoint"].keys() == {"address", "step", "epoch", "metrics", "pruned"}
    assert {name: curve.keys() for name, curve in commit["curves"].items()} == {"loss": CURVE, "lr": CURVE}
    assert [part.keys() for part in commit["parts"]] == [{"part", "tensors", "raw", "stored"}] * 4
    assert {name: config.keys() for name, config in commit["configs"].items()} == {"training": {"path", "snapshot", "value"}}
    assert onyx("runs", "--json").json["runs"][0]["best"].keys() == {"address", "step", "metric", "value"}


@pytest.mark.usefixtures("trained")
def test_what_moved_and_what_was_noted_is_told_in_full(onyx):
    onyx("note", "base", "-m", "words", "f1=0.5")
    (note,) = onyx("show", "base", "--json").json["commits"][0]["notes"]
    assert note == {"time": note["time"], "words": "words", "metrics": {"f1": 0.5}}
    moves = onyx("rm", "--yes", "base", "--json").json["moves"]
    assert [(move["ref"], move["old"].keys()) for move in moves] == [("best", {"commit", "metric", "mode", "value"})]


@pytest.mark.usefixtures("trained")
def test_a_tensor_has_its_figures(onyx):
    row = onyx("diff", "base", "base@best", "--tensors", "--json").json["differences"][-1]
    assert row.keys() == {"part", "config", "path", "kind", "old", "new", "norm", "cosine", "changed", "nan", "inf"}
    assert (row["part"], row["old"].keys(), row["new"].keys()) == ("tensor", {"dtype", "shape"}, {"dtype", "shape"})
    (content,) = onyx("cat", "base:weight", "--json").json["objects"]
    assert content["tensor"].keys() == {"dtype", "shape", "values", "nan", "inf", "min", "max", "mean", "std", "first"}


@pytest.mark.usefixtures("trained")
def test_a_verdict_has_its_reason_and_its_bytes(onyx):
    rows = onyx("gc", "-n", "--explain", "--json").json["checkpoints"]
    assert [row.keys() for row in rows] == [{"run", "step", "commit", "manifest", "kept", "reason", "stored", "unique"}] * 4


def test_an_empty_store_has_no_rows(onyx, empty):
    Store.init(empty)
    for verb in ("log", "runs", "tag", "gc", "fsck", "status", "reflog", "restore"):
        noun = SHAPES[verb][1]
        done = onyx(verb, "--json")
        assert (done.status, done.json[noun]) == (0, [])


def test_what_json_has_no_word_for_is_a_string(onyx, empty):
    store = Store.init(empty)
    with store.start_run("run", configs={"config": {"a": {1: math.inf, "b": math.nan}}}) as run:
        run.log({"loss": math.nan, "gain": math.inf, "fall": -math.inf, "count": 2**100, "ok": True}, step=1)
    row = onyx("runs", "--json").json["runs"][0]
    assert row["values"] == {"loss": "nan", "gain": "inf", "fall": "-inf", "count": 2**100, "ok": True}
    (commit,) = onyx("show", "run", "--json").json["commits"]
    assert commit["configs"]["config"]["value"] == {"a": {"1": "inf", "b": "nan"}}
