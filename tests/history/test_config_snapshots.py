import argparse
import json
import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onyxstore.canonical import canonical_address
from onyxstore.errors import BadConfig, BadName, CannotEncode
from onyxstore.history.config_snapshots import ConfigSnapshot, masked_paths, snapshot_file, snapshot_value, unmask
from onyxstore.history.secrets import MASK, mask_value
from onyxstore.yaml12 import read_yaml, write_yaml

TOKEN = "hf_" + "aB" * 17

PLAIN = b"# how we train\nlr: 2e-5   # found by a sweep\n\nmodel: {name: 'bert', layers: [1, 2]}\n"

SECRET = f"""\
# our token: {TOKEN}
training:
  lr: 2e-5   # keep this comment
  api_key: &key "abcdefghijklmnop"  # and this
  url: postgres://bob:hunter2@host/db # c
  pem: |  # a header
    -----BEGIN RSA PRIVATE KEY-----
    MIIEpAIBAAKCAQEA75b
    -----END RSA PRIVATE KEY-----

other: {{password: 'short', passwd: 'long enough it''s', tag: !!str {TOKEN}}}
alias: *key
folded: >-
  {TOKEN}
é: ü
""".encode()

MASKED = b"""\
# our token: <masked>
training:
  lr: 2e-5   # keep this comment
  api_key: &key "<masked>"  # and this
  url: postgres://bob:<masked>@host/db # c
  pem: "<masked>\\n"

other: {password: 'short', passwd: <masked>, tag: !!str <masked>}
alias: *key
folded: <masked>
\xc3\xa9: \xc3\xbc
"""


@pytest.fixture
def snapshot(tmp_path):
    def take(data, name="train.yaml"):
        (tmp_path / name).write_bytes(data)
        return snapshot_file("train", tmp_path / name, tmp_path)

    return take


# --------------------------------------------------------------------------------------------------------------- files


def test_a_snapshot_holds_the_exact_bytes_and_what_they_say(snapshot):
    value = {"lr": 2e-5, "model": {"name": "bert", "layers": [1, 2]}}
    assert snapshot(PLAIN) == ConfigSnapshot("train", "train.yaml", PLAIN, value)


def test_how_a_value_is_spelt_does_not_change_its_address(snapshot):
    other = json.dumps({"model": {"layers": [1, 2], "name": "bert"}, "lr": 0.00002}, indent="\t").encode()
    assert canonical_address(snapshot(PLAIN).value) == canonical_address(snapshot(other, "train.json").value)


def test_the_path_is_relative_to_the_store_with_slashes(tmp_path):
    file = tmp_path / "configs" / "a.yaml"
    file.parent.mkdir()
    file.write_bytes(PLAIN)
    assert snapshot_file("a", file, tmp_path).path == "configs/a.yaml"


def test_a_relative_path_and_linked_folders_lead_to_the_same_file(tmp_path, monkeypatch):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "real" / "a.yaml").write_bytes(PLAIN)
    monkeypatch.chdir(tmp_path / "real")
    assert snapshot_file("a", tmp_path / "link" / "a.yaml", tmp_path / "real").path == "a.yaml"
    assert snapshot_file("a", type(tmp_path)("a.yaml"), tmp_path / "link").path == "a.yaml"


def test_a_file_elsewhere_is_known_by_its_name_alone(tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "a.yaml").write_bytes(PLAIN)
    assert snapshot_file("a", tmp_path / "a.yaml", tmp_path / "store").path == "a.yaml"


def test_what_yaml_1_1_read_otherwise_is_noted(snapshot, tmp_path):
    assert snapshot(b"debug: no\n").notes == (f"{tmp_path}/train.yaml:1: `no` is the text 'no' (YAML 1.1 read it as false)",)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda _: None, "there is no such file"),
        (lambda file: file.mkdir(), "it is no regular file"),
        (os.mkfifo, "it is no regular file"),
        (lambda file: file.symlink_to("/dev/zero"), "it is a symbolic link; name the file that it leads to"),
        (lambda file: file.write_bytes(b"x" * ((4 << 20) + 1)), "it has more than 4194304 bytes"),
        (lambda file: file.write_bytes(b"\x89PNG\r\n"), "it is no UTF-8 text"),
        (lambda file: file.write_bytes(b"a: [1"), "while parsing a flow sequence, expected ',' or ']', but got '<stream end>'"),
    ],
)
def test_what_is_no_config_file_is_refused(tmp_path, make, said):
    make(tmp_path / "c.yaml")
    with pytest.raises(BadConfig) as refusal:
        snapshot_file("c", tmp_path / "c.yaml", tmp_path)
    assert re.sub(r"^.*c\.yaml(:\d+:\d+)?: ", "", str(refusal.value)) == said


@pytest.mark.parametrize("name", ["", "../a", ".git/a", "/a", 3])
def test_a_name_that_checkout_would_not_write_to_is_refused(tmp_path, name):
    (tmp_path / "a.yaml").write_bytes(PLAIN)
    with pytest.raises(BadName):
        snapshot_file(name, tmp_path / "a.yaml", tmp_path)
    with pytest.raises(BadName):
        snapshot_value(name, {})


# -------------------------------------------------------------------------------------------------------------- values


def test_a_value_becomes_yaml_in_its_own_order():
    config = {"lr": 1e-5, "betas": (0.9, 0.999), "api_token": "0123456789ab"}
    taken = snapshot_value("train", argparse.Namespace(**config))
    assert taken == ConfigSnapshot(
        "train",
        None,
        b"lr: 1.0e-05\nbetas:\n  - 0.9\n  - 0.999\napi_token: <masked>\n",
        {"lr": 1e-5, "betas": [0.9, 0.999], "api_token": MASK},
        ("api_token",),
    )


