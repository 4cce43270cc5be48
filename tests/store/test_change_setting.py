"""One setting changed: its bytes and no others, or nothing at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import onyxstore as onyx
from onyxstore.errors import BadInput, BadSetting, UnknownName
from onyxstore.store.change_setting import change_setting
from onyxstore.store.settings import TEMPLATE, Settings, read_settings


@pytest.fixture
def change(tmp_path):
    """Changes a setting in a file of this text; the settings, and what the file says then."""

    def change(text, name, value):
        path = tmp_path / "settings.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        made = change_setting(read_settings(path), name, value)
        assert read_settings(path) == made
        return made, path.read_text()

    return change


@pytest.mark.parametrize(
    ("name", "value", "old", "new"),
    [
        ("max_checkpoints", "10", "max_checkpoints: 5", "max_checkpoints: 10"),
        ("max_checkpoints", "null", "max_checkpoints: 5", "max_checkpoints: null"),
        ("best_metric", "val/loss", "best_metric: null", "best_metric: val/loss"),
        ("best_metric", "'null'", "best_metric: null", 'best_metric: "null"'),
        ("best_mode", "max", "best_mode: min", "best_mode: max"),
        ("auto_gc", "false", "auto_gc: true", "auto_gc: false"),
        ("trash_days", "0.5", "trash_days: 14", "trash_days: 0.5"),
        ("sync_interval", "2e0", "sync_interval: 1.0", "sync_interval: 2.0"),
    ],
)
def test_the_value_is_replaced_and_every_comment_stays(change, name, value, old, new):
    _, text = change(TEMPLATE, name, value)
    assert text == TEMPLATE.decode().replace(old, new)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "max_checkpoints: 9\n"),
        ("# mine\n", "# mine\nmax_checkpoints: 9\n"),
        ("best_mode: max # why", "best_mode: max # why\nmax_checkpoints: 9\n"),
        ("max_checkpoints:   5   # five\r\nauto_gc: true\r\n", "max_checkpoints:   9   # five\nauto_gc: true\n"),
        ("{max_checkpoints: 5, auto_gc: true} # on a line", "{max_checkpoints: 9, auto_gc: true} # on a line"),
        ('"max_checkpoints": !!int "5"\n', '"max_checkpoints": !!int 9\n'),
    ],
)
def test_a_file_of_any_form_keeps_it(change, text, expected):
    made, found = change(text, "max_checkpoints", "9")
    assert (made.max_checkpoints, found) == (9, expected)


@pytest.mark.parametrize("text", ["{auto_gc: true}", "{}", "auto_gc: true\n...\n", "trash_days: &days 3\nsync_interval: *days\n"])
def test_a_form_that_cannot_be_changed_alone_is_left_as_it_was(change, tmp_path, text):
    with pytest.raises(BadSetting, match="cannot be changed alone in a file of this form; edit it by hand"):
        change(text, "trash_days", "5")
    assert (tmp_path / "settings.yaml").read_text() == text


@pytest.mark.parametrize(
    ("name", "value", "error", "words"),
    [
        ("max_checkpoint", "5", UnknownName, "the store has no setting called 'max_checkpoint'; did you mean 'max_checkpoints'"),
        ("file", "x", UnknownName, "no setting called 'file'"),
        ("", "x", UnknownName, "no setting called ''"),
        ("max_checkpoints", "0", BadInput, "max_checkpoints should be a whole number from 1, or null, not '0'"),
        ("max_checkpoints", "many", BadInput, "should be a whole number"),
        ("max_checkpoints", "", BadInput, None),
        ("auto_gc", "yes", BadInput, "auto_gc should be true or false, not 'yes'"),
        ("trash_days", ".nan", BadInput, "trash_days should be a number of days, 0 or more"),
        ("best_mode", "[min]", BadInput, "best_mode should be min or max"),
        ("best_mode", "a: b: c", BadInput, "best_mode cannot be 'a: b: c'"),
        ("best_metric", "x\nmax_checkpoints: 1", BadInput, "best_metric"),
        ("best_metric", "\udcff", BadInput, "best_metric cannot be"),
    ],
)
def test_what_cannot_be_set_is_said_and_changes_nothing(change, tmp_path, name, value, error, words):
    if value == "" and name == "max_checkpoints":
        assert change(TEMPLATE, name, value)[0].max_checkpoints is None  # an empty value is null, as in the file
        return
    with pytest.raises(error, match=words):
        change(TEMPLATE, name, value)
    assert (tmp_path / "settings.yaml").read_bytes() == TEMPLATE


@given(metric=st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=20))
def test_a_metric_of_any_name_can_be_set_and_is_read_again(tmp_path_factory, metric):
    import json  # noqa: PLC0415

    path = tmp_path_factory.mktemp("store") / "settings.yaml"
    path.write_bytes(TEMPLATE)
    assert change_setting(read_settings(path), "best_metric", json.dumps(metric)).best_metric == metric
    assert read_settings(path).best_metric == metric


def test_settings_of_no_store_cannot_be_changed():
    with pytest.raises(BadInput, match="these settings are of no store"):
        change_setting(Settings(), "auto_gc", "true")


def test_a_change_survives_and_an_open_store_goes_on_as_it_was(store):
    change_setting(store.settings, "max_checkpoints", "7")
    assert (store.settings.max_checkpoints, onyx.Store.open(store.folder).settings.max_checkpoints) == (5, 7)
    (store.folder / ".onyx" / "settings.yaml").unlink()
    change_setting(store.settings, "auto_gc", "false")
    assert (store.folder / ".onyx" / "settings.yaml").read_text() == "auto_gc: false\n"


def test_a_change_that_is_killed_leaves_the_old_file_or_the_new_one(store, killed_at):
    path = store.folder / ".onyx" / "settings.yaml"
    calls = 0
    while killed_at(calls, lambda: change_setting(store.settings, "max_checkpoints", "7")):
        assert path.read_bytes() in (TEMPLATE, TEMPLATE.replace(b"s: 5", b"s: 7"))
        path.write_bytes(TEMPLATE)
        calls += 1
    assert calls > 2
