import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onyxstore.canonical import canonical_bytes, plain_bytes
from onyxstore.hashing import address_of, is_address
from onyxstore.history.commits import ArtifactEntry, CheckpointEntry, CommitRecord, ConfigEntry, decode_commit, encode_commit
from onyxstore.history.metrics.prefix import LogPrefix

A, B, C = (address_of(letter.encode()) for letter in "abc")

FULL = CommitRecord(
    run="Bert-base.2",
    parents=(A, B),
    message="checkpoint at step 500\n\ncafé",
    time=1_700_000_000_000_000_001,
    step=500,
    epoch=2.5,
    metrics={"val/loss": 0.25, "$": 1, "ok": True},
    configs={"training": ConfigEntry("configs/training.yaml", A, B), "value": ConfigEntry(None, A, C)},
    log=LogPrefix("00" * 16, 1000, C),
    checkpoint=CheckpointEntry(B, 400, 2, {"loss": -0.0}),
    artifacts=(ArtifactEntry("curve.png", A, 123, "image", 500), ArtifactEntry("notes", B, 0, "text", None)),
    code=A,
    environment=B,
    cost={"log_seconds": 1.5, "saved_bytes": 10**30},
)
LEAST = CommitRecord("a", (), "", 0)

addresses = st.sampled_from([A, B, C])
names = st.text(max_size=8)
steps = st.one_of(st.none(), st.integers())
epochs = st.one_of(steps, st.floats(allow_nan=False))
metrics = st.dictionaries(names, st.one_of(st.integers(), st.floats(allow_nan=False), st.booleans()), max_size=4)
commits = st.builds(
    CommitRecord,
    run=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,9}x", fullmatch=True),
    parents=st.lists(addresses, max_size=3).map(tuple),
    message=st.text(max_size=20),
    time=st.integers(),
    step=steps,
    epoch=epochs,
    metrics=metrics,
    configs=st.dictionaries(names, st.builds(ConfigEntry, st.one_of(st.none(), names), addresses, addresses), max_size=3),
    log=st.one_of(st.none(), st.builds(LogPrefix, names, st.integers(0), addresses)),
    checkpoint=st.one_of(st.none(), st.builds(CheckpointEntry, addresses, steps, epochs, metrics)),
    artifacts=st.lists(st.builds(ArtifactEntry, names, addresses, st.integers(0), names, steps), max_size=3).map(tuple),
    code=st.one_of(st.none(), addresses),
    environment=st.one_of(st.none(), addresses),
    cost=metrics,
)


def bits(value):
    """What tells values apart that compare equal: 1, 1.0 and True, 0.0 and -0.0."""
    return repr(value)


@given(commits)
def test_a_commit_comes_back_as_it_was_each_number_in_its_kind(record):
    found = decode_commit(encode_commit(record))
    assert found == record
    assert bits((found.step, found.epoch, sorted(found.metrics.items()))) == bits(
        (record.step, record.epoch, sorted(record.metrics.items()))
    )


@pytest.mark.parametrize("record", [FULL, LEAST])
def test_equal_commits_have_equal_bytes_in_whatever_order_they_were_made(record):
    data = encode_commit(record)
    turned = CommitRecord(
        **{
            **{name: getattr(record, name) for name in record.__dataclass_fields__},
            "metrics": dict(reversed(record.metrics.items())) if "$" not in record.metrics else record.metrics,
            "cost": dict(reversed(record.cost.items())),
            "configs": dict(reversed(record.configs.items())),
        }
    )
    assert (decode_commit(data), encode_commit(turned)) == (record, data)


def test_the_bytes_of_a_commit_are_these():
    """Any change here is a new format: what was stored would have other addresses."""
    assert encode_commit(LEAST) == (
        b'{"artifacts":[],"checkpoint":null,"code":null,"configs":{},"cost":{},"environment":null,"epoch":null,"log":null,"message":"",'
        b'"metrics":{},"onyx":"commit","parents":[],"run":"a","step":null,"time":0}'
    )
    assert address_of(encode_commit(FULL)) == "2e434b0c17d0928b1e03adf8907fdeb95cb0dc2f67a60d1637c81afecb6867c0"


def test_nan_and_infinity_are_kept():
    found = decode_commit(encode_commit(CommitRecord("a", (), "", 0, metrics={"nan": math.nan, "inf": -math.inf})))
    assert bits(found.metrics) == bits({"inf": -math.inf, "nan": math.nan})


# ----------------------------------------------------------------------------------------------- what is no commit


def text(value):
    return type(value) is str


def run(value):
    return text(value) and value != ""


def whole(value):
    return type(value) is int


def count(value):
    return type(value) is int and value >= 0


def step(value):
    return value is None or type(value) is int


def epoch(value):
    return step(value) or type(value) is float


def number(value):
    return type(value) in {int, float, bool}


def maybe_text(value):
    return value is None or text(value)


def maybe_address(value):
    return value is None or is_address(value)


def nothing(value):
    return value is None


def empty_mapping(value):
    return value == {} and type(value) is dict


def empty_list(value):
    return value == [] and type(value) is list


def only_commit(value):
    return value == "commit"


