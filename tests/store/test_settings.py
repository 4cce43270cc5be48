"""The store's own settings: every default, every bad value, each named with its file."""

import pytest

import onyxstore as onyx
from onyxstore.errors import BadConfig, BadSetting, CorruptFile
from onyxstore.store.settings import TEMPLATE, Settings, read_settings


@pytest.fixture
def read(tmp_path):
    """The settings of a file with this text."""

    def read(text):
        path = tmp_path / "settings.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_settings(path)

    return read


def test_what_init_writes_says_every_default(read):
    assert read(TEMPLATE) == Settings()


@pytest.mark.parametrize("text", ["", "# nothing\n", "null\n", "{}\n"])
def test_what_is_not_said_has_its_default(read, text):
    assert read(text) == Settings()


def test_without_a_file_all_have_their_defaults(tmp_path):
    assert read_settings(tmp_path / "settings.yaml") == Settings()


def test_each_setting_is_read(read):
    text = "max_checkpoints: null\nbest_metric: val/acc\nbest_mode: max\nauto_gc: false\ntrash_days: 0.5\nsync_interval: 10\n"
    assert read(text) == Settings(None, "val/acc", "max", auto_gc=False, trash_days=0.5, sync_interval=10)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("max_checkpoints: 0", "max_checkpoints in {file}: should be a whole number from 1, or null, not 0"),
        ("max_checkpoints: -1", "max_checkpoints in"),
        ("max_checkpoints: 5.0", "max_checkpoints in"),
        ("max_checkpoints: true", "max_checkpoints in"),
        ("max_checkpoints: '5'", "max_checkpoints in"),
        ("max_checkpoints: [5]", "max_checkpoints in"),
        ("best_metric: 5", "best_metric in {file}: should be a metric's name, or null, not 5"),
        ("best_metric: ''", "best_metric in"),
        ("best_metric: [loss]", "best_metric in"),
        ("best_mode: least", "best_mode in {file}: should be min or max, not 'least'"),
        ("best_mode: null", "best_mode in"),
        ("best_mode: [min]", "best_mode in"),
        ("best_mode: {min: 1}", "best_mode in"),
        ("auto_gc: 1", "auto_gc in {file}: should be true or false, not 1"),
        ("auto_gc: 'yes'", "auto_gc in"),
        ("trash_days: -1", "trash_days in {file}: should be a number of days, 0 or more, not -1"),
        ("trash_days: .nan", "trash_days in"),
        ("trash_days: .inf", "trash_days in"),
        ("trash_days: 1e99", "trash_days in"),
        ("trash_days: true", "trash_days in"),
        ("trash_days: soon", "trash_days in"),
        ("sync_interval: 0", "sync_interval in {file}: should be a number of seconds from 0.01 to 3600, not 0"),
        ("sync_interval: .nan", "sync_interval in"),
        ("sync_interval: 3601", "sync_interval in"),
        ("sync_interval: false", "sync_interval in"),
        ("max_checkpoint: 5", "max_checkpoint in {file}: is no setting, did you mean 'max_checkpoints'?"),
        ("colour: red", "colour in {file}: is no setting"),
        ("5: 5", "5 in {file}: is no setting"),
        ("null: 5", "None in {file}: is no setting"),
        ("- max_checkpoints", "the settings in {file}: should be a mapping of names to values"),
        ("5", "the settings in"),
    ],
)
def test_a_bad_value_is_named_with_its_file(read, tmp_path, text, words):
    with pytest.raises(BadSetting) as caught:
        read(text)
    assert words.format(file=tmp_path / "settings.yaml") in str(caught.value)


@pytest.mark.parametrize("text", ["max_checkpoints: [", "a: 1\na: 2\n", "\t", b"\xff\xfe\x00", "a: &x [*x]\n"])
def test_what_is_no_yaml_is_named_with_its_place(read, text):
    with pytest.raises((BadConfig, BadSetting), match=r"settings\.yaml"):
        read(text)


def test_a_file_that_is_none_is_refused(read, tmp_path):
    (tmp_path / "settings.yaml").mkdir()
    with pytest.raises(CorruptFile):
        read_settings(tmp_path / "settings.yaml")
    (tmp_path / "settings.yaml").rmdir()
    with pytest.raises(CorruptFile, match="1048576 is the most"):
        read(b"#" * (1 << 20) + b"\n")


def test_a_store_is_opened_with_its_settings_and_not_with_bad_ones(store, folder):
    assert store.settings == Settings()
    (folder / ".onyx" / "settings.yaml").write_text("max_checkpoints: 9\n")
    assert (store.settings.max_checkpoints, onyx.Store.open(folder).settings.max_checkpoints) == (5, 9)
    (folder / ".onyx" / "settings.yaml").write_text("max_checkpoints: many\n")
    with pytest.raises(BadSetting):
        onyx.Store.open(folder)
