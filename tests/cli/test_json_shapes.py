"""Every document is strict JSON and has the keys that the module's docstring names; those of the table there are read here."""

import math
import re

import pytest

from onyxstore.cli import json_shapes
from onyxstore.cli.app import VERBS
from onyxstore.store.store import Store

COMMIT = {"address", "run", "message", "step", "epoch", "time", "parents", "refs", "metrics", "checkpoint"}
CURVE = {"last", "min", "max", "points"}
WHOLE = COMMIT | {"configs", "curves", "parts", "artifacts", "code", "environment", "cost"}
RUN = {"name", "status", "created", "labels", "group", "step", "latest", "best", "curves", "values"}

SHAPES = {
    "init": (["init", "new"], "stores", {"folder", "created"}, set()),
    "commit": (["commit", "-m", "x"], "commits", COMMIT, set()),
    "log": (["log"], "commits", COMMIT, set()),
    "show": (["show", "base"], "commits", WHOLE, set()),
    "runs": (["runs"], "runs", RUN, set()),
    "diff": (["diff", "base", "tuned"], "differences", {"part", "config", "path", "kind", "old", "new"}, {"old", "new"}),
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
        {"dry_run", "freed", "to_trash", "trash_emptied", "unreadable"},
    ),
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


def test_an_empty_store_has_no_rows(onyx, empty):
    Store.init(empty)
    for verb in ("log", "runs", "tag", "gc", "fsck", "status"):
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