FIELDS = {
    ("onyx",): only_commit,
    ("run",): run,
    ("parents",): lambda value: empty_list(value) or value == [A],
    ("parents", 0): is_address,
    ("message",): text,
    ("time",): whole,
    ("step",): step,
    ("epoch",): epoch,
    ("metrics",): lambda value: empty_mapping(value) or value == {"x": 1},
    ("metrics", "val/loss"): number,
    ("configs",): empty_mapping,
    ("configs", "training"): lambda _: False,
    ("configs", "training", "path"): maybe_text,
    ("configs", "training", "snapshot"): is_address,
    ("configs", "training", "value"): is_address,
    ("log",): nothing,
    ("log", "id"): text,
    ("log", "position"): count,
    ("log", "hash"): is_address,
    ("checkpoint",): nothing,
    ("checkpoint", "manifest"): is_address,
    ("checkpoint", "step"): step,
    ("checkpoint", "epoch"): epoch,
    ("checkpoint", "metrics"): lambda value: empty_mapping(value) or value == {"x": 1},
    ("checkpoint", "metrics", "loss"): number,
    ("artifacts",): empty_list,
    ("artifacts", 0): lambda _: False,
    ("artifacts", 0, "name"): text,
    ("artifacts", 0, "address"): is_address,
    ("artifacts", 0, "size"): count,
    ("artifacts", 0, "kind"): text,
    ("artifacts", 0, "step"): step,
    ("code",): maybe_address,
    ("environment",): maybe_address,
    ("cost",): lambda value: empty_mapping(value) or value == {"x": 1},
    ("cost", "log_seconds"): number,
}

VALUES = [None, True, False, 0, -1, 7, 1.5, "", "text", A, A.upper(), A[:63], [], [1], [A], {}, {"x": 1}, {"x": "1"}, [[]], "commit"]


def plain(record):
    """The commit as JSON values, a metric that is called like a tag left out."""
    value = json.loads(encode_commit(CommitRecord(**{**record.__dict__, "metrics": {"val/loss": 0.25}, "cost": {"log_seconds": 1.5}})))
    assert type(value["metrics"]) is dict
    return value


def at(value, path):
    for key in path:
        value = value[key]
    return value


def changed(path, new):
    value = plain(FULL)
    at(value, path[:-1])[path[-1]] = new
    return plain_bytes(value)


@pytest.mark.parametrize("path", FIELDS, ids=lambda path: ".".join(map(str, path)))
def test_a_field_takes_its_own_type_and_no_other(path):
    for value in VALUES:
        data = changed(path, value)
        try:
            decode_commit(data)
        except ValueError:
            assert not FIELDS[path](value), value
        else:
            assert FIELDS[path](value), value


def test_every_field_is_in_the_table_above():
    def paths(value, path=()):
        inner = value.items() if type(value) is dict else enumerate(value[:1]) if type(value) is list else ()
        yield from (path,) if path else ()
        for key, item in inner:
            if path not in {("configs",), ("time",)} or key == "training":
                yield from paths(item, (*path, key))

    assert set(paths(plain(FULL))) == set(FIELDS)


@pytest.mark.parametrize("path", [path for path in FIELDS if path[-1] not in {0, "training", "val/loss", "loss", "log_seconds"}], ids=str)
def test_a_commit_without_a_field_or_with_one_more_is_none(path):
    value = plain(FULL)
    del at(value, path[:-1])[path[-1]]
    with pytest.raises(ValueError, match="not a commit"):
        decode_commit(plain_bytes(value))
    value = plain(FULL)
    at(value, path[:-1])["more"] = None
    with pytest.raises(ValueError, match="not a commit"):
        decode_commit(plain_bytes(value))


@pytest.mark.parametrize("name", ["", "..", "../x", "a/b", "/etc", "HEAD", "latest", "-rf", "a\n", "a\0", "a" * 101, ".hidden", "é"])
def test_no_commit_belongs_to_a_run_that_cannot_be(name):
    value = plain(FULL)
    value["run"] = name
    with pytest.raises(ValueError, match=r"run|reserved"):
        decode_commit(plain_bytes(value))


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[]", b"null", b'"commit"', b"\xff", b'{"onyx":"commit"}', b'{"onyx":"tree"}', b"[" * 100, b"[" * 100_000]
)
def test_other_objects_are_no_commits(data):
    with pytest.raises(ValueError):  # noqa: PT011 - several words for it
        decode_commit(data)


@given(st.integers(0, len(encode_commit(FULL)) - 1), st.integers(0, 255))
def test_a_changed_byte_is_refused_or_gives_another_commit_of_sound_types(place, byte):
    data = encode_commit(FULL)
    try:
        found = decode_commit(data[:place] + bytes([byte]) + data[place + 1 :])
    except ValueError:
        return
    assert decode_commit(encode_commit(found)) == found


@pytest.mark.parametrize(
    "wrong",
    [{"step": True}, {"step": 1.0}, {"epoch": "1"}, {"run": "../x"}, {"parents": ("x",)}, {"metrics": {"loss": "low"}}, {"metrics": {1: 1}},
     {"code": ""}, {"time": 0.5}, {"message": b""}, {"message": "\ud800"}, {"log": LogPrefix("id", -1, C)}, {"configs": {"a": A}},
     {"cost": {"x": None}}],
)  # fmt: skip
def test_what_could_not_be_read_back_is_not_written(wrong):
    with pytest.raises((ValueError, TypeError)):
        encode_commit(CommitRecord(**{**FULL.__dict__, **wrong}))


def test_a_commit_with_a_tag_for_a_mapping_is_read_as_what_the_tag_says():
    value = {**plain(FULL), "metrics": {"$": "dict", "items": [["$", 1]]}}
    assert decode_commit(plain_bytes(value)).metrics == {"$": 1}
    with pytest.raises(ValueError, match="a mapping"):
        decode_commit(plain_bytes({**plain(FULL), "metrics": {"$": "dict", "items": [[1, 1]]}}))
    with pytest.raises(ValueError, match="not a commit"):
        decode_commit(canonical_bytes({1: 2}))