def test_a_value_that_has_no_plain_form_is_an_error():
    with pytest.raises(CannotEncode, match=r"^model\.act cannot be stored"):
        snapshot_value("train", {"model": {"act": print}})


texts = st.text(st.characters(exclude_categories=["Cs"]))
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts


@given(st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=10))
def test_the_bytes_of_a_value_say_the_value(value):
    taken = snapshot_value("v", value)
    assert canonical_address(read_yaml(taken.data, "v").value) == canonical_address(taken.value)


# -------------------------------------------------------------------------------------------------------------- masking


def test_only_the_bytes_of_secrets_change(snapshot):
    taken = snapshot(SECRET)
    assert taken.data == MASKED
    assert taken.masked == (
        *("training.api_key", "training.url", "training.pem", "other.passwd", "other.tag", "folded"),
        "line 1",
    )


def test_the_value_is_what_the_masked_bytes_say(snapshot):
    taken = snapshot(SECRET)
    assert taken.value == read_yaml(MASKED, "m").value
    assert taken.value["alias"] == MASK
    assert taken.value["other"] == {"password": "short", "passwd": MASK, "tag": MASK}


def test_json_stays_json(snapshot):
    data = json.dumps({"a": {"password": "correct horse \U0001f600", "n": 1}, TOKEN: [f"x\n{TOKEN}"]}, indent=1).encode()
    taken = snapshot(data, "c.json")
    assert json.loads(taken.data) == {"a": {"password": MASK, "n": 1}, MASK: [f"x\n{MASK}"]}
    assert taken.masked == ("a.password", f"{MASK}.0", "line 6")


def test_a_secret_behind_an_alias_is_masked_at_its_anchor(snapshot):
    assert snapshot(b"word: &w correct horse\ndb: {password: *w}\n").data == b"word: &w <masked>\ndb: {password: *w}\n"


def test_two_keys_that_would_be_one_mask_are_refused(snapshot):
    with pytest.raises(BadConfig, match="the key '<masked>' stands twice"):
        snapshot(f"{TOKEN}: 1\n{TOKEN}x: 2\n".encode())


secrets = st.sampled_from([TOKEN, f"see {TOKEN}.", "x://a:b@c", "correct horse battery", "plain", "", "no", "a\nb: c\n", "'", '"', "# é"])
trees = st.recursive(
    secrets | st.integers() | st.none() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["password", "lr", "api_key", "pad_token", "n o"]), inner, max_size=4)
    ),
    max_leaves=10,
)
styles = st.sampled_from(
    [write_yaml, lambda value: json.dumps(value).encode(), lambda value: json.dumps(value, indent="\t", ensure_ascii=False).encode()]
)


@given(trees, styles)
def test_a_masked_file_says_what_the_masked_value_says(tmp_path_factory, tree, style):
    file = tmp_path_factory.getbasetemp() / "masked.yaml"
    file.write_bytes(style(tree))
    taken = snapshot_file("c", file, file.parent)
    assert canonical_address(taken.value) == canonical_address(mask_value(tree)[0])
    assert TOKEN.encode() not in taken.data


# ---------------------------------------------------------------------------------------------------------- the way back


@given(trees, styles)
def test_a_file_that_did_not_change_comes_back_byte_for_byte(tmp_path_factory, tree, style):
    file = tmp_path_factory.getbasetemp() / "same.yaml"
    data = style(tree)
    file.write_bytes(data)
    assert unmask(snapshot_file("c", file, file.parent).data, data, "same.yaml") == data


def test_comments_and_blocks_come_back_too(snapshot):
    assert unmask(snapshot(SECRET).data, SECRET, "f") == SECRET


def test_the_files_own_values_are_put_where_the_masks_are(snapshot):
    committed = snapshot(
        b"lr: 1\ndb: {password: 'committed value', host: a}\nurl: x://u:first-password@h1\nnew:\n  api_key: only committed\n"
    ).data
    existing = b'# mine\nurl: "x://u:my own@h2"\nlr: 5\ndb:\n  password: my own, value\n  host: b\n'
    assert unmask(committed, existing, "f").decode() == (
        'lr: 1\ndb: {password: "my own, value", host: a}\nurl: "x://u:my own@h2"\nnew:\n  api_key: <masked>\n'
    )


@pytest.mark.parametrize(
    ("own", "spelt"), [("null", "null"), ("12", "12"), ("'12'", '"12"'), ("|-\n  a\n  b", '"a\\nb"'), ("short", "short")]
)
def test_an_own_value_of_any_kind_is_kept(own, spelt):
    assert unmask(b"api_key: <masked>\nlr: 1\n", f"lr: 2\napi_key: {own}\n".encode(), "f") == f"api_key: {spelt}\nlr: 1\n".encode()


def test_what_has_no_own_value_stays_masked_and_is_named():
    data = unmask(b"a: {api_key: <masked>}\nb: 'x://u:<masked>@h'\n", b"a: {api_key: mine}", "f")
    assert (data, masked_paths(data, "f")) == (b"a: {api_key: mine}\nb: 'x://u:<masked>@h'\n", ("b",))


def test_a_snapshot_without_masks_is_written_as_it_is_whatever_stands_there():
    assert unmask(PLAIN, b"\xff not yaml", "f") == PLAIN


def test_a_file_that_cannot_be_read_is_not_written_over():
    with pytest.raises(BadConfig, match=r"^mine\.yaml:1:5: "):
        unmask(MASKED, b"a: [", "mine.yaml")
